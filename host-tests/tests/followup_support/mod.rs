//! Pairs whose CREATE_CHILD_SA has an additional key exchange, and what may be done to its messages.

#![allow(dead_code, reason = "each test takes what it needs")]

use esp_engine::sa::{SaReport, Spi};
use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use host_tests::forge::{self, Payload};
use host_tests::link::{Direction, Fault};
use host_tests::pair::Pair;
use host_tests::parties::{self, A, B, PEER, leak_all};
use host_tests::stage::*;
use ike_core::config::{Config, IkePolicy, Suite};
use ike_core::crypto::Group;
use ike_core::output::{IkeKeys, IkeSpis};
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::{Flags, Header};
use ike_core::wire::notify::{NotifyType, NotifyView};

/// With an additional key exchange that fits into one datagram.
pub const SHORT: Suite = Suite { additional: Some(Group::P256), ..Suite::FAST_SOFTWARE };
/// The Message ID of A's first request when its SAs stand: IKE_INTERMEDIATE went before IKE_AUTH.
pub const NEXT: u32 = 3;
/// An answer of the responder of the IKE SA.
pub const ANSWER_OF_B: Flags = Flags { initiator: false, response: true };
/// An answer of its initiator.
pub const ANSWER_OF_A: Flags = Flags { initiator: true, response: true };

/// What is begun.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A successor of the Child SA.
    Child,
    /// A successor of the IKE SA.
    IkeSa,
    /// A second Child SA.
    New,
}

impl What {
    pub const ALL: [Self; 3] = [Self::Child, Self::IkeSa, Self::New];
}

fn told(mut config: Config<'static>, suites: &'static [Suite]) -> Config<'static> {
    parties::by_protocol(&mut config, &[6, 17]);
    let policies = config.policies.iter().map(|policy| IkePolicy { pfs: true, ..*policy });
    config.policies = leak_all(policies.collect());
    config.suites = suites;
    config
}

/// SAs that stand between ends with these suites; what happened so far is forgotten.
pub fn standing_with(of_a: &'static [Suite], of_b: &'static [Suite], seed: u64) -> Pair {
    let mut pair = Pair::new(told(parties::a(), of_a), told(parties::b(), of_b), seed);
    pair.initiate();
    pair.settle(LONG);
    assert!(pair.agree() && pair.a.installed.len() == 1, "{}", pair.trace);
    pair.trace.clear();
    pair.datagrams.clear();
    pair
}

/// Both ends have this suite alone.
pub fn stands(suite: Suite, seed: u64) -> Pair {
    let suites = leak_all(vec![suite]);
    standing_with(suites, suites, seed)
}

/// One end begins.
pub fn begin(pair: &mut Pair, what: What, from_a: bool) {
    let now = pair.now;
    let (side, source, destination) = if from_a { (&mut pair.a, A, B) } else { (&mut pair.b, B, A) };
    match what {
        What::Child => {
            let spi = side.installed[0].inbound;
            side.endpoint.handle_sa_report(now, SaReport::SoftExpired(spi));
        }
        What::IkeSa => side.endpoint.rekey_ike_sas(now, PEER),
        What::New => {
            let ports = Ports::Known { source: 5_000, destination: 179 };
            let packet = Selectors { source, destination, protocol: 17, ports };
            side.endpoint.acquire(now, PolicyId(1), packet).expect("begins");
        }
    }
    pair.drain();
}

/// What stands before anything begins.
pub struct Before {
    pub children: [Spi; 2],
    pub ike: Vec<IkeSpis>,
    pub keys: IkeKeys,
}

impl Before {
    pub fn of(pair: &Pair) -> Self {
        let children = [&pair.a, &pair.b].map(|side| side.installed[0].inbound);
        let ike = pair.a.endpoint.status().map(|sa| sa.spis).collect();
        Self { children, ike, keys: forge::keys(&pair.a) }
    }
}

/// What was begun was done, once, and both ends agree.
pub fn assert_done(pair: &Pair, before: &Before, what: What, case: &str) {
    let case = format!("{what:?}, {case}:\n{}", pair.trace);
    assert!(pair.agree(), "{case}");
    assert_eq!(pair.a.installed.len(), if what == What::New { 2 } else { 1 }, "{case}");
    let [a, b] = [&pair.a, &pair.b].map(|s| s.endpoint.status().map(|sa| sa.spis).collect::<Vec<_>>());
    assert_eq!(a, b, "{case}");
    assert_eq!(a.len(), 1, "{case}");
    assert_eq!(a != before.ike, what == What::IkeSa, "{case}");
    assert_eq!(pair.a.installed[0].inbound != before.children[0], what == What::Child, "{case}");
    assert!(pair.a.failed().is_empty() && pair.b.failed().is_empty(), "{case}");
}

fn header(datagram: &[u8]) -> Header {
    Header::parse(datagram).expect("a header")
}

