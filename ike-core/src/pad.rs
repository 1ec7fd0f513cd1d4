//! Peer authorization database (RFC 4301 §4.4.3, RFC 5386): who may be at the other end, how it proves
//! itself, and which addresses it may speak for. The search runs by the asserted identity; only when
//! no entry matches does the BTNS wildcard apply, so a known name with the wrong key is refused and
//! never becomes a stranger who is welcome.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use esp_engine::sa::Mode;
use esp_engine::selector::{AddressRange, TrafficSelector};
use esp_engine::spd::Level;

use crate::config::Config;
use crate::crypto::PublicKey;
use crate::exchange::ike_auth::child::mode_of;
use crate::own::Own;

use record::Way;

pub use identity::{Identity, OwnedIdentity};
pub use record::{
    Addresses, Gateway, MAX_ADDRESSES, MAX_KEYS, PeerRecord, Presence, Published, PublishedKey, Security,
};

mod identity;
pub(crate) mod record;

/// A peer's place in the PAD.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerId(pub u16);

/// One entry of the PAD.
#[derive(Copy, Clone, Debug)]
pub struct PadEntry<'c> {
    /// Whose entry this is.
    pub matcher: Matcher<'c>,
    /// How it proves itself.
    pub authentication: Authentication<'c>,
    /// Which addresses its traffic selectors may name.
    pub claim: Claim<'c>,
    /// Where to reach it; `None` for a peer that only answers, or whose address the packet names. With
    /// port 4500 IKE runs there from its first message on (RFC 7296 §2.23).
    pub address: Option<SocketAddr>,
    /// Sends our key in a CERT payload even when the peer did not ask for it.
    pub send_key: bool,
    /// Begins its IKE SA without a Child SA, if it lets us (RFC 6023), and keeps it without one: Child
    /// SAs follow when packets ask for them.
    pub childless: bool,
    /// A secret that guards the IKE SA beside the key exchange (RFC 8784).
    pub ppk: Option<Ppk<'c>>,
}

/// A post-quantum preshared key (RFC 8784).
#[derive(Copy, Clone)]
pub struct Ppk<'c> {
    /// How both ends call it.
    pub id: &'c [u8],
    /// The secret: 32 octets of randomness or more (RFC 8784 §6).
    pub secret: &'c [u8],
    /// No IKE SA without it.
    pub mandatory: bool,
}

impl core::fmt::Debug for Ppk<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ppk")
            .field("id", &self.id)
            .field("mandatory", &self.mandatory)
            .finish_non_exhaustive()
    }
}

