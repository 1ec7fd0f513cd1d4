extern crate std;

use std::vec::Vec;

use super::super::dnssec::{Algorithm, Digest};
use super::*;

const DAY: u64 = 86_400;
const TTL: u32 = 2 * 86_400;

/// Key number `n`, in the RRset, marked as an entry point.
fn key(n: u8) -> EntryPoint {
    EntryPoint {
        is_marked: true,
        is_revoked: false,
        signs: false,
        key_tag: n.into(),
        algorithm: Algorithm::Ed25519,
        sha256: [n; 32],
        sha384: [n; 48],
    }
}

/// The same, and it signs the RRset.
fn signer(n: u8) -> EntryPoint {
    EntryPoint { signs: true, ..key(n) }
}

/// The same, and it gives itself up.
fn revoked(n: u8) -> EntryPoint {
    EntryPoint { is_revoked: true, ..signer(n) }
}

/// Keys 1 and 2 are configured; the clock stands at zero.
struct Point(Anchors, Instant);

impl Point {
    fn new() -> Self {
        let mut anchors = Anchors::new();
        assert!(anchors.configure(&[key(1).anchor(), key(2).anchor()]));
        Self(anchors, Instant::ZERO)
    }

    /// So many days later this RRset is seen.
    fn see(&mut self, days: u64, seen: &[EntryPoint]) -> bool {
        self.1 = self.1 + Duration::from_secs(days * DAY);
        self.0.observe(self.1, seen, TTL)
    }

    /// The state of a key; `None` is Start.
    fn state(&self, n: u8) -> Option<State> {
        self.0.iter().find(|anchor| key(n).is_named(&anchor.key)).map(|anchor| anchor.state)
    }

    /// As after a power cut, with what had been stored.
    fn restart(&mut self, stored: &[u8]) {
        self.0 = Self::new().0;
        assert!(self.0.resume(stored));
    }
}

const fn pending(days: u32) -> Option<State> {
    Some(State::AddPend { waited: days * 86_400, hold: HOLD_DOWN, vouchers: 0b01 })
}

/// RFC 5011 §4, Start → AddPend by NewKey: only keys that are marked, in an RRset that a trusted key signed.
#[test]
fn start_to_add_pend() {
    let mut point = Point::new();
    point.see(0, &[key(1), key(2), signer(3)]);
    assert_eq!(point.state(3), None);
    let data_key = EntryPoint { is_marked: false, ..signer(4) };
    point.see(1, &[signer(1), key(2), key(3), data_key, EntryPoint { is_revoked: true, ..key(5) }]);
    assert_eq!([3, 4, 5].map(|n| point.state(n)), [pending(0), None, None]);
    assert_eq!(point.0.trusted(), [key(1).anchor(), key(2).anchor()]);
}

/// RFC 5011 §4, AddPend → Start by KeyRem: it begins anew when it comes back (§2.2).
#[test]
fn add_pend_to_start() {
    let mut point = Point::new();
    point.see(0, &[signer(1), key(2), key(3)]);
    point.see(29, &[signer(1), key(2), key(3)]);
    assert_eq!(point.state(3), pending(29));
    point.see(1, &[signer(1), key(2)]);
    assert_eq!(point.state(3), None);
    point.see(1, &[signer(1), key(2), key(3)]);
    assert_eq!(point.state(3), pending(0));
}

/// RFC 5011 §2.2: a pending key falls with all those that vouched for it, and not with one of them.
#[test]
fn a_pending_key_falls_with_its_vouchers() {
    let mut point = Point::new();
    point.see(0, &[signer(1), key(2), key(3)]);
    point.see(1, &[revoked(1), signer(2), key(3)]);
    assert_eq!(point.state(3), Some(State::AddPend { waited: 0, hold: HOLD_DOWN, vouchers: 0b10 }));
    let mut point = Point::new();
    point.see(0, &[signer(1), signer(2), key(3)]);
    point.see(1, &[revoked(1), signer(2), key(3)]);
    assert_eq!(point.state(3), Some(State::AddPend { waited: 86_400, hold: HOLD_DOWN, vouchers: 0b11 }));
}

/// RFC 5011 §4, AddPend → Valid by AddTime: thirty days, or the TTL if that is longer (§2.4.1), and the RRset is
/// seen with the key once more behind them (§2.2).
#[test]
fn add_pend_to_valid() {
    let mut point = Point::new();
    let seen = [signer(1), key(2), key(3)];
    point.see(0, &seen);
    point.see(29, &seen);
    assert_eq!(point.state(3), pending(29));
    point.1 = point.1 + Duration::from_secs(5 * DAY);
    assert_eq!(point.state(3), pending(29));
    point.see(0, &seen);
    assert_eq!(point.state(3), Some(State::Valid));
    assert_eq!(point.0.trusted().len(), 3);

    let mut point = Point::new();
    point.0.observe(point.1, &seen, 40 * 86_400);
    point.see(39, &seen);
    assert_ne!(point.state(3), Some(State::Valid));
    point.see(1, &seen);
    assert_eq!(point.state(3), Some(State::Valid));
}

/// RFC 5011 §4, Valid → Missing by KeyRem and back by KeyPres: it stays trusted meanwhile (§4.2). An RRset that
/// nobody trusted signs says nothing.
#[test]
fn valid_to_missing_and_back() {
    let mut point = Point::new();
    point.see(0, &[key(2), signer(9)]);
    assert_eq!([1, 2].map(|n| point.state(n)), [Some(State::Valid); 2]);
    point.see(1, &[signer(2)]);
    assert_eq!([1, 2].map(|n| point.state(n)), [Some(State::Missing), Some(State::Valid)]);
    assert_eq!(point.0.trusted().len(), 2);
    point.see(1, &[signer(1)]);
    assert_eq!([1, 2].map(|n| point.state(n)), [Some(State::Valid), Some(State::Missing)]);
}

