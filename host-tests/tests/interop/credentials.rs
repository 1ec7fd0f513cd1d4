//! Keys and certificates, new for each run.

use std::path::Path;
use std::process::Command;

use buttons::key::{self, Kind, Spelling};
use buttons::peer;
use firmware::config::PrivateKey;

use crate::Fault;

/// What the device calls itself.
pub const DEVICE: &str = "a.example";
/// What strongSwan calls itself.
pub const PEER: &str = "b.example";

/// A key with its public half.
pub struct KeyPair {
    /// For whoever owns it.
    pub private: PrivateKey,
    /// PKCS#8 in PEM.
    pub private_pem: String,
    /// SubjectPublicKeyInfo in PEM.
    pub public_pem: String,
}

impl KeyPair {
    /// A new one.
    pub fn new(kind: Kind) -> Result<Self, Fault> {
        Self::of(key::generate(kind)?)
    }

    /// This one.
    pub fn of(private: PrivateKey) -> Result<Self, Fault> {
        let private_pem = key::private_pem(&private).ok_or("no private key")?.to_string();
        let spki = key::public(&private).ok_or("no public key")?;
        let public_pem = key::spell(&spki, Spelling::Strongswan)?;
        Ok(Self { private, private_pem, public_pem })
    }

    /// A self-signed certificate for the peer's name and for this common name.
    pub fn certificate(&self, folder: &Path, common_name: &str) -> Result<String, Fault> {
        let key = folder.join("certified.pem");
        key::write_private(&key, &self.private)?;
        let certificate = peer::output(
            Command::new("openssl")
                .args(["req", "-x509", "-new", "-days", "2", "-subj"])
                .arg(format!("/CN={common_name}"))
                .args(["-addext", &format!("subjectAltName=DNS:{PEER},DNS:{common_name}"), "-key"])
                .arg(&key),
        )?;
        std::fs::remove_file(&key)?;
        Ok(certificate)
    }
}