/// Which identities an entry is for (RFC 4301 §4.4.3.1).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Matcher<'c> {
    /// This identity.
    Exact(Identity<'c>),
    /// DNS names that end in this, which begins with a dot: `.example.net`.
    Suffix(&'c str),
    /// Address identities in this range, and peers without identity that come from it.
    Addresses(AddressRange),
    /// Everyone.
    Any,
    /// Nobody by what he says: whoever is at the address that a packet goes to, if we begin. Its keys are those
    /// that DNS has for that address, or that the caller says it has.
    Reached,
}

/// How a peer proves who it is.
#[derive(Copy, Clone, Debug)]
pub enum Authentication<'c> {
    /// One of these keys signs.
    Pinned(&'c [PublicKey]),
    /// A key signs whose SubjectPublicKeyInfo has one of these SHA-256 hashes; the peer has to send it.
    Fingerprints(&'c [[u8; 32]]),
    /// This secret.
    SharedKey(&'c [u8]),
    /// A key signs that DNS has for the peer's name, or for its address in the reverse tree (RFC 4025).
    Dns(Published),
    /// Any key that signs (RFC 5386).
    Btns,
    /// Any key that signs, which is remembered from then on: nobody takes its place with another (RFC 5386 §4.2).
    FirstUse {
        /// How long a stranger has to be dead, so that another key may come under its name; zero: for ever.
        replace_after: Duration,
    },
    /// Nothing at all (RFC 7619): whoever took part in the key exchange.
    Null,
}

impl Authentication<'_> {
    /// What a peer reaches that passes; a stranger not before it comes again.
    pub const fn level(&self) -> Level {
        match self {
            Self::Pinned(_) | Self::Fingerprints(_) => Level::Pinned,
            Self::SharedKey(_) => Level::Shared,
            Self::Dns(Published { unproven: true, .. }) => Level::Any,
            Self::Dns(_) => Level::Validated,
            Self::Btns => Level::Any,
            Self::FirstUse { .. } => Level::Known,
            Self::Null => Level::Null,
        }
    }
}

/// Which addresses a peer may speak for (RFC 4301 §4.4.3.3).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Claim<'c> {
    /// The one that IKE runs to.
    OwnAddress,
    /// These.
    Ranges(&'c [AddressRange]),
}

impl<'c> Config<'c> {
    /// The first entry for this identity, shown from this address by somebody who proves something.
    pub(crate) fn search(&self, identity: &Identity<'_>, source: IpAddr) -> Option<(PeerId, PadEntry<'c>)> {
        let mut entries = (0..=u16::MAX).map(PeerId).zip(self.pad);
        entries
            .find(|(_, entry)| !entry.is_null() && entry.matcher.matches(identity, source))
            .map(|(id, entry)| (id, *entry))
    }

    /// The addresses that a peer of this entry may speak for, best first, as long as IKE runs like this.
    pub(crate) fn claims(&self, own: Own<'_>, id: PeerId, way: &Way) -> Claims<'c> {
        let address = way.owner();
        match self.pad.get(usize::from(id.0)) {
            // A stranger speaks for itself only, and for no address that somebody else owns
            // (RFC 5386 §2, second search). Nor does a name's owner own the addresses that he gives it.
            Some(entry) if entry.is_strangers() || entry.is_bound_to_its_address() => {
                if self.is_taken(own, id, address) {
                    Claims::Nothing
                } else {
                    Claims::Single(AddressRange::single(address))
                }
            }
            Some(PadEntry { claim: Claim::Ranges(ranges), .. }) => Claims::Ranges(ranges),
            Some(_) => Claims::Single(AddressRange::single(address)),
            None => Claims::Nothing,
        }
    }

    /// The entry with this number, if it is for whoever is reached.
    pub(crate) fn reached(&self, id: PeerId) -> Option<(PeerId, PadEntry<'c>)> {
        let entry = self.pad.get(usize::from(id.0)).filter(|entry| entry.matcher == Matcher::Reached)?;
        Some((id, *entry))
    }

    /// Whether another entry, or we ourselves, own this address.
    pub(crate) fn is_taken(&self, own: Own<'_>, id: PeerId, address: IpAddr) -> bool {
        own.has(address) || self.entries().any(|(other, entry)| other != id && entry.owns(address))
    }

    /// Whether an address lies in a network that policies take to be on our side: nobody far away speaks for it. A
    /// policy for whole families says nothing about where anybody is.
    pub(crate) fn is_near(&self, address: IpAddr) -> bool {
        let ours = self.policies.iter().filter(|policy| mode_of(policy) == Mode::Tunnel);
        ours.flat_map(|policy| policy.local)
            .any(|ts| ts.addresses.contains(address) && !ts.addresses.is_whole_family())
    }
}

impl PadEntry<'_> {
    /// Whether the peer is wherever a packet to `destination` goes.
    pub(crate) fn is_where_packets_go(&self, destination: IpAddr) -> bool {
        self.is_strangers() || self.matcher == Matcher::Reached || self.is_found_at(destination)
    }

    /// Whether whoever is at this address has his key in the reverse tree, and speaks for himself only.
    pub(crate) fn is_found_at(&self, address: IpAddr) -> bool {
        let is_meant = match self.matcher {
            Matcher::Addresses(range) => range.contains(address),
            Matcher::Any => true,
            _ => false,
        };
        is_meant && self.is_bound_to_its_address()
    }

    /// Whether the reverse tree of DNS has the peer's keys.
    pub(crate) const fn is_in_reverse(&self) -> bool {
        matches!(
            (&self.authentication, &self.matcher),
            (Authentication::Dns(_), Matcher::Addresses(_) | Matcher::Any)
        )
    }

    /// Whether it names nobody: DNS says of each who comes, or is there, whether he is somebody.
    pub(crate) const fn is_for_whoever_has_a_key(&self) -> bool {
        matches!(self.authentication, Authentication::Dns(_)) && !matches!(self.matcher, Matcher::Exact(_))
    }

    /// Whether it is for those whom nobody vouches for.
    pub(crate) const fn is_strangers(&self) -> bool {
        matches!(
            self.authentication,
            Authentication::Btns | Authentication::FirstUse { .. } | Authentication::Null
        )
    }

    /// Whether it is for those who prove nothing.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self.authentication, Authentication::Null)
    }

    /// Whether DNS says where the peer is, and the operator does not say what it speaks for.
    pub(crate) const fn is_bound_to_its_address(&self) -> bool {
        matches!((&self.authentication, &self.claim), (Authentication::Dns(_), Claim::OwnAddress))
    }

    /// What is allowed of what DNS says, if that decides.
    pub(crate) const fn published(&self) -> Option<Published> {
        match self.authentication {
            Authentication::Dns(published) => Some(published),
            _ => None,
        }
    }

    /// The name or address that DNS is asked for before a negotiation with this peer begins, which is at
    /// `remote` if that is known. Whose name only the peer itself says has none.
    pub(crate) fn name(&self, remote: Option<IpAddr>) -> Option<OwnedIdentity> {
        self.published()?;
        match self.matcher {
            Matcher::Exact(identity) => identity.to_owned(),
            Matcher::Addresses(_) | Matcher::Any | Matcher::Reached => Identity::Address(remote?).to_owned(),
            Matcher::Suffix(_) => None,
        }
    }

    fn owns(&self, address: IpAddr) -> bool {
        let claimed = match self.claim {
            Claim::Ranges(ranges) => ranges.iter().any(|r| r.contains(address)),
            Claim::OwnAddress => false,
        };
        let named = match self.matcher {
            Matcher::Addresses(range) => range.contains(address),
            Matcher::Exact(Identity::Address(own)) => own == address,
            _ => false,
        };
        claimed || named || self.address.is_some_and(|own| own.ip() == address)
    }
}

/// Addresses that a peer may speak for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Claims<'c> {
    Nothing,
    Single(AddressRange),
    Ranges(&'c [AddressRange]),
}

impl Claims<'_> {
    /// The ranges themselves.
    pub(crate) fn ranges(&self) -> &[AddressRange] {
        match self {
            Self::Nothing => &[],
            Self::Single(range) => core::slice::from_ref(range),
            Self::Ranges(ranges) => ranges,
        }
    }

    /// Whether all of a traffic selector lies in one of the ranges.
    pub(crate) fn cover(&self, selector: &TrafficSelector) -> bool {
        self.ranges().iter().any(|range| range.covers(&selector.addresses))
    }
}

