//! Points of NIST's curves as IKE writes them: `x | y` in network order (RFC 5903 §7).

use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use p256::{FieldBytes, Sec1Point};

/// `None` unless `octets` is `x | y` of a point on the curve, coordinates below p (RFC 6989 §2.3).
pub(super) fn p256_point(octets: &[u8; 64]) -> Option<p256::PublicKey> {
    let (x, y) = octets.split_first_chunk::<32>()?;
    let y = <[u8; 32]>::try_from(y).ok()?;
    let point = Sec1Point::from_affine_coordinates(&FieldBytes::from(*x), &FieldBytes::from(y), false);
    p256::PublicKey::from_sec1_point(&point).into_option()
}

/// `x | y`.
pub(super) fn p256_octets(key: &p256::PublicKey) -> [u8; 64] {
    let point = key.to_sec1_point(false);
    let mut octets = [0; 64];
    for (to, from) in octets.iter_mut().zip(point.as_bytes().iter().skip(1)) {
        *to = *from;
    }
    octets
}
