//! Found addresses and their places in the SPD, with servers, resolver and key management played by hand.

use std::boxed::Box;
use std::net::SocketAddr;
use std::vec::Vec as List;

use esp_engine::selector::AddressRange;
use ike_core::discovery::proxy::settings::{Pattern, Rule};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::*;

const FIRST: PolicyId = PolicyId(7);
const WWW: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 7));

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn captor(demand: Demand) -> Captor<'static, ChaCha8Rng> {
    let leak = |range| &*Box::leak(Box::new([range]));
    let lan = leak(AddressRange::prefix([10, 1, 0, 0].into(), 16).unwrap());
    let settings = Settings {
        servers: Box::leak(Box::new([SocketAddr::from(([192, 0, 2, 53], 53))])),
        clients: lan,
        inside: lan,
        open: leak(AddressRange::prefix([0; 4].into(), 0).unwrap()),
        rules: Box::leak(Box::new([Rule { names: Pattern("."), demand }])),
        ..Settings::DEFAULT
    };
    let resources = Box::leak(Box::new(Resources::new()));
    Captor::new(Box::leak(Box::new(settings)), FIRST, resources, ChaCha8Rng::seed_from_u64(1))
}

/// What it wants done until it waits, and until when.
fn drain(captor: &mut Captor<'_, ChaCha8Rng>, now: Instant) -> (List<Step>, Option<Instant>) {
    let mut steps = List::new();
    loop {
        match captor.step(now) {
            Step::Wait(moment) => return (steps, moment),
            step => steps.push(step),
        }
    }
}

/// A client asks for the address of `www.test`, which is [`WWW`] and has a key: what follows its validation.
fn found(demand: Demand) -> (Captor<'static, ChaCha8Rng>, List<Step>) {
    let mut captor = captor(demand);
    let remote = SocketAddr::from(([10, 1, 0, 2], 40_000));
    let client = Client::Datagram { remote, local: [10, 1, 0, 1].into() };
    captor.asked(at(0), client, b"\0\x05\x01\0\0\x01\0\0\0\0\0\0\x03www\x04test\0\0\x01\0\x01");
    let (steps, _) = drain(&mut captor, at(0));
    for step in steps {
        let Step::Query(socket, question) = step else { continue };
        let mut octets = Datagram::from_slice(&question.octets).unwrap();
        if question.octets.ends_with(&[0, 1, 0, 1]) {
            octets[2] |= 0x80;
            octets[7] = 1;
            octets.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4, 198, 51, 100, 7]).unwrap();
        } else {
            // The key does not fit.
            octets[2] |= 0x82;
        }
        let news = DnsReport::Datagram { server: question.server, octets };
        captor.take(at(1), Socket(socket.0 - OWN_SOCKETS), news);
    }
    let (steps, _) = drain(&mut captor, at(1));
    let ticket =
        steps.iter().find_map(|step| if let Step::Lookup(ticket, _) = step { Some(*ticket) } else { None });
    let key =
        PublishedKey::Whole { key: ike_core::crypto::PublicKey::Ed25519([1; 32]), gateway: Gateway::Owner };
    let record = PeerRecord {
        security: Security::Secure,
        presence: Presence::Present,
        keys: [key].into_iter().collect(),
        expires: at(600_000),
        ..PeerRecord::silence(at(0))
    };
    captor.learn(at(2), ticket.expect("a key to validate"), &record);
    let (steps, _) = drain(&mut captor, at(2));
    (captor, steps)
}

/// The far sides that policies get.
fn policies(steps: &[Step]) -> List<(PolicyId, PolicySelectors)> {
    let policy = |step: &Step| match step {
        Step::Change(Change::Policy(policy, remote)) => Some((*policy, remote.clone())),
        _ => None,
    };
    steps.iter().filter_map(policy).collect()
}

fn has_answer(steps: &[Step]) -> bool {
    steps
        .iter()
        .any(|step| matches!(step, Step::Reply(_, octets, false) if octets.ends_with(&[198, 51, 100, 7])))
}

/// The entry is in the SPD before the client knows the address; IKE begins without waiting for its packet.
#[test]
fn the_policy_comes_before_the_answer() {
    let (captor, steps) = found(Demand::Try);
    assert_eq!(policies(&steps), [(FIRST, all_with(WWW))]);
    let place = |wanted: fn(&Step) -> bool| steps.iter().position(wanted).unwrap();
    let policy = place(|step| matches!(step, Step::Change(Change::Policy(..))));
    let begins = place(|step| matches!(step, Step::Change(Change::Acquire(PolicyId(7), _))));
    assert!(policy < begins && begins < place(|step| matches!(step, Step::Reply(..))));
    assert!(has_answer(&steps));
    let record = captor.record(at(3), WWW).unwrap();
    assert_eq!((record.security, record.addresses.as_slice()), (Security::Secure, &[WWW][..]));
    assert!(captor.record(at(3), [198, 51, 100, 8].into()).is_none());
}