impl Matcher<'_> {
    fn matches(&self, identity: &Identity<'_>, source: IpAddr) -> bool {
        match (self, identity) {
            (Self::Any, _) => true,
            (Self::Exact(own), other) => own.is_same(other),
            (Self::Suffix(suffix), Identity::Fqdn(name)) => identity::ends_in(name, suffix),
            (Self::Addresses(range), Identity::Address(address)) => range.contains(*address),
            (Self::Addresses(range), Identity::Null) => range.contains(source),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Suite, Timing};
    use core::net::Ipv4Addr;

    const fn entry(matcher: Matcher<'static>, authentication: Authentication<'static>) -> PadEntry<'static> {
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

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const PAD: &[PadEntry<'static>] = &[
        entry(Matcher::Exact(Identity::Fqdn("one.example")), Authentication::SharedKey(b"secret")),
        entry(Matcher::Suffix(".example"), Authentication::SharedKey(b"secret")),
        entry(Matcher::Addresses(AddressRange::single(A)), Authentication::SharedKey(b"secret")),
        entry(Matcher::Any, Authentication::Btns),
    ];

    fn config(pad: &'static [PadEntry<'static>]) -> Config<'static> {
        Config {
            identity: Identity::Null,
            key: None,
            pad,
            policies: &[],
            suites: &[Suite::FAST_SOFTWARE],
            local: &[],
            timing: Timing::DEFAULT,
            force_encapsulation: false,
            mobike: false,
        }
    }

    fn found(identity: Identity<'_>, source: IpAddr) -> u16 {
        config(PAD).search(&identity, source).map_or(u16::MAX, |(id, _)| id.0)
    }

    /// RFC 4301 §4.4.3.1: the list is ordered and the first match decides; RFC 5386 §2: the wildcard last.
    #[test]
    fn first_match_decides_and_wildcard_is_last() {
        assert_eq!(found(Identity::Fqdn("one.example"), B), 0);
        assert_eq!(found(Identity::Fqdn("two.example"), B), 1);
        assert_eq!(found(Identity::Address(A), B), 2);
        assert_eq!(found(Identity::Null, A), 2);
        assert_eq!(found(Identity::Null, B), 3);
        assert_eq!(found(Identity::Fqdn("elsewhere"), B), 3);
    }

    /// A name in other letters is the same name, and one that is no name is nobody's.
    #[test]
    fn odd_names_match_the_same_entry_or_none() {
        assert_eq!(found(Identity::Fqdn("ONE.Example."), B), 0);
        for odd in [
            "one.example\0",
            "one.example ",
            "one..example",
            "one.example..",
            ".example",
            "x\0.example",
            "*.example",
        ] {
            assert_eq!(found(Identity::Fqdn(odd), B), 3, "{odd:?}");
        }
    }

    fn claims_at(address: IpAddr) -> Claims<'static> {
        let own = Own { configured: &[], changes: &crate::own::Changes::new() };
        config(PAD).claims(own, PeerId(3), &Way::direct(address))
    }

    /// RFC 5386 §2: a peer of the wildcard speaks for its own address only, unless somebody owns that.
    #[test]
    fn stranger_speaks_for_itself_only() {
        assert_eq!(claims_at(B), Claims::Single(AddressRange::single(B)));
        assert_eq!(claims_at(A), Claims::Nothing);
    }
}
