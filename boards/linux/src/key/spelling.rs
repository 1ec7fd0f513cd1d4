//! Public keys as peers want them written.

use base64ct::{Base64, Encoding};
use ike_core::crypto::PublicKey;

use super::{KeyError, parse_spki};

/// How a public key is written for a peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Spelling {
    /// PEM, as strongSwan's `pubkeys =` takes it.
    Strongswan,
    /// An IPSECKEY record (RFC 4025, RFC 9373).
    Ipseckey,
    /// SubjectPublicKeyInfo in base64 on one line, as Buttons' own `key =` takes it.
    Base64,
}

/// A public key from PEM, or from base64 of its SubjectPublicKeyInfo.
///
/// # Errors
/// [`KeyError::NotPublic`].
pub fn parse_public(text: &str) -> Result<Vec<u8>, KeyError> {
    let base64: String =
        text.lines().map(str::trim).filter(|l| !l.starts_with("-----") && !l.starts_with('#')).collect();
    let spki = Base64::decode_vec(&base64).map_err(|_| KeyError::NotPublic)?;
    parse_spki(&spki).ok_or(KeyError::NotPublic)?;
    Ok(spki)
}

/// The public key as a peer wants it, with a newline; `None` for a key that is not understood.
pub fn spell(spki: &[u8], spelling: Spelling) -> Option<String> {
    let base64 = Base64::encode_string(spki);
    Some(match spelling {
        Spelling::Base64 => base64 + "\n",
        Spelling::Strongswan => {
            let mut lines = base64.as_str();
            let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
            while !lines.is_empty() {
                let (line, rest) = lines.split_at(lines.len().min(64));
                pem += line;
                pem.push('\n');
                lines = rest;
            }
            pem + "-----END PUBLIC KEY-----\n"
        }
        // Precedence 10, no gateway: whoever owns the name is the peer itself.
        Spelling::Ipseckey => {
            let (algorithm, key) = match parse_spki(spki)? {
                PublicKey::Ed25519(key) => (4, key.to_vec()),
                PublicKey::EcdsaP256(key) => (3, key.to_vec()),
                // No number of IPSECKEY means P-384.
                PublicKey::EcdsaP384(_) => return None,
                PublicKey::Rsa(key) => (2, rsa_of_dns(key.exponent(), key.modulus())),
            };
            format!("IN IPSECKEY 10 0 {algorithm} . {}\n", Base64::encode_string(&key))
        }
    })
}

/// Length of the exponent, exponent, modulus (RFC 3110 §2).
fn rsa_of_dns(exponent: u32, modulus: &[u8]) -> Vec<u8> {
    let exponent = exponent.to_be_bytes();
    let zeros = exponent.iter().take_while(|octet| **octet == 0).count();
    let exponent = &exponent[zeros..];
    [&[exponent.len() as u8], exponent, modulus].concat()
}
