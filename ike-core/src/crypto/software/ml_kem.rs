//! ML-KEM (FIPS 203), from the verified code of libcrux. What is kept between the two messages is the seed
//! `d | z` of 64 octets, from which the key pair of up to 3,584 is computed when it is needed.

use libcrux_ml_kem::{ENCAPS_SEED_SIZE, KEY_GENERATION_SEED_SIZE, MlKemCiphertext, MlKemPublicKey};
use libcrux_ml_kem::{mlkem512, mlkem768};
use rand_core::TryCryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::crypto::{BadPublicValue, ExchangeError, Group, PublicValue, RngFailure, SharedSecret};

/// A parameter set.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Parameters {
    MlKem512,
    MlKem768,
}

/// The seed of a key pair (FIPS 203 §7.1). Wipes itself when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MlKemSeed {
    #[zeroize(skip)]
    parameters: Parameters,
    seed: [u8; KEY_GENERATION_SEED_SIZE],
}

impl Parameters {
    /// `None` for a group that is not of this kind.
    pub(super) const fn of(group: Group) -> Option<Self> {
        match group {
            Group::MlKem512 => Some(Self::MlKem512),
            Group::MlKem768 => Some(Self::MlKem768),
            _ => None,
        }
    }

    /// A ciphertext for the peer's encapsulation key, and the secret in it. The key is checked for its length
    /// and for coefficients beyond the modulus (FIPS 203 §7.2).
    pub(super) fn encapsulate<R: TryCryptoRng + ?Sized>(
        self,
        peer: &[u8],
        rng: &mut R,
    ) -> Result<(PublicValue, SharedSecret), ExchangeError> {
        let mut message = Zeroizing::new([0; ENCAPS_SEED_SIZE]);
        rng.try_fill_bytes(message.as_mut_slice()).map_err(|_| ExchangeError::NoRandom)?;
        let encapsulated = match self {
            Self::MlKem512 => {
                encapsulate(peer, *message, mlkem512::validate_public_key, mlkem512::encapsulate)
            }
            Self::MlKem768 => {
                encapsulate(peer, *message, mlkem768::validate_public_key, mlkem768::encapsulate)
            }
        };
        encapsulated.ok_or(ExchangeError::BadPublicValue)
    }
}

fn encapsulate<const KEY: usize, const CIPHERTEXT: usize>(
    peer: &[u8],
    message: [u8; ENCAPS_SEED_SIZE],
    is_valid: impl FnOnce(&MlKemPublicKey<KEY>) -> bool,
    encapsulate: impl FnOnce(
        &MlKemPublicKey<KEY>,
        [u8; ENCAPS_SEED_SIZE],
    ) -> (MlKemCiphertext<CIPHERTEXT>, [u8; ENCAPS_SEED_SIZE]),
) -> Option<(PublicValue, SharedSecret)> {
    let key = MlKemPublicKey::try_from(peer).ok().filter(is_valid)?;
    let (ciphertext, secret) = encapsulate(&key, message);
    Some((PublicValue::from_slice(ciphertext.as_ref()).ok()?, SharedSecret::new(secret)))
}

impl MlKemSeed {
    pub(super) fn generate<R: TryCryptoRng + ?Sized>(
        parameters: Parameters,
        rng: &mut R,
    ) -> Result<Self, RngFailure> {
        let mut seed = Zeroizing::new([0; KEY_GENERATION_SEED_SIZE]);
        rng.try_fill_bytes(seed.as_mut_slice()).map_err(|_| RngFailure)?;
        Ok(Self { parameters, seed: *seed })
    }

    /// With a chosen seed, for known answers; `None` for a group that is not of this kind.
    pub fn new(group: Group, seed: [u8; KEY_GENERATION_SEED_SIZE]) -> Option<Self> {
        Some(Self { parameters: Parameters::of(group)?, seed })
    }

    pub(super) const fn group(&self) -> Group {
        match self.parameters {
            Parameters::MlKem512 => Group::MlKem512,
            Parameters::MlKem768 => Group::MlKem768,
        }
    }

    pub(super) fn encapsulation_key(&self) -> PublicValue {
        let key = match self.parameters {
            Parameters::MlKem512 => PublicValue::from_slice(mlkem512::generate_key_pair(self.seed).pk()),
            Parameters::MlKem768 => PublicValue::from_slice(mlkem768::generate_key_pair(self.seed).pk()),
        };
        // There is room for the longest.
        key.unwrap_or_default()
    }

    /// The length is checked (FIPS 203 §7.3); another's ciphertext yields a secret that nobody knows.
    pub(super) fn decapsulate(&self, ciphertext: &[u8]) -> Result<SharedSecret, BadPublicValue> {
        let secret = match self.parameters {
            Parameters::MlKem512 => {
                let ciphertext = MlKemCiphertext::try_from(ciphertext).map_err(|_| BadPublicValue)?;
                mlkem512::decapsulate(mlkem512::generate_key_pair(self.seed).private_key(), &ciphertext)
            }
            Parameters::MlKem768 => {
                let ciphertext = MlKemCiphertext::try_from(ciphertext).map_err(|_| BadPublicValue)?;
                mlkem768::decapsulate(mlkem768::generate_key_pair(self.seed).private_key(), &ciphertext)
            }
        };
        Ok(SharedSecret::new(secret))
    }
}
