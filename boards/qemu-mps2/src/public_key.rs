//! What the public-key algorithms cost that the two pairs of `main` do not use, each with the stack that
//! it takes: RSA with 2,048 bits, MODP-2048, P-384.

use cortex_m_semihosting::hprintln;
use ike_core::crypto::{
    CrtNumbers, Group, PrivateKey, RsaPrivateKey, RsaPublicKey, Sha2, SignatureAlgorithm,
};

use crate::measure::Paint;
use crate::primitives;

/// A key of the tests, `host-tests/keys/rsa2048-a.pem`: modulus, then the five numbers of RFC 8017 §3.2.
const RSA: &[u8; 896] = include_bytes!("rsa2048.bin");

/// Prints all of it.
pub fn measure() {
    let rsa = PrivateKey::Rsa(rsa_key().expect("a good key"));
    let p384 = PrivateKey::EcdsaP384([0x11; 48]);
    one("MODP-2048, RSA-2048 by PSS", Group::Modp2048, &rsa, SignatureAlgorithm::RsaPss(Sha2::Sha256));
    one("P-384", Group::P384, &p384, SignatureAlgorithm::Ecdsa(Sha2::Sha384));
}

fn one(name: &str, group: Group, key: &PrivateKey, algorithm: SignatureAlgorithm) {
    hprintln!("{}", name);
    let paint = Paint::new();
    primitives::measure(group, key, algorithm);
    hprintln!("  deepest stack, octets: {}", paint.deepest());
}

fn rsa_key() -> Option<RsaPrivateKey> {
    let (modulus, numbers) = RSA.split_first_chunk::<256>()?;
    let ([prime1, prime2, exponent1, exponent2, coefficient], []) = numbers.as_chunks::<128>() else {
        return None;
    };
    let crt = CrtNumbers { prime1, prime2, exponent1, exponent2, coefficient };
    RsaPrivateKey::new(RsaPublicKey::new(modulus, &[1, 0, 1])?, crt)
}
