//! A publisher and a server that knows its secret, in virtual time.

extern crate std;

use std::vec::Vec;

use domain::base::iana::Class;
use domain::base::{Message, Rtype, ToName, UnknownRecordData};
use rand_core::{TryCryptoRng, TryRng};

use super::*;
use crate::crypto::software::Software;
use crate::crypto::{Prf, PublicKey};
use crate::discovery::ipseckey::{Gateway, Ipseckey, RecordKey};
use crate::discovery::tlsa;
use crate::wire::spki;

const SECRET: [u8; 32] = [7; 32];
const NOW: UnixTime = UnixTime(1_800_000_000);
const NOERROR: u8 = 0;

/// Counts; two draws are never the same.
#[derive(Debug)]
struct Counting(u8);

impl TryRng for Counting {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        self.0 = self.0.wrapping_add(1);
        octets.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

type Ours = Publisher<Software, Counting>;

fn publisher() -> Ours {
    let name = |text: &str| text.parse::<Name>().unwrap();
    let key = TsigKey::new(name("b.example.net"), &SECRET).unwrap();
    let config = Config { zone: name("example.net"), name: name("b.example.net"), key };
    Publisher::new(config, Software, Counting(0))
}

fn key(octet: u8) -> PublicKey {
    PublicKey::Ed25519([octet; 32])
}

fn wanted(addresses: &[&str], keys: &[PublicKey]) -> Wanted {
    Wanted {
        addresses: Some(addresses.iter().map(|address| address.parse().unwrap()).collect()),
        keys: keys.iter().copied().collect(),
        form: Form::Key,
        gateway: Gateway::None,
        precedence: 10,
        ttl: 300,
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

fn sent(ours: &mut Ours) -> (Transport, Vec<u8>) {
    match ours.poll_output() {
        Output::Transmit { transport, octets } => (transport, octets.to_vec()),
        other => panic!("{other:?}"),
    }
}

fn event(ours: &mut Ours) -> Event {
    match ours.poll_output() {
        Output::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

fn timeout(ours: &mut Ours) -> Option<Instant> {
    match ours.poll_output() {
        Output::Timeout(at) => at,
        other => panic!("{other:?}"),
    }
}

/// The answer of a server with this clock.
fn answer(request: &[u8], server: UnixTime, rcode: u8) -> Vec<u8> {
    let time = &request[request.len() - 48..request.len() - 42];
    let theirs = time.iter().fold(0, |time, octet| time << 8 | u64::from(*octet));
    if server.0.abs_diff(theirs) > FUDGE.into() {
        return signed(request, [0xA8, 9], UnixTime(theirs), 18, &server.0.to_be_bytes()[2..]);
    }
    signed(request, [0xA8, rcode], server, 0, &[])
}

/// An answer with these flags and this TSIG record, written out by RFC 8945 §4.3.
fn signed(request: &[u8], flags: [u8; 2], time: UnixTime, error: u16, other: &[u8]) -> Vec<u8> {
    let mac = &request[request.len() - 38..request.len() - 6];
    let mut header = [request[0], request[1], flags[0], flags[1], 0, 0, 0, 0, 0, 0, 0, 0];
    let times = [&time.0.to_be_bytes()[2..], &FUDGE.to_be_bytes()].concat();
    let tail = [&error.to_be_bytes()[..], &(other.len() as u16).to_be_bytes(), other].concat();
    let (name, algorithm) = (b"\x01b\x07example\x03net\0", b"\x0bhmac-sha256\0");
    let variables: [&[u8]; 8] =
        [&[0, 32], mac, &header, name, &[0, 255, 0, 0, 0, 0], algorithm, &times, &tail];
    let mac = Software.prf(Prf::HmacSha256, &SECRET, &variables);
    let rdata = [&algorithm[..], &times, &[0, 32], mac.octets(), &request[..2], &tail].concat();
    header[11] = 1;
    let record = [&header[..], name, &[0, 250, 0, 255, 0, 0, 0, 0, 0, rdata.len() as u8], &rdata];
    record.concat()
}

/// The update section: class, type and data of each record.
fn updates(request: &[u8]) -> Vec<(Class, Rtype, Vec<u8>)> {
    let message = Message::from_slice(request).unwrap();
    let records = message.authority().unwrap().map(|record| {
        let record = record.unwrap();
        assert!(record.owner().name_eq(&"b.example.net".parse::<Name>().unwrap()));
        let data = record.to_record::<UnknownRecordData<&[u8]>>().unwrap();
        (record.class(), record.rtype(), data.map_or(Vec::new(), |data| data.data().data().to_vec()))
    });
    records.collect()
}

fn keys(request: &[u8]) -> Vec<PublicKey> {
    let added = updates(request)
        .into_iter()
        .filter(|(class, rtype, _)| (*class, *rtype) == (Class::IN, Rtype::IPSECKEY));
    added
        .map(|(_, _, rdata)| match Ipseckey::parse(&rdata).unwrap().key {
            RecordKey::Public(key) => key,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Publishes, and has the server agree; returns the update.
fn published(ours: &mut Ours, now: Instant) -> Vec<u8> {
    ours.handle_timeout(now, Some(NOW));
    let (_, request) = sent(ours);
    ours.handle_message(now, Some(NOW), &answer(&request, NOW, NOERROR)).unwrap();
    assert_eq!(event(ours), Event::Published);
    request
}

/// RFC 2136 §2: zone, prerequisite, and an RRset that is replaced is deleted and added to in one message.
#[test]
fn an_update_replaces_each_rrset_of_the_name() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&["192.0.2.2", "2001:db8::2"], &[key(1)]), Duration::ZERO);
    let request = published(&mut ours, at(0));
    assert_eq!(request[2..4], [0x28, 0], "opcode 5, a request");
    let message = Message::from_slice(&request).unwrap();
    let zone = message.sole_question().unwrap();
    assert_eq!((zone.qtype(), zone.qclass()), (Rtype::SOA, Class::IN));
    let prerequisite = message.answer().unwrap().next().unwrap().unwrap();
    // §2.4.3: the RRset does not exist.
    assert_eq!(
        (prerequisite.class(), prerequisite.rtype(), prerequisite.rdlen()),
        (Class::NONE, Rtype::CNAME, 0)
    );
    let updates = updates(&request);
    let shape: Vec<_> = updates.iter().map(|(class, rtype, data)| (*class, *rtype, data.len())).collect();
    assert_eq!(
        shape,
        [
            (Class::ANY, Rtype::A, 0),
            (Class::ANY, Rtype::AAAA, 0),
            (Class::IN, Rtype::A, 4),
            (Class::IN, Rtype::AAAA, 16),
            (Class::ANY, Rtype::IPSECKEY, 0),
            (Class::IN, Rtype::IPSECKEY, 35),
        ]
    );
    assert_eq!(keys(&request), [key(1)]);
    assert_eq!(timeout(&mut ours), None);
}

/// Addresses that others look after stay as they are; a name without keys loses its own.
#[test]
fn only_what_is_ours_is_touched() {
    let mut ours = publisher();
    ours.publish(at(0), Wanted { addresses: None, ..wanted(&[], &[]) }, Duration::ZERO);
    let updates = updates(&published(&mut ours, at(0)));
    assert_eq!(updates, [(Class::ANY, Rtype::IPSECKEY, Vec::new())]);
}

/// RFC 2136 §2.4.3, §3.4, RFC 6698 §3: fingerprints in one update with the end of the keys, and the other way round
/// their records are not touched.
#[test]
fn fingerprints_take_the_place_of_keys() {
    let mut ours = publisher();
    let both = Wanted { addresses: None, form: Form::Fingerprint, ..wanted(&[], &[key(1), key(2)]) };
    ours.publish(at(0), both.clone(), Duration::ZERO);
    let request = published(&mut ours, at(0));
    let message = Message::from_slice(&request).unwrap();
    let owners = |records: domain::base::RecordSection<'_, [u8]>| -> Vec<_> {
        let records = records.map(|record| record.unwrap());
        records.map(|record| (std::format!("{}", record.owner()), record.class(), record.rtype())).collect()
    };
    let (name, below) = ("b.example.net", "_500._udp.b.example.net");
    let prerequisites = [name, below].map(|owner| (owner.into(), Class::NONE, Rtype::CNAME));
    assert_eq!(owners(message.answer().unwrap()), prerequisites);
    let update = [
        (name, Class::ANY, Rtype::IPSECKEY),
        (below, Class::ANY, Rtype::TLSA),
        (below, Class::IN, Rtype::TLSA),
        (below, Class::IN, Rtype::TLSA),
    ];
    let update: Vec<_> =
        update.iter().map(|(owner, class, rtype)| ((*owner).into(), *class, *rtype)).collect();
    assert_eq!(owners(message.authority().unwrap()), update);
    for key in [key(1), key(2)] {
        let rdata = tlsa::encode(&Software.sha256(&[&spki::encode(&key)]));
        assert!(request.windows(tlsa::RDATA).any(|window| window == rdata));
    }
    ours.publish(at(9), Wanted { form: Form::Key, ..both }, Duration::ZERO);
    let updates = updates(&published(&mut ours, at(9)));
    assert!(updates.iter().all(|(_, rtype, _)| *rtype == Rtype::IPSECKEY));
}

#[test]
fn silence_is_met_with_the_same_octets_and_then_with_longer_and_longer_breaks() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&[], &[key(1)]), Duration::from_secs(3));
    assert_eq!(timeout(&mut ours), Some(at(3)));
    ours.handle_timeout(at(2), Some(NOW));
    assert_eq!(timeout(&mut ours), Some(at(3)), "an early call is harmless");
    let mut now = at(3);
    let mut breaks = Vec::new();
    for _ in 0..8 {
        ours.handle_timeout(now, Some(NOW));
        let (_, first) = sent(&mut ours);
        for wait in [2, 4] {
            now = now + Duration::from_secs(wait);
            assert_eq!(timeout(&mut ours), Some(now));
            ours.handle_timeout(now, Some(NOW));
            assert_eq!(sent(&mut ours).1, first);
        }
        now = now + Duration::from_secs(8);
        ours.handle_timeout(now, Some(NOW));
        let Event::Failed { failure, again: Some(again) } = event(&mut ours) else { panic!() };
        assert_eq!(failure, Failure::NoAnswer { hint: None });
        breaks.push(again.since(now).as_secs());
        now = again;
    }
    for (pause, whole) in breaks.iter().zip([60, 120, 240, 480, 960, 1920, 3600, 3600]) {
        assert!((whole / 2..=whole).contains(pause), "{pause} of {whole}");
    }
    // It ends well, and the next failure begins with a short break.
    published(&mut ours, now);
}

/// Hostile answers: all are dropped and counted, and we go on waiting for the true one.
#[test]
fn what_the_secret_does_not_vouch_for_changes_nothing() {
    let mut ours = publisher();
    assert_eq!(ours.handle_message(at(0), Some(NOW), &[0; 40]), Err(Discarded::Unsolicited));
    ours.publish(at(0), wanted(&[], &[key(1)]), Duration::ZERO);
    ours.handle_timeout(at(0), Some(NOW));
    let (_, request) = sent(&mut ours);
    let good = answer(&request, NOW, NOERROR);
    for length in 0..good.len() {
        assert!(ours.handle_message(at(0), Some(NOW), &good[..length]).is_err());
    }
    for n in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[n / 8] ^= 1 << (n % 8);
        // Letters of the key's and the algorithm's name may be upper or lower (RFC 8945 §4.3.3).
        if !bad.eq_ignore_ascii_case(&good) {
            assert!(ours.handle_message(at(0), Some(NOW), &bad).is_err(), "bit {n}");
        }
    }
    assert_eq!(ours.discarded() as usize, 1 + good.len() + good.len() * 8 - letters(&good));
    assert_eq!(timeout(&mut ours), Some(at(2)));
    ours.handle_message(at(1), Some(NOW), &good).unwrap();
    assert_eq!(event(&mut ours), Event::Published);
    assert_eq!(ours.handle_message(at(1), Some(NOW), &good), Err(Discarded::Unsolicited), "once more");
}

