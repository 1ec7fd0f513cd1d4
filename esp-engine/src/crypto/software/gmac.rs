//! AES-GMAC without encryption (RFC 4543): the tag of GCM over no text, with the whole packet as what is
//! associated. GCM's crate wants that in one piece, which a packet with an extended sequence number is
//! not, so the tag is put together here from the crate's parts: GHASH, and one block of AES.

use aes::cipher::array::typenum::U16;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use ghash::universal_hash::UniversalHash;
use ghash::{Block, GHash};
use zeroize::Zeroize;

use super::{AssociatedOctets, ICV, IV, SALT, Transform};
use crate::crypto::Associated;

const BLOCK: usize = 16;

/// GHASH with its key, a key schedule, and the salt.
pub(super) struct Gmac<B> {
    block: B,
    hash: GHash,
    salt: [u8; SALT],
}

impl<B: BlockCipherEncrypt<BlockSize = U16> + KeyInit> Transform for Gmac<B> {
    fn new(key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<SALT>()?;
        let block = B::new_from_slice(key).ok()?;
        let mut hash_key = Block::default();
        block.encrypt_block(&mut hash_key);
        let hash = GHash::new(&hash_key);
        hash_key.zeroize();
        Some(Self { block, hash, salt: *salt })
    }

    fn seal(
        &self,
        counter: u64,
        associated: Associated<'_>,
        iv: &mut [u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Option<()> {
        let (iv, icv) = (<&mut [u8; IV]>::try_from(iv).ok()?, <&mut [u8; ICV]>::try_from(icv).ok()?);
        *iv = counter.to_be_bytes();
        let hash = self.hash(associated, iv, text)?.finalize();
        *icv = exclusive_or(&hash, &self.mask(iv)).into();
        Some(())
    }

    /// The comparison inside is constant-time.
    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()> {
        let (iv, icv) = (<&[u8; IV]>::try_from(iv).ok()?, <&[u8; ICV]>::try_from(icv).ok()?);
        let expected = exclusive_or(&Block::from(*icv), &self.mask(iv));
        self.hash(associated, iv, text)?.verify(&expected).ok()
    }
}

impl<B: BlockCipherEncrypt<BlockSize = U16>> Gmac<B> {
    /// Over SPI, sequence number, IV and text, then their length in bits (RFC 4543 §3.3, NIST SP 800-38D
    /// §6.4). `None` for IKE, which has no use for it.
    fn hash(&self, associated: Associated<'_>, iv: &[u8; IV], text: &[u8]) -> Option<GHash> {
        let associated = AssociatedOctets::new(associated);
        let header = match &associated {
            AssociatedOctets::Message(_) => return None,
            esp => esp.octets(),
        };
        let mut front: heapless::Vec<u8, { 2 * BLOCK }> = header.iter().chain(iv).copied().collect();
        let bits = (front.len() + text.len()) as u128 * 8;
        // The text begins in the block that header and IV leave open.
        let open = front.len().next_multiple_of(BLOCK) - front.len();
        let (joined, rest) = text.split_at_checked(open).unwrap_or((text, &[]));
        front.extend_from_slice(joined).ok()?;
        let mut hash = self.hash.clone();
        hash.update_padded(&front);
        hash.update_padded(rest);
        hash.update(&[Block::from((bits << 64).to_be_bytes())]);
        Some(hash)
    }

    /// The encrypted first counter block: salt, IV, 1 (NIST SP 800-38D §7.1).
    fn mask(&self, iv: &[u8; IV]) -> Block {
        let [a, b, c, d] = self.salt;
        let [e, f, g, h, i, j, k, l] = *iv;
        let mut mask = Block::from([a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 1]);
        self.block.encrypt_block(&mut mask);
        mask
    }
}

fn exclusive_or(one: &Block, other: &Block) -> Block {
    let mut sum = *one;
    sum.iter_mut().zip(other).for_each(|(octet, other)| *octet ^= other);
    sum
}

/// The schedule and GHASH's key wipe themselves through the `zeroize` features of their crates.
impl<B> Drop for Gmac<B> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::AeadInOut;
    use aes_gcm::aead::consts::U12;
    use aes_gcm::{AesGcm, Nonce};

    use super::*;
    use crate::sa::Spi;

    /// RFC 4543 §3.5: the tag is that of AES-GCM over no text, with header, IV and payload associated; for
    /// every length around the blocks, with both lengths of sequence numbers.
    #[test]
    fn tag_is_gcms_over_nothing() {
        let key: [u8; 36] = core::array::from_fn(|i| i as u8);
        let gmac = Gmac::<aes::Aes256Enc>::new(&key).unwrap();
        let gcm = AesGcm::<aes::Aes256Enc, U12>::new_from_slice(&key[..32]).unwrap();
        let sequence = 0x0102_0304_0506_0708_u64;
        for extended in [false, true] {
            let associated = Associated::Esp { spi: Spi::new(0x8765_4321).unwrap(), sequence, extended };
            for length in (0..70).chain([1408]) {
                let (mut text, mut iv, mut icv) = ([0x5a; 1408], [0; 8], [0; 16]);
                let text = &mut text[..length];
                gmac.seal(sequence, associated, &mut iv, text, &mut icv).unwrap();
                assert_eq!(iv, sequence.to_be_bytes());

                let mut whole: heapless::Vec<u8, 1500> = heapless::Vec::new();
                whole.extend_from_slice(&0x8765_4321_u32.to_be_bytes()).unwrap();
                whole.extend_from_slice(&iv[if extended { 0 } else { 4 }..]).unwrap();
                whole.extend_from_slice(&iv).unwrap();
                whole.extend_from_slice(text).unwrap();
                let mut nonce = [0; 12];
                nonce[..4].copy_from_slice(&key[32..]);
                nonce[4..].copy_from_slice(&iv);
                let tag = gcm.encrypt_inout_detached(&Nonce::from(nonce), &whole, (&mut [][..]).into());
                assert_eq!(icv, <[u8; 16]>::from(tag.unwrap()), "{length}");
                assert_eq!(gmac.open(associated, &iv, text, &icv), Some(()));
            }
        }
    }

    /// RFC 4543 makes it for ESP only.
    #[test]
    fn ike_messages_are_refused() {
        let gmac = Gmac::<aes::Aes128Enc>::new(&[1; 20]).unwrap();
        assert_eq!(gmac.seal(1, Associated::Message(b""), &mut [0; 8], &mut [], &mut [0; 16]), None);
        assert_eq!(gmac.open(Associated::Message(b""), &[0; 8], &mut [], &[0; 16]), None);
    }
}
