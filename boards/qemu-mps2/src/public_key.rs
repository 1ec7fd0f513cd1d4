//! What the public-key algorithms cost that the two pairs of `main` do not use, each with the stack that
//! it takes: RSA with 2,048 bits, MODP-2048, P-384.

use cortex_m_semihosting::hprintln;
use ike_core::crypto::{Group, PrivateKey, Sha2, SignatureAlgorithm};

use crate::measure::Paint;
use crate::{primitives, rsa};

/// Prints all of it.
pub fn measure() {
    let rsa = rsa::key();
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
