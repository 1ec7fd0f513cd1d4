//! An operator's program is told of captured names, and the device waits for none of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use buttons::hook::Hook;
use buttons::{config, key};
use firmware::config::PrivateKey;
use firmware::report::{Capture, Captured, Event};

#[test]
fn the_program_hears_what_became_of_a_name_and_its_failure_is_told() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hook");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let (program, heard) = (folder.join("program"), folder.join("heard"));
    let text = format!("#!/bin/sh\necho \"$@\" >> {}\ntest \"$1\" = protected\n", heard.display());
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let hook = Hook::new(Some(program));
    let captured = |name: &str, key| Captured {
        name: name.parse().unwrap(),
        address: "198.51.100.7".parse().unwrap(),
        key,
        ttl_s: 300,
    };
    hook.hear(&Event::Capture(Capture::Protected(captured("www.example", Some([0xAB; 32])))));
    let mut told = Vec::new();
    let mut finish = |hook: &Hook| {
        while !hook.is_idle() {
            told.extend(hook.look());
            std::thread::yield_now();
        }
    };
    finish(&hook);
    // What a name spells is a word, and no shell's business.
    hook.hear(&Event::Capture(Capture::Unprotected(captured("a$(id).example", None))));
    finish(&hook);
    let said = fs::read_to_string(&heard).unwrap();
    let expected = format!(
        "protected www.example 198.51.100.7 {} 300\nunprotected a$(id).example 198.51.100.7 - 300\n",
        "ab".repeat(32)
    );
    assert_eq!(said, expected);
    assert_eq!(told, ["the hook for a$(id).example unprotected: exit status: 1"]);
    let none = Hook::new(Some(folder.join("nothing")));
    none.hear(&Event::Capture(Capture::Protected(captured("www.example", None))));
    assert!(none.look()[0].starts_with("the hook does not run: "));
    assert!(none.is_idle());
}

const DEVICE: &str = r#"role = "gateway"
identity = "a.example"
key = "own.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16"]

[[policy]]
name = "rest"
local = "10.1.0.0/16"
remote = "0.0.0.0/0"
action = "bypass"

[dns]
servers = ["192.0.2.53"]

[dns.capture]
allow = ["."]
hook = "told"
"#;

#[test]
fn a_hook_that_is_no_program_is_told_with_its_line() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hook-config");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    key::write_private(&folder.join("own.pem"), &PrivateKey::Ed25519([1; 32])).unwrap();
    let (file, program) = (folder.join("device.toml"), folder.join("told"));
    fs::write(&file, DEVICE).unwrap();
    let bad = config::read(&file).unwrap_err();
    assert_eq!(bad.line, Some((24, "hook = \"told\"".to_owned())), "{bad}");
    assert!(bad.advice.ends_with("name a file that may be executed"), "{bad}");
    fs::write(&program, "").unwrap();
    assert!(config::read(&file).is_err(), "it may not be executed");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(config::read(&file).unwrap().hook, Some(program));
}
