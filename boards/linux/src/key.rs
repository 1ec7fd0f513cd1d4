//! Keys in files: private keys as PKCS#8 in PEM, readable by their owner only; public keys as
//! SubjectPublicKeyInfo (RFC 7670), in every spelling that a peer may want.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
    spki::der::pem::LineEnding,
};
use firmware::config::PrivateKey;
use ike_core::crypto::PublicKey;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

pub mod dns;
mod rsa;
mod spelling;

pub use spelling::{Spelling, parse_public, spell};

/// What a key signs with.
#[derive(Copy, Clone, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Kind {
    /// Ed25519 (RFC 8420).
    Ed25519,
    /// ECDSA with NIST P-256 and SHA-256 (RFC 7427).
    P256,
    /// ECDSA with NIST P-384 and SHA-384 (RFC 7427).
    P384,
    /// RSA, 2,048 bits.
    Rsa2048,
    /// RSA, 3,072 bits.
    Rsa3072,
    /// RSA, 4,096 bits.
    Rsa4096,
}

/// Why a key cannot be had; every variant names what to do.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be read or written.
    File(io::Error),
    /// It exists and is not overwritten.
    Exists,
    /// Others may read it.
    Exposed(u32),
    /// Not a private key that is understood.
    NotPrivate,
    /// Not a public key that is understood.
    NotPublic,
    /// The peer's program does not take keys of this kind.
    NotTaken {
        /// The program.
        program: &'static str,
        /// What kind of key it is.
        kind: &'static str,
        /// A kind that it takes, as `buttons key new --kind` calls it.
        instead: &'static str,
    },
    /// The system has no random numbers to give.
    Random,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}"),
            Self::Exists => f.write_str("this file exists: a key is never overwritten, name another file"),
            Self::Exposed(mode) => {
                write!(
                    f,
                    "others than its owner may read it (mode {mode:03o}): chmod 600 it, or make a new key"
                )
            }
            Self::NotPrivate => f.write_str(
                "not an unencrypted Ed25519, P-256, P-384 or RSA (2,048 to 4,096 bits) private key in PKCS#8: \
                 make one with `buttons key new`, \
                 or convert yours with `openssl pkcs8 -topk8 -nocrypt`",
            ),
            Self::NotPublic => f.write_str(
                "not an Ed25519, P-256, P-384 or RSA (2,048 to 4,096 bits) public key: \
                 give the SubjectPublicKeyInfo in PEM or base64, \
                 as `openssl pkey -pubout` writes it",
            ),
            Self::NotTaken { program, kind, instead } => {
                write!(f, "{program} takes no {kind} keys: make one with `buttons key new --kind {instead}`")
            }
            Self::Random => f.write_str("the system gives no random numbers"),
        }
    }
}

impl std::error::Error for KeyError {}

impl From<io::Error> for KeyError {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// A new key from the system's random numbers.
///
/// # Errors
/// [`KeyError::Random`].
pub fn generate(kind: Kind) -> Result<PrivateKey, KeyError> {
    let bits = match kind {
        Kind::Rsa2048 => 2048,
        Kind::Rsa3072 => 3072,
        Kind::Rsa4096 => 4096,
        Kind::Ed25519 | Kind::P256 | Kind::P384 => return generate_on_curve(kind),
    };
    rsa::generate(bits).map(PrivateKey::Rsa).ok_or(KeyError::Random)
}

fn generate_on_curve(kind: Kind) -> Result<PrivateKey, KeyError> {
    let mut parts = Zeroizing::new([[0; 24]; 2]);
    loop {
        getrandom::fill(parts.as_flattened_mut()).map_err(|_| KeyError::Random)?;
        if kind == Kind::P384 {
            // About once in 2^190 the octets exceed the group's order.
            if p384::SecretKey::from_slice(parts.as_flattened()).is_ok() {
                return Ok(PrivateKey::P384(*parts));
            }
            continue;
        }
        let octets = Zeroizing::new(*parts.as_flattened().first_chunk::<32>().ok_or(KeyError::Random)?);
        match kind {
            Kind::Ed25519 => return Ok(PrivateKey::Ed25519(*octets)),
            // About once in 2^32 the octets exceed the group's order.
            Kind::P256 if p256::SecretKey::from_slice(octets.as_ref()).is_ok() => {
                return Ok(PrivateKey::P256(*octets));
            }
            _ => {}
        }
    }
}

/// Writes a private key to a new file with mode 0600.
///
/// # Errors
/// [`KeyError::Exists`] or [`KeyError::File`]; [`KeyError::NotPrivate`] for no key at all.
pub fn write_private(path: &Path, key: &PrivateKey) -> Result<(), KeyError> {
    let pem = private_pem(key).ok_or(KeyError::NotPrivate)?;
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists,
        _ => KeyError::File(error),
    })?;
    file.write_all(pem.as_bytes())?;
    Ok(file.sync_all()?)
}

