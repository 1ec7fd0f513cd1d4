//! Combined modes: AES-GCM and ChaCha20-Poly1305 (RFC 4106, RFC 5282, RFC 7634).
//!
//! The nonce is the salt from KEYMAT, then the eight octets of IV that travel in the packet
//! (RFC 4106 §4, RFC 7634 §2); the IV is the counter itself, so it cannot repeat. Encrypt-only key
//! schedules suffice: GCM never decrypts a block.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use zeroize::Zeroize;

use super::{AssociatedOctets, ICV, IV, SALT, Transform};
use crate::crypto::Associated;

/// A combined mode with its key schedule and salt.
pub(super) struct Combined<A> {
    aead: A,
    salt: [u8; SALT],
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit> Transform for Combined<A> {
    fn new(key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<SALT>()?;
        Some(Self { aead: A::new_from_slice(key).ok()?, salt: *salt })
    }

    fn seal(
        &self,
        counter: u64,
        associated: Associated<'_>,
        iv: &mut [u8],
        text: &mut [u8],
        icv: &mut [u8],
    ) -> Option<()> {
        let (iv, icv) = (<&mut [u8; IV]>::try_from(iv).ok()?, <&mut [u8; ICV]>::try_from(icv).ok()?);
        *iv = counter.to_be_bytes();
        let associated = AssociatedOctets::new(associated);
        let tag = self.aead.encrypt_inout_detached(&self.nonce(iv), associated.octets(), text.into());
        *icv = tag.ok()?.into();
        Some(())
    }

    /// The comparison inside is constant-time.
    fn open(&self, associated: Associated<'_>, iv: &[u8], text: &mut [u8], icv: &[u8]) -> Option<()> {
        let (iv, icv) = (<&[u8; IV]>::try_from(iv).ok()?, <&[u8; ICV]>::try_from(icv).ok()?);
        let associated = AssociatedOctets::new(associated);
        let tag = Tag::<A>::from(*icv);
        self.aead.decrypt_inout_detached(&self.nonce(iv), associated.octets(), text.into(), &tag).ok()
    }
}

impl<A: AeadInOut<NonceSize = U12>> Combined<A> {
    fn nonce(&self, iv: &[u8; IV]) -> Nonce<A> {
        let [a, b, c, d] = self.salt;
        let [e, f, g, h, i, j, k, l] = *iv;
        Nonce::<A>::from([a, b, c, d, e, f, g, h, i, j, k, l])
    }
}

/// The schedules wipe themselves through the `zeroize` features of their crates.
impl<A> Drop for Combined<A> {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}
