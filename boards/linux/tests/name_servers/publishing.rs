//! Updates by `buttons publish` (RFC 2136, RFC 8945).

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use buttons::key::dns::{Data, Record, Server as Form, host_name};
use buttons::key::{self, Kind};
use buttons::peer::{Topology, wait_until};
use buttons::publish::{above, once, public_key, read_secret, time_of_day};
use ike_core::discovery::UnixTime;
use ike_core::discovery::ipseckey::Gateway;
use ike_core::discovery::update::{Config, Failure, Hint, Wanted};
use libtest_mimic::Failed;

use crate::server::{Brand, Server};

type Case = (&'static str, fn(Brand) -> Result<(), Failed>);

pub const CASES: [Case; 9] = [
    ("an update is accepted, changed and withdrawn", accepted),
    ("another name is refused", refused),
    ("an alias is told", alias),
    ("another secret and an unknown key are told", unknown),
    ("a wrong clock is corrected", wrong_clock),
    ("a server that is down is waited for", down),
    ("a long update goes over TCP", long),
    ("the next key stands beside the present one", rollover),
    ("a fingerprint takes the place of a key", fingerprint),
];

fn publish(server: &Server, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_buttons"));
    command.current_dir(&server.folder).arg("publish").args(words);
    command.args(["--server", &server.address.to_string(), "--secret", "b.tsig"]);
    command
}

/// The device of the README's `[dns.publish]`, as far as it publishes itself.
const DEVICE: &str = r#"role = "host"
identity = "b.example.net"
key = "own.pem"
socket = "buttons.sock"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24", "2001:db8::1/64"]

[dns.publish]
server = "192.0.2.2:5353"
secret = "b.tsig"
"#;

/// A device tells the server its key, Knot its fingerprint, and its addresses by itself, through its own stack, and again
/// when it is put elsewhere; nothing remains of where it was.
pub fn by_device(brand: Brand) -> Result<(), Failed> {
    let topology = Topology::new()?;
    let mut server = Server::within(brand, topology.peer.name(), "192.0.2.2:5353".parse()?)?;
    make_key(&server.path("own.pem"), Kind::Ed25519)?;
    let is_fingerprint = brand == Brand::Knot;
    let form = if is_fingerprint { "form = \"fingerprint\"\n" } else { "" };
    std::fs::write(server.path("device.toml"), format!("{DEVICE}{form}"))?;
    let mut command = topology.device.command(env!("CARGO_BIN_EXE_buttons"));
    command.arg("run").arg(server.path("device.toml")).stdin(Stdio::null());
    let mut device = command.stderr(std::fs::File::create(server.path("device.log"))?).spawn()?;
    let published = server.start().and_then(|()| {
        let has = if is_fingerprint { has_fingerprints } else { has_keys };
        let seen = || has(&server, &["own.pem"]).is_ok();
        expect(wait_until(Duration::from_secs(40), seen), "no record came")?;
        expect(server.dig("b.example.net", "A")? == "192.0.2.1\n", "address")?;
        expect(server.dig("b.example.net", "AAAA")? == "2001:db8::1\n", "IPv6 address")?;
        for (kind, address, shown) in
            [("A", "192.0.2.9/24", "192.0.2.9\n"), ("AAAA", "2001:db8::9/64", "2001:db8::9\n")]
        {
            let mut put = Command::new(env!("CARGO_BIN_EXE_buttons"));
            let socket = server.path("buttons.sock");
            expect(
                put.args(["address", address, "--socket"]).arg(socket).status()?.success(),
                "is not put there",
            )?;
            let seen = || server.dig("b.example.net", kind).is_ok_and(|found| found == shown);
            expect(wait_until(Duration::from_secs(20), seen), "is not published where it is")?;
        }
        has(&server, &["own.pem"])
    });
    let _ = device.kill();
    let _ = device.wait();
    let log = std::fs::read_to_string(server.path("device.log"))?;
    published.map_err(|failed| format!("{}\n{log}", failed.message().unwrap_or_default()))?;
    expect(log.contains("our name is published"), &log)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn succeed(server: &Server, words: &[&str]) -> Result<String, Failed> {
    let output = publish(server, words).output()?;
    if output.status.success() { Ok(said(&output)) } else { Err(said(&output).into()) }
}

fn expect(condition: bool, words: &str) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(words.into()) }
}

fn started(brand: Brand) -> Result<Server, Failed> {
    let mut server = Server::by_recipe(brand)?;
    make_key(&server.path("own.pem"), Kind::Ed25519)?;
    server.start()?;
    Ok(server)
}

fn make_key(file: &Path, kind: Kind) -> Result<(), Failed> {
    Ok(key::write_private(file, &key::generate(kind)?)?)
}