fn letters(octets: &[u8]) -> usize {
    octets.iter().filter(|octet| octet.is_ascii_alphabetic()).count()
}

/// RFC 8945 §5.4.2: who answers that our secret is wrong may be anybody; the operator reads it as a hint.
#[test]
fn a_wrong_secret_is_a_guess_after_silence() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&[], &[key(1)]), Duration::ZERO);
    ours.handle_timeout(at(0), Some(NOW));
    let (_, request) = sent(&mut ours);
    let mut unsigned = answer(&request, NOW, 9);
    let mac = unsigned.len() - 38;
    unsigned.drain(mac..mac + 32);
    (unsigned[mac - 1], unsigned[3]) = (0, 9);
    let error = unsigned.len() - 3;
    unsigned[error] = 16;
    let length = 12 + 15 + 9;
    unsigned[length] -= 32;
    let told = ours.handle_message(at(0), Some(NOW), &unsigned);
    assert_eq!(told, Err(Discarded::UnsignedError { rcode: 9, error: 16 }));
    for now in [2, 6, 14] {
        ours.handle_timeout(at(now), Some(NOW));
        if now < 14 {
            sent(&mut ours);
        }
    }
    let Event::Failed { failure, again } = event(&mut ours) else { panic!() };
    assert_eq!(failure, Failure::NoAnswer { hint: Some(Hint::OtherSecret) });
    assert!(again.is_some());
}

