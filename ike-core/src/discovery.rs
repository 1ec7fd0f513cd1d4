//! Peers by name: what DNS says about a peer's addresses and keys, and how far that is to be believed
//! (RFC 4025, RFC 4033 to 4035).
//!
//! Pure machines of the same shape as [`crate::endpoint::Endpoint`]: time and datagrams go in, outputs come
//! out. The device validates by itself, from its trust anchors down; no bit in an answer is evidence. Every
//! list that a stranger controls has a bound, and so has the work that an answer may cost.

use domain::base::name;

pub mod dnssec;
pub mod ipseckey;

/// Octets of the longest name (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;

/// A name of our own, in wire form.
pub type Name = name::Name<heapless::Vec<u8, MAX_NAME>>;

/// Seconds since 1970 in UTC, as the times in RRSIG records count (RFC 4034 §3.1.5), but in 64 bits.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixTime(pub u64);
