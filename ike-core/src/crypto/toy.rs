//! A backend without any security, for exploring states, fuzzing and simulating masses of peers: secrets
//! are counters, every function is the same checksum, and text stays readable. What holds between the
//! functions of a real backend holds here (both ends agree, another key does not verify), so the protocol
//! runs as usual, only thousands of times faster. `Toy<true>` also takes every ICV and every RSA signature of
//! a zone for right, so that whatever a fuzzer writes into an SK payload or a zone is looked at.

use esp_engine::crypto::{Algorithm, Associated, Cipher, Forged, RawKey, UnusableKey};
use rand_core::TryCryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    BadPrivateKey, BadPublicValue, BadSignature, Crypto, ExchangeError, Group, KeyExchange, Prf, PrfOutput,
    PrivateKey, PublicKey, PublicValue, RngFailure, RsaNumbers, Sha2, SharedSecret, Signature,
    SignatureAlgorithm, Signer, SigningFailed,
};

/// Checksums in place of cryptography; with `LENIENT` every ICV matches.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Toy<const LENIENT: bool>;

impl<const LENIENT: bool> Crypto for Toy<LENIENT> {
    type Cipher = ToyCipher<LENIENT>;
    type KeyExchange = ToyExchange;
    type Signer = ToySigner;

    fn prf(&self, prf: Prf, key: &[u8], data: &[&[u8]]) -> PrfOutput {
        let sum = Checksum::of(b"prf").update(&prf.id().to_be_bytes()).length(key.len()).update(key);
        PrfOutput::derive(prf, |octets| sum.pieces(data).fill(octets))
    }

    fn sha1(&self, data: &[&[u8]]) -> [u8; 20] {
        Checksum::of(b"sha1").pieces(data).octets()
    }

    fn sha256(&self, data: &[&[u8]]) -> [u8; 32] {
        Checksum::of(b"sha256").pieces(data).octets()
    }

    fn sha384(&self, data: &[&[u8]]) -> [u8; 48] {
        Checksum::of(b"sha384").pieces(data).octets()
    }

    fn generate<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        rng: &mut R,
    ) -> Result<ToyExchange, RngFailure> {
        // Zero is no secret, so that there are public values to be refused.
        let secret = rng.try_next_u64().map_err(|_| RngFailure)?.max(1);
        Ok(ToyExchange { group, secret })
    }

    fn respond<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        peer: &[u8],
        rng: &mut R,
    ) -> Result<(PublicValue, SharedSecret), ExchangeError> {
        let exchange = self.generate(group, rng).map_err(|_| ExchangeError::NoRandom)?;
        let public = exchange.value(group.answer_length());
        let secret = exchange.sum(peer, group.public_length()).map_err(|_| ExchangeError::BadPublicValue)?;
        Ok((public, secret))
    }

    fn signer(&self, key: &PrivateKey) -> Result<ToySigner, BadPrivateKey> {
        let public = match key {
            PrivateKey::Ed25519(octets) => PublicKey::Ed25519(*octets),
            PrivateKey::EcdsaP256([0, ..]) => return Err(BadPrivateKey),
            PrivateKey::EcdsaP256(octets) => {
                PublicKey::EcdsaP256(Checksum::of(b"public").update(octets).octets())
            }
            PrivateKey::EcdsaP384(octets) => {
                PublicKey::EcdsaP384(Checksum::of(b"public").update(octets).octets())
            }
            PrivateKey::Rsa(key) => PublicKey::Rsa(*key.public_key()),
        };
        Ok(ToySigner { public })
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match sign(key, algorithm, message) {
            Ok(right) if right == signature => Ok(()),
            _ => Err(BadSignature),
        }
    }

    fn verify_rsa(
        &self,
        key: RsaNumbers<'_>,
        _: Sha2,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let right = Checksum::of(b"rsa").update(key.modulus()).pieces(message).octets::<64>();
        let is_right = right.iter().cycle().take(key.modulus().len()).eq(signature);
        if LENIENT || is_right { Ok(()) } else { Err(BadSignature) }
    }
}

/// A secret that is a counter.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Zeroize, ZeroizeOnDrop)]
pub struct ToyExchange {
    #[zeroize(skip)]
    group: Group,
    secret: u64,
}

impl KeyExchange for ToyExchange {
    fn group(&self) -> Group {
        self.group
    }

    fn public(&self) -> PublicValue {
        self.value(self.group.public_length())
    }

    fn agree(self, peer: &[u8]) -> Result<SharedSecret, BadPublicValue> {
        self.sum(peer, self.group.answer_length())
    }
}

