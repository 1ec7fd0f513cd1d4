//! Who the peer is: from its ID to a PAD entry, from the entry to the only method that will do, from
//! there to the keys that may have signed (RFC 4301 §4.4.3.4, RFC 5386 §2).

use core::net::IpAddr;

use esp_engine::sa::PeerKey;
use esp_engine::spd::Level;
use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use super::{Side, is_somebody, ppk, signed_octets};
use crate::auth::{Expected, verify};
use crate::crypto::{Crypto, KeyKind, PublicKey};
use crate::endpoint::Endpoint;
use crate::error::{FailReason, NameFault};
use crate::handshake::Agreed;
use crate::ike_sa::IkeSa;
use crate::ike_sa::keys::Role;
use crate::ike_sa::table::Who;
use crate::output::Method;
use crate::pad::record::{ProvenKey, Verdict, Way};
use crate::pad::{Authentication, Identity, Matcher, OwnedIdentity, PadEntry, PeerId};
use crate::wire::auth::AuthView;
use crate::wire::code_point::AuthMethod;
use crate::wire::id::IdView;
use crate::wire::payloads::Payloads;

use key::{Signed, check_key, measured, proven_key, published_key, reason, shown_key};

mod key;

/// A peer that proved who it is.
pub(crate) struct Proven {
    pub(crate) peer: PeerId,
    /// The address whose gateway it is; `None` where it speaks for itself.
    pub(crate) behind: Option<IpAddr>,
    pub(crate) identity: OwnedIdentity,
    pub(crate) key: PeerKey,
    pub(crate) level: Level,
    pub(crate) method: Method,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signed, in IKE_AUTH.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// That key.
    pub(crate) public: Option<PublicKey>,
}

impl Proven {
    /// Who it is.
    pub(crate) fn who(&self) -> Who<'_> {
        let is_stranger = !is_somebody(self.level);
        Who { peer: self.peer, identity: &self.identity, key: self.key, is_stranger }
    }
}

/// What the peer calls itself, if its message says so.
pub(super) fn asserted(agreed: &Agreed, payloads: &Payloads<'_>) -> Option<OwnedIdentity> {
    let id = match agreed.role {
        Role::Initiator => payloads.idr.as_ref(),
        Role::Responder => payloads.idi.as_ref(),
    }?;
    Identity::from_wire(id.kind.0, id.data).to_owned()
}

/// The entry that the initiator claims to be, if that is known by a shared key: somebody may be guessing.
pub(super) fn with_secret<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    payloads: &Payloads<'_>,
    source: IpAddr,
) -> Option<PeerId> {
    let id = payloads.idi?;
    let (peer, entry) = endpoint.config.search(&Identity::from_wire(id.kind.0, id.data), source)?;
    matches!(entry.authentication, Authentication::SharedKey(_)).then_some(peer)
}

/// Why a peer has not proved who it is.
pub(super) enum Unproven {
    /// It is refused.
    Refused(FailReason),
    /// First DNS has to be asked under this entry, as [`Endpoint::asked_about`] says; why what is known does not do.
    Asks(PeerId, NameFault),
}

impl From<FailReason> for Unproven {
    fn from(reason: FailReason) -> Self {
        Self::Refused(reason)
    }
}

/// What DNS is asked about a peer at `source` with this identity: its name, or its address, which has to be where
/// it is.
pub(crate) fn question<'i>(identity: &Identity<'i>, source: IpAddr) -> Option<Identity<'i>> {
    match identity {
        Identity::Fqdn(_) => Some(*identity),
        Identity::Address(address) if *address == source => Some(*identity),
        Identity::Null => Some(Identity::Address(source)),
        _ => None,
    }
}

/// A peer whose key DNS has is remembered as such.
pub(super) fn note_validated<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &IkeSa,
    proven: &Proven,
    now: Instant,
) {
    let way = Way { at: sa.path.remote.ip(), behind: proven.behind };
    if proven.level == Level::Validated
        && let Some(of) = endpoint.asked_about(proven.peer, &proven.identity, &way)
    {
        endpoint.name_validated(now, proven.peer, &of.view(), way.at, proven.fingerprint);
    }
}