/// RFC 8945 §5.2.3: a wrong clock costs one answer; the server's time is used for signatures alone.
#[test]
fn a_wrong_clock_is_corrected_once() {
    for ours_is in [None, Some(UnixTime(NOW.0 - 86_400)), Some(UnixTime(NOW.0 + 86_400))] {
        let mut ours = publisher();
        ours.publish(at(0), wanted(&[], &[key(1)]), Duration::ZERO);
        ours.handle_timeout(at(0), ours_is);
        let (_, first) = sent(&mut ours);
        ours.handle_message(at(0), ours_is, &answer(&first, NOW, NOERROR)).unwrap();
        let (_, second) = sent(&mut ours);
        assert_ne!(first[..2], second[..2], "a request of its own");
        ours.handle_message(at(0), ours_is, &answer(&second, NOW, NOERROR)).unwrap();
        assert_eq!(event(&mut ours), Event::Published);
        // The next update is right at once.
        ours.readdress(at(1), &["192.0.2.9".parse().unwrap()]);
        ours.handle_timeout(at(1), ours_is);
        let (_, third) = sent(&mut ours);
        ours.handle_message(at(1), ours_is, &answer(&third, NOW, NOERROR)).unwrap();
        assert_eq!(event(&mut ours), Event::Published);
    }
}

