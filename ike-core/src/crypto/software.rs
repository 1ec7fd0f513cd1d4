//! The backend in portable Rust, from the RustCrypto and dalek crates. [`Software`] itself holds
//! nothing; [`SoftwareExchange`] and [`SoftwareSigner`] hold secrets and wipe themselves when dropped.

use esp_engine::crypto::software::SoftwareCipher;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use rand_core::TryCryptoRng;
use sha1::Sha1;
use sha2::digest::{Key, Output};
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::{
    BadPrivateKey, BadSignature, Crypto, ExchangeError, Group, KeyExchange, Prf, PrfOutput, PrivateKey,
    PublicKey, PublicValue, RngFailure, RsaNumbers, Sha2, SharedSecret, SignatureAlgorithm,
};

mod curve;
mod emsa;
mod exchange;
mod ml_kem;
mod modp;
mod rsa;
mod signature;

pub use exchange::SoftwareExchange;
pub use ml_kem::MlKemSeed;
pub use signature::SoftwareSigner;

/// Algorithms in portable Rust.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Software;

impl Crypto for Software {
    type Cipher = SoftwareCipher;
    type KeyExchange = SoftwareExchange;
    type Signer = SoftwareSigner;

    fn prf(&self, prf: Prf, key: &[u8], data: &[&[u8]]) -> PrfOutput {
        match prf {
            Prf::HmacSha256 => <[u8; 32]>::from(hmac::<Sha256>(key, data)).into(),
            Prf::HmacSha384 => <[u8; 48]>::from(hmac::<Sha384>(key, data)).into(),
            Prf::HmacSha512 => <[u8; 64]>::from(hmac::<Sha512>(key, data)).into(),
        }
    }

    fn sha1(&self, data: &[&[u8]]) -> [u8; 20] {
        digest(Sha1::new(), data).finalize().into()
    }

    fn sha256(&self, data: &[&[u8]]) -> [u8; 32] {
        digest(Sha256::new(), data).finalize().into()
    }

    fn sha384(&self, data: &[&[u8]]) -> [u8; 48] {
        digest(Sha384::new(), data).finalize().into()
    }

    fn generate<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        rng: &mut R,
    ) -> Result<SoftwareExchange, RngFailure> {
        if let Some(parameters) = ml_kem::Parameters::of(group) {
            return MlKemSeed::generate(parameters, rng).map(SoftwareExchange::MlKem);
        }
        // Random octets are no P-256 scalar and no exponent once in 2^32; twice in a row means a broken source.
        for _ in 0..2 {
            let mut room = Zeroizing::new([0; 48]);
            let secret = room.get_mut(..exchange::secret_length(group)).unwrap_or_default();
            rng.try_fill_bytes(secret).map_err(|_| RngFailure)?;
            if let Some(exchange) = SoftwareExchange::new(group, secret) {
                return Ok(exchange);
            }
        }
        Err(RngFailure)
    }

    fn respond<R: TryCryptoRng + ?Sized>(
        &self,
        group: Group,
        peer: &[u8],
        rng: &mut R,
    ) -> Result<(PublicValue, SharedSecret), ExchangeError> {
        if let Some(parameters) = ml_kem::Parameters::of(group) {
            return parameters.encapsulate(peer, rng);
        }
        let exchange = self.generate(group, rng).map_err(|_| ExchangeError::NoRandom)?;
        let public = exchange.public();
        let secret = exchange.agree(peer).map_err(|_| ExchangeError::BadPublicValue)?;
        Ok((public, secret))
    }

    fn signer(&self, key: &PrivateKey) -> Result<SoftwareSigner, BadPrivateKey> {
        SoftwareSigner::new(key)
    }

    fn verify(
        &self,
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        signature::verify(key, algorithm, message, signature)
    }

    fn verify_rsa(
        &self,
        key: RsaNumbers<'_>,
        hash: Sha2,
        message: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        rsa::verify(key, SignatureAlgorithm::RsaPkcs1(hash), message, signature)
    }
}

/// That of which HMAC is made wipes itself: it depends on a feature of the crate.
const fn wipes_itself<T: ZeroizeOnDrop>() {}
const _: () = {
    wipes_itself::<Sha256>();
    wipes_itself::<Sha384>();
    wipes_itself::<Sha512>();
};

/// RFC 2104. The key is brought to the block's length here, because then nothing can fail.
fn hmac<D: EagerHash + Digest>(key: &[u8], data: &[&[u8]]) -> Output<Hmac<D>> {
    let mut block = Zeroizing::new(Key::<Hmac<D>>::default());
    if key.len() <= block.len() {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    } else {
        block.iter_mut().zip(D::digest(key)).for_each(|(to, from)| *to = from);
    }
    let mut mac = Hmac::<D>::new(&block);
    for piece in data {
        Mac::update(&mut mac, piece);
    }
    mac.finalize().into_bytes()
}

fn digest<D: Digest>(mut digest: D, data: &[&[u8]]) -> D {
    for piece in data {
        digest.update(piece);
    }
    digest
}

fn sha2(hash: Sha2, data: &[&[u8]]) -> heapless::Vec<u8, 64> {
    match hash {
        Sha2::Sha256 => digest(Sha256::new(), data).finalize().into_iter().collect(),
        Sha2::Sha384 => digest(Sha384::new(), data).finalize().into_iter().collect(),
        Sha2::Sha512 => digest(Sha512::new(), data).finalize().into_iter().collect(),
    }
}