/// Where nothing comes of it, traffic goes on as without the entry; a late SA protects it all the same.
#[test]
fn an_entry_is_tried_for_a_while() {
    let (mut captor, _) = found(Demand::Try);
    let late = at(2) + PATIENCE;
    assert_eq!(drain(&mut captor, at(3)).1, Some(late));
    captor.handle_timeout(late);
    assert_eq!(policies(&drain(&mut captor, late).0), [(FIRST, PolicySelectors::new())]);
    captor.established(at(5_000), FIRST);
    assert_eq!(policies(&drain(&mut captor, at(5_000)).0), [(FIRST, all_with(WWW))]);
}

/// What the board hears of a name: its address, the key that was proven there, and for how long; a successor of its SA
/// is no news, the end of the entry is.
#[test]
fn the_board_hears_when_protection_comes_and_goes() {
    let (mut captor, _) = found(Demand::Try);
    let news = |steps: &[Step]| -> List<News> {
        let report = |step: &Step| {
            if let Step::Change(Change::Report(news)) = step { Some(news.clone()) } else { None }
        };
        steps.iter().filter_map(report).collect()
    };
    captor.proven(WWW, [7; 32]);
    captor.established(at(10_000), FIRST);
    let heard = news(&drain(&mut captor, at(10_000)).0);
    let [News::Protected(captured)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((captured.address, captured.key, captured.ttl_s), (WWW, Some([7; 32]), 590));
    assert_eq!(std::format!("{}", captured.name), "www.test");
    captor.established(at(20_000), FIRST);
    assert!(news(&drain(&mut captor, at(20_000)).0).is_empty());
    captor.handle_timeout(at(600_000));
    let heard = news(&drain(&mut captor, at(600_000)).0);
    let [News::Unprotected(captured)] = heard.as_slice() else { panic!("{heard:?}") };
    assert_eq!((captured.address, captured.key, captured.ttl_s), (WWW, Some([7; 32]), 0));
}

/// What an operator is told who asks why: the policy of a found address holds until it is given up, and its name stays
/// known as long as its entry.
#[test]
fn a_found_address_is_known_by_its_name_and_its_policy() {
    for (demand, afterwards) in [(Demand::Try, None), (Demand::Require, Some(FIRST))] {
        let (mut captor, _) = found(demand);
        assert_eq!(captor.address_of("WWW.test."), Some(WWW));
        assert_eq!(captor.name_at(WWW).map(|name| std::format!("{name}")).as_deref(), Some("www.test"));
        assert_eq!(captor.policy_at(WWW), Some(FIRST));
        captor.failed_at(at(100), WWW);
        assert_eq!(captor.policy_at(WWW), afterwards);
        assert_eq!(
            (captor.address_of("other.test"), captor.policy_at([198, 51, 100, 8].into())),
            (None, None)
        );
        drain(&mut captor, at(100));
        captor.handle_timeout(at(700_000));
        drain(&mut captor, at(700_000));
        assert_eq!((captor.address_of("www.test"), captor.policy_at(WWW)), (None, None));
    }
}

/// What stands is not given up because a later negotiation fails.
#[test]
fn a_protected_address_stays_so() {
    let (mut captor, _) = found(Demand::Try);
    captor.established(at(10), FIRST);
    captor.failed_at(at(20), WWW);
    captor.handle_timeout(at(5_000));
    assert!(policies(&drain(&mut captor, at(5_000)).0).is_empty());
    let (steps, _) = {
        captor.handle_timeout(at(600_000));
        drain(&mut captor, at(600_000))
    };
    assert_eq!(policies(&steps), [(FIRST, PolicySelectors::new())], "with its key's life");
    assert!(steps.iter().any(|step| matches!(step, Step::Change(Change::End(PolicyId(7))))));
}

/// What is required has no address until it is protected, and no way in clear when it is not.
#[test]
fn a_required_name_fails_closed() {
    let (mut captor, steps) = found(Demand::Require);
    assert!(!has_answer(&steps));
    captor.failed_at(at(100), WWW);
    let (steps, _) = drain(&mut captor, at(100));
    assert!(policies(&steps).is_empty() && !has_answer(&steps), "the entry stays");
    assert!(
        steps.iter().any(|step| matches!(step, Step::Reply(_, octets, _) if octets[3] & 15 == 2)),
        "SERVFAIL"
    );
}

/// Of a stream the length comes first, and what does not fit in one command comes in order.
#[test]
fn an_answer_in_parts() {
    let mut captor = captor(Demand::Nothing);
    let client = Client::Stream { remote: [10, 1, 0, 2].into(), connection: 1 };
    let whole: Vec<u8, { MESSAGE + 2 }> = (0..MESSAGE + 2).map(|n| n as u8).collect();
    captor.rest = Some((client, whole.clone()));
    let (steps, _) = drain(&mut captor, at(0));
    let parts: List<(List<u8>, bool)> = steps
        .iter()
        .filter_map(
            |step| if let Step::Reply(_, part, more) = step { Some((part.to_vec(), *more)) } else { None },
        )
        .collect();
    assert_eq!(parts.iter().map(|(_, more)| *more).collect::<List<_>>(), [true, true, false]);
    assert_eq!(parts.into_iter().flat_map(|(part, _)| part).collect::<List<_>>(), whole.as_slice());
}
