use heapless::{String, Vec};

use super::*;
use crate::config::clock::{Clock, Source};
use crate::config::policies::FixedBypass;
use crate::config::{
    Dns, Interface, MAX_PUBLIC_KEY, Ppk, Publication, Resolver, Route, SharedKey, Suite, Timing,
};

pub(crate) fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

fn name<const N: usize>(text: &str) -> String<N> {
    String::try_from(text).unwrap()
}

fn ed25519(fill: u8) -> Vec<u8, MAX_PUBLIC_KEY> {
    let mut spki = Vec::from_slice(b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00").unwrap();
    spki.extend_from_slice(&[fill; 32]).unwrap();
    spki
}

fn interface(addresses: &[&str]) -> Interface {
    Interface { addresses: addresses.iter().map(|a| prefix(a)).collect() }
}

fn peer(called: &str, authentication: Authentication) -> Peer {
    Peer {
        name: name(called),
        identity: Some(Identity::Fqdn(name(called))),
        address: Some("192.0.2.2".parse().unwrap()),
        authentication,
        ranges: Vec::new(),
        start: Start::OnTraffic,
        childless: false,
        port: 500,
        ppk: None,
    }
}

fn pinned(called: &str, fill: u8) -> Peer {
    peer(called, Authentication::Pinned(Vec::from_slice(&[ed25519(fill)]).unwrap()))
}

fn wildcard() -> Peer {
    Peer { identity: None, address: None, ..peer("anyone", Authentication::Btns) }
}

fn protect(local: &str, remote: &str, mode: Mode, minimum: Level, by: Option<&str>) -> Policy {
    Policy {
        name: name("traffic"),
        local: prefix(local),
        remote: prefix(remote).into(),
        protocol: EVERY_PROTOCOL,
        local_ports: Ports::ANY,
        remote_ports: Ports::ANY,
        action: Action::Protect { mode, minimum, peer: by.map(name), pfs: false },
    }
}

/// A router between 10.1.0.0/16 and a peer with 10.2.0.0/16 behind it.
pub(crate) fn gateway() -> Config {
    let mut far = pinned("far.example", 2);
    far.ranges = [prefix("10.2.0.0/16"), prefix("fd00:b::/64")].into_iter().collect();
    Config {
        role: Role::Gateway,
        identity: Identity::Fqdn(name("near.example")),
        key: PrivateKey::Ed25519([1; 32]),
        interfaces: [
            interface(&["192.0.2.1/24", "2001:db8::1/64"]),
            interface(&["10.1.0.1/16", "fd00:a::1/64"]),
        ]
        .into_iter()
        .collect(),
        routes: [
            Route { to: prefix("0.0.0.0/0"), via: "192.0.2.2".parse().unwrap() },
            Route { to: prefix("::/0"), via: "2001:db8::2".parse().unwrap() },
        ]
        .into_iter()
        .collect(),
        peers: [far].into_iter().collect(),
        policies: [
            protect("10.1.0.0/16", "10.2.0.0/16", Mode::Tunnel, Level::Pinned, Some("far.example")),
            protect("fd00:a::/64", "fd00:b::/64", Mode::Tunnel, Level::Pinned, Some("far.example")),
        ]
        .into_iter()
        .collect(),
        suites: [Suite::FastSoftware].into_iter().collect(),
        force_encapsulation: false,
        mobike: false,
        timing: Timing::default(),
        clock: Default::default(),
        resolver: None,
        publication: None,
    }
}

/// A host that protects everything towards one neighbour.
pub(crate) fn host() -> Config {
    let mut config = gateway();
    config.role = Role::Host;
    config.interfaces.pop();
    config.peers[0].ranges.clear();
    config.policies = [
        protect("192.0.2.1/32", "192.0.2.2/32", Mode::Transport, Level::Pinned, Some("far.example")),
        Policy {
            action: Action::Bypass,
            ..protect("0.0.0.0/0", "0.0.0.0/0", Mode::Transport, Level::Any, None)
        },
    ]
    .into_iter()
    .collect();
    config
}

fn refused(entry: Entry, fault: Fault, mut config: Config, break_it: impl FnOnce(&mut Config)) {
    assert_eq!(config.check(), Ok(()), "the configuration is sound before it is broken");
    break_it(&mut config);
    assert_eq!(config.check(), Err(Refused { entry, fault }));
}

#[test]
fn ports_have_to_fit_the_role() {
    refused(Entry::Interfaces, Fault::HostPorts, host(), |c| {
        c.interfaces.push(interface(&["10.1.0.1/16"])).unwrap();
    });
    refused(Entry::Interfaces, Fault::GatewayPorts, gateway(), |c| drop(c.interfaces.pop()));
}

#[test]
fn interfaces_have_one_usable_address_a_family() {
    let first = Entry::Interface(0);
    refused(first, Fault::NoAddress, gateway(), |c| c.interfaces[0].addresses.clear());
    refused(first, Fault::SecondOfFamily, host(), |c| {
        c.interfaces[0] = interface(&["192.0.2.1/24", "192.0.2.9/24"])
    });
    for bad in
        ["0.0.0.0/24", "224.0.0.1/24", "127.0.0.1/8", "255.255.255.255/32", "::/64", "ff02::1/64", "::1/128"]
    {
        refused(first, Fault::NotUnicast, host(), |c| c.interfaces[0] = interface(&[bad]));
    }
    refused(first, Fault::PrefixLength, host(), |c| c.interfaces[0] = interface(&["192.0.2.1/33"]));
    refused(first, Fault::PrefixLength, host(), |c| c.interfaces[0] = interface(&["2001:db8::1/129"]));
    refused(Entry::Interface(1), Fault::SameNetwork, gateway(), |c| {
        c.interfaces[1] = interface(&["192.0.2.128/25"]);
    });
}

#[test]
fn routes_lead_through_an_attached_neighbour() {
    let first = Entry::Route(0);
    refused(first, Fault::HostBits, gateway(), |c| c.routes[0].to = prefix("10.2.0.1/16"));
    refused(first, Fault::PrefixLength, gateway(), |c| c.routes[0].to = prefix("10.2.0.0/40"));
    refused(first, Fault::MixedFamilies, gateway(), |c| c.routes[0].via = "2001:db8::2".parse().unwrap());
    refused(first, Fault::Ourselves, gateway(), |c| c.routes[0].via = "10.1.0.1".parse().unwrap());
    refused(first, Fault::Unreachable, gateway(), |c| c.routes[0].via = "198.51.100.1".parse().unwrap());
    refused(first, Fault::HostRoute, host(), |c| c.routes[0].to = prefix("10.2.0.0/16"));
    refused(Entry::Route(1), Fault::NotUnicast, gateway(), |c| c.routes[1].via = "ff02::2".parse().unwrap());
}

#[test]
fn the_device_has_an_identity_and_a_key() {
    for bad in ["", "a..b", "a b", "-a.example", "a-.example", "a.example."] {
        refused(Entry::Identity, Fault::BadName, host(), |c| c.identity = Identity::Fqdn(name(bad)));
    }
    refused(Entry::Identity, Fault::EmptyIdentity, host(), |c| c.identity = Identity::KeyId(Vec::new()));
    refused(Entry::Identity, Fault::NotUnicast, host(), |c| {
        c.identity = Identity::Address("224.0.0.1".parse().unwrap());
    });
    refused(Entry::Key, Fault::NoOwnKey, host(), |c| c.key = PrivateKey::None);
    refused(Entry::Key, Fault::ZeroKey, host(), |c| c.key = PrivateKey::P256([0; 32]));
}

#[test]
fn peers_are_told_apart_by_name_and_identity() {
    let second = Entry::Peer(1);
    refused(second, Fault::DuplicateName, host(), |c| c.peers.push(pinned("far.example", 3)).unwrap());
    refused(second, Fault::DuplicateIdentity, host(), |c| {
        c.peers.push(Peer { name: name("other"), ..pinned("far.example", 3) }).unwrap();
    });
    refused(Entry::Peer(0), Fault::NoName, host(), |c| c.peers[0].name.clear());
    refused(Entry::Peer(0), Fault::NoIdentity, host(), |c| c.peers[0].identity = None);
    refused(Entry::Peer(0), Fault::OwnIdentity, host(), |c| c.peers[0].identity = Some(c.identity.clone()));
    refused(Entry::Peer(0), Fault::BadName, host(), |c| {
        c.peers[0].identity = Some(Identity::Fqdn(name("a b")))
    });
    refused(Entry::Peer(0), Fault::Ourselves, host(), |c| c.peers[0].address = "192.0.2.1".parse().ok());
    refused(Entry::Peer(0), Fault::HostBits, gateway(), |c| c.peers[0].ranges[0] = prefix("10.2.0.1/16"));
}

#[test]
fn peers_have_something_to_authenticate_by() {
    let first = Entry::Peer(0);
    let with = |authentication| move |c: &mut Config| c.peers[0].authentication = authentication;
    refused(first, Fault::NoCredential, host(), with(Authentication::Pinned(Vec::new())));
    refused(first, Fault::NoCredential, host(), with(Authentication::Fingerprints(Vec::new())));
    let mut short = ed25519(7);
    short.pop();
    refused(first, Fault::UnknownKey, host(), with(Authentication::Pinned([short].into_iter().collect())));
    refused(
        first,
        Fault::ShortSharedKey,
        host(),
        with(Authentication::Shared(SharedKey::new(&[7; 15]).unwrap())),
    );
    refused(first, Fault::NoWay, host(), |c| {
        c.peers[0].address = None;
        c.peers[0].start = Start::AtOnce;
    });
}

/// RFC 8784 §6: a secret that withstands a quantum computer, under a name; a wildcard shares none.
#[test]
fn post_quantum_keys_have_a_name_and_are_long() {
    let ppk = |id: &[u8], octets: &[u8]| {
        Some(Ppk {
            id: Vec::from_slice(id).unwrap(),
            secret: SharedKey::new(octets).unwrap(),
            mandatory: true,
        })
    };
    let mut sound = host();
    sound.peers[0].ppk = ppk(b"id", &[7; 32]);
    assert_eq!(sound.check(), Ok(()));
    let first = Entry::Peer(0);
    refused(first, Fault::NamelessPpk, sound.clone(), |c| c.peers[0].ppk = ppk(b"", &[7; 32]));
    refused(first, Fault::ShortPpk, sound, |c| c.peers[0].ppk = ppk(b"id", &[7; 31]));
    refused(Entry::Peer(1), Fault::NarrowWildcard, host(), |c| {
        c.peers.push(Peer { ppk: ppk(b"id", &[7; 32]), ..wildcard() }).unwrap();
    });
}

/// RFC 5386 §2: at most one BTNS wildcard, behind all other entries.
#[test]
fn the_btns_wildcard_is_last_and_wide() {
    refused(Entry::Peer(1), Fault::BehindWildcard, host(), |c| {
        c.peers.insert(0, wildcard()).unwrap();
    });
    refused(Entry::Peer(1), Fault::NarrowWildcard, host(), |c| {
        c.peers.push(Peer { address: "192.0.2.9".parse().ok(), ..wildcard() }).unwrap();
    });
    refused(Entry::Peer(1), Fault::NarrowWildcard, host(), |c| {
        c.peers.push(Peer { identity: Some(Identity::Fqdn(name("some.example"))), ..wildcard() }).unwrap();
    });
    let mut sound = host();
    sound.peers.push(wildcard()).unwrap();
    assert_eq!(sound.check(), Ok(()));
}

#[test]
fn policies_have_sound_selectors() {
    let first = Entry::Policy(0);
    refused(first, Fault::NoName, host(), |c| c.policies[0].name.clear());
    refused(first, Fault::HostBits, gateway(), |c| c.policies[0].local = prefix("10.1.0.1/16"));
    refused(first, Fault::PrefixLength, gateway(), |c| c.policies[0].remote = prefix("10.2.0.0/33").into());
    refused(first, Fault::MixedFamilies, gateway(), |c| c.policies[0].remote = prefix("fd00:b::/64").into());
    refused(first, Fault::NoPorts, gateway(), |c| c.policies[0].local_ports = Ports::single(179));
    refused(first, Fault::PortOrder, gateway(), |c| {
        c.policies[0].protocol = 6;
        c.policies[0].local_ports = Ports { first: 2, last: 1 };
    });
    refused(Entry::Policy(1), Fault::Shadowed, host(), |c| {
        let narrow = Policy { protocol: 6, remote_ports: Ports::single(179), ..c.policies[0].clone() };
        c.policies.insert(1, narrow).unwrap();
    });
}

/// An entry that names a peer by key or secret is never content with less than that.
#[test]
fn policies_ask_for_what_their_peer_can_show() {
    let first = Entry::Policy(0);
    let set = |minimum, peer| {
        move |c: &mut Config| {
            c.policies[0] = protect("192.0.2.1/32", "192.0.2.2/32", Mode::Transport, minimum, peer)
        }
    };
    refused(first, Fault::UnknownPeer, host(), set(Level::Pinned, Some("nobody")));
    refused(first, Fault::ClearMinimum, host(), set(Level::Clear, Some("far.example")));
    refused(first, Fault::MinimumTooLow, host(), set(Level::Known, Some("far.example")));
    let mut shared = host();
    shared.peers[0].authentication = Authentication::Shared(SharedKey::new(&[7; 16]).unwrap());
    shared.policies[0] =
        protect("192.0.2.1/32", "192.0.2.2/32", Mode::Transport, Level::Shared, Some("far.example"));
    refused(first, Fault::MinimumTooHigh, shared.clone(), set(Level::Pinned, Some("far.example")));
    refused(first, Fault::NoPeer, shared, set(Level::Pinned, None));
    let mut btns = host();
    btns.peers = [wildcard()].into_iter().collect();
    btns.policies[0] = protect("192.0.2.1/32", "192.0.2.2/32", Mode::Transport, Level::Any, Some("anyone"));
    refused(first, Fault::MinimumTooHigh, btns, set(Level::First, Some("anyone")));
}

#[test]
fn policies_use_a_mode_that_their_role_has() {
    let first = Entry::Policy(0);
    let transport =
        protect("10.1.0.0/16", "10.2.0.0/16", Mode::Transport, Level::Pinned, Some("far.example"));
    refused(first, Fault::ForeignTransport, gateway(), |c| c.policies[0] = transport);
    let elsewhere =
        protect("192.0.2.7/32", "192.0.2.2/32", Mode::Transport, Level::Pinned, Some("far.example"));
    refused(first, Fault::ForeignTransport, host(), |c| c.policies[0] = elsewhere);
    let tunnel = protect("192.0.2.1/32", "192.0.2.2/32", Mode::Tunnel, Level::Pinned, Some("far.example"));
    refused(first, Fault::HostTunnel, host(), |c| c.policies[0] = tunnel);
}

/// RFC 4301 §4.4.3.3: the PAD would never let this peer have the SA.
#[test]
fn policies_stay_within_their_peers_ranges() {
    refused(Entry::Policy(0), Fault::OutsideRanges, gateway(), |c| {
        c.policies[0].remote = prefix("10.3.0.0/16").into()
    });
    refused(Entry::Policy(0), Fault::OutsideRanges, host(), |c| {
        c.policies[0].remote = prefix("192.0.2.3/32").into()
    });
}

#[test]
fn something_can_be_negotiated() {
    refused(Entry::Suites, Fault::NoSuite, host(), |c| c.suites.clear());
}

#[test]
fn timing_leaves_a_way_to_reach_a_peer() {
    for timing in [
        Timing { retransmit_ms: 0, ..Timing::default() },
        Timing { tries: 0, ..Timing::default() },
        Timing { retry_s: 0, ..Timing::default() },
    ] {
        refused(Entry::Timing, Fault::ZeroTiming, host(), |c| c.timing = timing);
    }
}

#[test]
fn times_work_together() {
    use ike_core::config::BadTiming::*;
    for (timing, reason) in [
        (Timing { child_lifetime_s: 120, ..Timing::default() }, ShortMargin),
        (Timing { liveness_s: 3_590, ..Timing::default() }, LongLiveness),
        (Timing { ike_lifetime_s: 30, ..Timing::default() }, ShortIkeLifetime),
        (Timing { reauthentication_s: 60, ..Timing::default() }, ShortReauthentication),
        (Timing { reauthentication_s: 100_000, ..Timing::default() }, LongReauthentication),
        (Timing { keepalive_s: 60, ..Timing::default() }, LongKeepalive),
    ] {
        refused(Entry::Timing, Fault::Timing(reason), host(), |c| c.timing = timing);
    }
}

#[test]
fn datagrams_have_room_and_fit_a_link() {
    for datagram in [1, 255, 1501] {
        refused(Entry::Timing, Fault::Datagram, host(), |c| c.timing.datagram = datagram);
    }
}

#[test]
fn secrets_do_not_show() {
    let mut config = host();
    config.peers[0].authentication = Authentication::Shared(SharedKey::new(&[0xAB; 16]).unwrap());
    let mut text: String<4096> = String::new();
    core::fmt::write(&mut text, format_args!("{config:?}")).unwrap();
    assert!(text.contains("Ed25519(..)") && text.contains("Shared(..)"));
    assert!(!text.contains("171") && !text.contains("[1, 1, 1"));
}

/// A device that knows its peer by name, and where to ask.
fn by_name() -> Config {
    let mut config = host();
    let dns = Dns { whose: Whose::Name, from_anywhere: false, wildcards: false };
    config.peers[0].authentication = Authentication::Dns(dns);
    config.peers[0].address = None;
    let Action::Protect { minimum, .. } = &mut config.policies[0].action else { panic!() };
    *minimum = Level::Validated;
    config.policies[0].remote = Remote::Peer;
    let servers = ["192.0.2.53:53".parse().unwrap()].into_iter().collect();
    config.resolver = Some(Resolver {
        servers,
        anchors: Vec::new(),
        believed: Vec::new(),
        fingerprints: false,
        capture: None,
    });
    config
}

#[test]
fn names_need_a_server_and_a_way_to_be_told_apart() {
    assert_eq!(by_name().check(), Ok(()));
    let (peer, policy) = (Entry::Peer(0), Entry::Policy(0));
    refused(peer, Fault::NoResolver, by_name(), |c| c.resolver = None);
    let with = |whose: Whose| {
        move |c: &mut Config| {
            let dns = Dns { whose: whose.clone(), from_anywhere: false, wildcards: false };
            c.peers[0].authentication = Authentication::Dns(dns);
        }
    };
    refused(peer, Fault::NotByName, by_name(), with(Whose::Suffix(".example".try_into().unwrap())));
    refused(peer, Fault::NoIdentity, by_name(), |c| c.peers[0].identity = None);
    refused(peer, Fault::BadSuffix, by_name(), |c| {
        c.peers[0].identity = None;
        with(Whose::Suffix("example".try_into().unwrap()))(c);
    });
    refused(policy, Fault::RemoteOfNobody, by_name(), |c| {
        c.peers[0].identity = None;
        with(Whose::Suffix(".example".try_into().unwrap()))(c);
    });
    refused(policy, Fault::RemoteOfNobody, by_name(), |c| c.policies[0].action = Action::Bypass);
    refused(Entry::Resolver, Fault::NoServer, by_name(), |c| c.resolver.as_mut().unwrap().servers.clear());
    refused(Entry::Resolver, Fault::BadAnchor, by_name(), |c| {
        c.resolver.as_mut().unwrap().anchors.push(Vec::from_slice(&[0; 24]).unwrap()).unwrap();
    });
}

/// Servers are asked for the time where their word can be proven, and only then; the questions pass in clear.
#[test]
fn a_time_of_servers_is_proven() {
    let asking = || {
        let servers = ["192.0.2.123:123".parse().unwrap()].into_iter().collect();
        Config { clock: Clock { source: Source::Sntp, servers }, ..by_name() }
    };
    let is_time = |(what, _): &&(FixedBypass, _)| *what == FixedBypass::Time;
    assert_eq!(asking().fixed_bypasses().iter().filter(is_time).count(), 1);
    let clock = |fault, change: fn(&mut Config)| refused(Entry::Clock, fault, asking(), change);
    clock(Fault::NoTimeServer, |c| c.clock.servers.clear());
    clock(Fault::SameTimeServer, |c| {
        c.clock.servers.push("192.0.2.123:1123".parse().unwrap()).unwrap();
    });
    clock(Fault::IdleTimeServer, |c| c.clock.source = Source::Board);
    clock(Fault::IdleTimeServer, |c| c.clock.source = Source::Operator);
    clock(Fault::NotUnicast, |c| c.clock.servers[0] = "224.0.1.1:123".parse().unwrap());
    clock(Fault::Ourselves, |c| c.clock.servers[0] = "192.0.2.1:123".parse().unwrap());
    let with_key = Config { clock: asking().clock, resolver: None, ..host() };
    assert_eq!(with_key.check(), Err(Refused { entry: Entry::Clock, fault: Fault::UnprovenTime }));
}

/// RFC 4035 §4.9.3: the word of a server is believed where all questions to it go by SAs with a key of ours.
#[test]
fn a_server_is_believed_behind_a_policy_with_a_key() {
    let believing = |address: &str| {
        let mut config = host();
        let servers: Vec<_, 2> = [address.parse().unwrap()].into_iter().collect();
        config.resolver = Some(Resolver {
            believed: servers.clone(),
            servers,
            anchors: Vec::new(),
            fingerprints: false,
            capture: None,
        });
        config
    };
    let behind_peer = || believing("192.0.2.2:53");
    assert_eq!(behind_peer().check(), Ok(()));
    let in_clear =
        |config: &Config| config.fixed_bypasses().iter().any(|(what, _)| *what == FixedBypass::Dns);
    assert!(!in_clear(&behind_peer()));
    let unprotected = |config: Config, change: fn(&mut Config)| {
        refused(Entry::Resolver, Fault::UnprotectedBelief, config, change);
    };
    let elsewhere = Refused { entry: Entry::Resolver, fault: Fault::UnprotectedBelief };
    assert_eq!(believing("192.0.2.53:53").check(), Err(elsewhere));
    unprotected(behind_peer(), |c| {
        c.policies[0].protocol = 17;
        c.policies[0].remote_ports = Ports { first: 54, last: 60 };
    });
    unprotected(behind_peer(), |c| c.policies[0].protocol = 6);
    unprotected(behind_peer(), |c| {
        c.policies[0].protocol = 17;
        c.policies[0].local_ports = Ports { first: 0, last: 1023 };
    });
    unprotected(behind_peer(), |c| {
        c.peers[0] = wildcard();
        c.policies[0].action =
            Action::Protect { mode: Mode::Transport, minimum: Level::Any, peer: None, pfs: false };
    });
    refused(Entry::Resolver, Fault::BelievedStranger, behind_peer(), |c| {
        c.resolver.as_mut().unwrap().servers = ["192.0.2.3:53".parse().unwrap()].into_iter().collect();
    });
}

#[test]
fn a_publication_has_a_zone_a_secret_and_a_key_that_fits() {
    let publishing = || {
        let publication = Publication {
            name: "a.example".try_into().unwrap(),
            zone: "example".try_into().unwrap(),
            server: "192.0.2.53:53".parse().unwrap(),
            key_name: "a.example".try_into().unwrap(),
            secret: SharedKey::new(&[1; 16]).unwrap(),
            addresses: true,
            as_fingerprint: false,
            ttl: 3600,
        };
        Config { publication: Some(publication), ..host() }
    };
    publishing().check().unwrap();
    let bad = |make: fn(&mut Publication)| {
        refused(Entry::Publication, Fault::BadPublication, publishing(), |c| {
            make(c.publication.as_mut().unwrap());
        });
    };
    bad(|p| p.zone = "example.net".try_into().unwrap());
    bad(|p| p.name = "a..example".try_into().unwrap());
    bad(|p| p.secret = SharedKey::new(&[1; 15]).unwrap());
    refused(Entry::Publication, Fault::NotUnicast, publishing(), |c| {
        c.publication.as_mut().unwrap().server = "255.255.255.255:53".parse().unwrap();
    });
}
