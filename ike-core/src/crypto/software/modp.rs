//! The 2048-bit MODP group (RFC 3526 §3), in constant time. p is a safe prime, so a public value
//! between the two that are refused generates a group that is large enough (RFC 6989 §2.1).

use crypto_bigint::modular::ConstMontyForm;
use crypto_bigint::{U256, U2048, const_monty_params};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::{BadPublicValue, PublicValue, SharedSecret};

const_monty_params!(
    Prime,
    U2048,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    "The prime modulus p."
);

type Element = ConstMontyForm<Prime, { U2048::LIMBS }>;

const GENERATOR: Element = Element::new(&U2048::from_u8(2));

/// Octets of an element: the modulus's, zeros in front (RFC 7296 §2.14, §3.4).
const LENGTH: usize = 256;

/// The fewest bits of an exponent that keep up with the group's strength (RFC 3526 §8).
const MIN_BITS: u32 = 225;

/// Our secret exponent.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Exponent(U256);

impl Exponent {
    /// In network order; `None` when it is too small to be a secret.
    pub(super) fn new(octets: &[u8; 32]) -> Option<Self> {
        let exponent = Self(U256::from_be_slice(octets));
        (exponent.0.bit_width() >= MIN_BITS).then_some(exponent)
    }

    pub(super) fn public(&self) -> PublicValue {
        self.raise(&GENERATOR).into_iter().collect()
    }

    pub(super) fn agree(&self, peer: &[u8]) -> Result<SharedSecret, BadPublicValue> {
        let peer = <&[u8; LENGTH]>::try_from(peer).map_err(|_| BadPublicValue)?;
        let peer = U2048::from_be_slice(peer);
        let highest = Element::ONE.neg().retrieve();
        if peer <= U2048::ONE || peer >= highest {
            return Err(BadPublicValue);
        }
        Ok(SharedSecret::new(self.raise(&Element::new(&peer))))
    }

    /// Not inlined: its table takes most of the stack that a key exchange needs.
    #[inline(never)]
    fn raise(&self, base: &Element) -> [u8; LENGTH] {
        let power = base.pow_bounded_exp(&self.0, U256::BITS).retrieve();
        power.to_be_bytes().into()
    }
}
