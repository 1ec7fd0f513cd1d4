//! What a router reports and what it was told to do, in sentences for a person; the demo and `buttons run` speak with one voice.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use esp_engine::crypto::Algorithm;
use esp_engine::sa::SaReport;
use esp_engine::selector::TrafficSelector;
use firmware::config::policies::{FixedBypass, TCP};
use firmware::config::{Action, Config, Policy, Ports, Prefix, Remote};
use firmware::control::reason;
use firmware::management::Shown;
use firmware::report::{Capture, Event, TimeNews};
use ike_core::config::Suite;
use ike_core::crypto::{Group, Prf};
use ike_core::discovery::outcome::{Indeterminate, Security as Verdict};
use ike_core::discovery::sntp::Opinion;
use ike_core::discovery::update;
use ike_core::discovery::upstream::{Lack, ServerStatus};
use ike_core::error::FailReason;
use ike_core::output::{ChildEstablished, Established, Failed, Method, Role};
use ike_core::pad::{Presence, Security};
use ike_core::wire::notify::NotifyType;

use crate::key::hex;
use crate::resolve::moment;

/// RFC 7296 §3.10.1.
pub const AUTHENTICATION_FAILED: u16 = 24;

/// The sentences for an event; none for what only a machine wants to know.
pub fn of(event: &Event) -> Vec<String> {
    match event {
        Event::Sent(_, message) => {
            let name = message.exchange_name().unwrap_or("unknown exchange");
            let way = if message.response { "response" } else { "request" };
            vec![format!("sends {name} {way}, {} octets", message.octets)]
        }
        Event::Acquire { packet, .. } => {
            vec![format!("a packet to {} waits: its policy wants an SA", packet.destination)]
        }
        Event::NotStarted { reason, .. } => vec![format!("no negotiation begins: {}", reason.words())],
        Event::Asked(of) => vec![format!("asks DNS for {of}")],
        Event::Answered { security, presence } => vec![of_answer(*security, *presence).into()],
        Event::Time(news) => vec![of_time(*news)],
        Event::TimeServersDisagree(opinions) => vec![of_disagreement(opinions)],
        Event::Probed(server) => of_server(server).into_iter().collect(),
        Event::NotStored(reason) => vec![format!("what was learnt is not kept: {}", reason.words())],
        Event::Publication(news) => vec![of_publication(*news)],
        Event::Located { addresses, .. } => {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            vec![format!("its policies cover {}", addresses.join(" and "))]
        }
        Event::Moved { old, site } if old.is_unspecified() => {
            vec![format!("it is at {} now", site.address.address)]
        }
        Event::Moved { old, site } => {
            vec![format!("it is at {} now, no longer at {old}", site.address.address)]
        }
        Event::Lost(old) => vec![format!("the lease of {old} is over: it has no address for now")],
        Event::LeaseRefused { address, reason } => {
            vec![format!("a DHCP server offers {address}, which is not taken: {}", reason.advice())]
        }
        Event::Open(address) => vec![format!("{address} was shown to protect nothing: it may send in clear")],
        Event::Unrenewed { until: Some(_), .. } => {
            vec!["DNS is silent: the peer's key is used until its signatures end".into()]
        }
        Event::Unrenewed { until: None, .. } => {
            vec!["DNS is silent and the signatures of the peer's key have ended: its SAs end too".into()]
        }
        Event::Capture(news) => vec![match news {
            Capture::Found(name, address) => format!("{name} leads to {address}, which is to be protected"),
            Capture::Protected(captured) => format!("traffic with {} is protected", captured.address),
            Capture::Unprotected(captured) => format!("traffic with {} is not protected", captured.address),
        }],
        Event::Remembered(known) => match known.fingerprint {
            Some(sum) => vec![format!("remembers {} by its key {}…", known.of, hex(&sum[..4]))],
            None => vec![format!("{} is not taken for less any more", known.of)],
        },
        Event::NoPlace(of) => {
            vec![format!("no place to remember {of}: who comes under its name may be less; forget somebody")]
        }
        Event::NotKept(of, reason) => vec![format!("{of} cannot be remembered: {}", reason.words())],
        Event::NotRecalled(reason) => {
            vec![format!("forgot somebody, so that no new stranger is taken: {}", reason.words())]
        }
        Event::Established(established) => of_established(established),
        Event::Rekeyed { new, .. } => {
            vec![format!("IKE SA replaced by {:016x} {:016x}", new.spis.initiator, new.spis.responder)]
        }
        Event::ChildEstablished(child) => of_child(child),
        Event::Failed(failed) => vec![of_failed(failed)],
        Event::Closed { reason, .. } => vec![format!("IKE SA closed: {}", reason.words())],
        Event::Removed(spi) => vec![format!("SPI {:08x} removed", spi.get())],
        Event::Sa(SaReport::HardExpired(spi)) => vec![format!("SPI {:08x} has expired", spi.get())],
        Event::UnusableKey(spi, algorithm) => {
            vec![format!("SPI {:08x} given up: no {} here", spi.get(), of_algorithm(*algorithm))]
        }
        Event::NotInstalled(spi, reason) => vec![format!("SPI {:08x} not installed: {reason:?}", spi.get())],
        _ => Vec::new(),
    }
}

