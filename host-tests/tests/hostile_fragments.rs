//! Hostile fragments (RFC 7383 §2.5, §2.6, §5): impossible numbers, forged and doubled ones, sets that never
//! become whole.

use std::time::Duration;

use host_tests::forge;
use host_tests::link::Fault;
use host_tests::pair::Pair;
use host_tests::parties;
use host_tests::stage::*;
use ike_core::error::Discarded;
use ike_core::output::IkeKeys;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::header::Header;
use ike_core::wire::notify::NotifyType;

/// A's IKE_AUTH in this many fragments, before B has seen any of them.
fn in_fragments(total: u16) -> (Pair, IkeKeys, Vec<Vec<u8>>) {
    let (pair, keys, auth) = before_auth();
    let fragments = forge::cut(&keys, &auth, total);
    (pair, keys, fragments)
}

fn is_up(pair: &mut Pair) -> bool {
    pair.drain();
    pair.b.installed.len() == 1
}

/// RFC 7383 §2.6: any order, and nothing happens before the last one is there.
#[test]
fn any_order_makes_the_message() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let (mut pair, _, fragments) = in_fragments(3);
        for (count, index) in order.into_iter().enumerate() {
            assert_eq!(give(&mut pair, to_b(), &fragments[index]), Ok(()));
            assert_eq!(is_up(&mut pair), count == 2, "{order:?}");
        }
    }
}

/// RFC 7383 §2.5, §2.6: numbers that cannot be are dropped before anything is computed, and so is what would
/// take more fragments than are put together.
#[test]
fn impossible_numbers_are_dropped() {
    let (mut pair, keys, auth) = before_auth();
    let (header, first, text) = forge::opened(&keys, &auth);
    for numbers in [(0, 0), (0, 3), (4, 3), (1, 0), (u16::MAX, 1)] {
        let forged = forge::fragment(&keys, &header, first, numbers, &text[..50]);
        let malformed = ike_core::wire::Malformed::FragmentNumber;
        assert_eq!(give(&mut pair, to_b(), &forged), Err(malformed.into()), "{numbers:?}");
    }
    for total in [65, 1_000, u16::MAX] {
        let forged = forge::fragment(&keys, &header, first, (1, total), &text[..50]);
        assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::TooManyFragments), "{total}");
    }
    assert_eq!(give(&mut pair, to_b(), &auth), Ok(()));
    assert!(is_up(&mut pair));
}

/// RFC 7383 §2.6: what does not prove genuine leaves no trace, whatever its number and total.
#[test]
fn forged_fragments_change_nothing() {
    let (mut pair, _, fragments) = in_fragments(3);
    let spoil = |fragment: &[u8], total: Option<u8>| {
        let mut forged = fragment.to_vec();
        forged[35] = total.unwrap_or(forged[35]);
        *forged.last_mut().expect("octets") ^= 1;
        forged
    };
    for fragment in &fragments {
        assert_eq!(give(&mut pair, to_b(), &spoil(fragment, None)), Err(Discarded::Forged));
    }
    assert_eq!(give(&mut pair, to_b(), &fragments[0]), Ok(()));
    for fragment in &fragments {
        assert_eq!(give(&mut pair, to_b(), &spoil(fragment, Some(9))), Err(Discarded::Forged));
    }
    assert_eq!(give(&mut pair, to_b(), &fragments[1]), Ok(()));
    assert!(!is_up(&mut pair));
    assert_eq!(give(&mut pair, to_b(), &fragments[2]), Ok(()));
    assert!(is_up(&mut pair));
}

/// RFC 7383 §2.6: the number of a fragment that is there is dropped unopened, though its content be another.
#[test]
fn first_of_a_number_stays() {
    let (mut pair, keys, fragments) = in_fragments(3);
    let (header, first, _) = (Header::parse(&fragments[0]).expect("a header"), PayloadType::IDI, ());
    let other = forge::fragment(&keys, &header, first, (1, 3), &[0; 60]);
    assert_eq!(give(&mut pair, to_b(), &fragments[0]), Ok(()));
    assert_eq!(give(&mut pair, to_b(), &fragments[0]), Err(Discarded::FragmentAgain));
    assert_eq!(give(&mut pair, to_b(), &other), Err(Discarded::FragmentAgain));
    assert_eq!(give(&mut pair, to_b(), &fragments[2]), Ok(()));
    assert_eq!(give(&mut pair, to_b(), &fragments[1]), Ok(()));
    assert!(is_up(&mut pair));
}

