//! The AUTH payload: what is signed, with what, and whether the peer's proof holds (RFC 7296 §2.15,
//! RFC 7427, RFC 8420, RFC 4754, RFC 7619). [`prove`] makes an [`AuthData`], [`verify`] judges one. The
//! caller has decided before whom it expects and how ([`Expected`]): a peer never chooses the kind of proof.

use subtle::ConstantTimeEq;

use crate::crypto::{
    Crypto, MAX_SIGNATURE, Prf, PrfOutput, PublicKey, SignatureAlgorithm, Signer, SigningFailed,
};
use crate::wire::auth::AuthView;
use crate::wire::id::IdView;

pub mod ecdsa_sig_value;
mod hash_algorithms;
mod signature;

pub use crate::wire::code_point::AuthMethod;
pub use hash_algorithms::HashAlgorithms;
pub use signature::{NoCommonAlgorithm, SignatureHashes};

/// Octets of the longest authentication data: method 14 with RSASSA-PSS.
pub const MAX_AUTH: usize = 1 + signature::MAX_IDENTIFIER + MAX_SIGNATURE;

// Without RSA the longest is that of ECDSA, whose encoding is longer than the signature.
const _: () = assert!(1 + 12 + ecdsa_sig_value::MAX_LENGTH <= MAX_AUTH);

/// Content of an AUTH payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthData {
    /// Auth Method.
    pub method: AuthMethod,
    /// Authentication Data.
    pub data: heapless::Vec<u8, MAX_AUTH>,
}

impl AuthData {
    /// As a payload to be written.
    pub fn view(&self) -> AuthView<'_> {
        AuthView { method: self.method, data: &self.data }
    }
}

/// What one end signs (RFC 7296 §2.15): its first message, the other's nonce, its own identity.
#[derive(Debug)]
pub struct SignedOctets<'a> {
    prf: Prf,
    sk_p: &'a PrfOutput,
    message: &'a [u8],
    nonce: &'a [u8],
    identity: PrfOutput,
    int_auth: Option<IntAuth<'a>>,
}

/// What IKE_INTERMEDIATE adds to what both ends sign (RFC 9242 §3.3.2).
#[derive(Copy, Clone, Debug)]
pub struct IntAuth<'a> {
    /// IntAuth_iN, of the initiator's messages.
    pub initiator: &'a PrfOutput,
    /// IntAuth_rN, of the responder's.
    pub responder: &'a PrfOutput,
    /// Message ID of IKE_AUTH, as on the wire.
    pub message_id: [u8; 4],
}

impl<'a> SignedOctets<'a> {
    /// For the signer's side of the IKE SA: its SK_p (SK_pi for the initiator, SK_pr for the responder);
    /// its IKE_SA_INIT `message` that took effect, from the first octet of the header and without the
    /// non-ESP marker; the *other* side's `nonce` without payload header; and its `identity`.
    pub fn new<C: Crypto>(
        crypto: &C,
        prf: Prf,
        sk_p: &'a PrfOutput,
        message: &'a [u8],
        nonce: &'a [u8],
        identity: &IdView<'_>,
    ) -> Self {
        let identity = crypto.prf(prf, sk_p.octets(), &[&identity.prefix(), identity.data]);
        Self { prf, sk_p, message, nonce, identity, int_auth: None }
    }

    /// After IKE_INTERMEDIATE.
    pub fn with(self, int_auth: IntAuth<'a>) -> Self {
        Self { int_auth: Some(int_auth), ..self }
    }

    fn pieces(&self) -> [&[u8]; 6] {
        let [initiator, responder, id] = match &self.int_auth {
            Some(IntAuth { initiator, responder, message_id }) => {
                [initiator.octets(), responder.octets(), message_id]
            }
            None => [&[][..]; 3],
        };
        [self.message, self.nonce, self.identity.octets(), initiator, responder, id]
    }

    /// AUTH = prf(prf(secret, "Key Pad for IKEv2"), octets) (RFC 7296 §2.15).
    fn mac<C: Crypto>(&self, crypto: &C, secret: &[u8]) -> PrfOutput {
        let key = crypto.prf(self.prf, secret, &[b"Key Pad for IKEv2"]);
        crypto.prf(self.prf, key.octets(), &self.pieces())
    }
}

