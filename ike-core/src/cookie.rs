//! Stateless cookies (RFC 7296 §2.6): a hash over the request's nonce, address and SPI under a secret
//! of ours, with the secret's version in front. A peer that returns one can receive at its address.

use core::net::IpAddr;

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::config::Timing;
use crate::crypto::{Crypto, RngFailure};
use crate::random::Random;

/// Octets of a cookie of ours: version, then hash.
pub(crate) const COOKIE: usize = 1 + 32;

/// The secrets that cookies are made with: the present one, and the one before it.
#[derive(Zeroize, ZeroizeOnDrop)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Cookies {
    present: Option<[u8; 32]>,
    previous: Option<[u8; 32]>,
    version: u8,
    #[zeroize(skip)]
    since: Instant,
}

impl core::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cookies")
            .field("version", &self.version)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// What a cookie is bound to.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) nonce: &'a [u8],
    pub(crate) source: IpAddr,
    pub(crate) spi: u64,
}

impl Cookies {
    pub(crate) const fn new() -> Self {
        Self { present: None, previous: None, version: 0, since: Instant::ZERO }
    }

    /// The cookie for this request.
    pub(crate) fn make<C: Crypto, R: TryCryptoRng>(
        &mut self,
        crypto: &C,
        random: &mut Random<R>,
        timing: &Timing,
        now: Instant,
        request: Request<'_>,
    ) -> Result<[u8; COOKIE], RngFailure> {
        let secret = match self.present {
            Some(secret) if now.since(self.since) < timing.cookie_secret => secret,
            old => {
                // A secret that lay idle for too long does not live on as the previous one.
                self.previous = old.filter(|_| now.since(self.since) < timing.cookie_secret * 2);
                let fresh = random.array()?;
                self.present = Some(fresh);
                self.version = self.version.wrapping_add(1);
                self.since = now;
                fresh
            }
        };
        Ok(cookie(crypto, self.version, &secret, request))
    }

    /// Whether this is a cookie of ours for this request.
    pub(crate) fn check<C: Crypto>(
        &self,
        crypto: &C,
        timing: &Timing,
        now: Instant,
        request: Request<'_>,
        shown: &[u8],
    ) -> bool {
        let age = now.since(self.since);
        let secret = match shown.first() {
            Some(version) if *version == self.version => {
                self.present.filter(|_| age < timing.cookie_secret * 2)
            }
            Some(version) if version.wrapping_add(1) == self.version => {
                self.previous.filter(|_| age < timing.cookie_secret)
            }
            _ => None,
        };
        secret.is_some_and(|secret| {
            shown.first().is_some_and(|v| cookie(crypto, *v, &secret, request).ct_eq(shown).into())
        })
    }
}

fn cookie<C: Crypto>(crypto: &C, version: u8, secret: &[u8; 32], request: Request<'_>) -> [u8; COOKIE] {
    let address = match request.source {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let pieces: [&[u8]; 4] = [secret, &address.octets(), &request.spi.to_be_bytes(), request.nonce];
    let mut cookie = [version; COOKIE];
    for (to, from) in cookie.iter_mut().skip(1).zip(crypto.sha256(&pieces)) {
        *to = from;
    }
    cookie
}