/// The private key as PKCS#8 in PEM; `None` for no key at all.
pub fn private_pem(key: &PrivateKey) -> Option<Zeroizing<String>> {
    match key {
        PrivateKey::None => None,
        // Without the public key: OpenSSL does not read the second version of PKCS#8.
        PrivateKey::Ed25519(seed) => {
            let mut bare = KeypairBytes { secret_key: *seed, public_key: None };
            let pem = bare.to_pkcs8_pem(LineEnding::LF).ok();
            bare.secret_key.zeroize();
            pem
        }
        PrivateKey::P256(scalar) => {
            p256::SecretKey::from_slice(scalar).ok()?.to_pkcs8_pem(LineEnding::LF).ok()
        }
        PrivateKey::P384(parts) => {
            p384::SecretKey::from_slice(parts.as_flattened()).ok()?.to_pkcs8_pem(LineEnding::LF).ok()
        }
        PrivateKey::Rsa(key) => rsa::to_pem(key),
    }
}

/// Reads a private key, if nobody but its owner can.
///
/// # Errors
/// [`KeyError::Exposed`], [`KeyError::NotPrivate`] or [`KeyError::File`].
pub fn read_private(path: &Path) -> Result<PrivateKey, KeyError> {
    parse_private(&read_private_text(path)?)
}

/// Reads a secret, if nobody but its owner can.
///
/// # Errors
/// [`KeyError::Exposed`] or [`KeyError::File`].
pub fn read_private_text(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed(mode));
    }
    Ok(Zeroizing::new(fs::read_to_string(path)?))
}

/// Reads the public half of a private key, or a public key.
///
/// # Errors
/// As [`read_private`]; [`KeyError::NotPublic`] when it is neither.
pub fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    if text.contains("PRIVATE KEY") {
        return public(&read_private(path)?).ok_or(KeyError::NotPrivate);
    }
    parse_public(&text)
}

/// A private key from PKCS#8 in PEM.
///
/// # Errors
/// [`KeyError::NotPrivate`].
pub fn parse_private(pem: &str) -> Result<PrivateKey, KeyError> {
    if let Ok(key) = SigningKey::from_pkcs8_pem(pem) {
        return Ok(PrivateKey::Ed25519(key.to_bytes()));
    }
    if let Ok(key) = p256::SecretKey::from_pkcs8_pem(pem) {
        return Ok(PrivateKey::P256(key.to_bytes().into()));
    }
    if let Ok(key) = p384::SecretKey::from_pkcs8_pem(pem) {
        let mut parts = Zeroizing::new([[0; 24]; 2]);
        parts.as_flattened_mut().copy_from_slice(&key.to_bytes());
        return Ok(PrivateKey::P384(*parts));
    }
    rsa::from_pem(pem).map(PrivateKey::Rsa).ok_or(KeyError::NotPrivate)
}

/// The public key as SubjectPublicKeyInfo in DER; `None` for no key at all.
pub fn public(key: &PrivateKey) -> Option<Vec<u8>> {
    let der = match key {
        PrivateKey::None => return None,
        PrivateKey::Ed25519(seed) => SigningKey::from_bytes(seed).verifying_key().to_public_key_der(),
        PrivateKey::P256(scalar) => {
            p256::SecretKey::from_slice(scalar).ok()?.public_key().to_public_key_der()
        }
        PrivateKey::P384(parts) => {
            p384::SecretKey::from_slice(parts.as_flattened()).ok()?.public_key().to_public_key_der()
        }
        PrivateKey::Rsa(key) => {
            let key = PublicKey::Rsa(*key.key()?.public_key());
            return Some(ike_core::wire::spki::encode(&key).to_vec());
        }
    };
    der.ok().map(|document| document.into_vec())
}

