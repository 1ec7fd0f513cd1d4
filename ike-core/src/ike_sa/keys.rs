//! Keys of IKE SAs and Child SAs: pure functions over [`Crypto`] (RFC 7296 §2.13, §2.14, §2.17, §2.18,
//! RFC 9370 §2.2.4).
//! Nonces and secrets go in, [`IkeKeys`] and [`ChildKeys`] come out; both wipe themselves when dropped.
//! "Initiator" is always the initiator of the exchange that made the keys: for the keys of a rekeyed
//! IKE SA and for those of later Child SAs that may be either end.

use esp_engine::crypto::{Algorithm, MAX_KEY, RawKey};
use esp_engine::sa::KeyPair;

use crate::crypto::{Crypto, MAX_PRF, Prf, PrfOutput, SharedSecret};
use crate::wire::nonce::MAX_NONCE;

// prf+ is defined for 255 blocks; the longest keys asked of it here need far fewer.
const _: () = assert!(3 * MAX_PRF + 2 * MAX_KEY <= 255 * 32);

/// Our part in an exchange.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// We sent the request.
    Initiator,
    /// We sent the response.
    Responder,
}

/// What an IKE SA's keys are made for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Suite {
    /// Negotiated pseudorandom function.
    pub prf: Prf,
    /// Negotiated protection of the SK payload.
    pub cipher: Algorithm,
}

/// The nonces of one exchange, 16 to 256 octets each, without payload headers (RFC 7296 §2.10).
#[derive(Copy, Clone, Debug)]
pub struct Nonces<'a> {
    /// Ni.
    pub initiator: &'a [u8],
    /// Nr.
    pub responder: &'a [u8],
}

impl<'a> Nonces<'a> {
    /// The lower one: octet by octet, and one that ends first is lower (RFC 7296 §2.8.1).
    pub(crate) fn lowest(self) -> &'a [u8] {
        self.initiator.min(self.responder)
    }
}

/// What the key exchanges of one CREATE_CHILD_SA yield (RFC 9370 §2.2.4).
#[derive(Copy, Clone, Debug)]
pub struct Secrets<'a> {
    /// `g^ir` of RFC 7296, SK(0).
    pub first: &'a SharedSecret,
    /// SK(1), where IKE_FOLLOWUP_KE brought another.
    pub additional: Option<&'a SharedSecret>,
}

impl<'a> Secrets<'a> {
    /// Of the one key exchange that there is.
    pub const fn only(first: &'a SharedSecret) -> Self {
        Self { first, additional: None }
    }

    /// SK(1), or nothing.
    fn additional(self) -> &'a [u8] {
        self.additional.map_or(&[], SharedSecret::octets)
    }
}

/// The SPIs of an IKE SA as they stand in its header (RFC 7296 §3.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct IkeSpis {
    /// SPIi.
    pub initiator: u64,
    /// SPIr.
    pub responder: u64,
}

/// The keys of an IKE SA (RFC 7296 §2.14).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct IkeKeys {
    /// SK_d: from it come the keys of Child SAs and of the IKE SA's successor.
    pub sk_d: PrfOutput,
    /// SK_ei with its salt, or with SK_ai: protects what the original initiator sends.
    pub sk_ei: RawKey,
    /// SK_er with its salt, or with SK_ar: protects what the original responder sends.
    pub sk_er: RawKey,
    /// SK_pi: binds the initiator's identity into AUTH.
    pub sk_pi: PrfOutput,
    /// SK_pr: binds the responder's identity into AUTH.
    pub sk_pr: PrfOutput,
}

impl IkeKeys {
    /// Keys of a first IKE SA: SKEYSEED = prf(Ni | Nr, g^ir) (RFC 7296 §2.14).
    pub fn initial<C: Crypto>(
        crypto: &C,
        suite: Suite,
        secret: &SharedSecret,
        nonces: Nonces<'_>,
        spis: IkeSpis,
    ) -> Self {
        let both: heapless::Vec<u8, { 2 * MAX_NONCE }> =
            nonces.initiator.iter().chain(nonces.responder).copied().take(2 * MAX_NONCE).collect();
        let seed = crypto.prf(suite.prf, &both, &[secret.octets()]);
        Self::expand(crypto, suite, &seed, nonces, spis)
    }

    /// Keys of the successor of an IKE SA: SKEYSEED = prf(SK_d, SK(0) | Ni | Nr [| SK(1)]) with SK_d and PRF
    /// of the old SA; the rest with nonces, SPIs and PRF of the new one (RFC 7296 §2.18, RFC 9370 §2.2.4).
    pub fn rekeyed<C: Crypto>(
        crypto: &C,
        old_prf: Prf,
        old_sk_d: &PrfOutput,
        suite: Suite,
        secrets: Secrets<'_>,
        nonces: Nonces<'_>,
        spis: IkeSpis,
    ) -> Self {
        let pieces = [secrets.first.octets(), nonces.initiator, nonces.responder, secrets.additional()];
        let seed = crypto.prf(old_prf, old_sk_d.octets(), &pieces);
        Self::expand(crypto, suite, &seed, nonces, spis)
    }

    /// The same keys with a post-quantum preshared key in those that authenticate and that later keys
    /// come from: SK_d = prf+(PPK, SK_d'), SK_pi and SK_pr likewise (RFC 8784 §3).
    pub fn with_ppk<C: Crypto>(&self, crypto: &C, prf: Prf, ppk: &[u8]) -> Self {
        let mixed = |key: &PrfOutput| {
            let mut stream = PrfPlus::new(crypto, prf, ppk, [key.octets(), &[], &[], &[]]);
            PrfOutput::derive(prf, |octets| stream.fill(octets))
        };
        Self {
            sk_d: mixed(&self.sk_d),
            sk_ei: self.sk_ei.clone(),
            sk_er: self.sk_er.clone(),
            sk_pi: mixed(&self.sk_pi),
            sk_pr: mixed(&self.sk_pr),
        }
    }

