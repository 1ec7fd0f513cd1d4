//! Public keys as peers want them written.

use base64ct::{Base64, Encoding};
use ike_core::crypto::{KeyKind, PublicKey};
use ike_core::discovery::ipseckey::{Gateway, encode_key};

use super::{KeyError, dns, parse_spki};

/// How a public key is written for a peer.
#[derive(Copy, Clone, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Spelling {
    /// PEM, as strongSwan's `pubkeys =` takes it.
    Strongswan,
    /// A line of ipsec.conf of libreswan.
    Libreswan,
    /// PEM, for /etc/iked/pubkeys/fqdn/NAME of OpenIKED.
    Openiked,
    /// An IPSECKEY record; `buttons key dns` writes whole lines.
    Ipseckey,
    /// SubjectPublicKeyInfo in base64: our own `key =`.
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

/// The public key as a peer wants it, with a newline.
///
/// # Errors
/// [`KeyError::NotPublic`] for a key that is not understood, [`KeyError::NotTaken`] when that peer does not
/// understand it.
pub fn spell(spki: &[u8], spelling: Spelling) -> Result<String, KeyError> {
    let key = parse_spki(spki).ok_or(KeyError::NotPublic)?;
    Ok(match spelling {
        Spelling::Base64 => Base64::encode_string(spki) + "\n",
        Spelling::Openiked if key.kind() == KeyKind::Ed25519 => {
            return Err(KeyError::NotTaken { program: "OpenIKED", kind: "Ed25519", instead: "p256" });
        }
        Spelling::Strongswan | Spelling::Openiked => pem(spki),
        // Precedence 10, no gateway: whoever owns the name is the peer itself.
        Spelling::Ipseckey => dns::fields(10, &Gateway::None, &key) + "\n",
        Spelling::Libreswan => {
            let word = match key {
                PublicKey::Ed25519(_) => "lefteddsakey",
                PublicKey::EcdsaP256(_) | PublicKey::EcdsaP384(_) => "leftecdsakey",
                PublicKey::Rsa(_) => "leftrsasigkey",
            };
            format!("\t{word}=0s{}\n", Base64::encode_string(&encode_key(&key).1))
        }
    })
}

fn pem(spki: &[u8]) -> String {
    let base64 = Base64::encode_string(spki);
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
