//! Keys and certificates, new for each run.

use buttons::key::{self, Kind, Spelling};

use crate::Fault;

/// What the device calls itself.
pub const DEVICE: &str = "a.example";
/// What strongSwan calls itself.
pub const PEER: &str = "b.example";

/// A key with its public half.
pub struct KeyPair {
    /// PKCS#8 in PEM.
    pub private_pem: String,
    /// SubjectPublicKeyInfo in PEM.
    pub public_pem: String,
}

impl KeyPair {
    /// A new one.
    pub fn new(kind: Kind) -> Result<Self, Fault> {
        let private = key::generate(kind)?;
        let private_pem = key::private_pem(&private).ok_or("no private key")?.to_string();
        let spki = key::public(&private).ok_or("no public key")?;
        let public_pem = key::spell(&spki, Spelling::Strongswan).ok_or("no public key")?;
        Ok(Self { private_pem, public_pem })
    }
}