/// How we authenticate.
#[derive(Copy, Clone)]
pub enum Proof<'a, S> {
    /// With a signature, by method 14, or by the method that is for its kind of key (1, 9, 10).
    Key(&'a S),
    /// With a secret known to both, by method 2.
    SharedKey(&'a [u8]),
    /// Not at all, by method 13.
    Null,
}

/// How the peer must authenticate. Any other method is refused.
#[derive(Copy, Clone)]
pub enum Expected<'a> {
    /// With a signature, by method 14, or by the method that is for its kind of key (1, 9, 10).
    Key {
        /// The peer's key.
        peer: &'a PublicKey,
        /// Our own key, which no peer may have: it could be an echo of ourselves.
        own: Option<&'a PublicKey>,
    },
    /// With a secret known to both, by method 2.
    SharedKey(&'a [u8]),
    /// Not at all, by method 13: the sender only shows that it took part in the key exchange.
    Null,
}

/// Why a peer's AUTH payload was refused. All of them mean AUTHENTICATION_FAILED.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum AuthError {
    /// Another method than the one expected, or than the one RFC 7427 §3 prescribes.
    MethodNotAllowed,
    /// The authentication data, or the signature in it, is not well-formed.
    Malformed,
    /// An AlgorithmIdentifier that is none of ours, octet by octet (RFC 7427 §3).
    UnknownAlgorithm,
    /// An algorithm that the key is not for.
    WrongKind,
    /// A hash that we did not list in SIGNATURE_HASH_ALGORITHMS (RFC 7427 §4, RFC 8420 §2).
    HashNotListed,
    /// The peer claims our own key.
    OwnKey,
    /// The proof is wrong.
    Mismatch,
}

/// Why there is no AUTH payload of ours.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum NotProven {
    /// The peer can verify no signature of our key.
    NoCommonAlgorithm,
    /// [`SigningFailed`].
    SigningFailed,
}

impl From<NoCommonAlgorithm> for NotProven {
    fn from(_: NoCommonAlgorithm) -> Self {
        Self::NoCommonAlgorithm
    }
}

impl From<SigningFailed> for NotProven {
    fn from(_: SigningFailed) -> Self {
        Self::SigningFailed
    }
}

/// Makes our AUTH payload over our own octets.
///
/// # Errors
/// [`NotProven`].
pub fn prove<C: Crypto>(
    crypto: &C,
    proof: Proof<'_, C::Signer>,
    hashes: SignatureHashes,
    octets: &SignedOctets<'_>,
) -> Result<AuthData, NotProven> {
    let mac = |secret| octets.mac(crypto, secret).octets().iter().copied().collect();
    match proof {
        Proof::Key(signer) => {
            let scheme = hashes.scheme_for(signer.public_key().kind())?;
            Ok(scheme.encode(&signer.sign(scheme.algorithm, &octets.pieces())?))
        }
        Proof::SharedKey(secret) => Ok(AuthData { method: AuthMethod::SHARED_KEY, data: mac(secret) }),
        Proof::Null => Ok(AuthData { method: AuthMethod::NULL, data: mac(octets.sk_p.octets()) }),
    }
}

/// Judges the peer's AUTH payload over the peer's octets.
///
/// # Errors
/// [`AuthError`]; nothing may follow from the peer's messages then.
pub fn verify<C: Crypto>(
    crypto: &C,
    expected: Expected<'_>,
    hashes: SignatureHashes,
    octets: &SignedOctets<'_>,
    auth: AuthView<'_>,
) -> Result<(), AuthError> {
    let AuthView { method, data } = auth;
    match (expected, method) {
        (Expected::Key { peer, own }, _) => {
            if own == Some(peer) {
                return Err(AuthError::OwnKey);
            }
            let claimed = hashes.decode(peer.kind(), auth)?;
            let is_by = |algorithm: &SignatureAlgorithm| {
                crypto.verify(peer, *algorithm, &octets.pieces(), &claimed.signature).is_ok()
            };
            if claimed.algorithms.iter().any(is_by) { Ok(()) } else { Err(AuthError::Mismatch) }
        }
        (Expected::SharedKey(secret), AuthMethod::SHARED_KEY) => compare(&octets.mac(crypto, secret), data),
        (Expected::Null, AuthMethod::NULL) => compare(&octets.mac(crypto, octets.sk_p.octets()), data),
        (Expected::SharedKey(_) | Expected::Null, _) => Err(AuthError::MethodNotAllowed),
    }
}

fn compare(mac: &PrfOutput, data: &[u8]) -> Result<(), AuthError> {
    if mac.octets().ct_eq(data).into() { Ok(()) } else { Err(AuthError::Mismatch) }
}
