//! Algorithms as the operator writes them: named suites, or a choice of his own.

use esp_engine::crypto::Algorithm;
use ike_core::crypto::{Group, Prf};
use serde::{Deserialize, Serialize};

/// Algorithms that are offered and accepted together.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Suite {
    /// ChaCha20-Poly1305 and Curve25519: cheapest where no engine helps.
    FastSoftware,
    /// AES-GCM and P-256: for chips with engines, and for captures that tshark can decrypt.
    HardwareAes,
    /// As the first, and ML-KEM-768 beside Curve25519. Alone in the list it is demanded of every peer.
    PostQuantum,
    /// AES-CBC with HMAC-SHA2-256: what RFC 8247 and RFC 8221 demand of every peer.
    Compat,
    /// A choice of one's own.
    Custom {
        /// Protection of IKE messages.
        #[serde(with = "AlgorithmWords")]
        ike: Algorithm,
        /// What keys are derived with.
        #[serde(with = "PrfWords")]
        prf: Prf,
        /// Key exchange.
        #[serde(with = "GroupWords")]
        group: Group,
        /// Protection of packets; some only authenticate.
        #[serde(with = "AlgorithmWords")]
        esp: Algorithm,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Algorithm")]
enum AlgorithmWords {
    Aes128Gcm16,
    Aes256Gcm16,
    ChaCha20Poly1305,
    Aes128CbcHmacSha256,
    Aes256CbcHmacSha256,
    NullHmacSha256,
    Aes128Gmac,
    Aes256Gmac,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Prf")]
enum PrfWords {
    HmacSha256,
    HmacSha384,
    HmacSha512,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Group")]
enum GroupWords {
    Curve25519,
    P256,
    Modp2048,
    MlKem512,
    MlKem768,
    P384,
}