/// The record of a key as dig prints it, from its precedence on.
fn shown(file: &Path) -> Result<String, Failed> {
    let key = public_key(file)?;
    let owner = host_name("b.example.net")?;
    let record = Record { owner, ttl: 3600, data: Data::Key { precedence: 10, gateway: Gateway::None, key } };
    let line = record.spell(Form::Zone);
    Ok(line.split_once("IPSECKEY ").ok_or("no record")?.1.to_owned())
}

/// dig breaks long keys into words.
fn has_keys(server: &Server, files: &[&str]) -> Result<(), Failed> {
    let answer = server.dig("b.example.net", "IPSECKEY")?;
    let plain = |text: &str| text.replace(' ', "");
    let mut found: Vec<_> = answer.lines().map(plain).collect();
    let mut expected = Vec::new();
    for file in files {
        expected.push(plain(&shown(&server.path(file))?));
    }
    found.sort();
    expected.sort();
    expect(found == expected, &answer)
}

fn accepted(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    let told = succeed(&server, &["b.example.net", "--address", "192.0.2.2", "--address", "2001:db8::2"])?;
    expect(told == "b.example.net has this key\n", &told)?;
    has_keys(&server, &["own.pem"])?;
    expect(server.dig("b.example.net", "A")? == "192.0.2.2\n", "address")?;
    expect(server.dig("b.example.net", "AAAA")? == "2001:db8::2\n", "IPv6 address")?;
    // All addresses are replaced, and those that are not named stay.
    succeed(&server, &["b.example.net", "--address", "192.0.2.3"])?;
    expect(server.dig("b.example.net", "A")? == "192.0.2.3\n", "another address")?;
    expect(server.dig("b.example.net", "AAAA")?.is_empty(), "no IPv6 address any more")?;
    let json = succeed(&server, &["b.example.net", "--json", "--withdraw"])?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    expect(json["published"] == true, &json.to_string())?;
    has_keys(&server, &[])?;
    expect(server.dig("b.example.net", "A")? == "192.0.2.3\n", "the address stays")
}

/// Knot's refusals are not signed, so they are waited out; all at the same time.
fn refused(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    let foreign = match brand {
        Brand::Bind => "does not let the key b.example.net change c.example.net",
        Brand::Knot => "has no key b.example.net that may change c.example.net",
    };
    let elsewhere = match brand {
        Brand::Bind => "does not lie in example.net",
        Brand::Knot => "has no key b.example.net that may change b.example.org",
    };
    let cases = [
        (&["c.example.net"][..], foreign),
        (&["b.example.org"], "is not the primary server of example.org"),
        (&["b.example.org", "--zone", "example.net"], elsewhere),
    ];
    let mut waiting = Vec::new();
    for (words, told) in cases {
        let child = publish(&server, words).stderr(Stdio::piped()).spawn()?;
        waiting.push((child, told));
    }
    for (child, told) in waiting {
        let output = child.wait_with_output()?;
        expect(output.status.code() == Some(1) && said(&output).contains(told), &said(&output))?;
    }
    expect(server.dig("c.example.net", "IPSECKEY")?.is_empty(), "no record")
}

/// Beside an alias a server would add nothing and say that it did (RFC 2136 §3.4.2.2).
fn alias(brand: Brand) -> Result<(), Failed> {
    let mut server = Server::by_recipe(brand)?;
    make_key(&server.path("own.pem"), Kind::Ed25519)?;
    server.add_records("b.example.net. IN CNAME a.example.net.\n")?;
    server.start()?;
    let output = publish(&server, &["b.example.net"]).output()?;
    expect(output.status.code() == Some(1) && said(&output).contains("is an alias (CNAME)"), &said(&output))
}

fn config(server: &Server, name: &str) -> Result<Config, Failed> {
    let name = host_name(name)?;
    Ok(Config { zone: above(&name), name, key: read_secret(&server.path("b.tsig"))? })
}

fn wanted(server: &Server) -> Result<Wanted, Failed> {
    let keys = [public_key(&server.path("own.pem"))?].into_iter().collect();
    Ok(Wanted {
        addresses: None,
        keys,
        form: Default::default(),
        gateway: Gateway::None,
        precedence: 10,
        ttl: 300,
    })
}

/// Nothing vouches for either answer, so both are waited out, at the same time.
fn unknown(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    let wanted = wanted(&server)?;
    let mut waiting = Vec::new();
    for (name, hint) in [("b.example.net", Hint::OtherSecret), ("x.example.net", Hint::UnknownKey)] {
        brand.make_secret(name, &server.path("b.tsig"))?;
        let (config, wanted, address) = (config(&server, "b.example.net")?, wanted.clone(), server.address);
        let ask = move || once(address, &config, wanted, || Some(time_of_day()), |_| false);
        waiting.push((hint, std::thread::spawn(ask)));
    }
    for (hint, thread) in waiting {
        let ended = thread.join().map_err(|_| "panicked")?;
        expect(ended == Err(Failure::NoAnswer { hint: Some(hint) }), &format!("{ended:?}"))?;
    }
    has_keys(&server, &[])
}

