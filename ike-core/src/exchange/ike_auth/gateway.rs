//! An initiator that is the gateway of somebody else (RFC 4025 §2.5). What it calls itself says nothing about that. The
//! first of its traffic selectors does, which is that of the packet that made it begin (RFC 7296 §2.9): only the signed
//! record of that address, with the gateway's address and its key, lets it speak for it.

use core::net::IpAddr;

use esp_engine::spd::{Action, Level, PolicyId};

use crate::config::{IkePolicy, Peer};
use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::pad::record::Way;
use crate::pad::{Identity, Matcher, PadEntry, PeerId};
use crate::wire::code_point::AuthMethod;
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;

/// The entry and the one address by whose record the sender of this request may be a gateway. Whoever says a name that
/// another entry is for has to prove that name.
pub(super) fn of_somebody<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    payloads: &Payloads<'_>,
    source: IpAddr,
) -> Option<(PeerId, Way)> {
    let config = endpoint.config;
    let owner = owner(payloads, source)?;
    let id = payloads.idi?;
    let asserted = Identity::from_wire(id.kind.0, id.data);
    if matches!(asserted, Identity::Address(address) if address != source && address != owner) {
        return None;
    }
    let named = config.search(&asserted, source).filter(|(_, entry)| !entry.is_strangers());
    let way = Way { at: source, behind: Some(owner) };
    let may_be =
        |peer: PeerId| named.is_none_or(|(named, _)| named == peer) && may_come(endpoint, peer, &way);
    let known = config.entries().find(|(peer, entry)| may_be(*peer) && is_for(endpoint, *peer, entry, owner));
    // A name that was not asked for yet may have the address.
    let unknown =
        || config.entries().find(|(peer, entry)| may_be(*peer) && is_unknown(endpoint, *peer, entry));
    known.or_else(unknown).map(|(peer, _)| (peer, way))
}

/// The address that the sender wants to speak for first, in tunnel mode and with a signature, if it is not its own.
fn owner(payloads: &Payloads<'_>, source: IpAddr) -> Option<IpAddr> {
    let signs = !matches!(payloads.auth?.method, AuthMethod::NULL | AuthMethod::SHARED_KEY);
    let is_tunnel = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_none();
    let first = payloads.tsi.as_ref()?.selectors().next()?.addresses;
    Some(first.first()).filter(|owner| signs && is_tunnel && first.is_single() && *owner != source)
}

/// Whether the entry is for this address: it lies in its part of the reverse tree, or its name has it.
fn is_for<C: Crypto, R>(
    endpoint: &Endpoint<'_, C, R>,
    peer: PeerId,
    entry: &PadEntry<'_>,
    owner: IpAddr,
) -> bool {
    match entry.matcher {
        Matcher::Exact(name @ Identity::Fqdn(_)) => {
            let record = endpoint.names.find(peer, &name).and_then(|name| name.record.as_ref());
            record.is_some_and(|record| record.addresses.contains(&owner))
        }
        Matcher::Exact(Identity::Address(address)) => address == owner,
        Matcher::Addresses(range) => range.contains(owner),
        Matcher::Any => true,
        // Who says only a name that the operator did not write could take any address with it.
        Matcher::Exact(_) | Matcher::Suffix(_) | Matcher::Reached => false,
    }
}

/// Whether the entry is for a name of which nothing was heard yet.
fn is_unknown<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, peer: PeerId, entry: &PadEntry<'_>) -> bool {
    matches!(entry.matcher, Matcher::Exact(name @ Identity::Fqdn(_))
        if endpoint.names.find(peer, &name).is_none_or(|name| name.record.is_none()))
}

/// Whether a peer of this entry could come this way at all: DNS alone says where it is and what it speaks for, and a
/// policy would take it.
fn may_come<C: Crypto, R>(endpoint: &Endpoint<'_, C, R>, peer: PeerId, way: &Way) -> bool {
    let config = endpoint.config;
    let is_in_dns = |entry: &PadEntry<'_>| entry.is_bound_to_its_address() && entry.address.is_none();
    let serves = |(id, policy): (PolicyId, &IkePolicy<'_>)| {
        let is_enough =
            matches!(policy.action, Action::Protect { minimum, .. } if minimum <= Level::Validated);
        let is_its = policy.peer == Peer::Any || policy.peer == Peer::Entry(peer);
        let covers = policy.remote.iter().any(|ts| ts.addresses.contains(way.owner()));
        is_enough && is_its && covers && endpoint.is_way(peer, id, way)
    };
    config.entry(peer).is_some_and(is_in_dns)
        && !config.is_taken(endpoint.own(), peer, way.owner())
        && config.policies().any(serves)
}
