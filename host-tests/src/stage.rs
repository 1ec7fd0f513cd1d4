//! Scenes that hostile tests begin with: a handshake stopped before IKE_AUTH, an SA that stands, one
//! datagram given to one end.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ike_core::error::Discarded;
use ike_core::output::{IkeKeys, Output, Path};
use ike_core::wire::code_point::PayloadType;
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::notify::{NotifyType, NotifyView};

use crate::forge::{self, Payload};
use crate::link::Direction;
use crate::pair::Pair;
use crate::parties::{A, B};

/// Longer than a handshake on a good cable takes.
pub const LONG: Duration = Duration::from_secs(10);
/// A request of the initiator.
pub const FROM_A: Flags = Flags { initiator: true, response: false };
/// A request of the responder.
pub const FROM_B: Flags = Flags { initiator: false, response: false };

/// The way of A's messages as B sees it.
pub fn to_b() -> Path {
    Path { interface: 0, local: (B, 500).into(), remote: (A, 500).into() }
}

/// The way of B's messages as A sees it.
pub fn to_a() -> Path {
    Path { interface: 0, local: (A, 500).into(), remote: (B, 500).into() }
}

/// A pair stopped in front of A's IKE_AUTH, which is returned with the keys.
pub fn before_auth() -> (Pair, IkeKeys, Vec<u8>) {
    let mut pair = Pair::pinned(1);
    let (keys, auth) = stop_before_auth(&mut pair);
    (pair, keys, auth)
}

/// Lets A begin and loses its IKE_AUTH, which is returned with the keys.
pub fn stop_before_auth(pair: &mut Pair) -> (IkeKeys, Vec<u8>) {
    pair.link.script = vec![(2, crate::link::Fault::Drop)];
    pair.initiate();
    while pair.link.sent() < 3 {
        assert!(pair.step(pair.now + LONG));
    }
    let keys = forge::keys(&pair.a);
    (keys, pair.datagrams[2].1.clone())
}

/// A pair whose SAs stand, with the keys of its IKE SA.
pub fn standing() -> (Pair, IkeKeys) {
    let mut pair = Pair::pinned(1);
    pair.initiate();
    pair.settle(LONG);
    let keys = forge::keys(&pair.a);
    (pair, keys)
}

/// Gives a datagram to the end whose address the path names.
pub fn give(pair: &mut Pair, path: Path, datagram: &[u8]) -> Result<(), Discarded> {
    let side = if path.local.ip() == A { &mut pair.a } else { &mut pair.b };
    side.endpoint.handle_datagram(pair.now, path, &mut datagram.to_vec())
}

/// What an endpoint sends now, opened; events go to the pair.
pub fn answers(pair: &mut Pair, keys: &IkeKeys) -> Vec<Vec<Payload>> {
    let before = pair.datagrams.len();
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let open = |(_, datagram): &(Direction, Vec<u8>)| {
        let (_, first, text) = forge::opened(keys, datagram);
        forge::split(first, &text)
    };
    pair.datagrams[before..].iter().map(open).collect()
}

/// The first notification among these payloads.
pub fn notify(payloads: &[Payload]) -> Option<NotifyType> {
    let payload = payloads.iter().find(|p| p.kind == PayloadType::NOTIFY)?;
    Some(NotifyView::parse(&payload.body).expect("a notification").kind)
}

/// A way to our address `local` on port 500.
pub fn path(local: IpAddr, remote: SocketAddr) -> Path {
    Path { interface: 0, local: (local, 500).into(), remote }
}

/// A's first request, taken off the cable.
pub fn request() -> Vec<u8> {
    let mut pair = Pair::pinned(9);
    pair.initiate();
    pair.datagrams[0].1.clone()
}

/// Datagrams with their ways.
pub type Sent = Vec<(Path, Vec<u8>)>;

/// What an endpoint answers to a datagram: its verdict and what it sends.
pub fn ask(pair: &mut Pair, path: Path, datagram: &[u8]) -> (Result<(), Discarded>, Sent) {
    let mut datagram = datagram.to_vec();
    let endpoint = if path.local.ip() == A { &mut pair.a.endpoint } else { &mut pair.b.endpoint };
    let verdict = endpoint.handle_datagram(pair.now, path, &mut datagram);
    let mut answers = Vec::new();
    loop {
        match endpoint.poll_output() {
            Output::Transmit { path, datagram } => answers.push((path, datagram.to_vec())),
            Output::Event(_) => {}
            Output::Timeout(_) => return (verdict, answers),
        }
    }
}

/// Demands that the datagram is dropped for this reason and without an answer.
pub fn drops(pair: &mut Pair, path: Path, datagram: &[u8], reason: Discarded) {
    assert_eq!(ask(pair, path, datagram), (Err(reason), vec![]));
}

/// What an answer in clear notifies.
pub fn notified(answer: &[u8]) -> NotifyType {
    let header = Header::parse(answer).expect("a header");
    assert_eq!(header.next_payload, PayloadType::NOTIFY);
    NotifyView::parse(&answer[Header::LENGTH + 4..]).expect("a notification").kind
}

/// A's first request with payloads of this type changed.
pub fn with_body(kind: PayloadType, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    forge::altered_clear(&request(), |mut payloads| {
        payloads
            .iter_mut()
            .filter(|payload| payload.kind == kind)
            .for_each(|payload| change(&mut payload.body));
        payloads
    })
}

/// An SA payload with one proposal of these transforms: type, 0, identifier.
pub fn proposal(transforms: &[[u8; 4]]) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 1, 1, 0, u8::try_from(transforms.len()).expect("few")];
    for (index, [kind, _, id_high, id_low]) in transforms.iter().enumerate() {
        let more = if index + 1 == transforms.len() { 0 } else { 3 };
        body.extend([more, 0, 0, 8, *kind, 0, *id_high, *id_low]);
    }
    let length = u16::try_from(body.len()).expect("short").to_be_bytes();
    body[2..4].copy_from_slice(&length);
    body
}
