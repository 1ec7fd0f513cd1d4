//! The client against hand-made answers, in virtual time.

use std::vec::Vec;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use smoltcp::wire::{DhcpPacket, DhcpRepr};

use core::net::IpAddr;

use super::*;
use crate::config::Prefix;

const LINK: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A server's message with these options.
pub(crate) fn reply(id: &[u8], address: [u8; 4], options: &[u8]) -> Vec<u8> {
    let mut message = std::vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(id);
    message[16..20].copy_from_slice(&address);
    message[28..34].copy_from_slice(&LINK);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend(options);
    message.push(255);
    message
}

struct Bench {
    client: Client<ChaCha20Rng>,
    now: Instant,
    sent: Vec<(SocketAddr, [u8; MESSAGE])>,
    events: Vec<Event>,
    closed: usize,
    alarm: Option<Instant>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::from_millis(5_000);
        let client = Client::new(now, LINK, ChaCha20Rng::seed_from_u64(1));
        let mut bench = Self { client, now, sent: Vec::new(), events: Vec::new(), closed: 0, alarm: None };
        bench.drain();
        bench
    }

    fn drain(&mut self) {
        loop {
            match self.client.poll_output() {
                Output::Transmit(to, octets) => self.sent.push((to, octets)),
                Output::Event(event) => self.events.push(event),
                Output::Close => self.closed += 1,
                Output::Timeout(alarm) => {
                    self.alarm = alarm;
                    return;
                }
            }
        }
    }

    /// Lets time pass until the next message leaves; how long that took.
    fn next(&mut self) -> Duration {
        let (before, from) = (self.sent.len(), self.now);
        while self.sent.len() == before {
            self.now = self.alarm.expect("something is due");
            self.client.handle_timeout(self.now);
            self.drain();
        }
        self.now.since(from)
    }

    /// The server at 192.0.2.254 says this about the last message.
    fn answer(&mut self, kind: u8, address: [u8; 4], lease: u32) -> Result<(), Discarded> {
        let options = [
            &[
                53, 1, kind, 54, 4, 192, 0, 2, 254, 1, 4, 255, 255, 255, 0, 3, 8, 192, 0, 2, 254, 192, 0, 2,
                253, 51, 4,
            ][..],
            &lease.to_be_bytes(),
        ];
        let message = reply(&self.sent.last().expect("asked").1[4..8], address, &options.concat());
        self.give(&message)
    }

    fn give(&mut self, message: &[u8]) -> Result<(), Discarded> {
        let result = self.client.handle_message(self.now, message, |site| match site.address.address {
            IpAddr::V4(address) if address.octets()[0] == 10 => Err(Fault::SameNetwork),
            _ => Ok(()),
        });
        self.drain();
        result
    }

    fn bound(lease: u32) -> Self {
        let mut bench = Self::new();
        bench.next();
        bench.answer(2, [192, 0, 2, 9], lease).unwrap();
        bench.answer(5, [192, 0, 2, 9], lease).unwrap();
        bench
    }
}

fn here() -> Site {
    let address = Prefix { address: [192, 0, 2, 9].into(), length: 24 };
    Site { address, gateway: Some([192, 0, 2, 254].into()) }
}

/// The kind of a message of ours, the address that it names, and whether it wants the answer sent to everybody.
fn said(message: &[u8; MESSAGE]) -> (u8, [u8; 4], bool) {
    let packet = DhcpPacket::new_checked(message).unwrap();
    let message = DhcpRepr::parse(&packet).unwrap();
    assert_eq!(message.client_identifier, Some(message.client_hardware_address));
    let named = message.requested_ip.unwrap_or(message.client_ip);
    (message.message_type.into(), named.octets(), message.broadcast)
}

/// RFC 2131 §3.1: DISCOVER and REQUEST to everybody, answered to everybody, and the address is ours.
#[test]
fn address_is_given() {
    let bench = Bench::bound(3_600);
    let kinds: Vec<_> = bench.sent.iter().map(|(to, message)| (to.ip(), said(message).0)).collect();
    let everybody = IpAddr::from(Ipv4Addr::BROADCAST);
    assert_eq!(kinds, [(everybody, 1), (everybody, 3)]);
    assert_eq!(said(&bench.sent[1].1), (3, [192, 0, 2, 9], true));
    assert_eq!((bench.events.as_slice(), bench.closed), (&[Event::Bound(here())][..], 1));
    assert_eq!(bench.alarm, Some(bench.now + Duration::from_secs(1_800)));
}

/// RFC 2131 §4.1: 4, 8, 16, 32 and 64 s, each by a second more or less; for ever.
#[test]
fn silence_is_asked_again_ever_more_slowly() {
    let mut bench = Bench::new();
    assert!(bench.next() <= Duration::from_secs(1));
    for seconds in [4, 8, 16, 32, 64, 64, 64] {
        let took = bench.next();
        assert!(
            took.abs_diff(Duration::from_secs(seconds)) <= Duration::from_secs(1),
            "{took:?} for {seconds} s"
        );
        assert_eq!(said(&bench.sent.last().unwrap().1).0, 1);
    }
}

