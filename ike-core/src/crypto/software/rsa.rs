//! RSA without a heap (RFC 8017 §5.2, §8): numbers of three fixed widths in Montgomery form; a modulus
//! between two widths takes the larger. What is secret is raised in constant time by the Chinese remainder
//! theorem, and the result is checked against the public key before anybody sees it: one wrong signature
//! gives the primes away.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U1024, U1536, U2048, U3072, U4096, Uint};

use super::{emsa, sha2};
use crate::crypto::{
    BadSignature, MAX_MODULUS, RsaNumbers, RsaPrivateKey, Sha2, Signature, SignatureAlgorithm,
};

/// Octets of the longest modulus that signatures are verified with; zones of the DNS have any.
const LONGEST: usize = if cfg!(feature = "discovery") { 512 } else { MAX_MODULUS };

/// A number as long as its modulus, in network order.
pub(super) type Block = heapless::Vec<u8, LONGEST>;

/// Judges a signature of the concatenated `message` (RFC 8017 §8.1.2, §8.2.2).
pub(super) fn verify(
    key: RsaNumbers<'_>,
    algorithm: SignatureAlgorithm,
    message: &[&[u8]],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let block = &mut public(key, signature);
    let is_good = block.as_mut().is_some_and(|block| is_made_of(block, algorithm, message));
    if is_good { Ok(()) } else { Err(BadSignature) }
}

/// Whether the number that was signed is that of the message. Not inlined, so that the stack is free of it before.
#[inline(never)]
fn is_made_of(block: &mut Block, algorithm: SignatureAlgorithm, message: &[&[u8]]) -> bool {
    match algorithm {
        SignatureAlgorithm::RsaPss(hash) => emsa::pss_salt(hash, &sha2(hash, message), block).is_some(),
        SignatureAlgorithm::RsaPkcs1(hash) => {
            emsa::pkcs1(hash, &sha2(hash, message), block.len()).is_some_and(|right| right == *block)
        }
        _ => false,
    }
}

/// Signs the concatenated `message`; `None` for another algorithm and when a fault spoiled the signature.
pub(super) fn sign(
    key: &RsaPrivateKey,
    algorithm: SignatureAlgorithm,
    message: &[&[u8]],
) -> Option<Signature> {
    let length = key.public_key().modulus().len();
    let block = match algorithm {
        SignatureAlgorithm::RsaPss(hash) => {
            let digest = sha2(hash, message);
            emsa::pss(hash, &digest, &salt(key, hash, &digest), length)
        }
        SignatureAlgorithm::RsaPkcs1(hash) => emsa::pkcs1(hash, &sha2(hash, message), length),
        _ => None,
    }?;
    Signature::from_slice(&private(key, &block)?).ok()
}

/// A salt that nobody can tell from a random one, so that signing needs no randomness, as with the other
/// kinds of keys. All that is hashed has a fixed length.
fn salt(key: &RsaPrivateKey, hash: Sha2, digest: &[u8]) -> heapless::Vec<u8, 64> {
    let secret = key.crt();
    sha2(hash, &[secret.exponent1, secret.exponent2, digest])
}

/// Whether the numbers of a private key belong together: it inverts what its public key does.
pub(super) fn is_whole(key: &RsaPrivateKey) -> bool {
    let mut block = Block::new();
    block.resize(key.public_key().modulus().len(), 0x55).is_ok() && private(key, &block).is_some()
}

/// RSAVP1: the number that a signature was made of, if it is one (RFC 8017 §5.2.2).
fn public(key: RsaNumbers<'_>, signature: &[u8]) -> Option<Block> {
    match key.modulus().len() {
        0..=256 if LONGEST >= 256 => public_in::<{ U2048::LIMBS }>(key, signature),
        257..=384 if LONGEST > 256 => public_in::<{ U3072::LIMBS }>(key, signature),
        _ if LONGEST > 256 => public_in::<{ U4096::LIMBS }>(key, signature),
        _ => None,
    }
}

