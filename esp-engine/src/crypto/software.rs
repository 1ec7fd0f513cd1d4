//! Ciphers in portable Rust: AES-GCM and ChaCha20-Poly1305 of RustCrypto behind [`Cipher`].
//!
//! The nonce is the salt from KEYMAT, then the eight octets of IV that travel in the packet
//! (RFC 4106 §4, RFC 7634 §2); the IV is the counter itself, so it cannot repeat. Encrypt-only key
//! schedules suffice: GCM never decrypts a block.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::{Aes128Enc, Aes256Enc};
use aes_gcm::{AesGcm, Nonce, Tag};
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Algorithm, Associated, Cipher, Forged, RawKey, UnusableKey};

const SALT: usize = 4;
const IV: usize = 8;
const ICV: usize = 16;

/// One direction of one SA under one of the three combined-mode algorithms.
pub struct SoftwareCipher {
    schedule: Schedule,
    salt: [u8; SALT],
}

enum Schedule {
    Aes128(AesGcm<Aes128Enc, U12>),
    Aes256(AesGcm<Aes256Enc, U12>),
    ChaCha20(ChaCha20Poly1305),
}

impl Cipher for SoftwareCipher {
    fn new(key: &RawKey) -> Result<Self, UnusableKey> {
        let unusable = UnusableKey(key.algorithm());
        let (key_octets, salt) = key.octets().split_last_chunk::<SALT>().ok_or(unusable)?;
        let schedule = match key.algorithm() {
            Algorithm::Aes128Gcm16 => AesGcm::new_from_slice(key_octets).map(Schedule::Aes128),
            Algorithm::Aes256Gcm16 => AesGcm::new_from_slice(key_octets).map(Schedule::Aes256),
            Algorithm::ChaCha20Poly1305 => {
                ChaCha20Poly1305::new_from_slice(key_octets).map(Schedule::ChaCha20)
            }
        };
        Ok(Self { schedule: schedule.map_err(|_| unusable)?, salt: *salt })
    }

    fn algorithm(&self) -> Algorithm {
        match self.schedule {
            Schedule::Aes128(_) => Algorithm::Aes128Gcm16,
            Schedule::Aes256(_) => Algorithm::Aes256Gcm16,
            Schedule::ChaCha20(_) => Algorithm::ChaCha20Poly1305,
        }
    }

    fn seal(&self, counter: u64, associated: Associated<'_>, iv: &mut [u8], text: &mut [u8], icv: &mut [u8]) {
        let explicit = counter.to_be_bytes();
        let tag = self.encrypt(&explicit, &AssociatedOctets::new(associated), text);
        match (<&mut [u8; IV]>::try_from(iv), <&mut [u8; ICV]>::try_from(icv), tag) {
            (Ok(iv), Ok(icv), Some(tag)) => {
                *iv = explicit;
                *icv = tag;
            }
            // Lengths that are not the algorithm's: nothing readable may remain.
            _ => text.zeroize(),
        }
    }

    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        let iv = <&[u8; IV]>::try_from(iv).map_err(|_| Forged)?;
        let tag = <&[u8; ICV]>::try_from(icv).map_err(|_| Forged)?;
        self.decrypt(iv, &AssociatedOctets::new(associated), text, &Tag::from(*tag))
    }
}

impl SoftwareCipher {
    fn encrypt(
        &self,
        iv: &[u8; IV],
        associated: &AssociatedOctets<'_>,
        text: &mut [u8],
    ) -> Option<[u8; ICV]> {
        let (nonce, associated, text) = (self.nonce(iv), associated.octets(), text.into());
        let tag = match &self.schedule {
            Schedule::Aes128(aead) => aead.encrypt_inout_detached(&nonce, associated, text),
            Schedule::Aes256(aead) => aead.encrypt_inout_detached(&nonce, associated, text),
            Schedule::ChaCha20(aead) => aead.encrypt_inout_detached(&nonce, associated, text),
        };
        tag.ok().map(Into::into)
    }

