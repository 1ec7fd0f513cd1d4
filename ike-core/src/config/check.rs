//! What a configuration must be like to work at all: no entry that nobody can reach, no demand that
//! nobody can meet, no name that names nobody (RFC 5386 §2, RFC 4301 §4.4.3).

use esp_engine::spd::{Action, Level, PolicyId};

use super::{BadTiming, Config, IkePolicy, Peer};
use crate::crypto::Group;
use crate::pad::{Authentication, Identity, Matcher, PadEntry, PeerId, Published};

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
    /// BTNS and NULL authentication are for the wildcard only: this entry names somebody (RFC 5386 §2).
    BtnsNamesPeer(PeerId),
    /// Keys of this entry come from DNS, which knows names and addresses only.
    NotInDns(PeerId),
    /// This entry names somebody, whom DNS shall vouch for, and would take a stranger in its place.
    StrangerByName(PeerId),
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
    /// than 65,535 of a kind; or there are more entries or policies than numbers for them.
    Resources,
}

/// Numbers of entries and of policies.
const MAX_NUMBERED: usize = 1 << 16;

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
        if self.pad.len() > MAX_NUMBERED || self.policies.len() > MAX_NUMBERED {
            return Err(ConfigError::Resources);
        }
        for (id, entry) in self.entries() {
            self.check_entry(id, entry)?;
        }
        for (id, policy) in self.policies() {
            self.check_policy(id, policy)?;
        }
        Ok(())
    }

    fn check_entry(&self, id: PeerId, entry: &PadEntry<'_>) -> Result<(), ConfigError> {
        self.check_place(id, entry)?;
        match (&entry.matcher, &entry.authentication) {
            (Matcher::Any, _) => {}
            (_, Authentication::Btns | Authentication::FirstUse { .. } | Authentication::Null) => {
                return Err(ConfigError::BtnsNamesPeer(id));
            }
            (Matcher::Exact(identity), _) if !identity.is_valid() => {
                return Err(ConfigError::EntryIdentity(id));
            }
            (Matcher::Exact(identity), Authentication::Dns(_))
                if !matches!(identity, Identity::Fqdn(_) | Identity::Address(_)) =>
            {
                return Err(ConfigError::NotInDns(id));
            }
            (
                Matcher::Exact(_) | Matcher::Suffix(_),
                Authentication::Dns(Published { or_stranger: true, .. }),
            ) => {
                return Err(ConfigError::StrangerByName(id));
            }
            _ => {}
        }
        let empty = match entry.authentication {
            Authentication::Pinned(keys) => keys.is_empty(),
            Authentication::Fingerprints(hashes) => hashes.is_empty(),
            Authentication::SharedKey(secret) => secret.is_empty(),
            Authentication::Dns(_)
            | Authentication::Btns
            | Authentication::FirstUse { .. }
            | Authentication::Null => false,
        };
        if empty || entry.ppk.is_some_and(|ppk| ppk.id.is_empty() || ppk.secret.is_empty()) {
            return Err(ConfigError::EmptyCredentials(id));
        }
        let signs = !matches!(entry.authentication, Authentication::SharedKey(_) | Authentication::Null);
        if signs && self.key.is_none() { Err(ConfigError::NoKey(id)) } else { Ok(()) }
    }

    /// Entries for everybody stand at the end, and only those behind which somebody is left over may be
    /// followed by another.
    fn check_place(&self, id: PeerId, entry: &PadEntry<'_>) -> Result<(), ConfigError> {
        let behind = self.pad.get(usize::from(id.0) + 1..).unwrap_or(&[]);
        // Nobody is searched for among those who are only reached.
        let mut behind = behind.iter().filter(|entry| entry.matcher != Matcher::Reached).peekable();
        if entry.matcher != Matcher::Any || behind.peek().is_none() {
            return Ok(());
        }
        let is_of = |other: &PadEntry<'_>| other.is_strangers() && other.is_null() == entry.is_null();
        if entry.is_strangers() && behind.clone().any(is_of) {
            return Err(ConfigError::TwoWildcards(id));
        }
        let leaves_strangers = entry.published().is_some_and(|published| published.or_stranger);
        let leaves_nobody = entry.is_strangers() && !entry.is_null();
        if (leaves_strangers && behind.clone().all(PadEntry::is_strangers))
            || (leaves_nobody && behind.all(PadEntry::is_null))
        {
            return Ok(());
        }
        Err(ConfigError::WildcardNotLast(id))
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
                let entry = self.entry(peer).ok_or(ConfigError::NoSuchPeer(id))?;
                let level = entry.authentication.level();
                if minimum == Level::Clear && entry.is_for_whoever_has_a_key() {
                    Ok(())
                } else if level < minimum {
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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::config::{Suite, Timing};
    use crate::crypto::PrivateKey;
    use crate::pad::Claim;

    fn entry(matcher: Matcher<'static>, authentication: Authentication<'static>) -> PadEntry<'static> {
        PadEntry {
            matcher,
            authentication,
            claim: Claim::OwnAddress,
            address: None,
            send_key: false,
            childless: false,
            ppk: None,
        }
    }

    fn check(pad: &[PadEntry<'static>]) -> Result<(), ConfigError> {
        let config = Config {
            identity: Identity::Fqdn("a.example"),
            key: Some(PrivateKey::Ed25519([1; 32])),
            pad,
            policies: &[],
            suites: &[Suite::FAST_SOFTWARE],
            local: &[],
            timing: Timing::DEFAULT,
            force_encapsulation: false,
            mobike: false,
        };
        config.check()
    }

    const ANYBODY: Published =
        Published { from_anywhere: false, wildcards: false, or_stranger: true, unproven: false };

    /// RFC 5386 §2: entries for everybody come last, those first that leave somebody over.
    #[test]
    fn entries_for_everybody_are_last() {
        let name =
            entry(Matcher::Exact(Identity::Fqdn("b.example")), Authentication::Dns(Published::default()));
        let btns = entry(Matcher::Any, Authentication::Btns);
        let (leaves_some, leaves_none) = (
            entry(Matcher::Any, Authentication::Dns(ANYBODY)),
            entry(Matcher::Any, Authentication::Dns(Published::default())),
        );
        assert_eq!(check(&[name, leaves_some, btns]), Ok(()));
        assert_eq!(check(&[name, leaves_none]), Ok(()));
        assert_eq!(check(&[leaves_none, btns]), Err(ConfigError::WildcardNotLast(PeerId(0))));
        assert_eq!(check(&[name, btns, leaves_some]), Err(ConfigError::WildcardNotLast(PeerId(1))));
        assert_eq!(check(&[btns, name]), Err(ConfigError::WildcardNotLast(PeerId(0))));
        assert_eq!(check(&[btns, btns]), Err(ConfigError::TwoWildcards(PeerId(0))));
        let null = entry(Matcher::Any, Authentication::Null);
        assert_eq!(check(&[name, leaves_some, btns, null]), Ok(()));
        assert_eq!(check(&[name, btns, null]), Ok(()));
        assert_eq!(check(&[null, btns]), Err(ConfigError::WildcardNotLast(PeerId(0))));
        assert_eq!(check(&[null, null]), Err(ConfigError::TwoWildcards(PeerId(0))));
        let narrow = entry(Matcher::Suffix(".example"), Authentication::Btns);
        assert_eq!(check(&[narrow]), Err(ConfigError::BtnsNamesPeer(PeerId(0))));
    }

    /// Each entry has a number of its own.
    #[test]
    fn more_entries_than_numbers() {
        let name =
            entry(Matcher::Exact(Identity::Fqdn("b.example")), Authentication::Dns(Published::default()));
        assert_eq!(check(&std::vec![name; (1 << 16) + 1]), Err(ConfigError::Resources));
    }

    /// RFC 7435 §3: whom the operator names is never replaced by a stranger; and DNS knows names and addresses.
    #[test]
    fn names_are_no_strangers() {
        let name = Matcher::Exact(Identity::Fqdn("b.example"));
        for matcher in [name, Matcher::Suffix(".example")] {
            let refused = Err(ConfigError::StrangerByName(PeerId(0)));
            assert_eq!(check(&[entry(matcher, Authentication::Dns(ANYBODY))]), refused);
        }
        let key_id = Matcher::Exact(Identity::KeyId(b"id"));
        let refused = Err(ConfigError::NotInDns(PeerId(0)));
        assert_eq!(check(&[entry(key_id, Authentication::Dns(Published::default()))]), refused);
    }
}