/// The exchanges of the requests, each once.
pub fn exchanges(pair: &Pair) -> Vec<ExchangeType> {
    let headers = pair.datagrams.iter().map(|(_, datagram)| header(datagram));
    let mut all: Vec<_> =
        headers.filter(|header| !header.flags.response).map(|header| header.exchange).collect();
    all.dedup();
    all
}

/// A has begun, CREATE_CHILD_SA was answered, and A's request of IKE_FOLLOWUP_KE, which is returned, was lost.
pub fn before_followup(what: What) -> (Pair, Before, Vec<u8>) {
    let mut pair = stands(SHORT, 1);
    let before = Before::of(&pair);
    let third = pair.link.sent() + 2;
    pair.link.script = vec![(third, Fault::Drop)];
    begin(&mut pair, what, true);
    while pair.link.sent() <= third {
        assert!(pair.step(pair.now + LONG));
    }
    let request = pair.datagrams[2].1.clone();
    assert_eq!(header(&request).exchange, ExchangeType::IKE_FOLLOWUP_KE);
    (pair, before, request)
}

/// The data of ADDITIONAL_KEY_EXCHANGE in a message.
pub fn link(keys: &IkeKeys, datagram: &[u8]) -> Option<Vec<u8>> {
    let (_, first, text) = forge::opened(keys, datagram);
    let payloads = forge::split(first, &text);
    payloads.iter().find(|payload| is_link(payload)).map(|payload| payload.body[4..].to_vec())
}

fn is_link(payload: &Payload) -> bool {
    payload.kind == PayloadType::NOTIFY
        && NotifyView::parse(&payload.body)
            .is_ok_and(|notify| notify.kind == NotifyType::ADDITIONAL_KEY_EXCHANGE)
}

/// What is done to a payload.
#[derive(Copy, Clone, Debug)]
pub enum Change {
    Drop,
    Alter,
    Shorten,
}

fn changed(
    keys: &IkeKeys,
    datagram: &[u8],
    change: Change,
    at: usize,
    is_meant: impl Fn(&Payload) -> bool,
) -> Vec<u8> {
    forge::altered(keys, datagram, |_, mut payloads| {
        for payload in payloads.iter_mut().filter(|payload| is_meant(payload)) {
            match change {
                Change::Drop => payload.body.clear(),
                Change::Alter => payload.body[at] ^= 0x0C,
                Change::Shorten => _ = payload.body.pop(),
            }
        }
        payloads.into_iter().filter(|payload| !payload.body.is_empty()).collect()
    })
}

/// The same message with another link: without one, with a bit turned, or shorter.
pub fn with_link(keys: &IkeKeys, datagram: &[u8], change: Change) -> Vec<u8> {
    changed(keys, datagram, change, 6, is_link)
}

/// The same message with another KE payload: without one, of another method, or shorter.
pub fn with_value(keys: &IkeKeys, datagram: &[u8], change: Change) -> Vec<u8> {
    changed(keys, datagram, change, 1, |payload| payload.kind == PayloadType::KE)
}

/// The same message with the Message ID that comes next.
pub fn renumbered(keys: &IkeKeys, datagram: &[u8]) -> Vec<u8> {
    let (header, first, text) = forge::opened(keys, datagram);
    let header = Header { message_id: header.message_id + 1, ..header };
    forge::sealed_text(keys, &header, first, &text)
}

/// Gives A this answer to its request.
pub fn answer_with(pair: &mut Pair, keys: &IkeKeys, request: &[u8], kind: NotifyType) {
    let Header { exchange, message_id, .. } = header(request);
    let header = forge::header(keys, exchange, ANSWER_OF_B, message_id);
    let answer = forge::sealed(keys, &header, |writer| NotifyView::new(kind, &[]).write(writer));
    assert_eq!(give(pair, to_a(), &answer), Ok(()));
    pair.drain();
}

/// The newest datagram that went this way.
pub fn newest(pair: &Pair, way: Direction) -> Vec<u8> {
    pair.datagrams.iter().rfind(|(w, _)| *w == way).expect("sent").1.clone()
}

/// Transforms of the one proposal in an SA payload: type, 0, identifier. All are without attributes.
pub fn transforms(body: &[u8]) -> Vec<[u8; 4]> {
    body[8 + usize::from(body[6])..].chunks(8).map(|t| [t[4], t[5], t[6], t[7]]).collect()
}

/// The message with these transforms in its one proposal.
pub fn with_transforms(keys: &IkeKeys, datagram: &[u8], transforms: &[[u8; 4]]) -> Vec<u8> {
    forge::altered(keys, datagram, |_, mut payloads| {
        let sa = payloads.iter_mut().find(|payload| payload.kind == PayloadType::SA).expect("an offer");
        let plain = proposal(transforms);
        let (spi, mut body) = (sa.body[8..8 + usize::from(sa.body[6])].to_vec(), sa.body[..8].to_vec());
        (body[0], body[7]) = (plain[0], plain[7]);
        body.extend(&spi);
        body.extend(&plain[8..]);
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        body[2..4].copy_from_slice(&length);
        sa.body = body;
        payloads
    })
}