fn of_time(news: TimeNews) -> String {
    match news {
        TimeNews::Set(time) => format!("the time of day is {}", moment::show(time)),
        TimeNews::Refused(time) => {
            format!("a time server says {}, which cannot be or cannot be proven now", moment::show(time))
        }
        TimeNews::NotProven(Verdict::Indeterminate(Indeterminate::NoAnchor)) => {
            "no time can be proven: the keys of DNS's root are newer than this program; \
             name them with anchors in [dns]"
                .into()
        }
        TimeNews::NotProven(Verdict::Indeterminate(reason)) => {
            format!("what a time server says is not proven: {}", reason.words())
        }
        TimeNews::NotProven(_) => "a time server says what the keys of DNS's root refute".into(),
    }
}

fn of_disagreement(opinions: &[Opinion]) -> String {
    let says = |it: &Opinion| format!("{} says {}", it.server.ip(), moment::show(it.says));
    let says: Vec<_> = opinions.iter().map(says).collect();
    let heeded = opinions.iter().filter(|it| it.is_taken).map(|it| it.server.ip().to_string());
    let heeded: Vec<_> = heeded.collect();
    let heeded = if heeded.is_empty() { "nobody".into() } else { heeded.join(" and ") };
    format!("time servers disagree: {}; heeded: {heeded}", says.join(", "))
}

/// Nothing, where nothing is to be complained of.
fn of_server(server: &ServerStatus) -> Option<String> {
    let lacks: Vec<_> = server.lacks?.iter().map(Lack::words).collect();
    (!lacks.is_empty()).then(|| format!("DNS server {}: {}", server.address, lacks.join("; ")))
}

fn of_publication(news: update::Event) -> String {
    match news {
        update::Event::Published => "our name is published".into(),
        update::Event::Failed { failure, again } => {
            let then = if again.is_some() { "it is tried again" } else { "it is given up" };
            format!("our name is not published: {}; {then}", failure.words())
        }
        update::Event::Usable => "everybody gets the next key of our name".into(),
    }
}

fn of_answer(security: Security, presence: Presence) -> &'static str {
    match (security, presence) {
        (Security::Secure, Presence::Present) => "DNS has keys for it, and proves them",
        (Security::Secure, Presence::OnlyUnusable) => "DNS has only keys for it that cannot be used",
        (Security::Secure, Presence::Absent) => "DNS proves that it has no key for it",
        (Security::Insecure, _) => "what DNS says of it is not signed",
        (Security::Bogus, _) => "what DNS says of it is forged or signed wrongly",
        (Security::Indeterminate, _) => "DNS did not answer, or the time of day is not known",
    }
}

fn of_established(established: &Established) -> Vec<String> {
    let method = match established.method {
        Method::Ed25519 => "an Ed25519 signature",
        Method::EcdsaP256 => "an ECDSA P-256 signature",
        Method::EcdsaP384 => "an ECDSA P-384 signature",
        Method::Rsa => "an RSA signature",
        Method::SharedKey => "a shared key",
        Method::Null => "nothing: nobody knows whom",
    };
    let mut words = vec![
        format!("peer says {}, proves it by {method}", established.identity),
        format!("its level: {}", Shown(established.level).words()),
    ];
    if let Some(owner) = established.behind {
        words.push(format!("it is the gateway for {owner}"));
    }
    if established.ppk {
        words.push("a post-quantum preshared key is in the keys".into());
    }
    if established.role == Role::Initiator {
        let Suite { ike, prf, group, additional, .. } = established.suite;
        let additional = additional.map_or(String::new(), |group| format!(" and {}", of_group(group)));
        let group = of_group(group);
        words.push(format!("IKE SA: {}, {}, {group}{additional}", of_algorithm(ike), of_prf(prf)));
    }
    words
}

fn of_group(group: Group) -> &'static str {
    match group {
        Group::Curve25519 => "Curve25519",
        Group::P256 => "P-256",
        Group::P384 => "P-384",
        Group::Modp2048 => "MODP-2048",
        Group::MlKem512 => "ML-KEM-512",
        Group::MlKem768 => "ML-KEM-768",
    }
}

