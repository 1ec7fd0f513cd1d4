//! Algorithms of zone keys (RFC 8624 §3.1). What is not here makes a zone insecure, not bogus
//! (RFC 4035 §5.2).

/// How a zone signs.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (8; RFC 5702).
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-512 (10).
    RsaSha512,
    /// ECDSA on P-256 with SHA-256 (13; RFC 6605).
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384 (14).
    EcdsaP384Sha384,
    /// Ed25519 (15; RFC 8080).
    Ed25519,
}

impl Algorithm {
    /// The algorithm of this number; `None` when it is not supported. Those with SHA-1 (5, 7) are not.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            8 => Some(Self::RsaSha256),
            10 => Some(Self::RsaSha512),
            13 => Some(Self::EcdsaP256Sha256),
            14 => Some(Self::EcdsaP384Sha384),
            15 => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::RsaSha256 => 8,
            Self::RsaSha512 => 10,
            Self::EcdsaP256Sha256 => 13,
            Self::EcdsaP384Sha384 => 14,
            Self::Ed25519 => 15,
        }
    }
}