impl ToyExchange {
    /// The counter itself, then zeros.
    fn value(&self, length: usize) -> PublicValue {
        self.secret.to_be_bytes().into_iter().chain(core::iter::repeat(0)).take(length).collect()
    }

    /// The sum of both counters.
    fn sum(&self, peer: &[u8], length: usize) -> Result<SharedSecret, BadPublicValue> {
        let (counter, rest) = peer.split_first_chunk().ok_or(BadPublicValue)?;
        let counter = u64::from_be_bytes(*counter);
        if counter == 0 || peer.len() != length || rest.iter().any(|octet| *octet != 0) {
            return Err(BadPublicValue);
        }
        let sum = self.secret.wrapping_add(counter);
        Ok(SharedSecret::new(Checksum::of(b"shared").update(&sum.to_be_bytes()).octets::<32>()))
    }
}

/// A key that signs by checksum: whoever knows the public key can sign.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ToySigner {
    public: PublicKey,
}

impl Signer for ToySigner {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[&[u8]]) -> Result<Signature, SigningFailed> {
        sign(&self.public, algorithm, message)
    }
}

// It holds no secret.
impl ZeroizeOnDrop for ToySigner {}

/// As long as a real one would be.
fn sign(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    message: &[&[u8]],
) -> Result<Signature, SigningFailed> {
    let (kind, octets, length): (&[u8], &[u8], usize) = match key {
        PublicKey::Ed25519(octets) => (b"ed25519", octets, 64),
        PublicKey::EcdsaP256(octets) => (b"ecdsa", octets, 64),
        PublicKey::EcdsaP384(octets) => (b"ecdsa", octets, 96),
        PublicKey::Rsa(key) => (b"rsa", key.modulus(), key.modulus().len()),
    };
    if !algorithm.is_for(key.kind()) {
        return Err(SigningFailed);
    }
    let checksum = Checksum::of(kind).update(octets).pieces(message).octets::<64>();
    Ok(checksum.into_iter().cycle().take(length).collect())
}

/// Leaves the text as it is; the ICV is a checksum over key, associated data, IV and text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ToyCipher<const LENIENT: bool> {
    algorithm: Algorithm,
    key: u64,
}

impl<const LENIENT: bool> ToyCipher<LENIENT> {
    fn icv(&self, associated: Associated<'_>, iv: &[u8], text: &[u8]) -> [u8; 16] {
        let checksum = Checksum::of(b"icv").update(&self.key.to_be_bytes());
        match associated {
            Associated::Esp { spi, sequence, extended } => checksum
                .update(&spi.get().to_be_bytes())
                .update(&sequence.to_be_bytes())
                .update(&[u8::from(extended)]),
            Associated::Message(octets) => checksum.length(octets.len()).update(octets),
        }
        .update(iv)
        .update(text)
        .octets()
    }
}

impl<const LENIENT: bool> Cipher for ToyCipher<LENIENT> {
    fn new(key: &RawKey) -> Result<Self, UnusableKey> {
        Ok(Self { algorithm: key.algorithm(), key: Checksum::of(b"key").update(key.octets()).0 })
    }

    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn seal(&self, counter: u64, associated: Associated<'_>, iv: &mut [u8], text: &mut [u8], icv: &mut [u8]) {
        iv.iter_mut().zip(counter.to_be_bytes()).for_each(|(to, from)| *to = from);
        let sum = self.icv(associated, iv, text);
        icv.iter_mut().zip(sum).for_each(|(to, from)| *to = from);
    }

    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Result<(), Forged> {
        if LENIENT || icv == self.icv(associated, iv, text) { Ok(()) } else { Err(Forged) }
    }
}

/// FNV-1a with 64 bits, drawn out to any length.
#[derive(Copy, Clone)]
struct Checksum(u64);

impl Checksum {
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    fn of(purpose: &[u8]) -> Self {
        Self(0xcbf2_9ce4_8422_2325).update(purpose)
    }

    fn update(self, octets: &[u8]) -> Self {
        Self(octets.iter().fold(self.0, |sum, octet| (sum ^ u64::from(*octet)).wrapping_mul(Self::PRIME)))
    }

    fn length(self, length: usize) -> Self {
        self.update(&(length as u64).to_be_bytes())
    }

    fn pieces(self, pieces: &[&[u8]]) -> Self {
        pieces.iter().fold(self, |sum, piece| sum.update(piece))
    }

    fn octets<const N: usize>(self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill(&mut octets);
        octets
    }

    fn fill(self, octets: &mut [u8]) {
        let mut sum = self;
        for octet in octets {
            sum = sum.update(&[0x5c]);
            *octet = (sum.0 >> 32) as u8;
        }
    }
}