/// RFC 2131 §4.4.5: the server is asked at half of the time, everybody at seven eighths, and in the end the address
/// is gone.
#[test]
fn lease_is_renewed_or_ends() {
    let mut bench = Bench::bound(8_000);
    let from = bench.now;
    assert_eq!(bench.next(), Duration::from_secs(4_000));
    let (to, message) = bench.sent.last().unwrap();
    assert_eq!((to.ip(), said(message)), ([192, 0, 2, 254].into(), (3, [192, 0, 2, 9], false)));
    bench.answer(5, [192, 0, 2, 9], 8_000).unwrap();
    assert_eq!(bench.events, [Event::Bound(here()); 2]);

    let from_renewal = bench.now;
    while bench.sent.last().unwrap().0.ip() != IpAddr::from(Ipv4Addr::BROADCAST) || bench.now == from {
        bench.next();
    }
    assert_eq!(bench.now.since(from_renewal), Duration::from_secs(7_000));
    let before = bench.sent.len();
    while bench.events.last() != Some(&Event::Lost) {
        bench.now = bench.alarm.unwrap();
        bench.client.handle_timeout(bench.now);
        bench.drain();
    }
    assert_eq!(bench.now.since(from_renewal), Duration::from_secs(8_000));
    assert!(bench.sent.len() - before < 12);
    assert_eq!(said(&bench.sent.last().unwrap().1).0, 1, "and asks for another");
}

/// RFC 2131 §3.1 (5), §4.4.5: another address at a renewal, and a refusal.
#[test]
fn server_changes_its_mind() {
    let mut bench = Bench::bound(8_000);
    bench.next();
    bench.answer(5, [192, 0, 2, 10], 8_000).unwrap();
    let Some(Event::Bound(site)) = bench.events.last() else { panic!("{:?}", bench.events) };
    assert_eq!(site.address.address, IpAddr::from([192, 0, 2, 10]));
    bench.next();
    bench.answer(6, [0; 4], 0).unwrap();
    assert_eq!(bench.events.last(), Some(&Event::Lost));
    bench.next();
    assert_eq!(said(&bench.sent.last().unwrap().1).0, 1);

    let mut bench = Bench::new();
    bench.next();
    bench.answer(2, [192, 0, 2, 9], 3_600).unwrap();
    bench.answer(6, [0; 4], 0).unwrap();
    assert_eq!(bench.events, []);
    assert!(bench.next() >= Duration::from_secs(4));
    assert_eq!(said(&bench.sent.last().unwrap().1).0, 1);
}

/// What the device cannot be, or not for long, is not asked for; a better offer still is.
#[test]
fn bad_offers_are_refused() {
    let mut bench = Bench::new();
    bench.next();
    bench.answer(2, [10, 0, 0, 1], 3_600).unwrap();
    bench.answer(2, [192, 0, 2, 9], 59).unwrap();
    let refused = [([10, 0, 0, 1], Fault::SameNetwork), ([192, 0, 2, 9], Fault::ShortLease)];
    assert_eq!(bench.events, refused.map(|(address, fault)| Event::Refused(address.into(), fault)));
    assert_eq!((bench.sent.len(), bench.client.refused()), (1, 2));
    bench.answer(2, [192, 0, 2, 9], 3_600).unwrap();
    assert_eq!(bench.sent.len(), 2);
    // What was good as an offer may be another as a lease.
    bench.answer(5, [10, 0, 0, 1], 3_600).unwrap_err();
    bench.answer(5, [192, 0, 2, 9], 1).unwrap();
    assert_eq!(bench.client.refused(), 3);
    assert!(bench.next() >= Duration::from_secs(4));
}

/// Nobody who does not see our questions answers them, and nothing is taken that was not asked for.
#[test]
fn strangers_are_not_heard() {
    let mut bench = Bench::new();
    bench.next();
    let id: [u8; 4] = bench.sent[0].1[4..8].try_into().unwrap();
    let options = [53, 1, 2, 54, 4, 192, 0, 2, 254, 51, 4, 0, 0, 14, 16];
    let good = reply(&id, [192, 0, 2, 9], &options);
    for (place, octet) in [(4, !id[0]), (28, 9)] {
        let mut bad = good.clone();
        bad[place] = octet;
        assert_eq!(bench.give(&bad), Err(Discarded::Unsolicited));
    }
    for (place, octet) in [(0, 1), (1, 6), (2, 8), (236, 0), (242, 1)] {
        let mut bad = good.clone();
        bad[place] = octet;
        assert_eq!(bench.give(&bad), Err(Discarded::Malformed), "octet {place}");
    }
    assert_eq!(
        bench.answer(5, [192, 0, 2, 9], 3_600),
        Err(Discarded::Unsolicited),
        "an ACK before a REQUEST"
    );
    for cut in 0..good.len() {
        let _ = bench.give(&good[..cut]);
    }
    assert_eq!(bench.sent.len(), 2, "the whole offer, though cut behind what is needed, was taken once");
    let mut bench = Bench::bound(3_600);
    assert_eq!(bench.answer(6, [0; 4], 0), Err(Discarded::Unsolicited), "bound is bound");
}

/// RFC 2131 §3.3, RFC 2132 §3.5, §9: no times with a lease for ever, no way out that is not there, odd times.
#[test]
fn leases_may_be_odd() {
    assert_eq!(Bench::bound(u32::MAX).alarm, None);
    let mut bench = Bench::new();
    bench.next();
    let id: [u8; 4] = bench.sent[0].1[4..8].try_into().unwrap();
    let options = |kind| {
        [
            53, 1, kind, 54, 4, 192, 0, 2, 254, 3, 4, 198, 51, 100, 1, 51, 4, 0, 0, 14, 16, 58, 4, 255, 0, 0,
            0, 59, 4, 0, 0, 0, 0,
        ]
    };
    bench.give(&reply(&id, [192, 0, 2, 9], &options(2))).unwrap();
    bench.give(&reply(&id, [192, 0, 2, 9], &options(5))).unwrap();
    let address = Prefix { address: [192, 0, 2, 9].into(), length: 32 };
    assert_eq!(bench.events, [Event::Bound(Site { address, gateway: None })]);
    assert_eq!(bench.alarm, Some(bench.now + Duration::from_secs(30)));
}