fn of_child(child: &ChildEstablished) -> Vec<String> {
    let mode = format!("{:?}", child.mode).to_lowercase();
    let esn = if child.extended_sequence { ", ESN" } else { "" };
    let udp = if child.encapsulated { ", in UDP" } else { "" };
    vec![
        format!("Child SA: ESP {mode} mode, {}{esn}{udp}", of_algorithm(child.algorithm)),
        format!("SPIs: {:08x} in, {:08x} out", child.inbound.get(), child.outbound.get()),
    ]
}

fn of_failed(failed: &Failed) -> String {
    match failed.reason {
        FailReason::Refused(notify) => format!("is refused: {:?}", NotifyType(notify)),
        FailReason::KeyMismatch(fingerprint) => {
            format!("{}: {}…", failed.reason.words(), hex(&fingerprint[..4]))
        }
        _ => format!("negotiation failed: {}", reason::failed(failed)),
    }
}

fn of_algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Aes128Gcm16 => "AES-GCM-128",
        Algorithm::Aes256Gcm16 => "AES-GCM-256",
        Algorithm::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        Algorithm::Aes128CbcHmacSha256 => "AES-CBC-128 with HMAC-SHA2-256",
        Algorithm::Aes256CbcHmacSha256 => "AES-CBC-256 with HMAC-SHA2-256",
        Algorithm::NullHmacSha256 => "HMAC-SHA2-256, NOT ENCRYPTED",
        Algorithm::Aes128Gmac => "AES-GMAC-128, NOT ENCRYPTED",
        Algorithm::Aes256Gmac => "AES-GMAC-256, NOT ENCRYPTED",
    }
}

fn of_prf(prf: Prf) -> &'static str {
    match prf {
        Prf::HmacSha256 => "HMAC-SHA2-256",
        Prf::HmacSha384 => "HMAC-SHA2-384",
        Prf::HmacSha512 => "HMAC-SHA2-512",
    }
}

/// What the operator must know of suites that do not encrypt packets; nothing, as a rule.
pub fn of_suites(config: &Config) -> String {
    let offered = config.suites.iter().map(|suite| suite.translate().esp);
    offered.filter(|algorithm| !algorithm.is_confidential()).fold(String::new(), |mut lines, algorithm| {
        let _ = writeln!(
            lines,
            "  suites offer {}: packets cannot be forged, and everybody on the way can read them",
            of_algorithm(algorithm)
        );
        lines
    })
}

const fn of_bypass(bypass: FixedBypass) -> &'static str {
    match bypass {
        FixedBypass::Ike => "IKE, UDP port 500",
        FixedBypass::IkeNat => "IKE and ESP in UDP, port 4500",
        FixedBypass::NeighbourDiscovery => "IPv6 neighbour discovery",
        FixedBypass::Dhcp => "DHCP, UDP port 68 to port 67",
        FixedBypass::Dns => "DNS",
        FixedBypass::Time => "the time",
    }
}

/// What the operator must know of fingerprints in DNS; nothing, as a rule.
pub fn of_fingerprints(config: &Config) -> &'static str {
    match &config.resolver {
        Some(resolver) if resolver.fingerprints => {
            "  fingerprints in DNS count (TLSA 3 1 1 at _500._udp.NAME), a convention of Buttons, for names that are \
             proven to have no IPSECKEY record\n"
        }
        _ => "",
    }
}

/// Everybody is nobody to be named.
fn of_host(address: IpAddr, word: &str) -> String {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => format!(" {word} what DHCP gives"),
        IpAddr::V4(Ipv4Addr::BROADCAST) => String::new(),
        address => format!(" {word} {address}"),
    }
}

/// Every policy of a device in order, the fixed ones first, one a line.
pub fn of_policies(config: &Config) -> String {
    let mut lines = String::new();
    for (what, policy) in config.fixed_bypasses() {
        let hosts = |side: &[TrafficSelector], word: &str| -> String {
            let hosts = side.iter().map(|ts| ts.addresses).filter(|addresses| addresses.is_single());
            hosts.map(|addresses| of_host(addresses.first(), word)).collect()
        };
        let transport = match what {
            FixedBypass::Dns if policy.remote.iter().all(|ts| ts.protocol == TCP) => " over TCP",
            FixedBypass::Dns => " over UDP",
            _ => "",
        };
        let (own, other) = (hosts(&policy.local, "of"), hosts(&policy.remote, "with"));
        let _ = writeln!(lines, "  always in clear: {}{transport}{own}{other}", of_bypass(what));
    }
    for policy in &config.policies {
        let Policy { name, local, remote, protocol, local_ports, remote_ports, action } = policy;
        let side = |prefix: &Prefix, ports: &Ports| match (ports.first, ports.last) {
            (0, u16::MAX) => format!("{}/{}", prefix.address, prefix.length),
            (first, last) if first == last => format!("{}/{} port {first}", prefix.address, prefix.length),
            (first, last) => format!("{}/{} ports {first}-{last}", prefix.address, prefix.length),
        };
        let remote = match remote {
            Remote::Network(network) => side(network, remote_ports),
            Remote::Peer if *remote_ports == Ports::ANY => "wherever its peer is".into(),
            Remote::Peer => {
                format!("wherever its peer is, ports {}-{}", remote_ports.first, remote_ports.last)
            }
        };
        let local = side(local, local_ports).replace("0.0.0.0/32", "what DHCP gives");
        let protocol = match protocol {
            0 => String::new(),
            number => format!(", protocol {number}"),
        };
        let _ = writeln!(lines, "  {name}: {local} and {remote}{protocol}: {}", of_action(action));
    }
    lines + "  everything else: discarded\n"
}

