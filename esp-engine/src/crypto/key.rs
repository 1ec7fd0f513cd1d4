//! Keys as they come out of the key derivation, before a backend makes a key schedule of them.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{Algorithm, MAX_KEY};

/// Keys of one direction: encryption key with its salt, then integrity key (RFC 7296 §2.17).
#[derive(Clone, PartialEq, Eq, Hash, Zeroize, ZeroizeOnDrop)]
pub struct RawKey {
    #[zeroize(skip)]
    algorithm: Algorithm,
    octets: [u8; MAX_KEY],
}

impl RawKey {
    /// `None` unless `octets` has the algorithm's length.
    pub fn new(algorithm: Algorithm, octets: &[u8]) -> Option<Self> {
        let mut key = Self { algorithm, octets: [0; MAX_KEY] };
        if octets.len() != algorithm.key_length() {
            return None;
        }
        key.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(key)
    }

    /// A key whose octets `fill` writes, exactly as many as the algorithm wants.
    pub fn derive(algorithm: Algorithm, fill: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Self { algorithm, octets: [0; MAX_KEY] };
        fill(key.octets.get_mut(..algorithm.key_length()).unwrap_or(&mut []));
        key
    }

    /// The keys of two directions out of a stream that has the integrity keys of both before their
    /// encryption keys, as the keys of an IKE SA have (RFC 7296 §2.14).
    pub fn derive_integrity_first(algorithm: Algorithm, mut fill: impl FnMut(&mut [u8])) -> [Self; 2] {
        let mut keys = [(); 2].map(|()| Self { algorithm, octets: [0; MAX_KEY] });
        let (start, end) = (algorithm.encryption_key_length(), algorithm.key_length());
        for part in [start..end, 0..start] {
            for key in &mut keys {
                fill(key.octets.get_mut(part.clone()).unwrap_or(&mut []));
            }
        }
        keys
    }

    /// Which algorithm it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// All of it.
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.algorithm.key_length()).unwrap_or(&self.octets)
    }

    /// Encryption key with its salt, and integrity key; either may be empty.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        self.octets().split_at_checked(self.algorithm.encryption_key_length()).unwrap_or_default()
    }
}

impl core::fmt::Debug for RawKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RawKey({:?})", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7296 §2.14: SK_ai | SK_ar | SK_ei | SK_er; §2.17: encryption key, then integrity key.
    #[test]
    fn integrity_keys_of_an_ike_sa_come_first() {
        let mut next = 0;
        let mut stream = |octets: &mut [u8]| {
            for octet in octets {
                *octet = next;
                next += 1;
            }
        };
        let [initiator, responder] =
            RawKey::derive_integrity_first(Algorithm::Aes128CbcHmacSha256, &mut stream);
        let run = |start: u8, length: u8| (start..start + length).collect::<heapless::Vec<u8, 64>>();
        assert_eq!(initiator.parts(), (&*run(64, 16), &*run(0, 32)));
        assert_eq!(responder.parts(), (&*run(80, 16), &*run(32, 32)));
        assert_eq!(initiator.octets().len(), 48);
    }
}
