//! AES-CBC, or nothing, and HMAC-SHA2-256-128 over the result (RFC 3602, RFC 2410, RFC 4868).
//!
//! The IV of CBC must be unpredictable: it is the counter, encrypted under the same key (NIST
//! SP 800-38A, appendix C). The ICV covers the packet from its first octet to the ICV, and then the high half of
//! an extended sequence number (RFC 4303 §2.2.1). It is verified before anything is decrypted.

use aes::cipher::array::Array;
use aes::cipher::array::typenum::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use cbc::{Decryptor, Encryptor};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{ICV, Transform};
use crate::crypto::Associated;

/// Octets of the integrity key (RFC 4868 §2.1.1).
const MAC_KEY: usize = 32;

type Block = Array<u8, U16>;

/// An encryption with its key schedule, and the integrity key as HMAC's two first states.
pub(super) struct EncryptThenMac<E> {
    encryption: E,
    mac: Hmac<Sha256>,
}

impl<E: Encryption> Transform for EncryptThenMac<E> {
    fn new(key: &[u8]) -> Option<Self> {
        let (encryption, mac) = key.split_last_chunk::<MAC_KEY>()?;
        Some(Self { encryption: E::new(encryption)?, mac: Hmac::new_from_slice(mac).ok()? })
    }

    fn seal(
        &self,
        counter: u64,
        associated: Associated<'_>,
        iv: &mut [u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Option<()> {
        let icv = <&mut [u8; ICV]>::try_from(icv).ok()?;
        self.encryption.encrypt(counter, iv, text)?;
        let mac: [u8; 32] = self.authenticate(associated, iv, text).finalize().into_bytes().into();
        *icv = *mac.first_chunk()?;
        Some(())
    }

    /// The comparison inside is constant-time.
    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()> {
        let icv = <&[u8; ICV]>::try_from(icv).ok()?;
        self.authenticate(associated, iv, text).verify_truncated_left(icv).ok()?;
        self.encryption.decrypt(iv, text)
    }
}

impl<E> EncryptThenMac<E> {
    fn authenticate(&self, associated: Associated<'_>, iv: &[u8], text: &[u8]) -> Hmac<Sha256> {
        let mac = self.mac.clone();
        match associated {
            Associated::Message(octets) => mac.chain_update(octets).chain_update(iv).chain_update(text),
            Associated::Esp { spi, sequence, extended } => {
                let [high @ .., l0, l1, l2, l3] = sequence.to_be_bytes();
                let mac = mac.chain_update(spi.get().to_be_bytes()).chain_update([l0, l1, l2, l3]);
                let mac = mac.chain_update(iv).chain_update(text);
                if extended { mac.chain_update(high) } else { mac }
            }
        }
    }
}

/// An encryption that does not authenticate. `None`: a length that is not its own.
pub(super) trait Encryption: Sized {
    fn new(key: &[u8]) -> Option<Self>;
    fn encrypt(&self, counter: u64, iv: &mut [u8], text: &mut [u8]) -> Option<()>;
    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()>;
}

/// AES-CBC.
pub(super) struct Cbc<B>(B);

impl<B: BlockCipherEncrypt<BlockSize = U16> + BlockCipherDecrypt + KeyInit> Encryption for Cbc<B> {
    fn new(key: &[u8]) -> Option<Self> {
        B::new_from_slice(key).ok().map(Self)
    }

    fn encrypt(&self, counter: u64, iv: &mut [u8], text: &mut [u8]) -> Option<()> {
        let iv = <&mut Block>::try_from(iv).ok()?;
        let mut nonce = [0; 16];
        *nonce.last_chunk_mut()? = counter.to_be_bytes();
        *iv = Block::from(nonce);
        self.0.encrypt_block(iv);
        self.encrypt_blocks(iv, text)
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        let iv = <&Block>::try_from(iv).ok()?;
        Decryptor::inner_iv_init(&self.0, iv).decrypt_blocks(blocks(text)?);
        Some(())
    }
}

impl<B: BlockCipherEncrypt<BlockSize = U16>> Cbc<B> {
    fn encrypt_blocks(&self, iv: &Block, text: &mut [u8]) -> Option<()> {
        Encryptor::inner_iv_init(&self.0, iv).encrypt_blocks(blocks(text)?);
        Some(())
    }
}

fn blocks(text: &mut [u8]) -> Option<&mut [Block]> {
    let (blocks, rest) = Block::slice_as_chunks_mut(text);
    rest.is_empty().then_some(blocks)
}

/// No encryption.
pub(super) struct Null;

impl Encryption for Null {
    fn new(key: &[u8]) -> Option<Self> {
        key.is_empty().then_some(Self)
    }

    fn encrypt(&self, _: u64, iv: &mut [u8], _: &mut [u8]) -> Option<()> {
        iv.is_empty().then_some(())
    }

    fn decrypt(&self, iv: &[u8], _: &mut [u8]) -> Option<()> {
        iv.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Algorithm;
    use crate::sa::Spi;
    use crate::wire::esp;

    type Octets = heapless::Vec<u8, 128>;

    fn hex(text: &str) -> Octets {
        let digits: heapless::Vec<u8, 256> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 3602 §4, cases 1 to 4: key, IV, plain text, cipher text.
    const BLOCKS: [[&str; 4]; 4] = [
        [
            "06a9214036b8a15b512e03d534120006",
            "3dafba429d9eb430b422da802c9fac41",
            "53696e676c6520626c6f636b206d7367",
            "e353779c1079aeb82708942dbe77181a",
        ],
        [
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
        ],
        [
            "6c3ea0477630ce21a2ce334aa746c2cd",
            "c782dc4c098c66cbd9cd27d825682c81",
            "5468697320697320612034382d62797465206d65737361676520286578616374 \
             6c7920332041455320626c6f636b7329",
            "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5 \
             021c19216bad525c8579695d83ba2684",
        ],
        [
            "56e47a38c5598974bc46903dba290349",
            "8ce82eefbea0da3c44699ed7db51b7d9",
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf \
             c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
            "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e \
             35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
        ],
    ];

    #[test]
    fn cbc_of_rfc_3602() {
        for [key, iv, plain, sealed] in BLOCKS {
            let cbc = Cbc::<aes::Aes128>::new(&hex(key)).unwrap();
            let (iv, plain, mut text) = (hex(iv), hex(plain), hex(plain));
            cbc.encrypt_blocks(Block::try_from(&*iv).as_ref().unwrap(), &mut text).unwrap();
            assert_eq!(text, hex(sealed));
            cbc.decrypt(&iv, &mut text).unwrap();
            assert_eq!(text, plain);
        }
    }

    /// RFC 3602 §4, cases 5 to 8, which carry no ICV: key, SPI, sequence number, IV, payload with its
    /// trailer, cipher text. SPI and number are authenticated here by a key of our own.
    const PACKETS: [(&str, u32, u64, &str, &str, &str); 4] = [
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            0x4321,
            1,
            "e96e8c08ab465763fd098d45dd3ff893",
            "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617 \
             18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637 \
             0102030405060708090a0b0c0d0e0e01",
            "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856 \
             a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a \
             a269add047ad2d5913ac19b7cfbad4a6",
        ),
        (
            "90d382b410eeba7ad938c46cec1a82bf",
            0x4321,
            8,
            "69d08df7d203329db093fc4924e5bd80",
            "0800b5e8a80a0500a69c083d0b660e0077777777777777777777777701020201",
            "f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75",
        ),
        (
            "0123456789abcdef0123456789abcdef",
            0x8765,
            2,
            "f4e765244f6407adf13dc1380f673f37",
            "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d \
             02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223 \
             2425262728292a2b2c2d2e2f30313233343536370102030405060708090a0a04",
            "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8 \
             e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5 \
             c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
        ),
        (
            "0123456789abcdef0123456789abcdef",
            0x8765,
            5,
            "85d47224b5f3dd5d2101d4ea8dffab22",
            "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083d \
             a3de0300ffffffffffffffffffffffffffffffffffffffffffffffffffffffff \
             ffffffff0102030405060708090a0a04",
            "15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb5 \
             0f980a08c9843fd3a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3 \
             d2726d9b5ef6affc6d17a0decbb13892",
        ),
    ];

    #[test]
    fn esp_packets_of_rfc_3602() {
        for ((key, spi, sequence, iv, plain, sealed), (payload, next_header)) in
            PACKETS.into_iter().zip([(64, 1), (28, 1), (84, 4), (68, 4)])
        {
            let whole: Octets = hex(key).into_iter().chain([7; MAC_KEY]).collect();
            let cipher = EncryptThenMac::<Cbc<aes::Aes128>>::new(&whole).unwrap();
            let associated = Associated::Esp { spi: Spi::new(spi).unwrap(), sequence, extended: false };
            let (iv, mut text) = (hex(iv), hex(sealed));
            let mac = cipher.authenticate(associated, &iv, &text).finalize().into_bytes();
            cipher.open(associated, &iv, &mut text, &mac[..ICV]).unwrap();
            assert_eq!(text, hex(plain));
            assert_eq!(esp::read_trailer(&text), Some((payload, next_header)));
            let layout = esp::Layout::of_payload(Algorithm::Aes128CbcHmacSha256, payload);
            assert_eq!(layout.text.len(), text.len(), "the least padding is the one printed");
        }
    }

    /// NIST SP 800-38A, appendix C: the IV tells nothing of the counter, and never repeats.
    #[test]
    fn iv_is_the_encrypted_counter() {
        let cbc = Cbc::<aes::Aes128>::new(&hex(BLOCKS[0][0])).unwrap();
        let sealed = |counter| {
            let (mut iv, mut text) = ([0; 16], [0; 32]);
            cbc.encrypt(counter, &mut iv, &mut text).unwrap();
            iv
        };
        let mut block = Block::default();
        block[15] = 5;
        cbc.0.encrypt_block(&mut block);
        assert_eq!(sealed(5), <[u8; 16]>::from(block));
        assert_ne!(sealed(5), sealed(6));
    }

    /// Nothing that is not authentic is decrypted, nor is a torn block.
    #[test]
    fn forged_text_stays_as_it_came() {
        let cipher = EncryptThenMac::<Cbc<aes::Aes256>>::new(&[3; 64]).unwrap();
        let (associated, mut iv, mut text, mut icv) =
            (Associated::Message(b"header"), [0; 16], [9; 48], [0; 16]);
        cipher.seal(1, associated, &mut iv, &mut text, &mut icv).unwrap();
        for octet in 0..ICV {
            let (mut wrong, mut came) = (icv, text);
            wrong[octet] ^= 1;
            assert_eq!(cipher.open(associated, &iv, &mut came, &wrong), None);
            assert_eq!(came, text);
        }
        assert_eq!(cipher.open(associated, &iv, &mut text[..47], &icv), None);
        assert_eq!(cipher.open(associated, &iv, &mut text, &icv), Some(()));
        assert_eq!(text, [9; 48]);
    }
}