/// The key in a SubjectPublicKeyInfo, if it is one that is understood and a point of its curve.
pub fn parse_spki(spki: &[u8]) -> Option<PublicKey> {
    let key = ike_core::wire::spki::parse(spki).ok()?;
    let is_good = match &key {
        PublicKey::Ed25519(octets) => ed25519_dalek::VerifyingKey::from_bytes(octets).is_ok(),
        PublicKey::EcdsaP256(_) => p256::PublicKey::from_public_key_der(spki).is_ok(),
        PublicKey::EcdsaP384(_) => p384::PublicKey::from_public_key_der(spki).is_ok(),
        PublicKey::Rsa(_) => true,
    };
    is_good.then_some(key)
}

/// SHA-256 of the SubjectPublicKeyInfo: how a key is told over the telephone.
pub fn fingerprint(spki: &[u8]) -> [u8; 32] {
    Sha256::digest(spki).into()
}

/// Lower-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_only_its_owner_reads_it() {
        let folder = std::env::temp_dir().join(format!("buttons-key-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for kind in [Kind::Ed25519, Kind::P256, Kind::P384, Kind::Rsa2048] {
            let path = folder.join(format!("{kind:?}.pem"));
            let key = generate(kind).unwrap();
            write_private(&path, &key).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(read_private(&path).unwrap(), key);
            assert!(matches!(write_private(&path, &key), Err(KeyError::Exists)));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(read_private(&path), Err(KeyError::Exposed(0o640))));
            assert!(parse_spki(&public(&key).unwrap()).is_some());
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_public_key_of_rfc_8410_has_its_spelling() {
        // RFC 8410 §10.3 (private key, first version) and §10.1 (public key).
        let key = parse_private(
            "-----BEGIN PRIVATE KEY-----\n\
             MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
             -----END PRIVATE KEY-----\n",
        )
        .unwrap();
        let spki = public(&key).unwrap();
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                   -----END PUBLIC KEY-----\n";
        assert_eq!(spell(&spki, Spelling::Strongswan).unwrap(), pem);
        assert_eq!(parse_public(pem).unwrap(), spki);
        assert_eq!(
            spell(&spki, Spelling::Ipseckey).unwrap(),
            "IN IPSECKEY 10 0 4 . Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        );
        assert_eq!(
            spell(&spki, Spelling::Libreswan).unwrap(),
            "\tlefteddsakey=0sGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        );
        assert!(matches!(spell(&spki, Spelling::Openiked), Err(KeyError::NotTaken { .. })));
    }

    #[test]
    fn libreswan_shows_the_same_line_for_the_same_key() {
        // Made by libreswan 4.10: `ipsec ecdsasigkey`, `ipsec showhostkey --pem` and `--left`.
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8RarD6qDqQs9UHlBqctj5CXbnqMk\n\
                   9ZBAR1DvlgqPJ0SKrOpQVvlbp8U2vf3mYOlIk5wF0yDhq9EOLBUa1N/3Mg==\n\
                   -----END PUBLIC KEY-----\n";
        let key = "8RarD6qDqQs9UHlBqctj5CXbnqMk9ZBAR1DvlgqPJ0SKrOpQVvlbp8U2vf3mYOlIk5wF0yDhq9EOLBUa1N/3Mg==";
        let spki = parse_public(pem).unwrap();
        assert_eq!(spell(&spki, Spelling::Libreswan).unwrap(), format!("\tleftecdsakey=0s{key}\n"));
        assert_eq!(spell(&spki, Spelling::Ipseckey).unwrap(), format!("IN IPSECKEY 10 0 3 . {key}\n"));
        assert_eq!(spell(&spki, Spelling::Openiked).unwrap(), pem);
    }

    #[test]
    fn an_rsa_key_for_libreswan_is_exponent_and_modulus() {
        let key = generate(Kind::Rsa2048).unwrap();
        let line = spell(&public(&key).unwrap(), Spelling::Libreswan).unwrap();
        // RFC 3110 §2: one octet of length, 65,537, and a modulus whose top bit is set.
        assert!(line.starts_with("\tleftrsasigkey=0sAwEAA"), "{line}");
    }

    #[test]
    fn every_spelling_of_a_public_key_that_is_read_comes_back() {
        for kind in [Kind::Ed25519, Kind::P256, Kind::P384, Kind::Rsa2048] {
            let spki = public(&generate(kind).unwrap()).unwrap();
            for spelling in [Spelling::Strongswan, Spelling::Base64] {
                assert_eq!(parse_public(&spell(&spki, spelling).unwrap()).unwrap(), spki);
            }
        }
        assert!(matches!(parse_public("bm8ga2V5"), Err(KeyError::NotPublic)));
    }
}