    /// The comparison inside is constant-time.
    fn decrypt(
        &self,
        iv: &[u8; IV],
        associated: &AssociatedOctets<'_>,
        text: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Forged> {
        let (nonce, associated, text) = (self.nonce(iv), associated.octets(), text.into());
        let verdict = match &self.schedule {
            Schedule::Aes128(aead) => aead.decrypt_inout_detached(&nonce, associated, text, tag),
            Schedule::Aes256(aead) => aead.decrypt_inout_detached(&nonce, associated, text, tag),
            Schedule::ChaCha20(aead) => aead.decrypt_inout_detached(&nonce, associated, text, tag),
        };
        verdict.map_err(|_| Forged)
    }

    fn nonce(&self, iv: &[u8; IV]) -> Nonce<U12> {
        let [a, b, c, d] = self.salt;
        let [e, f, g, h, i, j, k, l] = *iv;
        Nonce::from([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

/// The schedules wipe themselves through the `zeroize` features of their crates.
impl Drop for SoftwareCipher {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

impl ZeroizeOnDrop for SoftwareCipher {}

impl core::fmt::Debug for SoftwareCipher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SoftwareCipher({:?})", self.algorithm())
    }
}

/// What is authenticated, as octets: SPI and sequence number are 8 of them, or 12 with extended
/// sequence numbers (RFC 4106 §5, RFC 7634 §2.1).
enum AssociatedOctets<'a> {
    Short([u8; 8]),
    Extended([u8; 12]),
    Message(&'a [u8]),
}

impl<'a> AssociatedOctets<'a> {
    fn new(associated: Associated<'a>) -> Self {
        match associated {
            Associated::Message(octets) => Self::Message(octets),
            Associated::Esp { spi, sequence, extended } => {
                let [a, b, c, d] = spi.get().to_be_bytes();
                let [h0, h1, h2, h3, l0, l1, l2, l3] = sequence.to_be_bytes();
                if extended {
                    Self::Extended([a, b, c, d, h0, h1, h2, h3, l0, l1, l2, l3])
                } else {
                    Self::Short([a, b, c, d, l0, l1, l2, l3])
                }
            }
        }
    }

    fn octets(&self) -> &[u8] {
        match self {
            Self::Short(octets) => octets,
            Self::Extended(octets) => octets,
            Self::Message(octets) => octets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sa::Spi;

    fn cipher(algorithm: Algorithm) -> SoftwareCipher {
        let octets: [u8; 36] = core::array::from_fn(|i| i as u8);
        SoftwareCipher::new(&RawKey::new(algorithm, &octets[..algorithm.key_length()]).unwrap()).unwrap()
    }

    const ALL: [Algorithm; 3] = [Algorithm::Aes128Gcm16, Algorithm::Aes256Gcm16, Algorithm::ChaCha20Poly1305];

    /// RFC 7634 App. B: an IKE message sealed with ChaCha20-Poly1305.
    #[test]
    fn seals_the_ike_message_of_rfc_7634() {
        let mut octets = [0; 36];
        for (i, octet) in octets.iter_mut().enumerate() {
            *octet = 0x80 + i as u8;
        }
        let cipher =
            SoftwareCipher::new(&RawKey::new(Algorithm::ChaCha20Poly1305, &octets).unwrap()).unwrap();
        let header = [
            0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7,
            0x2e, 0x20, 0x25, 0x00, 0x00, 0x00, 0x00, 0x09, 0x00, 0x00, 0x00, 0x45, 0x29, 0x00, 0x00, 0x29,
        ];
        let mut text = [0, 0, 0, 0x0c, 0, 0, 0x40, 0x01, 0, 0, 0, 0x0a, 0];
        let (mut iv, mut icv) = ([0; 8], [0; 16]);
        cipher.seal(0x1011_1213_1415_1617, Associated::Message(&header), &mut iv, &mut text, &mut icv);
        assert_eq!(iv, [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
        assert_eq!(text, [0x61, 0x03, 0x94, 0x70, 0x1f, 0x8d, 0x01, 0x7f, 0x7c, 0x12, 0x92, 0x48, 0x89]);
        assert_eq!(icv, 0x6b71_bfe2_5236_efd7_cdc6_7066_9063_15b2_u128.to_be_bytes());
    }

    /// RFC 7634 App. A: an ESP packet, sealed. Its IV is none that a counter of packets yields, so only
    /// the cipher can show it.
    #[test]
    fn seals_the_esp_packet_of_rfc_7634() {
        let octets: [u8; 36] = core::array::from_fn(|i| 0x80 + i as u8);
        let cipher =
            SoftwareCipher::new(&RawKey::new(Algorithm::ChaCha20Poly1305, &octets).unwrap()).unwrap();
        let mut text = [
            0x45, 0x00, 0x00, 0x54, 0xa6, 0xf2, 0x00, 0x00, 0x40, 0x01, 0xe7, 0x78, 0xc6, 0x33, 0x64, 0x05,
            0xc0, 0x00, 0x02, 0x05, 0x08, 0x00, 0x5b, 0x7a, 0x3a, 0x08, 0x00, 0x00, 0x55, 0x3b, 0xec, 0x10,
            0x00, 0x07, 0x36, 0x27, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13,
            0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23,
            0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33,
            0x34, 0x35, 0x36, 0x37, 0x01, 0x02, 0x02, 0x04,
        ];
        let spi = Spi::new(0x0102_0304).unwrap();
        let associated = Associated::Esp { spi, sequence: 5, extended: false };
        let (mut iv, mut icv) = ([0; 8], [0; 16]);
        cipher.seal(0x1011_1213_1415_1617, associated, &mut iv, &mut text, &mut icv);
        assert_eq!(text[..8], 0x2403_9428_b97f_417e_u64.to_be_bytes());
        assert_eq!(text[80..], 0x9165_b828_29f6_41e0_u64.to_be_bytes());
        assert_eq!(icv, 0x76aa_a826_6b7f_b0f7_b11b_3699_07e1_ad43_u128.to_be_bytes());
    }

    /// RFC 4106 §5: the high half of the number is authenticated only when it is extended.
    #[test]
    fn high_half_of_sequence_counts_only_when_extended() {
        let spi = Spi::new(0x1234_5678).unwrap();
        for algorithm in ALL {
            let cipher = cipher(algorithm);
            for extended in [false, true] {
                let esp = |sequence| Associated::Esp { spi, sequence, extended };
                let (mut text, mut iv, mut icv) = (*b"plain text", [0; 8], [0; 16]);
                cipher.seal(7, esp(7), &mut iv, &mut text, &mut icv);
                let other_half = cipher.open(esp(7 | 1 << 32), &iv, &mut text.clone(), &icv);
                assert_eq!(other_half, if extended { Err(Forged) } else { Ok(()) }, "{algorithm:?}");
                assert_eq!(cipher.open(esp(7), &iv, &mut text, &icv), Ok(()));
                assert_eq!(&text, b"plain text");
            }
        }
    }

    #[test]
    fn lengths_of_another_algorithm_leave_no_plain_text() {
        for algorithm in ALL {
            let (mut text, mut iv, mut icv) = (*b"plain text", [0; 4], [0; 16]);
            cipher(algorithm).seal(1, Associated::Message(b""), &mut iv, &mut text, &mut icv);
            assert_eq!((text, icv), ([0; 10], [0; 16]));
            let opened = cipher(algorithm).open(Associated::Message(b""), &[0; 8], &mut text, &icv[..12]);
            assert_eq!(opened, Err(Forged));
        }
    }
}
