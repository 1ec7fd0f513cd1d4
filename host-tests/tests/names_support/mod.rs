//! Two parties that know each other by name, from DNS.

use std::net::IpAddr;
use std::time::Duration;

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::{Action, Level};
use esp_engine::time::Instant;
use host_tests::pair::Pair;
use host_tests::parties::{self, A, A_KEY, B, B_KEY, PEER, leak_all, published};
use host_tests::stage::LONG;
use host_tests::zone::signed;
use ike_core::config::{Config, IkePolicy, Local, Peer};
use ike_core::pad::{Identity, Matcher};

/// B's other address.
pub const B2: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 22));

/// Knows the other by name, and protects everything to wherever it is.
fn party(mut config: Config<'static>, own: &[IpAddr], name: &'static str) -> Config<'static> {
    let all = |ranges: Vec<AddressRange>| leak_all(ranges.into_iter().map(TrafficSelector::all).collect());
    let action = Action::Protect { mode: Mode::Transport, minimum: Level::Validated };
    config.pad = leak_all(vec![published(Matcher::Exact(Identity::Fqdn(name)))]);
    config.policies = leak_all(vec![IkePolicy {
        local: all(own.iter().map(|own| AddressRange::single(*own)).collect()),
        remote: all(vec![AddressRange::prefix(A, 0).expect("a prefix")]),
        action,
        peer: Peer::Entry(PEER),
        pfs: false,
    }]);
    config.local = leak_all(own.iter().map(|own| Local { interface: 0, address: *own }).collect());
    config.timing.ike_lifetime = Duration::from_secs(600);
    config
}

/// Both stand, and DNS is asked again after 80 s.
pub fn standing_with(signed_until: Option<Instant>, change: impl Fn(&mut Config<'static>)) -> Pair {
    let mut a = party(parties::a(), &[A], "b.example");
    let mut b = party(parties::b(), &[B, B2], "a.example");
    change(&mut a);
    change(&mut b);
    let mut pair = Pair::new(a, b, 1);
    pair.zone.ttl = Duration::from_secs(120);
    pair.zone.signed_until = signed_until;
    pair.zone.publish("a.example", signed(&[&A_KEY], &[A]));
    pair.zone.publish("b.example", signed(&[&B_KEY], &[B]));
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair
}
