//! What a configuration must be like to work at all: no entry that nobody can reach, no demand that
//! nobody can meet, no name that names nobody (RFC 5386 §2, RFC 4301 §4.4.3).

use esp_engine::spd::{Action, Level, PolicyId};

use super::{BadTiming, Config, IkePolicy, Peer};
use crate::crypto::Group;
use crate::pad::{Authentication, Matcher, PadEntry, PeerId};

/// Why a configuration cannot work.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ConfigError {
    /// No suite is offered.
    NoSuite,
    /// The suite with this place has the same key exchange twice, or one in IKE_SA_INIT whose values are too
    /// long for a message that cannot be fragmented (RFC 9370 §2.2.1).
    KeyExchanges(u8),
    /// This suite, counted from zero, would leave IKE's own messages readable (RFC 7296 §3.14).
    ReadableIke(u8),
    /// Our identity is longer than [`super::MAX_IDENTITY`] or is no name.
    Identity,
    /// This entry is authenticated by signatures and we have no key to answer with.
    NoKey(PeerId),
    /// Our key is no key of its algorithm.
    BadKey,
    /// This entry lists no key, no fingerprint, or an empty secret, or a PPK without name.
    EmptyCredentials(PeerId),
    /// This entry pins our own key, which is always refused: it would be a reflection.
    OwnKeyPinned(PeerId),
    /// This entry's identity is longer than [`super::MAX_IDENTITY`] or is no name.
    EntryIdentity(PeerId),
    /// BTNS is for the wildcard only: this entry names somebody (RFC 5386 §2).
    BtnsNamesPeer(PeerId),
    /// The wildcard is not the last entry, so that those behind it never match (RFC 5386 §2).
    WildcardNotLast(PeerId),
    /// A second wildcard (RFC 5386 §2).
    TwoWildcards(PeerId),
    /// The policy names an entry that does not exist.
    NoSuchPeer(PolicyId),
    /// The policy has no selectors on one side.
    NoSelectors(PolicyId),
    /// The policy demands more than its peer's entry can ever give.
    LevelUnreachable(PolicyId),
    /// The policy names a peer whose key or secret is configured, yet would accept less than that.
    LevelTooLow(PolicyId),
    /// No entry can ever serve the policy.
    NobodyServes(PolicyId),
    /// These times cannot work together.
    Timing(BadTiming),
    /// Datagrams so small that hardly anything fits beside the headers, or larger than an Ethernet frame
    /// carries.
    Datagram,
    /// The resources have no room for one IKE SA, handshake, Child SA or three messages, or for more
    /// than 65,535 of a kind.
    Resources,
}

impl Config<'_> {
    /// Whether this configuration can work.
    ///
    /// # Errors
    /// [`ConfigError`], the first that is found.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.suites.is_empty() {
            return Err(ConfigError::NoSuite);
        }
        for (place, suite) in (0..=u8::MAX).zip(self.suites) {
            if suite.group == Group::MlKem768 || suite.additional == Some(suite.group) {
                return Err(ConfigError::KeyExchanges(place));
            }
            if !suite.ike.is_confidential() {
                return Err(ConfigError::ReadableIke(place));
            }
        }
        if !self.identity.is_valid() {
            return Err(ConfigError::Identity);
        }
        self.timing.check().map_err(ConfigError::Timing)?;
        if !matches!(self.timing.datagram, 0 | 256..=1500) {
            return Err(ConfigError::Datagram);
        }
        for (id, entry) in self.entries() {
            self.check_entry(id, entry)?;
        }
        for (index, policy) in self.policies.iter().enumerate() {
            let id = PolicyId(u16::try_from(index).map_err(|_| ConfigError::Resources)?);
            self.check_policy(id, policy)?;
        }
        Ok(())
    }

    fn check_entry(&self, id: PeerId, entry: &PadEntry<'_>) -> Result<(), ConfigError> {
        let last = usize::from(id.0) + 1 == self.pad.len();
        match (&entry.matcher, &entry.authentication) {
            (Matcher::Any, Authentication::Btns) if !last => {
                let behind = self.pad.get(usize::from(id.0) + 1..).unwrap_or(&[]);
                let twice = behind.iter().any(|e| matches!(e.authentication, Authentication::Btns));
                return Err(if twice {
                    ConfigError::TwoWildcards(id)
                } else {
                    ConfigError::WildcardNotLast(id)
                });
            }
            (Matcher::Any, _) if !last => return Err(ConfigError::WildcardNotLast(id)),
            (Matcher::Any, _) => {}
            (_, Authentication::Btns) => return Err(ConfigError::BtnsNamesPeer(id)),
            (Matcher::Exact(identity), _) if !identity.is_valid() => {
                return Err(ConfigError::EntryIdentity(id));
            }
            _ => {}
        }
        let empty = match entry.authentication {
            Authentication::Pinned(keys) => keys.is_empty(),
            Authentication::Fingerprints(hashes) => hashes.is_empty(),
            Authentication::SharedKey(secret) => secret.is_empty(),
            Authentication::Btns => false,
        };
        if empty || entry.ppk.is_some_and(|ppk| ppk.id.is_empty() || ppk.secret.is_empty()) {
            return Err(ConfigError::EmptyCredentials(id));
        }
        let shared = matches!(entry.authentication, Authentication::SharedKey(_));
        if !shared && self.key.is_none() { Err(ConfigError::NoKey(id)) } else { Ok(()) }
    }

    fn check_policy(&self, id: PolicyId, policy: &IkePolicy<'_>) -> Result<(), ConfigError> {
        let Action::Protect { minimum, .. } = policy.action else {
            return Ok(());
        };
        if policy.local.is_empty() || policy.remote.is_empty() {
            return Err(ConfigError::NoSelectors(id));
        }
        match policy.peer {
            Peer::Entry(peer) => {
                let level = self.entry(peer).ok_or(ConfigError::NoSuchPeer(id))?.authentication.level();
                if level < minimum {
                    Err(ConfigError::LevelUnreachable(id))
                } else if level >= Level::Shared && minimum < Level::Shared {
                    Err(ConfigError::LevelTooLow(id))
                } else {
                    Ok(())
                }
            }
            Peer::Any if self.pad.iter().any(|e| e.authentication.level() >= minimum) => Ok(()),
            Peer::Any => Err(ConfigError::NobodyServes(id)),
        }
    }
}
