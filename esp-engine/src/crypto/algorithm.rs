//! The algorithms and their lengths (RFC 8221, RFC 8247).

/// Octets of the longest key: AES-256 with HMAC-SHA2-256.
pub const MAX_KEY: usize = 64;

/// Octets of a key of HMAC-SHA2-256 (RFC 4868 §2.1.1).
const HMAC_SHA256_KEY: usize = 32;

/// Octets of the salt behind the key of a combined mode (RFC 4106 §8.1, RFC 4543 §3.2, RFC 7634 §2).
const SALT: usize = 4;

/// Encryption and integrity of ESP and of IKE's SK payload, always negotiated together.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// AES-GCM, 128-bit key, 16-octet ICV (RFC 4106, RFC 5282).
    Aes128Gcm16,
    /// AES-GCM, 256-bit key, 16-octet ICV.
    Aes256Gcm16,
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// AES-CBC, 128-bit key (RFC 3602), then HMAC-SHA2-256-128 (RFC 4868).
    Aes128CbcHmacSha256,
    /// AES-CBC, 256-bit key, then HMAC-SHA2-256-128.
    Aes256CbcHmacSha256,
    /// No encryption, HMAC-SHA2-256-128 (RFC 2410); for ESP only.
    NullHmacSha256,
    /// No encryption, AES-GMAC with a 128-bit key (RFC 4543); for ESP only.
    Aes128Gmac,
    /// No encryption, AES-GMAC with a 256-bit key; for ESP only.
    Aes256Gmac,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Aes128Gcm16,
        Self::Aes256Gcm16,
        Self::ChaCha20Poly1305,
        Self::Aes128CbcHmacSha256,
        Self::Aes256CbcHmacSha256,
        Self::NullHmacSha256,
        Self::Aes128Gmac,
        Self::Aes256Gmac,
    ];

    /// Whether nobody else can read what it protects. An IKE SA needs that.
    pub const fn is_confidential(self) -> bool {
        !matches!(self, Self::NullHmacSha256 | Self::Aes128Gmac | Self::Aes256Gmac)
    }

    /// Octets of KEYMAT for one direction: encryption key with its salt, then integrity key
    /// (RFC 7296 §2.17).
    pub const fn key_length(self) -> usize {
        self.encryption_key_length() + self.integrity_key_length()
    }

    /// Octets of the encryption key with its salt.
    pub const fn encryption_key_length(self) -> usize {
        match self {
            Self::Aes128Gcm16 | Self::Aes128Gmac => 16 + SALT,
            Self::Aes256Gcm16 | Self::ChaCha20Poly1305 | Self::Aes256Gmac => 32 + SALT,
            Self::Aes128CbcHmacSha256 => 16,
            Self::Aes256CbcHmacSha256 => 32,
            Self::NullHmacSha256 => 0,
        }
    }

    /// Octets of the integrity key; combined modes have none.
    pub const fn integrity_key_length(self) -> usize {
        match self {
            Self::Aes128CbcHmacSha256 | Self::Aes256CbcHmacSha256 | Self::NullHmacSha256 => HMAC_SHA256_KEY,
            _ => 0,
        }
    }

    /// Octets of the explicit IV in each packet.
    pub const fn iv_length(self) -> usize {
        match self {
            Self::NullHmacSha256 => 0,
            Self::Aes128CbcHmacSha256 | Self::Aes256CbcHmacSha256 => 16,
            _ => 8,
        }
    }

    /// Octets of the integrity check value.
    pub const fn icv_length(self) -> usize {
        16
    }

    /// Octets of the cipher's block, which the text must be a multiple of; 1 where any length will do.
    pub const fn block_length(self) -> usize {
        match self {
            Self::Aes128CbcHmacSha256 | Self::Aes256CbcHmacSha256 => 16,
            _ => 1,
        }
    }
}