/// Judges the peer's identity and proof. `wanted`: the only entry that will do; `since`: when what DNS said has to
/// have been good.
pub(super) fn judge<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &Agreed,
    payloads: &Payloads<'_>,
    wanted: Option<PeerId>,
    way: &Way,
    since: Instant,
) -> Result<Proven, Unproven> {
    let id = match agreed.role {
        Role::Initiator => payloads.idr,
        Role::Responder => payloads.idi,
    };
    let id = id.ok_or(FailReason::BadMessage)?;
    let auth = payloads.auth.ok_or(FailReason::WrongMethod)?;
    if auth.method == AuthMethod::NULL {
        return nobody(endpoint, agreed, &id, auth, wanted, way.at).map_err(Unproven::Refused);
    }
    let asserted = Identity::from_wire(id.kind.0, id.data);
    let identity = asserted.to_owned().ok_or(FailReason::UnknownPeer)?;
    let found = search(endpoint, &asserted, wanted, way).ok_or(FailReason::UnknownPeer)?;
    let other = wanted.filter(|wanted| *wanted != found.0);
    let reached = other.and_then(|wanted| endpoint.config.reached(wanted));
    let may_be_stranger = found.1.published().is_some_and(|published| published.or_stranger);
    if other.is_some() && reached.is_none() && !may_be_stranger {
        return Err(FailReason::OtherPeer.into());
    }
    let octets = signed_octets(endpoint, agreed, Side::Peer, &id)?;
    let signed = Signed { hashes: agreed.hashes, octets: &octets, auth, shown: shown_key(payloads) };
    let claim = Claim { asserted, identity, signed, way, since };
    let prove = |(peer, entry): (PeerId, PadEntry<'_>)| match entry.authentication {
        _ if ppk::is_missing(agreed, &entry) => Err(FailReason::NoPpk.into()),
        Authentication::SharedKey(secret) => prove_by_secret(endpoint, &claim, (peer, entry), secret),
        _ => prove_by_key(endpoint, &claim, (peer, entry)),
    };
    let proven = prove(found)?;
    match (wanted, reached) {
        // It is who it says, and has to be the one that its address is for besides.
        (Some(_), Some(reached)) => prove(reached),
        (Some(wanted), None) if wanted != proven.peer => Err(FailReason::OtherPeer.into()),
        _ => Ok(proven),
    }
}

/// What a peer says and shows of itself.
struct Claim<'a> {
    asserted: Identity<'a>,
    identity: OwnedIdentity,
    signed: Signed<'a>,
    way: &'a Way,
    since: Instant,
}

fn prove_by_secret<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    claim: &Claim<'_>,
    (peer, entry): (PeerId, PadEntry<'_>),
    secret: &[u8],
) -> Result<Proven, Unproven> {
    let Claim { asserted, identity, signed, way, .. } = claim;
    verify(&endpoint.crypto, Expected::SharedKey(secret), signed.hashes, signed.octets, signed.auth)
        .map_err(reason)?;
    let (key, level) = (named(endpoint, identity), Level::Shared);
    check_floor(endpoint, &entry, asserted, way.at, level)?;
    Ok(Proven {
        peer,
        behind: None,
        identity: identity.clone(),
        key,
        level,
        method: Method::SharedKey,
        fingerprint: None,
        public: None,
    })
}

fn prove_by_key<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    claim: &Claim<'_>,
    (peer, entry): (PeerId, PadEntry<'_>),
) -> Result<Proven, Unproven> {
    let Claim { asserted, identity, signed, way, since } = claim;
    let mut level = entry.authentication.level();
    let (peer, entry, key) = match entry.published() {
        Some(published) => {
            let of = match entry.matcher {
                Matcher::Reached => Identity::Address(way.at).to_owned(),
                _ => endpoint.asked_about(peer, identity, way),
            };
            let of = of.ok_or(FailReason::Name(NameFault::OtherAddress))?;
            let (verdict, key) = published_key(endpoint, signed, (peer, &of.view(), published), way, *since)?;
            match verdict {
                Verdict::Validated => {
                    level = Level::Validated;
                    (peer, entry, key)
                }
                Verdict::Unproven => (peer, entry, key),
                Verdict::Stranger => {
                    let (peer, entry) = endpoint.config.strangers().ok_or(FailReason::UnknownPeer)?;
                    level = entry.authentication.level();
                    (peer, *entry, key)
                }
                Verdict::Refused(fault) => return Err(FailReason::Name(fault).into()),
            }
        }
        None => {
            let pinned = match entry.authentication {
                Authentication::Pinned(keys) => keys,
                _ => &[],
            };
            let known = endpoint.remembered_key(asserted, way.at);
            let known = known.filter(|_| matches!(entry.authentication, Authentication::FirstUse { .. }));
            (peer, entry, measured(endpoint, proven_key(endpoint, signed, pinned.iter().chain(known))?))
        }
    };
    let ProvenKey { key, fingerprint: hash } = key;
    check_key(entry.authentication, &key, hash)?;
    if let Authentication::FirstUse { replace_after } = entry.authentication {
        level = endpoint.judge_stranger((asserted, way.at), hash, replace_after, *since)?;
    }
    check_floor(endpoint, &entry, asserted, way.owner(), level)?;
    // A name may change its key; it stays the same peer. What somebody who was only reached calls itself is no name.
    let is_named = level == Level::Validated && entry.matcher != Matcher::Reached;
    // Whoever has a gateway may take another one.
    let owner = way.behind.and_then(|_| endpoint.asked_about(peer, identity, way));
    let bound_to = match owner {
        Some(owner) => named(endpoint, &owner),
        None if is_named => named(endpoint, identity),
        None => PeerKey(hash),
    };
    Ok(Proven {
        peer,
        behind: way.behind,
        identity: identity.clone(),
        key: bound_to,
        level,
        method: method(key.kind()),
        fingerprint: Some(hash),
        public: Some(key),
    })
}

