//! Ciphers in portable Rust, of RustCrypto, behind [`Cipher`]: combined modes, encryption with a MAC
//! behind it, and authenticity alone.

use aes::{Aes128, Aes128Enc, Aes256, Aes256Enc};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use chacha20poly1305::ChaCha20Poly1305;
use zeroize::{Zeroize, ZeroizeOnDrop};

use self::combined::Combined;
use self::encrypt_then_mac::{Cbc, EncryptThenMac, Null};
use self::gmac::Gmac;
use super::{Algorithm, Associated, Cipher, Forged, RawKey, UnusableKey};

mod combined;
mod encrypt_then_mac;
mod gmac;

/// Octets of a combined mode's salt and IV.
const SALT: usize = 4;
const IV: usize = 8;
/// Octets of every ICV.
const ICV: usize = 16;

/// One direction of one SA.
pub struct SoftwareCipher(Schedule);

enum Schedule {
    Aes128Gcm(Combined<AesGcm<Aes128Enc, U12>>),
    Aes256Gcm(Combined<AesGcm<Aes256Enc, U12>>),
    ChaCha20(Combined<ChaCha20Poly1305>),
    Aes128Cbc(EncryptThenMac<Cbc<Aes128>>),
    Aes256Cbc(EncryptThenMac<Cbc<Aes256>>),
    Null(EncryptThenMac<Null>),
    Aes128Gmac(Gmac<Aes128Enc>),
    Aes256Gmac(Gmac<Aes256Enc>),
}

/// One kind of transform with its key. `None` for a key, IV, text or ICV of another length than its own,
/// and for an ICV that does not match.
trait Transform: Sized {
    fn new(key: &[u8]) -> Option<Self>;

    fn seal(
        &self,
        counter: u64,
        associated: Associated<'_>,
        iv: &mut [u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Option<()>;

    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()>;
}

/// Says the same to whichever transform it is.
macro_rules! each {
    ($schedule:expr, $transform:ident => $said:expr) => {
        match $schedule {
            Schedule::Aes128Gcm($transform) => $said,
            Schedule::Aes256Gcm($transform) => $said,
            Schedule::ChaCha20($transform) => $said,
            Schedule::Aes128Cbc($transform) => $said,
            Schedule::Aes256Cbc($transform) => $said,
            Schedule::Null($transform) => $said,
            Schedule::Aes128Gmac($transform) => $said,
            Schedule::Aes256Gmac($transform) => $said,
        }
    };
}

impl Cipher for SoftwareCipher {
    fn new(key: &RawKey) -> Result<Self, UnusableKey> {
        let octets = key.octets();
        let schedule = match key.algorithm() {
            Algorithm::Aes128Gcm16 => Transform::new(octets).map(Schedule::Aes128Gcm),
            Algorithm::Aes256Gcm16 => Transform::new(octets).map(Schedule::Aes256Gcm),
            Algorithm::ChaCha20Poly1305 => Transform::new(octets).map(Schedule::ChaCha20),
            Algorithm::Aes128CbcHmacSha256 => Transform::new(octets).map(Schedule::Aes128Cbc),
            Algorithm::Aes256CbcHmacSha256 => Transform::new(octets).map(Schedule::Aes256Cbc),
            Algorithm::NullHmacSha256 => Transform::new(octets).map(Schedule::Null),
            Algorithm::Aes128Gmac => Transform::new(octets).map(Schedule::Aes128Gmac),
            Algorithm::Aes256Gmac => Transform::new(octets).map(Schedule::Aes256Gmac),
        };
        schedule.map(Self).ok_or(UnusableKey(key.algorithm()))
    }

    fn algorithm(&self) -> Algorithm {
        match self.0 {
            Schedule::Aes128Gcm(_) => Algorithm::Aes128Gcm16,
            Schedule::Aes256Gcm(_) => Algorithm::Aes256Gcm16,
            Schedule::ChaCha20(_) => Algorithm::ChaCha20Poly1305,
            Schedule::Aes128Cbc(_) => Algorithm::Aes128CbcHmacSha256,
            Schedule::Aes256Cbc(_) => Algorithm::Aes256CbcHmacSha256,
            Schedule::Null(_) => Algorithm::NullHmacSha256,
            Schedule::Aes128Gmac(_) => Algorithm::Aes128Gmac,
            Schedule::Aes256Gmac(_) => Algorithm::Aes256Gmac,
        }
    }

    fn seal(&self, counter: u64, associated: Associated<'_>, iv: &mut [u8], text: &mut [u8], icv: &mut [u8]) {
        if each!(&self.0, transform => transform.seal(counter, associated, iv, text, icv)).is_none() {
            // Lengths that are not the algorithm's: nothing readable may remain.
            text.zeroize();
        }
    }

    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        each!(&self.0, transform => transform.open(associated, iv, text, icv)).ok_or(Forged)
    }
}

/// Every part wipes itself, the salts here and the schedules through the `zeroize` features of their crates.
impl ZeroizeOnDrop for SoftwareCipher {}

const fn wipes_itself<T: ZeroizeOnDrop>() {}
const _: () = {
    wipes_itself::<Aes128>();
    wipes_itself::<Aes256>();
    wipes_itself::<Aes128Enc>();
    wipes_itself::<Aes256Enc>();
    // Of which HMAC is made.
    wipes_itself::<sha2::Sha256>();
};

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
    use crate::crypto::MAX_KEY;
    use crate::sa::Spi;

    fn cipher(algorithm: Algorithm) -> SoftwareCipher {
        let octets: [u8; MAX_KEY] = core::array::from_fn(|i| i as u8);
        SoftwareCipher::new(&RawKey::new(algorithm, &octets[..algorithm.key_length()]).unwrap()).unwrap()
    }

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

    /// RFC 4303 §2.2.1: the high half of the number is authenticated only when it is extended.
    #[test]
    fn high_half_of_sequence_counts_only_when_extended() {
        let spi = Spi::new(0x1234_5678).unwrap();
        for algorithm in Algorithm::ALL {
            let cipher = cipher(algorithm);
            for extended in [false, true] {
                let esp = |sequence| Associated::Esp { spi, sequence, extended };
                let (mut text, mut iv, mut icv) = (*b"sixteen, twice: plain text there", [0; 16], [0; 16]);
                let iv = &mut iv[..algorithm.iv_length()];
                cipher.seal(7, esp(7), iv, &mut text, &mut icv);
                let other_half = cipher.open(esp(7 | 1 << 32), iv, &mut text.clone(), &icv);
                assert_eq!(other_half, if extended { Err(Forged) } else { Ok(()) }, "{algorithm:?}");
                assert_eq!(cipher.open(esp(7), iv, &mut text, &icv), Ok(()));
                assert_eq!(&text, b"sixteen, twice: plain text there");
            }
        }
    }

    #[test]
    fn lengths_of_another_algorithm_leave_no_plain_text() {
        for algorithm in Algorithm::ALL {
            let esp = Associated::Esp { spi: Spi::new(4096).unwrap(), sequence: 1, extended: false };
            let (mut text, mut iv, mut icv) = ([0x5a; 16], [0; 4], [0; 16]);
            cipher(algorithm).seal(1, esp, &mut iv, &mut text, &mut icv);
            assert_eq!((text, icv), ([0; 16], [0; 16]), "{algorithm:?}");
            let iv = &[0; 16][..algorithm.iv_length()];
            for icv in [&[0; 12][..], &[0; 32], &[]] {
                assert_eq!(cipher(algorithm).open(esp, iv, &mut text, icv), Err(Forged), "{algorithm:?}");
            }
        }
    }
}
