//! What CREATE_CHILD_SA needs until its SA stands (RFC 7296 §1.3), and IKE_FOLLOWUP_KE behind it
//! (RFC 9370 §2.2.4): as initiator [`Creating`] and [`Rekeying`], then [`CompletingChild`] and
//! [`CompletingIkeSa`]; as responder [`Followup`], of which an IKE SA has one at most.

use esp_engine::sa::Spi;
use esp_engine::selector::TrafficSelectors;
use esp_engine::spd::PolicyId;

use super::{Handshake, NONCE, Tried};
use crate::child_sa::Child;
use crate::crypto::{Crypto, Group, SharedSecret};
use crate::exchange::ike_auth::child::Agreement;
use crate::ike_sa::keys::{IkeSpis, Nonces, Role};
use crate::proposal::IkeChoice;
use crate::wants::Wanted;
use crate::wire::nonce::MAX_NONCE;

/// A Child SA that the peer was asked for.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Creating<K> {
    pub(crate) aim: Aim,
    /// The SPI that we offered.
    pub(crate) inbound: Spi,
    /// For keys that do not come from the IKE SA's alone.
    pub(crate) exchange: Option<K>,
    pub(crate) tried: Tried,
    pub(crate) nonce: [u8; NONCE],
    /// The peer asked for the same at the same time.
    pub(crate) rival: Option<Rival>,
}

/// A successor of the IKE SA that the peer was asked for.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Rekeying<K> {
    /// Its slot, which is reserved.
    pub(crate) slot: u16,
    pub(crate) exchange: K,
    pub(crate) tried: Tried,
    pub(crate) nonce: [u8; NONCE],
    /// The peer asked for the same at the same time.
    pub(crate) rival: Option<Rival>,
    /// The slot of the one that the peer got, once it did.
    pub(crate) rival_slot: Option<u16>,
}

/// What a Child SA is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Aim {
    /// To stand beside the others.
    New(Wanted),
    /// To take over from one, by the SPI that we chose, with all that lives in it.
    Successor { of: Spi, policy: PolicyId, local_ts: TrafficSelectors, remote_ts: TrafficSelectors },
}

impl Aim {
    pub(crate) fn successor(child: &Child) -> Self {
        Self::Successor {
            of: child.inbound,
            policy: child.policy,
            local_ts: child.local_ts.clone(),
            remote_ts: child.remote_ts.clone(),
        }
    }

    /// The policy that it serves.
    pub(crate) const fn policy(&self) -> PolicyId {
        match self {
            Self::New(wanted) => wanted.policy,
            Self::Successor { policy, .. } => *policy,
        }
    }
}

/// The peer's exchange for a successor of the SA whose successor we are asking for.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Rival {
    /// The lower of its two nonces.
    pub(crate) lowest: heapless::Vec<u8, MAX_NONCE>,
}

impl Rival {
    pub(crate) fn new(nonces: Nonces<'_>) -> Self {
        Self { lowest: nonces.lowest().iter().copied().collect() }
    }
}

/// A Child SA of which only the additional key exchange is missing.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct CompletingChild<K> {
    pub(crate) aim: Aim,
    pub(crate) agreement: Agreement,
    /// Ours in IKE_FOLLOWUP_KE.
    pub(crate) exchange: K,
    pub(crate) first: FirstExchange,
}

/// A successor of the IKE SA of which only the additional key exchange is missing.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct CompletingIkeSa<K> {
    /// Its slot, which is reserved.
    pub(crate) slot: u16,
    pub(crate) spis: IkeSpis,
    pub(crate) choice: IkeChoice,
    /// Ours in IKE_FOLLOWUP_KE.
    pub(crate) exchange: K,
    pub(crate) first: FirstExchange,
}

/// What CREATE_CHILD_SA brought for keys.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct FirstExchange {
    /// SK(0).
    pub(crate) secret: SharedSecret,
    pub(crate) own_nonce: [u8; NONCE],
    pub(crate) peer_nonce: heapless::Vec<u8, MAX_NONCE>,
}

impl FirstExchange {
    /// Both nonces in the order of the exchange.
    pub(crate) fn nonces(&self, own: Role) -> Nonces<'_> {
        match own {
            Role::Initiator => Nonces { initiator: &self.own_nonce, responder: &self.peer_nonce },
            Role::Responder => Nonces { initiator: &self.peer_nonce, responder: &self.own_nonce },
        }
    }
}

/// What the peer asked for and gets when its additional key exchange comes (RFC 9370 §2.2.4).
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Followup {
    pub(crate) promised: Promised,
    /// Of the additional key exchange.
    pub(crate) group: Group,
    pub(crate) first: FirstExchange,
}

/// The SA that is promised.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) enum Promised {
    /// A Child SA, in place of the second one if there is any.
    Child(Agreement, Option<Spi>),
    /// A successor of the IKE SA, whose slot is reserved.
    IkeSa { slot: u16, spis: IkeSpis, choice: IkeChoice },
}

impl Promised {
    /// The data of ADDITIONAL_KEY_EXCHANGE.
    pub(crate) fn link(&self) -> Link {
        match self {
            Self::Child(agreement, _) => child_link(agreement.inbound),
            Self::IkeSa { spis, .. } => spis.responder.to_be_bytes(),
        }
    }
}

/// What links IKE_FOLLOWUP_KE to CREATE_CHILD_SA: the SPI that we chose as responder. It is random, and nobody
/// but us makes anything of it.
pub(crate) type Link = [u8; 8];

/// That of a Child SA.
pub(crate) fn child_link(inbound: Spi) -> Link {
    u64::from(inbound.get()).to_be_bytes()
}

impl<C: Crypto> Handshake<C> {
    /// What our request for a Child SA is after.
    pub(crate) fn aim(&self) -> Option<&Aim> {
        match self {
            Self::Creating(creating) => Some(&creating.aim),
            Self::CompletingChild(completing) => Some(&completing.aim),
            _ => None,
        }
    }

    /// Our nonce in CREATE_CHILD_SA as initiator.
    pub(crate) fn creation_nonce(&self) -> Option<&[u8; NONCE]> {
        match self {
            Self::Creating(creating) => Some(&creating.nonce),
            Self::Rekeying(rekeying) => Some(&rekeying.nonce),
            Self::CompletingChild(completing) => Some(&completing.first.own_nonce),
            Self::CompletingIkeSa(completing) => Some(&completing.first.own_nonce),
            _ => None,
        }
    }

    /// The slot that is reserved for a successor of the IKE SA.
    pub(crate) fn reserved_slot(&self) -> Option<u16> {
        match self {
            Self::Rekeying(Rekeying { slot, .. })
            | Self::CompletingIkeSa(CompletingIkeSa { slot, .. })
            | Self::Followup(Followup { promised: Promised::IkeSa { slot, .. }, .. }) => Some(*slot),
            _ => None,
        }
    }
}
