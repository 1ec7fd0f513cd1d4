//! What a person types, what is printed, and the exit status.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn buttons(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_buttons")).current_dir(folder).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("buttons-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_key_is_made_shown_and_exported_and_never_overwritten() {
    let folder = Folder::new("key");
    for kind in ["ed25519", "p256"] {
        let file = format!("{kind}.pem");
        let made = buttons(&folder.0, &["key", "new", &file, "--kind", kind]);
        assert!(made.status.success(), "{}", said(&made));
        let again = buttons(&folder.0, &["key", "new", &file]);
        assert_eq!(again.status.code(), Some(1));
        assert!(said(&again).contains("never overwritten"), "{}", said(&again));

        let exported = buttons(&folder.0, &["key", "export", &file, "--as", "strongswan"]);
        std::fs::write(folder.0.join("public.pem"), &exported.stdout).unwrap();
        for (private, public) in [("show", "show"), ("fingerprint", "fingerprint")] {
            let (private, public) = (
                buttons(&folder.0, &["key", private, &file]),
                buttons(&folder.0, &["key", public, "public.pem"]),
            );
            assert!(private.status.success());
            assert_eq!(private.stdout, public.stdout);
        }
        let record = buttons(&folder.0, &["key", "export", &file, "--as", "ipseckey"]);
        let algorithm = if kind == "ed25519" { "IN IPSECKEY 10 0 4 . " } else { "IN IPSECKEY 10 0 3 . " };
        assert!(said(&record).starts_with(algorithm), "{}", said(&record));
    }
}

#[test]
fn a_key_is_published_at_its_name_and_in_the_reverse_tree() {
    let folder = Folder::new("dns");
    assert!(buttons(&folder.0, &["key", "new", "own.pem", "--kind", "p384"]).status.success());
    let words = ["key", "dns", "b.example.net", "--ttl", "300", "--gateway", "192.0.2.1"];
    let shown = buttons(&folder.0, &[&words[..], &["--reverse", "2001:db8::2", "--as", "bind"]].concat());
    assert!(shown.status.success(), "{}", said(&shown));
    let text = said(&shown);
    let records: Vec<_> = text.lines().filter(|line| !line.starts_with(';')).collect();
    let [name, reverse] = records[..] else { panic!("{text}") };
    assert!(name.starts_with("b.example.net. 300 IN IPSECKEY 10 1 3 192.0.2.1 "), "{name}");
    let nibbles = format!("2.{}8.b.d.0.1.0.0.2.ip6.arpa. 300", "0.".repeat(23));
    assert_eq!(reverse.strip_prefix(&nibbles), name.strip_prefix("b.example.net. 300"));

    let json = buttons(&folder.0, &[&words[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json[0]["gateway"], "192.0.2.1");
    let words = ["key", "dns", "b.example.net", "--as", "fingerprint,generic", "--reverse", "192.0.2.2"];
    let text = said(&buttons(&folder.0, &words));
    let print = said(&buttons(&folder.0, &["key", "fingerprint", "own.pem"]));
    let record = format!("3600 IN TYPE52 \\# 35 030101{}", print.trim());
    for owner in ["b.example.net", "2.2.0.192.in-addr.arpa"] {
        assert!(text.contains(&format!("\n_500._udp.{owner}. {record}\n")), "{text}");
    }
    let refused = said(&buttons(&folder.0, &[&words[..], &["--gateway", "192.0.2.1"]].concat()));
    assert!(refused.contains("leave out --gateway"), "{refused}");
    let refused = buttons(&folder.0, &["key", "dns", "b example"]);
    assert_eq!(refused.status.code(), Some(2));
    let missing = buttons(&folder.0, &["key", "dns", "b.example.net", "--key", "none.pem"]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn openssl_reads_our_keys_as_we_do() {
    let folder = Folder::new("openssl");
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("left out: openssl is not installed");
        return;
    }
    for kind in ["ed25519", "p256"] {
        let file = format!("{kind}.pem");
        assert!(buttons(&folder.0, &["key", "new", &file, "--kind", kind]).status.success());
        let ours = buttons(&folder.0, &["key", "export", &file, "--as", "strongswan"]);
        let theirs = Command::new("openssl")
            .current_dir(&folder.0)
            .args(["pkey", "-pubout", "-in", &file])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ours.stdout), String::from_utf8_lossy(&theirs.stdout));
    }
}

#[test]
fn a_bad_configuration_fails_with_its_line() {
    let folder = Folder::new("config");
    std::fs::write(folder.0.join("device.toml"), "role = \"host\"\nidentity = 5\n").unwrap();
    let checked = buttons(&folder.0, &["config", "check", "device.toml"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(said(&checked).contains("device.toml:2:"), "{}", said(&checked));
}

#[test]
fn a_demo_that_cannot_do_all_it_says_fails() {
    let folder = Folder::new("demo");
    std::fs::write(folder.0.join("file"), "").unwrap();
    let failed = buttons(&folder.0, &["--capture", "file/folder"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(said(&failed).contains("name another folder with --capture"), "{}", said(&failed));
    let done = buttons(&folder.0, &["--capture", "folder", "--json"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(folder.0.join("folder/demo.pcapng").exists());
}

/// A server on this machine that refuses every query.
fn refusing_server() -> std::net::SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let name = buffer[12..].iter().position(|octet| *octet == 0).unwrap();
            // An answer, REFUSED, with the question and nothing else.
            buffer[2] |= 0x80;
            buffer[3] = 5;
            buffer[10..12].fill(0);
            socket.send_to(&buffer[..12 + name + 1 + 4], from).unwrap();
        }
    });
    address
}

#[test]
fn a_name_that_cannot_be_resolved_has_its_exit_status_and_a_reason() {
    let folder = Folder::new("resolve");
    let server = refusing_server().to_string();
    let asked = buttons(&folder.0, &["resolve", "b.example", "--server", &server]);
    assert_eq!(asked.status.code(), Some(6), "{}", said(&asked));
    let text = said(&asked);
    assert!(text.starts_with("b.example.: indeterminate, the servers refuse to answer us"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json = buttons(&folder.0, &["resolve", "192.0.2.1", "--server", &server, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["name"], "1.2.0.192.in-addr.arpa.");
    assert_eq!(json["security"], "indeterminate");
    for (words, status, what) in [
        (["b.example", "--server", "nowhere"], 2, "write an address"),
        (["b.example", "--type", "nothing"], 2, "write a type"),
        (["b.example", "--at", "tomorrow"], 2, "write 2026-11-26"),
        (["b.example", "--anchor", "none.key"], 1, "none.key: No such file"),
        (["b..example", "--server", "127.0.0.1"], 1, "neither a name nor an address"),
    ] {
        let refused = buttons(&folder.0, &[&["resolve"], &words[..]].concat());
        assert_eq!(refused.status.code(), Some(status), "{}", said(&refused));
        assert!(said(&refused).contains(what), "{}", said(&refused));
    }
}

#[test]
fn help_fits_on_80_columns() {
    let folder = Folder::new("help");
    for command in [
        &[][..],
        &["key"],
        &["key", "new"],
        &["key", "export"],
        &["key", "dns"],
        &["publish"],
        &["resolve"],
        &["config"],
    ] {
        let words = [command, &["--help"]].concat();
        let help = buttons(&folder.0, &words);
        assert!(help.status.success());
        let text = said(&help);
        let long = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(long, None, "{words:?}");
    }
}
