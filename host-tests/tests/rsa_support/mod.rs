//! RSA keys for tests, and the `rsa` crate as the second opinion.
#![allow(dead_code, reason = "each test program uses its part")]

use ike_core::crypto::{CrtNumbers, PrivateKey, RsaPrivateKey, RsaPublicKey};
use rsa::pkcs1::der::Decode;
use rsa::pkcs1::{EncodeRsaPrivateKey, RsaPrivateKeyRef};
use rsa::pkcs8::DecodePrivateKey;

/// Keys that nobody uses but these tests, made by `openssl genpkey -algorithm RSA`.
pub const RSA_2048_A: &str = include_str!("../../keys/rsa2048-a.pem");
/// Another one.
pub const RSA_2048_B: &str = include_str!("../../keys/rsa2048-b.pem");
/// Of a size between those that have their own width.
pub const RSA_2064: &str = include_str!("../../keys/rsa2064.pem");
/// 3,072 bits.
pub const RSA_3072: &str = include_str!("../../keys/rsa3072.pem");
/// 4,096 bits.
pub const RSA_4096: &str = include_str!("../../keys/rsa4096.pem");

/// As the other implementation has it.
pub fn oracle(pem: &str) -> rsa::PrivateKey {
    rsa::PrivateKey::from_pkcs8_pem(pem).expect("a key")
}

/// As ours has it.
pub fn private(pem: &str) -> RsaPrivateKey {
    with_numbers(pem, |_| {})
}

/// With one of the numbers of the private key changed.
pub fn with_numbers(pem: &str, change: impl FnOnce(&mut [Vec<u8>; 5])) -> RsaPrivateKey {
    let document = oracle(pem).to_pkcs1_der().expect("two primes");
    let parts = RsaPrivateKeyRef::from_der(document.as_bytes()).expect("just written");
    let public = RsaPublicKey::new(parts.modulus.as_bytes(), parts.public_exponent.as_bytes());
    let mut numbers = [parts.prime1, parts.prime2, parts.exponent1, parts.exponent2, parts.coefficient]
        .map(|number| number.as_bytes().to_vec());
    change(&mut numbers);
    let [prime1, prime2, exponent1, exponent2, coefficient] = &numbers;
    let crt = CrtNumbers { prime1, prime2, exponent1, exponent2, coefficient };
    RsaPrivateKey::new(public.expect("a good modulus"), crt).expect("short enough")
}

/// Ready for a configuration.
pub fn key(pem: &str) -> PrivateKey {
    PrivateKey::Rsa(private(pem))
}