/// RFC 7383 §2.6: a larger total begins anew, a smaller one comes too late.
#[test]
fn larger_total_begins_anew() {
    let (mut pair, keys, auth) = before_auth();
    let (coarse, fine) = (forge::cut(&keys, &auth, 2), forge::cut(&keys, &auth, 3));
    assert_eq!(give(&mut pair, to_b(), &coarse[0]), Ok(()));
    assert_eq!(give(&mut pair, to_b(), &fine[1]), Ok(()));
    assert_eq!(give(&mut pair, to_b(), &coarse[1]), Err(Discarded::FragmentAgain));
    assert_eq!(give(&mut pair, to_b(), &fine[0]), Ok(()));
    assert!(!is_up(&mut pair));
    assert_eq!(give(&mut pair, to_b(), &fine[2]), Ok(()));
    assert!(is_up(&mut pair));
}

/// RFC 7383 §2.5: only the first fragment says what is inside.
#[test]
fn type_in_a_later_fragment_is_ignored() {
    let (mut pair, keys, auth) = before_auth();
    let (header, first, text) = forge::opened(&keys, &auth);
    let (head, tail) = text.split_at(100);
    let last = forge::fragment(&keys, &header, PayloadType::DELETE, (2, 2), tail);
    assert_eq!(give(&mut pair, to_b(), &last), Ok(()));
    assert_eq!(give(&mut pair, to_b(), &forge::fragment(&keys, &header, first, (1, 2), head)), Ok(()));
    assert!(is_up(&mut pair));
}

/// RFC 7383 §5: a set that never becomes whole takes one slot, for a time, and the true message is put
/// together all the same; fragments without content and more content than a message may have come to nothing.
#[test]
fn sets_that_never_become_whole_are_forgotten() {
    let (mut pair, keys, auth) = before_auth();
    let (header, first, text) = forge::opened(&keys, &auth);
    for number in 1..64 {
        let one = forge::fragment(&keys, &header, first, (number, 64), &text[..1]);
        assert_eq!(give(&mut pair, to_b(), &one), Ok(()));
    }
    let (limit, size) = (ike_core::resources::LONGEST, 400);
    let mut taken = 0;
    let verdict = (1..64).find_map(|number| {
        let one = forge::fragment(&keys, &header, first, (number, 63), &vec![0; size]);
        let one =
            if number == 1 { forge::fragment(&keys, &header, first, (64, 64), &vec![0; limit]) } else { one };
        taken += 1;
        give(&mut pair, to_b(), &one).err()
    });
    assert_eq!((verdict, taken), (Some(Discarded::TooManyFragments), 1));
    for fragment in forge::cut(&keys, &auth, 3) {
        assert_eq!(give(&mut pair, to_b(), &fragment), Ok(()));
    }
    assert!(is_up(&mut pair));
}

/// What waits is forgotten after a time: its rest does not make it whole any more.
#[test]
fn rest_that_comes_too_late_makes_nothing() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let text = [0, 0, 0, 8, 0, 0, 0x40, 0x01];
    let halves = [(1, &text[..3]), (2, &text[3..])]
        .map(|(number, part)| forge::fragment(&keys, &header, PayloadType::NOTIFY, (number, 2), part));
    assert_eq!(give(&mut pair, to_b(), &halves[0]), Ok(()));
    pair.now = pair.now + parties::b().timing.half_open + Duration::from_millis(1);
    assert_eq!(give(&mut pair, to_b(), &halves[1]), Ok(()));
    assert!(answers(&mut pair, &keys).is_empty());
    assert_eq!(give(&mut pair, to_b(), &halves[0]), Ok(()));
    assert_eq!(answers(&mut pair, &keys).len(), 1);
}

