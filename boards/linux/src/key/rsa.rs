//! RSA keys between the forms of files and of devices. This is where a heap is at hand, so keys are made
//! here and not on devices.

use firmware::config::RsaKey;
use getrandom::SysRng;
use ike_core::crypto::{CrtNumbers, RsaPrivateKey, RsaPublicKey};
use rsa::BoxedUint;
use rsa::pkcs1::der::Decode;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, RsaPrivateKeyRef};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use zeroize::Zeroizing;

/// A new key with a modulus of this many bits.
pub(super) fn generate(bits: usize) -> Option<RsaKey> {
    from_crate(&rsa::PrivateKey::new(&mut SysRng, bits).ok()?)
}

/// From PEM: PKCS#8, or PKCS#1 as older programs write it. `None` for what is no key, or of a size or with
/// an exponent that devices do not take.
pub(super) fn from_pem(pem: &str) -> Option<RsaKey> {
    let key = rsa::PrivateKey::from_pkcs8_pem(pem).ok();
    from_crate(&key.or_else(|| rsa::PrivateKey::from_pkcs1_pem(pem).ok())?)
}

/// PKCS#8 in PEM.
pub(super) fn to_pem(key: &RsaKey) -> Option<Zeroizing<String>> {
    let key = key.key()?;
    let number = |octets: &[u8]| BoxedUint::from_be_slice(octets, 8 * octets.len() as u32).ok();
    let crt = key.crt();
    let exponent = number(&key.public_key().exponent().to_be_bytes())?;
    let whole = rsa::PrivateKey::from_p_q(number(crt.prime1)?, number(crt.prime2)?, exponent).ok()?;
    whole.to_pkcs8_pem(LineEnding::LF).ok()
}

fn from_crate(key: &rsa::PrivateKey) -> Option<RsaKey> {
    let document = key.to_pkcs1_der().ok()?;
    let parts = RsaPrivateKeyRef::from_der(document.as_bytes()).ok()?;
    let public = RsaPublicKey::new(parts.modulus.as_bytes(), parts.public_exponent.as_bytes())?;
    let crt = CrtNumbers {
        prime1: parts.prime1.as_bytes(),
        prime2: parts.prime2.as_bytes(),
        exponent1: parts.exponent1.as_bytes(),
        exponent2: parts.exponent2.as_bytes(),
        coefficient: parts.coefficient.as_bytes(),
    };
    Some(RsaKey::new(&RsaPrivateKey::new(public, crt)?))
}