/// RFC 5011 §4, Valid → Revoked and Missing → Revoked by RevBit: at once, without another signature, for good;
/// but only by the key's own (§2.1).
#[test]
fn valid_or_missing_to_revoked() {
    let mut point = Point::new();
    assert!(!point.see(0, &[signer(1), EntryPoint { signs: false, ..revoked(2) }]));
    assert_eq!(point.state(2), Some(State::Missing));
    assert!(point.see(1, &[revoked(2)]));
    assert_eq!(point.state(2), Some(State::Revoked { waited: 0 }));
    assert!(point.see(1, &[signer(2), revoked(1)]));
    assert_eq!(point.state(1), Some(State::Revoked { waited: 0 }));
    point.see(1, &[signer(1), signer(2), key(3)]);
    assert_eq!((point.state(3), point.0.trusted().len()), (None, 0));
}

/// RFC 5011 §4, Revoked → Removed by RemTime: thirty days in which it was in no valid RRset. It does not come
/// back, as Removed neither.
#[test]
fn revoked_to_removed() {
    let mut point = Point::new();
    point.see(0, &[revoked(1), signer(2)]);
    point.see(20, &[signer(2)]);
    point.see(20, &[revoked(1), signer(2)]);
    point.see(29, &[signer(2)]);
    assert_eq!(point.state(1), Some(State::Revoked { waited: 29 * 86_400 }));
    point.see(1, &[signer(2)]);
    assert_eq!(point.state(1), Some(State::Removed));
    point.see(40, &[signer(1), signer(2)]);
    assert_eq!(
        (point.state(1), point.0.trusted()),
        (Some(State::Removed), [key(2).anchor()].into_iter().collect())
    );
}

/// RFC 5011 §2.4.3: there is room for more than five keys, and no stranger's key takes the place of one that is
/// trusted, or was given up by name of the configuration.
#[test]
fn places_are_bounded() {
    let mut point = Point::new();
    point.see(0, &[revoked(1), signer(2)]);
    point.see(30, &[signer(2)]);
    let crowd: Vec<EntryPoint> = [signer(2)].into_iter().chain((10..30).map(key)).collect();
    point.see(1, &crowd);
    assert_eq!(point.0.iter().count(), MAX_ANCHORS);
    assert_eq!([1, 2].map(|n| point.state(n)), [Some(State::Removed), Some(State::Valid)]);
    let many: Vec<Ds> = (1..10).map(|n| key(n).anchor()).collect();
    assert!(!Anchors::new().configure(&many));
}

/// A power cut loses the time since the last write, and no state; the time without power does not count.
#[test]
fn power_cuts() {
    let mut point = Point::new();
    let seen = [signer(1), key(2), key(3)];
    point.see(0, &seen);
    point.see(20, &seen);
    let stored = point.0.stored();
    point.see(5, &seen);
    point.restart(&stored);
    point.see(100, &seen);
    assert_eq!(point.state(3), pending(20));
    point.see(10, &seen);
    assert_eq!(point.state(3), Some(State::Valid));
    let stored = point.0.stored();
    point.restart(&stored);
    assert_eq!(point.state(3), Some(State::Valid));
}

/// Once a day at most; nothing while nothing changes; a revocation at once.
#[test]
fn writes_are_few() {
    let mut point = Point::new();
    point.see(1, &[signer(1), key(2)]);
    assert!(!point.0.is_write_due(point.1));
    point.see(1, &[signer(1), key(2), key(3)]);
    assert!(point.0.is_write_due(point.1));
    point.see(0, &[signer(1), key(3)]);
    assert!(!point.0.is_write_due(point.1));
    point.see(0, &[signer(1), key(3), revoked(2)]);
    assert!(point.0.is_write_due(point.1));
    point.see(1, &[signer(1), key(3)]);
    assert!(point.0.is_write_due(point.1) && !point.0.is_write_due(point.1));
}

/// The operator's word is newer than what was learned; what was given up stays so whoever names it.
#[test]
fn another_configuration() {
    let mut point = Point::new();
    point.see(0, &[revoked(1), signer(2), key(3)]);
    point.see(30, &[signer(2), key(3)]);
    assert_eq!(point.0.trusted(), [key(2).anchor(), key(3).anchor()]);
    let stored = point.0.stored();
    let mut other = Anchors::new();
    assert!(other.configure(&[key(1).anchor(), key(7).anchor()]));
    assert!(other.resume(&stored));
    assert_eq!(other.trusted(), [key(7).anchor()]);
}

/// Whatever lies in the store, nothing but a whole form is gone on from.
#[test]
fn what_has_no_form_is_not_stored() {
    let mut point = Point::new();
    point.see(0, &[signer(1), key(2), key(3)]);
    let stored = point.0.stored();
    for length in 1..stored.len() {
        let mut anchors = Point::new().0;
        if anchors.resume(&stored[..length]) {
            assert!(anchors.trusted().iter().all(|key| point.0.trusted().contains(key)), "{length}");
        }
    }
    for (at, octet) in [(0, 2), (1, 0x8A), (1, 0x0F), (14, 1)] {
        let mut spoilt = stored.clone();
        spoilt[at] = octet;
        assert!(!Point::new().0.resume(&spoilt), "{at}");
    }
    let sha384 = Ds { digest: Digest::Sha384([7; 48]), ..key(7).anchor() };
    let mut anchors = Anchors::new();
    assert!(anchors.configure(&[sha384]));
    let stored = anchors.stored();
    assert!(anchors.resume(&stored));
    assert_eq!(anchors.trusted(), [sha384]);
}
