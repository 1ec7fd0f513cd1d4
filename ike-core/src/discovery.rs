//! Peers by name: what DNS says about a peer's addresses and keys, and how far that is to be believed
//! (RFC 4025, RFC 4033 to 4035).
//!
//! Pure machines of the same shape as [`crate::endpoint::Endpoint`]: time and datagrams go in, outputs come
//! out. The device validates by itself, from its trust anchors down; no bit in an answer is evidence. Every
//! list that a stranger controls has a bound, and so has the work that an answer may cost.

use domain::base::name::{self, ToLabelIter, ToName};

pub mod anchors;
mod answer;
mod cache;
pub mod clock;
pub mod dnssec;
pub mod ipseckey;
mod lookup;
pub mod outcome;
pub mod output;
mod peer_record;
pub mod proxy;
mod query;
pub mod question;
pub mod records;
pub mod resolver;
pub mod sntp;
pub mod stream;
pub mod tlsa;
pub mod update;
pub mod upstream;

/// The type of a record (RFC 1035 §3.2.2).
pub use domain::base::Rtype;

/// Octets of the longest name (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;

/// A name of our own, in wire form.
pub type Name = name::Name<heapless::Vec<u8, MAX_NAME>>;

/// Seconds since 1970 in UTC, as the times in RRSIG records count (RFC 4034 §3.1.5), but in 64 bits.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixTime(pub u64);

/// The root.
#[expect(clippy::expect_used, reason = "the root's name has one octet, and there is room for 255")]
pub(crate) fn root() -> Name {
    Name::from_octets(heapless::Vec::from_array([0])).expect("a name")
}

/// A name of our own with these labels, in lower case: the letters that servers repeat are chosen at random.
/// No name is longer than [`MAX_NAME`].
pub(crate) fn copy<N: ToName + ?Sized>(name: &N) -> Name {
    name.try_to_canonical_name().unwrap_or_else(|_| root())
}

/// Labels of a name, without the root's.
pub(crate) fn depth<N: ToLabelIter + ?Sized>(name: &N) -> u8 {
    u8::try_from(name.iter_labels().count().saturating_sub(1)).unwrap_or(u8::MAX)
}

/// The name made of the last `labels` labels of `name`; all of it where it has no more.
pub(crate) fn ancestor(name: &name::Name<[u8]>, labels: u8) -> Name {
    let skip = depth(name).saturating_sub(labels);
    name.iter_suffixes().nth(skip.into()).map_or_else(root, |suffix| copy(&suffix))
}
