//! How a message becomes the number that RSA signs: EMSA-PKCS1-v1_5 and EMSA-PSS (RFC 8017 §9). What a
//! signature yields is never parsed where it can be made again: v1.5 has one right encoding, and in PSS
//! everything but the salt does.

use super::rsa::Block;
use super::sha2;
use crate::crypto::Sha2;

/// The last octet of EMSA-PSS.
const TRAILER: u8 = 0xbc;

/// 0x00, 0x01, octets 0xff, 0x00, DigestInfo (RFC 8017 §9.2), in `length` octets.
pub(super) fn pkcs1(hash: Sha2, digest: &[u8], length: usize) -> Option<Block> {
    let (whole, inner, id) = match hash {
        Sha2::Sha256 => (0x31, 0x20, 1),
        Sha2::Sha384 => (0x41, 0x30, 2),
        Sha2::Sha512 => (0x51, 0x40, 3),
    };
    let info = [
        0x30, whole, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, id, 0x05, 0x00,
        0x04, inner,
    ];
    let mut block = Block::from_slice(&[0, 1]).ok()?;
    block.resize(length.checked_sub(1 + info.len() + digest.len())?, 0xff).ok()?;
    block.push(0).ok()?;
    block.extend_from_slice(&info).ok()?;
    block.extend_from_slice(digest).ok()?;
    Some(block)
}

/// Masked padding and salt, hash, trailer (RFC 8017 §9.1.1), in `length` octets of which one bit is not
/// used.
pub(super) fn pss(hash: Sha2, digest: &[u8], salt: &[u8], length: usize) -> Option<Block> {
    let binding = bind(hash, digest, salt);
    let mut block = Block::new();
    block.resize(length.checked_sub(binding.len() + salt.len() + 2)?, 0).ok()?;
    block.push(1).ok()?;
    block.extend_from_slice(salt).ok()?;
    mask(hash, &binding, &mut block);
    *block.first_mut()? &= 0x7f;
    block.extend_from_slice(&binding).ok()?;
    block.push(TRAILER).ok()?;
    Some(block)
}

/// The salt, as long as the hash, if this is an encoding of the message (RFC 8017 §9.1.2).
pub(super) fn pss_salt<'b>(hash: Sha2, digest: &[u8], block: &'b mut Block) -> Option<&'b [u8]> {
    let (trailer, front) = block.split_last_mut()?;
    let (masked, binding) = front.split_at_mut_checked(front.len().checked_sub(hash.length())?)?;
    if *trailer != TRAILER || masked.first()? & 0x80 != 0 {
        return None;
    }
    mask(hash, binding, masked);
    *masked.first_mut()? &= 0x7f;
    let (padding, salt) = masked.split_at_checked(masked.len().checked_sub(hash.length())?)?;
    let (one, zeros) = padding.split_last()?;
    let is_padded = *one == 1 && zeros.iter().all(|octet| *octet == 0);
    (is_padded && bind(hash, digest, salt) == *binding).then_some(salt)
}

/// H of RFC 8017 §9.1.1.
fn bind(hash: Sha2, digest: &[u8], salt: &[u8]) -> heapless::Vec<u8, 64> {
    sha2(hash, &[&[0; 8], digest, salt])
}

/// Puts the mask MGF1 over `octets`, or takes it off (RFC 8017 Appendix B.2.1).
fn mask(hash: Sha2, seed: &[u8], octets: &mut [u8]) {
    for (counter, chunk) in (0_u32..).zip(octets.chunks_mut(hash.length())) {
        let mask = sha2(hash, &[seed, &counter.to_be_bytes()]);
        chunk.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    }
}
