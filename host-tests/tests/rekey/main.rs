//! CREATE_CHILD_SA (RFC 7296 §1.3, §2.8): successors before their time, further Child SAs, what is
//! refused, and both ends at once. Traffic has a pair of SAs at every moment.

use std::time::Duration;

use esp_engine::sa::{ChildSa, SaReport, Spi};
use esp_engine::selector::{AddressRange, PortRange, Ports, Selectors, TrafficSelector};
use esp_engine::spd::PolicyId;
use host_tests::forge::{self, Payload};
use host_tests::link::{Direction, Fault, Odds};
use host_tests::pair::{Pair, Side};
use host_tests::parties::{self, A, B, PEER, leak_all};
use ike_core::config::Config;
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Group, KeyExchange};
use ike_core::error::{CloseReason, FailReason};
use ike_core::output::{Event, IkeKeys, Path};
use ike_core::wire::code_point::{ExchangeType, PayloadType, Protocol};
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::ke::KeView;
use ike_core::wire::nonce::NonceView;
use ike_core::wire::notify::{NotifyType, NotifyView};
use ike_core::wire::sa::Proposal;
use ike_core::wire::transform::{KeyExchangeMethod, Transform, TransformType};
use ike_core::wire::writer::Writer;
use ike_core::wire::{self, NoSpace, ts};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

mod additional;
mod collisions;
mod successors;

const MINUTES: Duration = Duration::from_secs(180);
const LONG: Duration = Duration::from_secs(10);

fn standing(seed: u64) -> Pair {
    let mut pair = Pair::pinned(seed);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1);
    pair.trace.clear();
    pair
}

fn soften(side: &mut Side, pair_now: esp_engine::time::Instant) {
    let spi = newest(side).inbound;
    side.endpoint.handle_sa_report(pair_now, SaReport::SoftExpired(spi));
}

fn newest(side: &Side) -> &ChildSa {
    side.installed.last().expect("installed")
}

fn spis(side: &Side) -> Vec<Spi> {
    side.installed.iter().map(|child| child.inbound).collect()
}

/// One pair at both ends, the same, made after `old`.
fn assert_replaced(pair: &Pair, old: &[Spi], case: &str) {
    let case = format!("{case}:\n{}", pair.trace);
    assert!(pair.agree(), "{case}");
    assert_eq!(pair.a.installed.len(), 1, "{case}");
    assert!(!old.contains(&pair.a.installed[0].inbound), "{case}");
    assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty(), "{case}");
    assert!(pair.a.closed().is_empty() && pair.b.closed().is_empty(), "{case}");
}

const FROM_A: Flags = Flags { initiator: true, response: false };

/// The number of A's next request, when none of its requests is under way.
fn next_id(pair: &Pair) -> u32 {
    let requests = pair.datagrams.iter().filter(|(direction, datagram)| {
        *direction == Direction::AtoB && !Header::parse(datagram).expect("IKE").flags.response
    });
    requests.map(|(_, datagram)| Header::parse(datagram).expect("IKE").message_id + 1).max().unwrap_or(0)
}

/// Gives B a message of A's making and returns its answer.
fn give(pair: &mut Pair, keys: &IkeKeys, request: Vec<u8>) -> Vec<Payload> {
    let path = Path { interface: 0, local: (B, 500).into(), remote: (A, 500).into() };
    // The request counts as A's, so that the next one has the next number.
    pair.datagrams.push((Direction::AtoB, request.clone()));
    assert_eq!(pair.b.endpoint.handle_datagram(pair.now, path, &mut request.clone()), Ok(()));
    pair.link.cut = true;
    pair.drain();
    pair.link.cut = false;
    let (_, first, text) = forge::opened(keys, &pair.datagrams.last().expect("answered").1);
    forge::split(first, &text)
}

/// Asks B for something as A and returns the notification that refuses it, with its SPI or its data.
fn ask(
    pair: &mut Pair,
    payloads: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>,
) -> (NotifyType, Vec<u8>) {
    let keys = forge::keys(&pair.a);
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, next_id(pair));
    let request = forge::sealed(&keys, &header, payloads);
    let answer = give(pair, &keys, request);
    let notify = NotifyView::parse(&answer[0].body).expect("a notification");
    (notify.kind, [notify.spi, notify.data].concat())
}

fn rekey_of(spi: u32) -> NotifyView<'static> {
    let spi = parties::leak(spi.to_be_bytes());
    NotifyView { protocol: Protocol::ESP, spi, kind: NotifyType::REKEY_SA, data: &[] }
}

fn proposals(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    offer(None, writer)
}

/// ChaCha20-Poly1305 with 64-bit sequence numbers, and a key exchange of this method.
fn offer(method: Option<u16>, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let transform = |kind, id| Transform { kind, id, key_length: None };
    let exchange = method.map(|method| transform(TransformType::KE, method));
    let transforms =
        [Some(transform(TransformType::ENCR, 28)), exchange, Some(transform(TransformType::ESN, 1))];
    let transforms: Vec<_> = transforms.into_iter().flatten().collect();
    let spi = [0x80, 0, 0, 1];
    wire::sa::write([Proposal { number: 1, protocol: Protocol::ESP, spi: &spi, transforms }], writer)
}

fn nonce(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    NonceView::parse(&[7; 32]).expect("legal").write(writer)
}

fn selectors(writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let all = |address| [TrafficSelector::all(AddressRange::single(address))];
    ts::write(PayloadType::TSI, &all(A), writer)?;
    ts::write(PayloadType::TSR, &all(B), writer)?;
    NotifyView::new(NotifyType::USE_TRANSPORT_MODE, &[]).write(writer)
}
