//! Whatever comes, an endpoint does not panic, keeps what stands, and stays within its pools.

use std::time::Duration;

use host_tests::forge;
use host_tests::link::Fault;
use host_tests::pair::Pair;
use host_tests::parties::{A, B};
use ike_core::output::Path;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::Flags;
use proptest::prelude::*;

const LONG: Duration = Duration::from_secs(10);

/// A pair in which so many datagrams were sent and the last of them was lost.
fn after(sent: usize) -> Pair {
    let mut pair = Pair::pinned(3);
    pair.link.script = vec![(sent.saturating_sub(1), Fault::Drop)];
    pair.initiate();
    while pair.link.sent() < sent && pair.step(pair.now + LONG) {}
    pair
}

fn give(pair: &mut Pair, at_a: bool, port: u16, datagram: &[u8]) {
    let (side, local, remote) = if at_a { (&mut pair.a, A, B) } else { (&mut pair.b, B, A) };
    let path = Path { interface: 0, local: (local, port).into(), remote: (remote, port).into() };
    let _ = side.endpoint.handle_datagram(pair.now, path, &mut datagram.to_vec());
    pair.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any octets, in every state of a handshake, at both ends and ports.
    #[test]
    fn any_octets(
        sent in 1_usize..6,
        at_a: bool,
        marked: bool,
        datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..8),
    ) {
        let mut pair = after(sent);
        for datagram in datagrams {
            let datagram = if marked { [&[0; 4][..], &datagram].concat() } else { datagram };
            give(&mut pair, at_a, if marked { 4500 } else { 500 }, &datagram);
        }
    }

    /// Messages of a true handshake with octets changed, cut or doubled, in every state: the handshake
    /// still comes to its end afterwards.
    #[test]
    fn altered_messages(
        sent in 1_usize..5,
        at_a: bool,
        which in 0_usize..4,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        let mut whole = Pair::pinned(3);
        whole.initiate();
        whole.settle(LONG);
        let mut datagram = whole.datagrams[which].1.clone();
        for (place, value) in changes {
            let place = place.index(datagram.len());
            datagram[place] ^= value;
        }
        if cuts {
            let length = cut.index(datagram.len());
            datagram.truncate(length);
        }
        let mut pair = after(sent);
        give(&mut pair, at_a, 500, &datagram);
        pair.settle(Duration::from_secs(120));
        prop_assert!(pair.b.installed.len() <= 2);
    }

    /// Any octets sealed with the right keys, in every exchange, from either end of an SA that stands.
    #[test]
    fn any_octets_behind_the_check(
        to_a: bool,
        response: bool,
        exchange in 34_u8..38,
        first: u8,
        id in 0_u32..4,
        text in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut pair = Pair::pinned(3);
        pair.initiate();
        pair.settle(LONG);
        let keys = forge::keys(&pair.a);
        let flags = Flags { initiator: !to_a, response };
        let header = forge::header(&keys, ExchangeType(exchange), flags, id);
        let sealed = forge::sealed_text(&keys, &header, PayloadType(first), &text);
        give(&mut pair, to_a, 500, &sealed);
        pair.settle(Duration::from_secs(120));
    }

    /// Any octets in place of IKE_AUTH, sealed with the right keys: nothing is installed.
    #[test]
    fn any_octets_in_ike_auth(first: u8, text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut pair = after(3);
        let keys = forge::keys(&pair.a);
        let flags = Flags { initiator: true, response: false };
        let header = forge::header(&keys, ExchangeType::IKE_AUTH, flags, 1);
        let sealed = forge::sealed_text(&keys, &header, PayloadType(first), &text);
        give(&mut pair, false, 500, &sealed);
        prop_assert!(pair.b.installed.is_empty());
        prop_assert!(pair.b.established().is_empty());
    }
}
