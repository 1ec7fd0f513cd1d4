//! Bad configurations: each is told with its file, its line and what to write instead. The whole list
//! is one snapshot, to be read as an operator would.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use buttons::config::{self, PortName};
use buttons::key;
use esp_engine::crypto::Algorithm;
use esp_engine::spd::Level;
use firmware::config::clock::Source;
use firmware::config::{Action, Authentication, Identity, PrivateKey, Remote, Suite, Whose};
use ike_core::crypto::{Group, Prf};

const GOOD: &str = r#"role = "gateway"
identity = "a.example"
key = "own.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24", "2001:db8::1/64"]

[[interface]]
device = "tap:lan0"
addresses = ["10.1.0.1/16"]

[[peer]]
name = "b"
identity = "b.example"
address = "192.0.2.2"
key = "PUBLIC"
ranges = ["10.2.0.0/16"]
start = "at-once"

[[policy]]
name = "net"
local = "10.1.0.0/16"
remote = "10.2.0.0/16"
action = "protect"
mode = "tunnel"
minimum = "pinned"
peer = "b"
"#;

/// Each: what a hurried operator wrote, instead of what.
const MISTAKES: [(&str, &str); 35] = [
    (r#"role = "gateway""#, r#"role = "router""#),
    (r#"role = "gateway""#, r#"role = "host""#),
    (r#"role = "gateway""#, r#"rolle = "gateway""#),
    (r#"role = "gateway""#, r#"role = gateway"#),
    (
        r#"role = "gateway""#,
        r#"role = "gateway"
suites = ["hardware-aes", "aes128gcm16-x25519"]"#,
    ),
    (r#"identity = "a.example""#, r#"identity = "a b.example""#),
    (r#"identity = "a.example""#, r#"identity = "key-id:xyz""#),
    (r#"key = "own.pem""#, r#"key = "nothing.pem""#),
    (r#"key = "own.pem""#, r#"key = "exposed.pem""#),
    (r#"key = "own.pem""#, r#"key = "public.pem""#),
    (r#""192.0.2.1/24""#, r#""192.0.2.1""#),
    (r#""192.0.2.1/24""#, r#""192.0.2.1/33""#),
    (r#""192.0.2.1/24""#, r#""192.0.2.256/24""#),
    (r#""10.1.0.1/16""#, r#""dhcp""#),
    (r#""192.0.2.1/24", "2001:db8::1/64""#, r#""dhcp", "192.0.2.1/24""#),
    (
        r#"addresses = ["192.0.2.1/24", "2001:db8::1/64"]"#,
        r#"addresses = ["dhcp"]
[[policy]]
name = "bgp"
local = "192.0.2.1/32"
remote = "192.0.2.2/32"
action = "bypass""#,
    ),
    (
        r#"addresses = ["192.0.2.1/24", "2001:db8::1/64"]"#,
        r#"addresses = ["dhcp"]
[[policy]]
name = "bgp"
local = "outer"
remote = "2001:db8::2/128"
action = "bypass""#,
    ),
    (r#"address = "192.0.2.2""#, r#"address = "b.example""#),
    (r#"key = "PUBLIC""#, r#"key = "no such key""#),
    (r#"key = "PUBLIC""#, r#"fingerprint = "12:34""#),
    (
        r#"key = "PUBLIC""#,
        r#"key = "PUBLIC"
btns = true"#,
    ),
    (r#"start = "at-once""#, r#"start = "now""#),
    (
        r#"start = "at-once""#,
        r#"start = "at-once"
port = 501"#,
    ),
    (
        r#"start = "at-once""#,
        r#"start = "at-once"
ppk = { id = "ours", secret = "own.pem" }"#,
    ),
    (r#"remote = "10.2.0.0/16""#, r#"remote = "10.2.0.1/16""#),
    (r#"remote = "10.2.0.0/16""#, r#"remote = "172.16.0.0/12""#),
    (r#"action = "protect""#, r#"action = "bypass""#),
    (
        r#"action = "protect""#,
        r#"remote-ports = "1024"
action = "protect""#,
    ),
    (r#"peer = "b""#, r#"peer = "c""#),
    (r#"key = "PUBLIC""#, r#"dns = "b.example""#),
    (
        r#"key = "PUBLIC""#,
        r#"key = "PUBLIC"
or-stranger = true"#,
    ),
    (r#"remote = "10.2.0.0/16""#, r#"remote = "b""#),
    (r#"remote = "10.2.0.0/16""#, r#"remote = "vpn.example.com""#),
    (
        r#"role = "gateway""#,
        r#"dns = { servers = ["ns.example"] }
role = "gateway""#,
    ),
    (
        r#"role = "gateway""#,
        r#"dns = { servers = ["192.0.2.53"], anchors = "own.pem" }
role = "gateway""#,
    ),
];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("buttons-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        key::write_private(&folder.0.join("own.pem"), &PrivateKey::Ed25519([1; 32])).unwrap();
        fs::write(folder.0.join("exposed.pem"), "").unwrap();
        let spki = key::public(&PrivateKey::Ed25519([2; 32])).unwrap();
        let pem = key::spell(&spki, key::Spelling::Strongswan).unwrap();
        key::write_private(&folder.0.join("public.pem"), &PrivateKey::Ed25519([3; 32])).unwrap();
        fs::write(folder.0.join("public.pem"), pem).unwrap();
        folder
    }

    fn read(&self, text: &str) -> Result<config::Device, config::BadConfig> {
        let spki = key::public(&PrivateKey::Ed25519([2; 32])).unwrap();
        let public = key::spell(&spki, key::Spelling::Base64).unwrap();
        let path = self.0.join("device.toml");
        fs::write(&path, text.replace("PUBLIC", public.trim())).unwrap();
        config::read(&path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What is published is the identity, in the zone above it, unless something else is written.
#[test]
fn a_device_publishes_its_identity() {
    let folder = Folder::new("publish");
    let secret = folder.0.join("a.tsig");
    fs::write(&secret, "key \"k\" { algorithm hmac-sha256; secret \"AAAAAAAAAAAAAAAAAAAAAA==\"; };").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let table = "[dns.publish]\nserver = \"192.0.2.53\"\nsecret = \"a.tsig\"\n";
    let config = folder.read(&format!("{GOOD}{table}")).unwrap().config;
    assert_eq!(config.resolver, None, "nothing is looked up");
    let published = config.publication.unwrap();
    assert_eq!((published.name.as_str(), published.zone.as_str()), ("a.example", "example"));
    assert_eq!((published.server.to_string().as_str(), published.key_name.as_str()), ("192.0.2.53:53", "k"));
    assert!(published.addresses && published.ttl == 3600);

    let told = |text: &str| folder.read(text).unwrap_err().advice;
    let no_name = GOOD.replacen("a.example", "192.0.2.1", 1) + table;
    assert!(told(&no_name).contains("name = \"b.example.net\""));
    let outside = format!("{GOOD}{table}zone = \"example.net\"\n");
    assert!(told(&outside).contains("a name in its zone"));
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told(&format!("{GOOD}{table}")).contains("chmod 600"));
}

/// The outer address from DHCP, and policies for it wherever it will be.
#[test]
fn the_outer_address_from_dhcp() {
    let folder = Folder::new("dhcp");
    let policy =
        "[[policy]]\nname = \"bgp\"\nlocal = \"outer\"\nremote = \"192.0.2.2/32\"\naction = \"bypass\"\n";
    let local = |text: &str| {
        let config = folder.read(&format!("{text}{policy}")).unwrap_or_else(|bad| panic!("{bad}")).config;
        let local = config.policies[1].local;
        (format!("{}/{}", local.address, local.length), config)
    };
    assert_eq!(local(GOOD).0, "192.0.2.1/32");
    let (own, config) = local(&GOOD.replace("192.0.2.1/24", "dhcp"));
    assert!(own == "0.0.0.0/32" && config.has_dhcp());
    assert!(config.outside().sites().map(|site| site.address.to_owned()).all(|own| own.address.is_ipv6()));
    let told = buttons::words::of_policies(&config);
    assert!(told.contains("always in clear: DHCP, UDP port 68 to port 67\n"), "{told}");
    assert!(told.contains("UDP port 500 of what DHCP gives of 2001:db8::1\n"), "{told}");
    assert!(told.contains("bgp: what DHCP gives and 192.0.2.2/32: in clear\n"), "{told}");
    assert!(!buttons::words::of_policies(&local(GOOD).1).contains("DHCP"));
}

/// A policy for a name, and peers whose names end alike; both need a server.
#[test]
fn names_in_place_of_addresses() {
    let folder = Folder::new("names");
    let peers = GOOD.replace(
        "identity = \"b.example\"\naddress = \"192.0.2.2\"\nkey = \"PUBLIC\"",
        "dns-suffix = \".b.example\"",
    );
    let peers = peers.replace("start = \"at-once\"\n", "").replace("\"pinned\"", "\"validated\"");
    let policy = "[[policy]]\nname = \"vpn\"\nlocal = \"192.0.2.1/32\"\nremote = \"vpn.example.com\"\naction = \"protect\"\n";
    let refused = folder.read(&format!("{peers}{policy}")).unwrap_err();
    assert!(refused.advice.contains("add [dns]"), "{refused}");
    let server = "[dns]\nservers = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\n";
    let config = folder.read(&format!("{peers}{policy}{server}")).unwrap().config;
    let whose = |n: usize| match &config.peers[n].authentication {
        Authentication::Dns(dns) => dns.whose.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(whose(0), Whose::Suffix(".b.example".try_into().unwrap()));
    assert_eq!(whose(1), Whose::Name);
    assert_eq!(config.peers[1].identity, Some(Identity::Fqdn("vpn.example.com".try_into().unwrap())));
    assert_eq!(config.policies[1].remote, Remote::Peer);
    let Action::Protect { minimum, peer, .. } = &config.policies[1].action else { panic!() };
    assert_eq!((*minimum, peer.as_deref()), (Level::Validated, Some("vpn.example.com")));
    let servers: Vec<_> = config.resolver.unwrap().servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
}

/// Whom the time is asked of: addresses, on the port of NTP unless another is written.
#[test]
fn the_clock() {
    let folder = Folder::new("clock");
    let with =
        |clock: &str| folder.read(&format!("{GOOD}\n[dns]\nservers = [\"192.0.2.53\"]\n[clock]\n{clock}\n"));
    let config =
        with("source = \"sntp\"\nservers = [\"192.0.2.123\", \"[2001:db8::123]:1123\"]").unwrap().config;
    assert_eq!(config.clock.source, Source::Sntp);
    let servers: Vec<_> = config.clock.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.123:123", "[2001:db8::123]:1123"]);
    assert_eq!(with("source = \"operator\"").unwrap().config.clock.source, Source::Operator);
    for (clock, advice) in [
        ("source = \"ntp\"", "expected one of `board`, `operator`, `sntp`"),
        ("source = \"sntp\"", "name the servers to ask"),
        ("source = \"sntp\"\nservers = [\"pool.example\"]", "write an address"),
        ("source = \"sntp\"\nservers = [\"192.0.2.1\", \"192.0.2.1\"]", "write it once"),
        ("source = \"board\"\nservers = [\"192.0.2.123\"]", "source = \"sntp\" only"),
    ] {
        let refused = with(clock).unwrap_err();
        assert!(refused.advice.contains(advice), "{clock}: {refused}");
    }
}

#[test]
fn a_good_configuration_says_what_it_means() {
    let folder = Folder::new("good");
    let device = folder.read(GOOD).unwrap();
    assert_eq!(device.ports, [PortName::Packet("wan0".into()), PortName::Tap("lan0".into())]);
    assert_eq!(device.config.identity, Identity::Fqdn("a.example".try_into().unwrap()));
    assert_eq!(device.config.key, PrivateKey::Ed25519([1; 32]));
    let Authentication::Pinned(keys) = &device.config.peers[0].authentication else { panic!() };
    assert_eq!(*keys[0], *key::public(&PrivateKey::Ed25519([2; 32])).unwrap());
}

#[test]
fn a_peer_may_have_its_own_ways() {
    let folder = Folder::new("peer");
    fs::write(folder.0.join("ppk"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let written = r#"name = "b"
port = 4500
childless = true
ppk = { id = "ours", secret = "ppk", optional = true }"#;
    let text = GOOD.replacen(r#"name = "b""#, written, 1).replacen("key =", "mobike = true\nkey =", 1);
    let config = folder.read(&text).unwrap().config;
    let ppk = config.peers[0].ppk.as_ref().unwrap();
    assert!(config.mobike && config.peers[0].childless && !ppk.mandatory);
    assert_eq!(
        (config.peers[0].port, ppk.id.as_slice(), ppk.secret.octets().len()),
        (4500, &b"ours"[..], 32)
    );
    let plain = folder.read(GOOD).unwrap().config;
    assert!(!plain.mobike && !plain.peers[0].childless && plain.peers[0].ppk.is_none());
    assert_eq!(plain.peers[0].port, 500);
}

#[test]
fn suites_are_named_or_put_together() {
    let folder = Folder::new("suites");
    let suites = |text: &str| {
        let configured = GOOD.replacen("key =", &format!("suites = {text}\nkey ="), 1);
        folder.read(&configured).unwrap().config.suites
    };
    let custom = |ike, prf, group, esp| Suite::Custom { ike, prf, group, esp };
    assert_eq!(*suites(r#"["hardware-aes"]"#), [Suite::HardwareAes]);
    assert_eq!(
        *suites(
            r#"["aes128gcm16-prfsha384-curve25519", "chacha20poly1305-p256", "fast-software", "compat"]"#
        ),
        [
            custom(Algorithm::Aes128Gcm16, Prf::HmacSha384, Group::Curve25519, Algorithm::Aes128Gcm16),
            custom(Algorithm::ChaCha20Poly1305, Prf::HmacSha256, Group::P256, Algorithm::ChaCha20Poly1305),
            Suite::FastSoftware,
            Suite::Compat
        ]
    );
    let (cbc, gcm) = (Algorithm::Aes256CbcHmacSha256, Algorithm::Aes128Gcm16);
    assert_eq!(
        *suites(
            r#"["aes256-sha256-prfsha512-p256", "aes128gcm16-p256/null-sha256", "aes128gcm16-p256/aes256gmac"]"#
        ),
        [
            custom(cbc, Prf::HmacSha512, Group::P256, cbc),
            custom(gcm, Prf::HmacSha256, Group::P256, Algorithm::NullHmacSha256),
            custom(gcm, Prf::HmacSha256, Group::P256, Algorithm::Aes256Gmac),
        ]
    );
}

/// A stranger whose key is remembered: it needs a wildcard of its own, and storage.
#[test]
fn strangers_are_remembered_where_there_is_storage() {
    let folder = Folder::new("first-use");
    let anyone = r#"
[[peer]]
name = "anyone"
first-use = true

[[policy]]
name = "rest"
local = "10.1.0.0/16"
remote = "198.51.100.0/24"
action = "protect"
mode = "tunnel"
minimum = "first"
peer = "anyone"
"#;
    let with = |before: &str| format!("{before}{GOOD}{anyone}");
    let device = folder.read(&with("")).unwrap();
    assert_eq!(device.config.peers[1].authentication, Authentication::FirstUse { replace_after_h: 0 });
    assert_eq!(device.state, Some(folder.0.join("device.state")));
    let device = folder.read(&with("state = \"kept\"\n")).unwrap();
    assert_eq!(device.state, Some(folder.0.join("kept")));
    let refused = folder.read(&with("state = \"none\"\n")).unwrap_err();
    assert_eq!(refused.line.as_ref().unwrap().1, "first-use = true");
    assert!(refused.advice.contains("write state = \"FILE\""), "{refused}");
    for (right, wrong, advice) in [
        (r#"first-use = true"#, "btns = true", "minimum"),
        (r#"first-use = true"#, "first-use = false", "exactly one of"),
        (r#"first-use = true"#, "first-use = true\nbtns = true", "exactly one of"),
        (r#"first-use = true"#, "btns = true\nreplace-after-h = 24", "first-use = true"),
        (r#"first-use = true"#, "first-use = true\nidentity = \"c.example\"", "for anyone"),
        (r#"minimum = "first""#, r#"minimum = "shared""#, "minimum"),
        (r#"minimum = "pinned""#, r#"minimum = "known""#, "minimum"),
    ] {
        let refused = folder.read(&with("").replacen(right, wrong, 1)).unwrap_err();
        assert!(refused.line.is_some(), "{wrong}: {refused}");
        assert!(refused.advice.contains(advice), "{wrong}: {refused}");
    }
}

#[test]
fn each_mistake_is_told_with_its_line_and_what_to_write_instead() {
    let folder = Folder::new("bad");
    let mut told = String::new();
    for (right, wrong) in MISTAKES {
        assert!(GOOD.contains(right), "{right}");
        let refused = folder.read(&GOOD.replacen(right, wrong, 1)).unwrap_err();
        let _ = writeln!(told, "{}", refused.to_string().replace(&*folder.0.to_string_lossy(), "."));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let refused = config::read("/nonexistent/device.toml".as_ref()).unwrap_err();
    assert_eq!(refused.line, None);
    assert!(refused.to_string().starts_with("/nonexistent/device.toml: cannot be read"), "{refused}");
}
