//! Questions about fingerprints, between key management and a server whose word is believed, both played by hand.

use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec as List;

use ike_core::crypto::software::Software;
use ike_core::discovery::tlsa;
use ike_core::pad::{self, Identity, PublishedKey};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;

const IPSECKEY: u16 = 45;
const TLSA: u16 = 52;
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 53)), 53);

type Tested = Directory<'static, Software, ChaCha8Rng>;
/// What key management was told, by its tickets.
type Answers = List<(u32, PeerRecord)>;

fn directory(fingerprints: bool) -> Tested {
    let servers = Box::leak(Box::new([Server { address: SERVER, is_believed: true }]));
    let config = Config { servers, anchors: &[] };
    let resources = Box::leak(Box::new(Resources::new()));
    let time = Some((Instant::ZERO, UnixTime(1_800_000_000)));
    let rng = ChaCha8Rng::seed_from_u64(1);
    Directory::new(config, fingerprints, (time, UnixTime(0)), resources, Software, rng).unwrap()
}

fn ask(directory: &mut Tested, ticket: u32, name: &str) {
    let of = Identity::Fqdn(name).to_owned().unwrap();
    assert_eq!(directory.ask(Instant::ZERO, Ticket(ticket), &of), None);
}

/// A question as the server reads it: the name in lower case, and the type.
fn read(octets: &[u8]) -> (String, u16) {
    let (mut name, mut at) = (String::new(), 12);
    while octets[at] != 0 {
        let label = &octets[at + 1..=at + usize::from(octets[at])];
        name += &String::from_utf8_lossy(label).to_lowercase();
        name.push('.');
        at += 1 + label.len();
    }
    (name, u16::from_be_bytes([octets[at + 1], octets[at + 2]]))
}

/// The server's answer, which it validated: this data, or nothing.
fn reply(question: &[u8], data: Option<Vec<u8, 64>>) -> DnsReport {
    let end = 12 + question[12..].iter().position(|octet| *octet == 0).unwrap() + 5;
    let mut octets = Vec::from_slice(&question[..end]).unwrap();
    (octets[2], octets[3], octets[7], octets[11]) = (0x81, 0xA0, u8::from(data.is_some()), 0);
    if let Some(data) = data {
        let rtype = &question[end - 4..end - 2];
        let head = [&[0xC0, 12], rtype, &[0, 1, 0, 0, 1, 0, 0, data.len() as u8]].concat();
        octets.extend_from_slice(&[&head[..], &data].concat()).unwrap();
    }
    DnsReport::Datagram { server: SERVER, octets }
}

/// All answers to key management, and what the server was asked of keys and fingerprints. Each name has a
/// fingerprint, made of its first letter, and those that begin with k have a key.
fn run(directory: &mut Tested) -> (Answers, List<(String, u16)>) {
    let (mut records, mut asked) = (vec![], vec![]);
    let mut now = Instant::ZERO;
    loop {
        match directory.step::<()>(now) {
            Step::Answer(ticket, record) => records.push((ticket.0, record)),
            Step::Command(Command::Query { socket, question }) => {
                let (name, rtype) = read(&question.octets);
                let letter = *name.trim_start_matches("_500._udp.").as_bytes().first().unwrap();
                let data = match rtype {
                    TLSA => Vec::from_slice(&tlsa::encode(&[letter; 32])).ok(),
                    IPSECKEY if letter == b'k' => Vec::from_slice(&[&[10, 0, 4][..], &[1; 32]].concat()).ok(),
                    _ => None,
                };
                directory.take(now, socket, reply(&question.octets, data));
                if matches!(rtype, TLSA | IPSECKEY) {
                    asked.push((name, rtype));
                }
            }
            // No more than so many questions leave in a second.
            Step::Wait(Some(moment)) => {
                now = moment;
                directory.handle_timeout(now);
            }
            Step::Wait(None) => return (records, asked),
            _ => {}
        }
    }
}

/// Off by default: one question about keys, and none about fingerprints.
#[test]
fn nobody_asks_for_fingerprints_by_default() {
    let mut directory = directory(false);
    ask(&mut directory, 1, "a.test");
    let (records, asked) = run(&mut directory);
    assert_eq!((records[0].1.security, records[0].1.presence), (pad::Security::Secure, Presence::Absent));
    assert_eq!(asked, [("a.test.".into(), IPSECKEY)]);
    assert!(!directory.heard_of_name("a.test").unwrap().is_about_fingerprints);
}

/// Each of many names that are asked for at once has its fingerprint; one that has a key is not asked for one.
#[test]
fn many_names_with_fingerprints_at_once() {
    let mut directory = directory(true);
    let names = ["a.test", "b.test", "k.test", "c.test", "d.test", "e.test"];
    for (ticket, name) in (0..).zip(names) {
        ask(&mut directory, ticket, name);
    }
    let (mut records, asked) = run(&mut directory);
    records.sort_by_key(|(ticket, _)| *ticket);
    assert_eq!(records.len(), names.len());
    for ((_, record), name) in records.iter().zip(names) {
        let heard = directory.heard_of_name(name).unwrap();
        assert_eq!((record.presence, heard.presence), (Presence::Present, Presence::Present));
        match record.keys.first() {
            Some(PublishedKey::Fingerprint(print)) => assert_eq!(*print, [name.as_bytes()[0]; 32]),
            key => assert!(name == "k.test" && key.is_some()),
        }
        assert_eq!(heard.is_about_fingerprints, name != "k.test");
    }
    assert!(!asked.iter().any(|(name, _)| name == "_500._udp.k.test."), "{asked:?}");
}

/// Without room for the second question nobody knows whether there is a key: not that there is none.
#[test]
fn no_room_for_the_second_question() {
    let mut directory = directory(true);
    ask(&mut directory, 1, "a.test");
    let asked = directory.questions.asked.pop().unwrap();
    let absent = keyless(&asked.question);
    directory.questions.asked.push(asked).ok().unwrap();
    let further = directory.questions.answered(Instant::ZERO, Ticket(1), &absent);
    assert!(matches!(further, Answered::Ask(question) if question.is_about_fingerprints()));
    let record = directory.questions.give_up(Instant::ZERO).unwrap();
    assert_eq!(record.security, pad::Security::Indeterminate);
}

/// The answer that there is no key, from a resolver of its own.
fn keyless(question: &Question) -> Outcome {
    let mut other = directory(false);
    other.resolver.lookup(Instant::ZERO, Ticket(9), question.clone()).unwrap();
    loop {
        match other.resolver.poll_output() {
            Output::Answer { outcome, .. } => return outcome.clone(),
            Output::Query { socket, octets, .. } => {
                let DnsReport::Datagram { octets, .. } = reply(octets, None) else { continue };
                other.resolver.handle_datagram(Instant::ZERO, socket, SERVER, &octets).unwrap();
            }
            _ => {}
        }
    }
}