/// Whether a peer that the entry does not name, and who could have been found under another one, was not
/// authenticated better before (RFC 7435 §3).
fn check_floor<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    entry: &PadEntry<'_>,
    asserted: &Identity<'_>,
    source: IpAddr,
    level: Level,
) -> Result<(), FailReason> {
    match entry.matcher {
        Matcher::Exact(_) | Matcher::Reached => Ok(()),
        _ => endpoint.check_floor(asserted, source, level),
    }
}

/// Somebody who proves nothing but that it took part in the key exchange, whatever it calls itself (RFC 7619 §2.2).
/// What it is bound to is this one IKE SA.
fn nobody<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    agreed: &Agreed,
    id: &IdView<'_>,
    auth: AuthView<'_>,
    wanted: Option<PeerId>,
    source: IpAddr,
) -> Result<Proven, FailReason> {
    let (peer, _) = endpoint.config.nobody().ok_or(FailReason::WrongMethod)?;
    endpoint.check_floor(&Identity::Null, source, Level::Null)?;
    if wanted.is_some_and(|wanted| wanted != peer) {
        return Err(FailReason::OtherPeer);
    }
    let octets = signed_octets(endpoint, agreed, Side::Peer, id)?;
    verify(&endpoint.crypto, Expected::Null, agreed.hashes, &octets, auth).map_err(reason)?;
    let identity = Identity::Null.to_owned().ok_or(FailReason::Internal)?;
    let nonces = agreed.nonces();
    let key = PeerKey(endpoint.crypto.sha256(&[nonces.initiator, nonces.responder]));
    let (level, method) = (Level::Null, Method::Null);
    Ok(Proven { peer, behind: None, identity, key, level, method, fingerprint: None, public: None })
}

/// The entry of a peer that calls itself so: the first that matches. Whoever was only reached, as the gateway of
/// somebody wanted is, is nobody that an entry before the strangers' is for.
fn search<'c, C: Crypto, R>(
    endpoint: &Endpoint<'c, C, R>,
    asserted: &Identity<'_>,
    wanted: Option<PeerId>,
    way: &Way,
) -> Option<(PeerId, PadEntry<'c>)> {
    let config = endpoint.config;
    let reached = wanted.and_then(|wanted| match way.behind {
        Some(_) => Some((wanted, *config.pad.get(usize::from(wanted.0))?)),
        None => config.reached(wanted),
    });
    match config.search(asserted, way.at) {
        Some((_, entry)) if entry.is_strangers() && reached.is_some() => reached,
        found => found.or(reached),
    }
}

/// What a peer is bound to that is known by its name rather than by its key.
fn named<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, identity: &OwnedIdentity) -> PeerKey {
    PeerKey(endpoint.crypto.sha256(&[&[identity.kind()], identity.data()]))
}

const fn method(kind: KeyKind) -> Method {
    match kind {
        KeyKind::Ed25519 => Method::Ed25519,
        KeyKind::EcdsaP256 => Method::EcdsaP256,
        KeyKind::EcdsaP384 => Method::EcdsaP384,
        KeyKind::Rsa => Method::Rsa,
    }
}