    /// {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr).
    fn expand<C: Crypto>(
        crypto: &C,
        suite: Suite,
        seed: &PrfOutput,
        nonces: Nonces<'_>,
        spis: IkeSpis,
    ) -> Self {
        let (spi_i, spi_r) = (spis.initiator.to_be_bytes(), spis.responder.to_be_bytes());
        let seeds = [nonces.initiator, nonces.responder, &spi_i, &spi_r];
        let mut keys = PrfPlus::new(crypto, suite.prf, seed.octets(), seeds);
        let sk_d = PrfOutput::derive(suite.prf, |octets| keys.fill(octets));
        let [sk_ei, sk_er] = RawKey::derive_integrity_first(suite.cipher, |octets| keys.fill(octets));
        let sk_pi = PrfOutput::derive(suite.prf, |octets| keys.fill(octets));
        let sk_pr = PrfOutput::derive(suite.prf, |octets| keys.fill(octets));
        Self { sk_d, sk_ei, sk_er, sk_pi, sk_pr }
    }

    /// The keys of the SK payload from our side; `role` is ours in the exchange that made the IKE SA.
    pub fn cipher_keys(&self, role: Role) -> KeyPair<&RawKey> {
        match role {
            Role::Initiator => KeyPair { inbound: &self.sk_er, outbound: &self.sk_ei },
            Role::Responder => KeyPair { inbound: &self.sk_ei, outbound: &self.sk_er },
        }
    }
}

/// KEYMAT of a pair of Child SAs (RFC 7296 §2.17).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ChildKeys {
    /// For packets from the initiator of the exchange to its responder.
    pub from_initiator: RawKey,
    /// For packets from the responder of the exchange to its initiator.
    pub from_responder: RawKey,
}

impl ChildKeys {
    /// KEYMAT = prf+(SK_d, [SK(0) |] Ni | Nr [| SK(1)]). The first Child SA takes the nonces of IKE_SA_INIT and
    /// no secret, later ones those of CREATE_CHILD_SA with its secrets, if it brought any.
    pub fn new<C: Crypto>(
        crypto: &C,
        prf: Prf,
        sk_d: &PrfOutput,
        cipher: Algorithm,
        secrets: Option<Secrets<'_>>,
        nonces: Nonces<'_>,
    ) -> Self {
        let first = secrets.map_or(&[][..], |secrets| secrets.first.octets());
        let additional = secrets.map_or(&[][..], Secrets::additional);
        let seeds = [first, nonces.initiator, nonces.responder, additional];
        let mut keymat = PrfPlus::new(crypto, prf, sk_d.octets(), seeds);
        Self {
            from_initiator: RawKey::derive(cipher, |octets| keymat.fill(octets)),
            from_responder: RawKey::derive(cipher, |octets| keymat.fill(octets)),
        }
    }

    /// The pair from our side; `role` is ours in the exchange that made it.
    pub fn pair(self, role: Role) -> KeyPair<RawKey> {
        match role {
            Role::Initiator => KeyPair { inbound: self.from_responder, outbound: self.from_initiator },
            Role::Responder => KeyPair { inbound: self.from_initiator, outbound: self.from_responder },
        }
    }
}

/// prf+(K, S) = T1 | T2 | …, T1 = prf(K, S | 01), Tn = prf(K, Tn-1 | S | n) (RFC 7296 §2.13).
struct PrfPlus<'a, C: Crypto> {
    crypto: &'a C,
    prf: Prf,
    key: &'a [u8],
    seed: [&'a [u8]; 4],
    block: Option<PrfOutput>,
    number: u8,
    used: usize,
}

impl<'a, C: Crypto> PrfPlus<'a, C> {
    fn new(crypto: &'a C, prf: Prf, key: &'a [u8], seed: [&'a [u8]; 4]) -> Self {
        Self { crypto, prf, key, seed, block: None, number: 0, used: 0 }
    }

    /// The next octets of the stream.
    fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            let block = match self.block.take() {
                Some(block) if self.used < block.octets().len() => block,
                previous => self.next_block(previous.as_ref()),
            };
            let unused = block.octets().get(self.used..).unwrap_or_default();
            let length = unused.len().min(out.len());
            for (to, from) in out.iter_mut().zip(unused) {
                *to = *from;
            }
            self.used += length;
            self.block = Some(block);
            out = out.get_mut(length..).unwrap_or_default();
        }
    }

    fn next_block(&mut self, previous: Option<&PrfOutput>) -> PrfOutput {
        self.number = self.number.wrapping_add(1);
        self.used = 0;
        let [a, b, c, d] = self.seed;
        let previous = previous.map_or(&[][..], PrfOutput::octets);
        self.crypto.prf(self.prf, self.key, &[previous, a, b, c, d, &[self.number]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7296 §2.8.1: octet by octet; the nonce that ends first is lower.
    #[test]
    fn lowest_nonce() {
        let lowest = |initiator, responder| Nonces { initiator, responder }.lowest();
        assert_eq!(lowest(&[1, 2, 4], &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(lowest(&[1, 2], &[1, 2, 0]), [1, 2]);
        assert_eq!(lowest(&[2], &[1, 255]), [1, 255]);
    }
}