/// RSASP1: the signature that a number becomes (RFC 8017 §5.2.1).
fn private(key: &RsaPrivateKey, block: &Block) -> Option<Block> {
    let signature = match block.len() {
        0..=256 if cfg!(feature = "rsa") => private_in::<{ U2048::LIMBS }, { U1024::LIMBS }>(key, block),
        257..=384 if cfg!(feature = "rsa-4096") => {
            private_in::<{ U3072::LIMBS }, { U1536::LIMBS }>(key, block)
        }
        _ if cfg!(feature = "rsa-4096") => private_in::<{ U4096::LIMBS }, { U2048::LIMBS }>(key, block),
        _ => None,
    }?;
    (public(key.public_key().numbers(), &signature)? == *block).then_some(signature)
}

/// Not inlined, so that the stack never holds the numbers of two widths.
#[inline(never)]
fn public_in<const WIDE: usize>(key: RsaNumbers<'_>, signature: &[u8]) -> Option<Block> {
    let length = key.modulus().len();
    let (modulus, number) = (read::<WIDE>(key.modulus())?, read::<WIDE>(signature)?);
    if signature.len() != length || number <= Uint::ONE || number >= modulus {
        return None;
    }
    let params = parameters(Odd::new(modulus).into_option()?);
    write(&power(&number, key.exponent(), &params), length)
}

/// Not inlined, so that what this needs is off the stack before the number is raised.
#[inline(never)]
fn parameters<const WIDE: usize>(modulus: Odd<Uint<WIDE>>) -> FixedMontyParams<WIDE> {
    FixedMontyParams::new_vartime(modulus)
}

/// Nor this, so that it comes after that.
#[inline(never)]
fn power<const WIDE: usize>(
    number: &Uint<WIDE>,
    exponent: u32,
    params: &FixedMontyParams<WIDE>,
) -> Uint<WIDE> {
    let base = FixedMontyForm::new(number, params);
    let mut power = base;
    for bit in (0..exponent.ilog2()).rev() {
        power = power.square();
        if (exponent >> bit) & 1 == 1 {
            power = power.mul(&base);
        }
    }
    power.retrieve()
}

/// Not inlined either.
#[inline(never)]
fn private_in<const WIDE: usize, const HALF: usize>(key: &RsaPrivateKey, block: &Block) -> Option<Block> {
    let crt = key.crt();
    let number = read::<WIDE>(block)?;
    let (p, q) = (read::<HALF>(crt.prime1)?, read::<HALF>(crt.prime2)?);
    let (p, q) = (Odd::new(p).into_option()?, Odd::new(q).into_option()?);
    let modulo_q = raise(&number, q, &read(crt.exponent2)?).retrieve();
    let modulo_p = raise(&number, p, &read(crt.exponent1)?);
    let params = modulo_p.params();
    let coefficient = FixedMontyForm::new(&read::<HALF>(crt.coefficient)?.rem(p.as_nz_ref()), params);
    let difference = modulo_p.sub(&FixedMontyForm::new(&modulo_q.rem(p.as_nz_ref()), params));
    let quotient = difference.mul(&coefficient).retrieve();
    let product = quotient.resize::<WIDE>().wrapping_mul(&q.get().resize::<WIDE>());
    write(&product.wrapping_add(&modulo_q.resize()), block.len())
}

/// In constant time.
fn raise<const WIDE: usize, const HALF: usize>(
    number: &Uint<WIDE>,
    prime: Odd<Uint<HALF>>,
    exponent: &Uint<HALF>,
) -> FixedMontyForm<HALF> {
    let params = FixedMontyParams::new(prime);
    FixedMontyForm::new(&number.rem(prime.as_nz_ref()), &params).pow(exponent)
}

/// `None` when the number is longer than its width.
fn read<const LIMBS: usize>(octets: &[u8]) -> Option<Uint<LIMBS>> {
    let bits = Uint::<LIMBS>::BITS;
    (octets.len() <= bits as usize / 8).then(|| Uint::from_be_slice_truncated(octets, bits))
}

/// The last `length` octets of a number.
fn write<const LIMBS: usize>(number: &Uint<LIMBS>, length: usize) -> Option<Block> {
    let octets = number.to_be_bytes();
    let octets: &[u8] = octets.as_ref();
    Block::from_slice(octets.get(octets.len().checked_sub(length)?..)?).ok()
}
