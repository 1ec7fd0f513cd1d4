//! Hostile messages within an IKE SA that stands: Message IDs, retransmissions, exchanges out of place,
//! Deletes of others (RFC 7296 §1.3, §1.4, §2.1 to §2.3, §2.21).

use host_tests::forge;
use host_tests::stage::*;
use ike_core::error::Discarded;
use ike_core::output::Output;
use ike_core::wire::code_point::{ExchangeType, PayloadType};
use ike_core::wire::delete;
use ike_core::wire::notify::{NotifyType, NotifyView};

/// RFC 7296 §1.2: only one IKE_AUTH, and only from the initiator.
#[test]
fn ike_auth_does_not_repeat() {
    let (mut pair, keys) = standing();
    let (_, first, text) = forge::opened(&keys, &pair.datagrams[2].1);
    for (at, flags, id) in [(to_b(), FROM_A, 2), (to_a(), FROM_B, 0)] {
        let header = forge::header(&keys, ExchangeType::IKE_AUTH, flags, id);
        let forged = forge::sealed_text(&keys, &header, first, &text);
        assert_eq!(give(&mut pair, at, &forged), Err(Discarded::WrongState));
    }
    // Own messages that come back.
    let own = pair.datagrams[2].1.clone();
    assert_eq!(give(&mut pair, to_a(), &own), Err(Discarded::UnknownSpi));
    let own = pair.datagrams[3].1.clone();
    assert_eq!(give(&mut pair, to_b(), &own), Err(Discarded::UnknownSpi));
}

/// RFC 7296 §2.2, §2.3: Message IDs outside of the window of 1, at both ends of the number space.
#[test]
fn message_ids_outside_the_window() {
    let (mut pair, keys) = standing();
    for id in [0, 3, 4, 100, u32::MAX - 1, u32::MAX] {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
        let sealed = forge::sealed(&keys, &header, |_| Ok(()));
        assert_eq!(give(&mut pair, to_b(), &sealed), Err(Discarded::WrongMessageId), "{id}");
    }
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
    assert_eq!(answers(&mut pair, &keys), [vec![]]);
}

/// RFC 7296 §2.1: the same Message ID with other content is never executed; the very same message is
/// answered with the very same octets.
#[test]
fn retransmission_is_not_executed() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let probe = forge::sealed(&keys, &header, |_| Ok(()));
    assert_eq!(give(&mut pair, to_b(), &probe), Ok(()));
    pair.link.cut = true;
    pair.drain();
    let first = pair.datagrams.last().expect("sent").1.clone();
    let delete = forge::sealed(&keys, &header, delete::write_ike);
    assert_eq!(give(&mut pair, to_b(), &delete), Err(Discarded::AlteredRetransmission));
    assert_eq!(give(&mut pair, to_b(), &probe), Ok(()));
    pair.drain();
    assert_eq!(pair.datagrams.last().expect("sent").1, first);
    assert_eq!(pair.b.installed.len(), 1);
}

/// RFC 7296 §2.4: INITIAL_CONTACT counts in IKE_AUTH only.
#[test]
fn initial_contact_in_a_later_exchange_changes_nothing() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let contact = NotifyView::new(NotifyType::INITIAL_CONTACT, &[]);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |w| contact.write(w))), Ok(()));
    pair.drain();
    assert_eq!(pair.b.installed.len(), 1);
    assert!(pair.b.closed().is_empty());
}

/// RFC 7296 §3.11: a Delete names only the sender's own SAs; what it does not have changes nothing.
#[test]
fn delete_of_others_changes_nothing() {
    let (mut pair, keys) = standing();
    let (own, theirs) = (pair.b.installed[0].inbound.get(), pair.b.installed[0].outbound.get());
    for (id, spis) in [(2, vec![own]), (3, vec![1, 2, 3]), (4, vec![theirs ^ 1])] {
        let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, id);
        assert_eq!(
            give(&mut pair, to_b(), &forge::sealed(&keys, &header, |w| delete::write_esp(&spis, w))),
            Ok(())
        );
        assert_eq!(answers(&mut pair, &keys), [vec![]]);
        assert_eq!(pair.b.installed.len(), 1);
    }
}

/// RFC 7296 §2.21.3: what is malformed behind a good integrity check ends the IKE SA on both sides.
#[test]
fn malformed_behind_the_check_ends_the_sa() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let forged = forge::sealed_text(&keys, &header, PayloadType::NOTIFY, &[0, 0, 0, 3]);
    assert_eq!(give(&mut pair, to_b(), &forged), Ok(()));
    let answers = answers(&mut pair, &keys);
    assert_eq!(notify(&answers[0]), Some(NotifyType::INVALID_SYNTAX));
    assert!(pair.b.installed.is_empty());
}

/// RFC 7296 §2.21.3: a request for a Child SA without any payload of one ends the IKE SA.
#[test]
fn empty_request_for_a_child_sa_ends_the_sa() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::CREATE_CHILD_SA, FROM_A, 2);
    assert_eq!(give(&mut pair, to_b(), &forge::sealed(&keys, &header, |_| Ok(()))), Ok(()));
    assert_eq!(notify(&answers(&mut pair, &keys)[0]), Some(NotifyType::INVALID_SYNTAX));
    assert!(pair.b.installed.is_empty());
}

/// RFC 7296 §2.21.1: an error without protection ends nothing that stands.
#[test]
fn unprotected_message_for_a_standing_sa_is_a_hint() {
    let (mut pair, keys) = standing();
    let header = forge::header(&keys, ExchangeType::INFORMATIONAL, FROM_A, 2);
    let forged = forge::clear(&header, |w| NotifyView::new(NotifyType::INVALID_IKE_SPI, &[]).write(w));
    assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::Hint));
    let forged = forge::clear(&header, delete::write_ike);
    assert_eq!(give(&mut pair, to_b(), &forged), Err(Discarded::Hint));
    assert_eq!(pair.b.installed.len(), 1);
}

/// The endpoint says nothing after all this but what was asked.
#[test]
fn nothing_is_left_to_say() {
    let (mut pair, _) = standing();
    assert!(matches!(pair.a.endpoint.poll_output(), Output::Timeout(Some(_))));
}