fn of_action(action: &Action) -> String {
    match action {
        Action::Protect { mode, minimum, peer, pfs } => {
            let peer = peer.as_ref().map_or(String::new(), |peer| format!(" by {peer}"));
            let mode = format!("{mode:?}").to_lowercase();
            let pfs = if *pfs { ", PFS" } else { "" };
            format!("protected{peer}, {mode} mode{pfs}, at least: {}", Shown(*minimum).words())
        }
        Action::Bypass => "in clear".into(),
        Action::Discard => "discarded".into(),
    }
}

#[cfg(test)]
mod tests {
    use firmware::config;

    use super::*;

    #[test]
    fn a_device_says_what_passes_in_clear_before_what_its_operator_wrote() {
        let prefix = |text: &str| Prefix { address: text.parse().unwrap(), length: 24 };
        let policy = |name: &str, action| Policy {
            name: name.try_into().unwrap(),
            local: prefix("192.0.2.0"),
            remote: prefix("198.51.100.0").into(),
            protocol: 6,
            local_ports: Ports::ANY,
            remote_ports: Ports::single(179),
            action,
        };
        let protect = Action::Protect {
            mode: esp_engine::sa::Mode::Tunnel,
            minimum: esp_engine::spd::Level::Pinned,
            peer: Some("b".try_into().unwrap()),
            pfs: false,
        };
        let config = Config {
            role: config::Role::Gateway,
            identity: config::Identity::Fqdn("a.example".try_into().unwrap()),
            key: config::PrivateKey::None,
            interfaces: [config::Interface { addresses: [prefix("192.0.2.1")].into_iter().collect() }]
                .into_iter()
                .collect(),
            routes: Default::default(),
            peers: Default::default(),
            policies: [policy("net", protect), policy("rest", Action::Discard)].into_iter().collect(),
            suites: Default::default(),
            force_encapsulation: false,
            mobike: false,
            timing: config::Timing::default(),
            clock: Default::default(),
            resolver: None,
            publication: None,
        };
        assert_eq!(
            of_policies(&config),
            "  always in clear: IKE, UDP port 500 of 192.0.2.1
  always in clear: IKE and ESP in UDP, port 4500 of 192.0.2.1
  net: 192.0.2.0/24 and 198.51.100.0/24 port 179, protocol 6: protected by b, tunnel mode, at least: pinned key
  rest: 192.0.2.0/24 and 198.51.100.0/24 port 179, protocol 6: discarded
  everything else: discarded
"
        );
        let resolver = config::Resolver {
            servers: ["192.0.2.53:53".parse().unwrap()].into_iter().collect(),
            anchors: Default::default(),
            believed: Default::default(),
            fingerprints: false,
            capture: None,
        };
        let asking = of_policies(&Config { resolver: Some(resolver), ..config.clone() });
        for line in
            ["DNS over UDP of 192.0.2.1 with 192.0.2.53\n", "DNS over TCP of 192.0.2.1 with 192.0.2.53\n"]
        {
            assert_eq!(asking.matches(line).count(), 1, "{asking}");
        }
        assert_eq!((of_suites(&config), of_fingerprints(&config)), (String::new(), ""));
        let readable = config::Suite::Custom {
            ike: Algorithm::Aes128Gcm16,
            prf: Prf::HmacSha256,
            group: Group::P256,
            esp: Algorithm::Aes128Gmac,
        };
        let config = Config { suites: [readable].into_iter().collect(), ..config };
        assert_eq!(
            of_suites(&config),
            "  suites offer AES-GMAC-128, NOT ENCRYPTED: packets cannot be forged, and everybody on the way can \
             read them\n"
        );
        let resolver = config::Resolver {
            servers: Default::default(),
            anchors: Default::default(),
            believed: Default::default(),
            fingerprints: true,
            capture: None,
        };
        let told = of_fingerprints(&Config { resolver: Some(resolver), ..config });
        assert!(told.contains("TLSA 3 1 1") && told.contains("convention"), "{told}");
    }
}
