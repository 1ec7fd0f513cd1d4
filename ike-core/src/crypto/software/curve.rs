//! Points of NIST's curves as IKE writes them: `x | y` in network order (RFC 5903 §7).

use p256::elliptic_curve::sec1::ToSec1Point;

/// `None` unless `octets` is `x | y` of a point on the curve, coordinates below p (RFC 6989 §2.3).
pub(super) fn p256_point(octets: &[u8; 64]) -> Option<p256::PublicKey> {
    p256::PublicKey::from_sec1_bytes(&uncompressed::<64, 65>(octets)).ok()
}

/// Likewise.
pub(super) fn p384_point(octets: &[u8; 96]) -> Option<p384::PublicKey> {
    p384::PublicKey::from_sec1_bytes(&uncompressed::<96, 97>(octets)).ok()
}

/// `x | y`.
pub(super) fn p256_octets(key: &p256::PublicKey) -> [u8; 64] {
    coordinates(key.to_sec1_point(false).as_bytes())
}

/// `x | y`.
pub(super) fn p384_octets(key: &p384::PublicKey) -> [u8; 96] {
    coordinates(key.to_sec1_point(false).as_bytes())
}

/// Coordinates behind the octet that says that both follow (SEC 1 §2.3.3).
fn uncompressed<const N: usize, const M: usize>(octets: &[u8; N]) -> [u8; M] {
    let mut point = [4; M];
    point.iter_mut().skip(1).zip(octets).for_each(|(to, from)| *to = *from);
    point
}

/// What follows that octet.
fn coordinates<const N: usize>(point: &[u8]) -> [u8; N] {
    let mut octets = [0; N];
    octets.iter_mut().zip(point.iter().skip(1)).for_each(|(to, from)| *to = *from);
    octets
}