/// RFC 7383 §5: half-open IKE SAs fill the pool as they like; the fragments of one that stands find room.
#[test]
fn half_open_sets_leave_room_for_those_who_are_known() {
    let (mut pair, keys) = standing();
    let mut strangers = 0;
    for seed in 10..13 {
        let mut other = Pair::new(parties::a(), parties::b(), seed);
        other.link.script = vec![(2, Fault::Drop)];
        other.initiate();
        let init = other.datagrams[0].1.clone();
        let (verdict, answer) = ask(&mut pair, to_b(), &init);
        if verdict.is_err() {
            break;
        }
        strangers += 1;
        let mut answer = answer[0].1.clone();
        assert_eq!(other.a.endpoint.handle_datagram(other.now, to_a(), &mut answer), Ok(()));
        other.drain();
        let stranger = forge::keys(&other.a);
        let auth = other.datagrams.last().expect("sent").1.clone();
        assert_eq!(give(&mut pair, to_b(), &forge::cut(&stranger, &auth, 3)[0]), Ok(()));
    }
    assert_eq!(strangers, 2);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    for number in 1..=2 {
        let one = forge::fragment(&keys, &header, PayloadType::NONE, (number, 2), &[]);
        assert_eq!(give(&mut pair, to_b(), &one), Ok(()));
    }
    assert_eq!(answers(&mut pair, &keys).len(), 1);
}

/// RFC 7383 §2.4: nobody sends fragments to who did not ask for them, and IKE_SA_INIT has none.
#[test]
fn unasked_fragments_are_dropped() {
    let (mut a, b) = (parties::a(), parties::b());
    a.timing.datagram = 0;
    let mut pair = Pair::new(a, b, 1);
    pair.initiate();
    pair.settle(LONG);
    let keys = forge::keys(&pair.a);
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let one = forge::fragment(&keys, &header, PayloadType::NONE, (1, 1), &[]);
    assert_eq!(give(&mut pair, to_b(), &one), Err(Discarded::FragmentNotNegotiated));
    let header = Header { exchange: ExchangeType::IKE_SA_INIT, message_id: 0, ..forge::init_header(77) };
    let one = forge::fragment(&keys, &header, PayloadType::SA, (1, 1), &[0; 40]);
    assert_eq!(give(&mut pair, to_b(), &one), Err(Discarded::MissingPayload));
}

/// RFC 7383 §2.6.1: of a request that was answered, the first fragment gets the stored answer again, even when
/// it is cut anew; the others get nothing.
#[test]
fn only_the_first_fragment_is_answered_again() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let text = [0, 0, 0, 8, 0, 0, 0x40, 0x01];
    let cut = |total: u16| {
        let of = |number: u16| if number == 1 { &text[..] } else { &[] };
        (1..=total).map(|n| forge::fragment(&keys, &header, PayloadType::NOTIFY, (n, total), of(n))).collect()
    };
    let fragments: Vec<Vec<u8>> = cut(2);
    for fragment in &fragments {
        assert_eq!(give(&mut pair, to_b(), fragment), Ok(()));
    }
    let first = answers(&mut pair, &keys);
    assert_eq!(first.len(), 1);
    let answer = pair.datagrams.last().cloned();
    assert_eq!(give(&mut pair, to_b(), &fragments[1]), Err(Discarded::AlteredRetransmission));
    assert_eq!(give(&mut pair, to_b(), &fragments[0]), Ok(()));
    assert_eq!(answers(&mut pair, &keys).len(), 1);
    assert_eq!(pair.datagrams.last().cloned(), answer);
    let finer: Vec<Vec<u8>> = cut(3);
    assert_eq!(give(&mut pair, to_b(), &finer[2]), Err(Discarded::AlteredRetransmission));
    pair.now = pair.now + Duration::from_secs(2);
    assert_eq!(give(&mut pair, to_b(), &finer[0]), Ok(()));
    assert_eq!(answers(&mut pair, &keys).len(), 1);
    assert_eq!(give(&mut pair, to_b(), &finer[0]), Err(Discarded::RetransmissionLimit));
}

/// What a whole message may not be, one in fragments may not be either: here, a request with a critical
/// payload that nobody knows (RFC 7296 §2.5).
#[test]
fn malformed_message_in_fragments_is_refused() {
    let (mut pair, keys, auth) = before_auth();
    let (header, first, text) = forge::opened(&keys, &auth);
    let unknown = [&[first.0, 0x80, 0, 5, 1][..], &text].concat();
    for (number, part) in [(1, &unknown[..80]), (2, &unknown[80..])] {
        let one = forge::fragment(&keys, &header, PayloadType(200), (number, 2), part);
        assert_eq!(give(&mut pair, to_b(), &one), Ok(()));
    }
    let answers = answers(&mut pair, &keys);
    assert_eq!(notify(&answers[0]), Some(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD));
}