/// A server whose clock runs away gets no second correction, so there is no loop.
#[test]
fn a_second_bad_time_is_a_failure() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&[], &[key(1)]), Duration::ZERO);
    ours.handle_timeout(at(0), Some(NOW));
    let (_, first) = sent(&mut ours);
    ours.handle_message(at(0), Some(NOW), &answer(&first, UnixTime(NOW.0 + 1000), NOERROR)).unwrap();
    let (_, second) = sent(&mut ours);
    ours.handle_message(at(0), Some(NOW), &answer(&second, UnixTime(NOW.0 + 2000), NOERROR)).unwrap();
    let Event::Failed { failure, again } = event(&mut ours) else { panic!() };
    assert_eq!(failure, Failure::Clock { difference: 2000 });
    assert!(again.is_some_and(|again| again.since(at(0)) >= Duration::from_secs(30)));
    assert_eq!(timeout(&mut ours), again);
}

/// RFC 2136 §4.5, §4.6: what the server cannot is tried again, what it does not want is not.
#[test]
fn each_refusal_has_its_reason() {
    let reasons = [
        (1, Failure::Rejected { rcode: 1 }, false),
        (2, Failure::Server { rcode: 2 }, true),
        (3, Failure::Rejected { rcode: 3 }, false),
        (4, Failure::Server { rcode: 4 }, true),
        (5, Failure::Refused, false),
        (7, Failure::Alias, false),
        (9, Failure::NotAuthoritative, false),
        (10, Failure::NotInZone, false),
    ];
    for (rcode, expected, passes) in reasons {
        let mut ours = publisher();
        ours.publish(at(0), wanted(&[], &[key(1)]), Duration::ZERO);
        ours.handle_timeout(at(0), Some(NOW));
        let (_, request) = sent(&mut ours);
        ours.handle_message(at(0), Some(NOW), &answer(&request, NOW, rcode)).unwrap();
        let Event::Failed { failure, again } = event(&mut ours) else { panic!() };
        assert_eq!((failure, again.is_some()), (expected, passes), "RCODE {rcode}");
        assert_eq!(timeout(&mut ours), again);
        // The same again is not asked for; something else is.
        if !passes {
            ours.publish(at(1), wanted(&[], &[key(1)]), Duration::ZERO);
            assert_eq!(timeout(&mut ours), None);
            ours.publish(at(1), wanted(&[], &[key(2)]), Duration::ZERO);
            assert_eq!(timeout(&mut ours), Some(at(1)));
        }
    }
}

