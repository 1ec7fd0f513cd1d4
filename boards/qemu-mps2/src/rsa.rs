//! A key of the tests, `host-tests/keys/rsa2048-a.pem`.

use ike_core::crypto::{CrtNumbers, PrivateKey, RsaPrivateKey, RsaPublicKey};

/// Modulus, then the five numbers of RFC 8017 §3.2.
const NUMBERS: &[u8; 896] = include_bytes!("rsa2048.bin");

/// The key.
pub fn key() -> PrivateKey {
    let (modulus, numbers) = NUMBERS.split_first_chunk::<256>().expect("a modulus");
    let ([prime1, prime2, exponent1, exponent2, coefficient], []) = numbers.as_chunks::<128>() else {
        panic!("not five numbers");
    };
    let public = RsaPublicKey::new(modulus, &[1, 0, 1]).expect("a good modulus");
    let crt = CrtNumbers { prime1, prime2, exponent1, exponent2, coefficient };
    PrivateKey::Rsa(RsaPrivateKey::new(public, crt).expect("a good key"))
}