fn wrong_clock(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    let clocks: [fn() -> Option<UnixTime>; 3] =
        [|| None, || Some(UnixTime(time_of_day().0 - 3600)), || Some(UnixTime(time_of_day().0 + 3600))];
    for (n, clock) in clocks.into_iter().enumerate() {
        let wanted = Wanted { ttl: 300 + n as u32, ..wanted(&server)? };
        let ended = once(server.address, &config(&server, "b.example.net")?, wanted, clock, |_| false);
        expect(ended == Ok(()), &format!("{ended:?}"))?;
        has_keys(&server, &["own.pem"])?;
    }
    Ok(())
}

fn down(brand: Brand) -> Result<(), Failed> {
    let mut server = Server::by_recipe(brand)?;
    make_key(&server.path("own.pem"), Kind::Ed25519)?;
    let mut waiting = publish(&server, &["b.example.net", "--keep-trying"]).stdout(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_secs(1));
    expect(waiting.try_wait()?.is_none(), "it has to wait")?;
    server.start()?;
    expect(waiting.wait()?.success(), "it has to succeed")?;
    has_keys(&server, &["own.pem"])?;
    // Nobody there at all.
    let nobody = Server::by_recipe(brand)?;
    make_key(&nobody.path("own.pem"), Kind::Ed25519)?;
    let ended = publish(&nobody, &["b.example.net"]).output()?;
    expect(ended.status.code() == Some(1) && said(&ended).contains("does not answer"), &said(&ended))
}

fn long(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    for file in ["long.pem", "longer.pem"] {
        make_key(&server.path(file), Kind::Rsa4096)?;
    }
    let words = ["b.example.net", "--key", "long.pem", "--next-key", "longer.pem"];
    succeed(&server, &[&words[..], &["--address", "192.0.2.2"]].concat())?;
    has_keys(&server, &["long.pem", "longer.pem"])
}

fn rollover(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    make_key(&server.path("new.pem"), Kind::P256)?;
    succeed(&server, &["b.example.net"])?;
    let told = succeed(&server, &["b.example.net", "--next-key", "new.pem", "--ttl", "60"])?;
    expect(told.contains("In 60 s everybody who asks gets the next one"), &told)?;
    has_keys(&server, &["own.pem", "new.pem"])?;
    succeed(&server, &["b.example.net", "--key", "new.pem"])?;
    has_keys(&server, &["new.pem"])
}

/// Fingerprints as dig prints them; it breaks them into words.
fn has_fingerprints(server: &Server, files: &[&str]) -> Result<(), Failed> {
    let answer = server.dig("_500._udp.b.example.net", "TLSA")?;
    let mut found: Vec<_> = answer.lines().map(|line| line.replace(' ', "").to_lowercase()).collect();
    let print =
        |file: &&str| Ok(format!("311{}", key::hex(&key::fingerprint(&key::read(&server.path(file))?))));
    let mut expected = files.iter().map(print).collect::<Result<Vec<_>, Failed>>()?;
    found.sort();
    expected.sort();
    expect(found == expected, &answer)
}

/// RFC 2136 §3.4: all or nothing, so that there never are both.
fn fingerprint(brand: Brand) -> Result<(), Failed> {
    let server = started(brand)?;
    make_key(&server.path("new.pem"), Kind::P256)?;
    succeed(&server, &["b.example.net", "--address", "192.0.2.2"])?;
    has_keys(&server, &["own.pem"])?;
    let told = succeed(&server, &["b.example.net", "--form", "fingerprint"])?;
    expect(told == "b.example.net has the fingerprint of this key\n", &told)?;
    has_keys(&server, &[])?;
    has_fingerprints(&server, &["own.pem"])?;
    expect(server.dig("b.example.net", "A")? == "192.0.2.2\n", "the address stays")?;
    succeed(&server, &["b.example.net", "--form", "fingerprint", "--next-key", "new.pem"])?;
    has_fingerprints(&server, &["own.pem", "new.pem"])?;
    succeed(&server, &["b.example.net", "--form", "fingerprint", "--key", "new.pem"])?;
    has_fingerprints(&server, &["new.pem"])?;
    succeed(&server, &["b.example.net", "--form", "fingerprint", "--withdraw"])?;
    has_fingerprints(&server, &[])?;
    let refused =
        publish(&server, &["b.example.net", "--form", "fingerprint", "--gateway", "192.0.2.1"]).output()?;
    expect(said(&refused).contains("leave out --gateway"), &said(&refused))
}
