//! Our own name in DNS: where the device puts its key and its addresses, and the secret that lets it
//! (RFC 2136, RFC 8945).

use core::net::SocketAddr;

use heapless::String;
use ike_core::crypto::{Crypto, Signer};
use ike_core::discovery::ipseckey::Gateway;
use ike_core::discovery::update::{self, Form, TsigKey, Wanted};
use serde::{Deserialize, Serialize};

use super::{Config, MAX_IDENTITY, SharedKey};

/// Of several records, those with a lower number are tried first (RFC 4025 §2.2).
const PRECEDENCE: u8 = 10;

/// What the device keeps up to date, and by whose leave.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// Our name.
    pub name: String<MAX_IDENTITY>,
    /// The zone that it lies in.
    pub zone: String<MAX_IDENTITY>,
    /// The zone's primary server.
    pub server: SocketAddr,
    /// The name of the secret that we share with it.
    pub key_name: String<MAX_IDENTITY>,
    /// The secret.
    pub secret: SharedKey,
    /// Whether the name's addresses are those of our outer port; otherwise others look after them.
    pub addresses: bool,
    /// Whether the fingerprint of our key stands there, and not the key
    /// ([`ike_core::discovery::tlsa`], a convention of ours).
    pub as_fingerprint: bool,
    /// Seconds for which others may remember all this.
    pub ttl: u32,
}

impl Publication {
    /// Who may change what; `None` for names or a secret that are none.
    pub(crate) fn authority(&self) -> Option<update::Config> {
        let key = TsigKey::new(self.key_name.parse().ok()?, self.secret.octets()).ok()?;
        Some(update::Config { zone: self.zone.parse().ok()?, name: self.name.parse().ok()?, key })
    }

    /// What our name shall have; `None` without a key.
    pub(crate) fn wanted<C: Crypto>(&self, config: &Config, crypto: &C) -> Option<Wanted> {
        let key = crypto.signer(&config.key.translate()?).ok()?.public_key();
        let outside = config.interfaces.first();
        let addresses = outside
            .iter()
            .flat_map(|port| &port.addresses)
            .map(|prefix| prefix.address)
            .filter(|address| !address.is_unspecified());
        Some(Wanted {
            addresses: self.addresses.then(|| addresses.take(update::MAX_ADDRESSES).collect()),
            keys: [key].into_iter().collect(),
            form: if self.as_fingerprint { Form::Fingerprint } else { Form::Key },
            gateway: Gateway::None,
            precedence: PRECEDENCE,
            ttl: self.ttl,
        })
    }
}