/// An address that changes while an update is out makes another; the answer to the first says nothing.
#[test]
fn another_address_is_another_update() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&["192.0.2.2"], &[key(1)]), Duration::ZERO);
    ours.handle_timeout(at(0), Some(NOW));
    let (_, first) = sent(&mut ours);
    ours.readdress(at(1), &["192.0.2.3".parse().unwrap()]);
    let late = ours.handle_message(at(1), Some(NOW), &answer(&first, NOW, NOERROR));
    assert_eq!(late, Err(Discarded::Unsolicited));
    let second = published(&mut ours, at(1));
    assert!(updates(&second).contains(&(Class::IN, Rtype::A, [192, 0, 2, 3].to_vec())));
    ours.readdress(at(2), &["192.0.2.3".parse().unwrap()]);
    assert_eq!(timeout(&mut ours), None, "no change, no update");
}

/// At every moment the name has the key in use, for the TTL before it is used, and until it no longer is.
#[test]
fn a_key_is_replaced_without_a_gap() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&["192.0.2.2"], &[key(1)]), Duration::ZERO);
    assert_eq!(keys(&published(&mut ours, at(0))), [key(1)]);
    ours.roll_over(at(10), key(2));
    assert_eq!(keys(&published(&mut ours, at(10))), [key(1), key(2)]);
    assert_eq!(timeout(&mut ours), Some(at(310)), "the TTL of the RRset without it");
    // A change of address meanwhile does not lose the next key, nor start the time anew.
    ours.readdress(at(100), &["192.0.2.3".parse().unwrap()]);
    assert_eq!(keys(&published(&mut ours, at(100))), [key(1), key(2)]);
    ours.switched(at(200));
    assert_eq!(timeout(&mut ours), Some(at(310)), "too early to switch");
    ours.handle_timeout(at(310), Some(NOW));
    assert_eq!(event(&mut ours), Event::Usable);
    assert_eq!(timeout(&mut ours), None, "the old one stays until the next one is in use");
    ours.switched(at(320));
    assert_eq!(keys(&published(&mut ours, at(320))), [key(2)]);
}

/// Two keys of 4,096 bits and four addresses are too long for a datagram, not for an update.
#[test]
#[cfg(feature = "rsa-4096")]
fn a_long_update_goes_over_a_connection() {
    let rsa = |octet| PublicKey::Rsa(crate::crypto::RsaPublicKey::new(&[octet; 512], &[1, 0, 1]).unwrap());
    let mut ours = publisher();
    let addresses = ["192.0.2.2", "192.0.2.3", "2001:db8::2", "2001:db8::3"];
    ours.publish(at(0), wanted(&addresses, &[rsa(0xff), rsa(0xfd)]), Duration::ZERO);
    ours.handle_timeout(at(0), Some(NOW));
    let (transport, request) = sent(&mut ours);
    assert_eq!(transport, Transport::Tcp);
    assert!((MAX_DATAGRAM..MAX_UPDATE).contains(&request.len()), "{}", request.len());
    ours.handle_timeout(at(10), Some(NOW));
    assert!(matches!(event(&mut ours), Event::Failed { failure: Failure::NoAnswer { .. }, again: Some(_) }));
}

/// RFC 8945 §5.3: an answer that did not fit is asked for over a connection.
#[test]
fn a_clipped_answer_is_asked_for_over_a_connection() {
    let mut ours = publisher();
    ours.publish(at(0), wanted(&[], &[key(1)]), Duration::ZERO);
    ours.handle_timeout(at(0), Some(NOW));
    let (transport, request) = sent(&mut ours);
    assert!(matches!(transport, Transport::Udp { port: 1024.. }));
    ours.handle_message(at(0), Some(NOW), &signed(&request, [0xAA, 0], NOW, 0, &[])).unwrap();
    assert_eq!(sent(&mut ours), (Transport::Tcp, request));
}
