//! What only a handshake needs: key exchange, nonces, the two IKE_SA_INIT messages that both ends
//! sign. It lies in a slot of a pool that is free again once the IKE SA stands or is gone. What CREATE_CHILD_SA
//! and IKE_FOLLOWUP_KE need lies there too ([`creation`]).

use core::net::IpAddr;

use esp_engine::crypto::RawKey;
use esp_engine::sa::Spi;
use esp_engine::selector::Selectors;
use esp_engine::spd::PolicyId;

use crate::auth::SignatureHashes;
use crate::config::Suite;
use crate::crypto::{Crypto, Group, PrfOutput};
use crate::exchange::ike_auth::child::Making;
use crate::ike_sa::keys::{IkeKeys, Nonces, Role};
use crate::ike_sa::nat::Nat;
use crate::ike_sa::window::Fingerprint;
use crate::output::Path;
use crate::pad::PeerId;
use crate::resources::BufferId;
use crate::wire::chain::PAYLOAD_HEADER;
use crate::wire::code_point::CertEncoding;
use crate::wire::header::Header;
use crate::wire::nonce::MAX_NONCE;
use crate::wire::notify::NotifyType;
use crate::wire::payloads::Payloads;

pub(crate) use creation::{
    Aim, CompletingChild, CompletingIkeSa, Creating, FirstExchange, Followup, Link, Promised, Rekeying,
    Rival, child_link,
};

mod creation;

/// Octets of our nonces: half the key size of the PRF and more (RFC 7296 §2.10).
pub(crate) const NONCE: usize = 32;

/// How often IKE_SA_INIT is begun anew with a cookie or in another group (RFC 7296 §2.6.1).
pub(crate) const MAX_RETRIES: u8 = 5;

/// How often a handshake is begun anew because nobody understood IKE_AUTH: somebody may have spoiled
/// or forged IKE_SA_INIT (RFC 7296 §2.4).
pub(crate) const MAX_RESTARTS: u8 = 2;

/// Unanswered tries of IKE_AUTH after which it is begun anew.
pub(crate) const TRIES_BEFORE_RESTART: u8 = 3;

/// Groups that the peer was offered a public value of, the present one last. None is tried twice.
pub(crate) type Tried = heapless::Vec<Group, 4>;

/// A handshake under way.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) enum Handshake<C: Crypto> {
    /// Initiator: IKE_SA_INIT was sent.
    InitSent(InitSent<C::KeyExchange>),
    /// Initiator: IKE_INTERMEDIATE was sent.
    IntermediateSent(Agreed, Want, Additional<C::KeyExchange>),
    /// Initiator: IKE_AUTH was sent.
    AuthSent(Agreed, Want),
    /// Responder: IKE_SA_INIT was answered, and IKE_INTERMEDIATE if that was agreed on.
    InitAnswered(Agreed),
    /// Responder: IKE_AUTH came, and what DNS says about the initiator has to come before it is answered.
    AuthHeld(Agreed, Held),
    /// CREATE_CHILD_SA for a Child SA was sent on an IKE SA that stands.
    Creating(Creating<C::KeyExchange>),
    /// CREATE_CHILD_SA for a successor of the IKE SA was sent.
    Rekeying(Rekeying<C::KeyExchange>),
    /// IKE_FOLLOWUP_KE for a Child SA was sent.
    CompletingChild(CompletingChild<C::KeyExchange>),
    /// IKE_FOLLOWUP_KE for a successor of the IKE SA was sent.
    CompletingIkeSa(CompletingIkeSa<C::KeyExchange>),
    /// CREATE_CHILD_SA was answered, and IKE_FOLLOWUP_KE has to come.
    Followup(Followup),
}

impl<C: Crypto> core::fmt::Debug for Handshake<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InitSent(_) => "InitSent",
            Self::IntermediateSent(..) => "IntermediateSent",
            Self::AuthSent(..) => "AuthSent",
            Self::InitAnswered(_) => "InitAnswered",
            Self::AuthHeld(..) => "AuthHeld",
            Self::Creating(_) => "Creating",
            Self::Rekeying(_) => "Rekeying",
            Self::CompletingChild(_) => "CompletingChild",
            Self::CompletingIkeSa(_) => "CompletingIkeSa",
            Self::Followup(_) => "Followup",
        })
    }
}

/// What an initiator is after.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Want {
    /// The policy that the first Child SA serves.
    pub(crate) policy: PolicyId,
    /// The only peer that will do, if the policy names one.
    pub(crate) peer: Option<PeerId>,
    /// The entry by which we authenticate: that peer's, or the most likely one.
    pub(crate) entry: PeerId,
    /// The packet that asked for it.
    pub(crate) packet: Option<Selectors>,
    /// The way that IKE_SA_INIT takes.
    pub(crate) path: Path,
    /// The address whose gateway is there (RFC 4025 §2.5); `None` where the peer speaks for itself.
    pub(crate) behind: Option<IpAddr>,
    /// How often it was begun anew because nobody understood IKE_AUTH.
    pub(crate) restarts: u8,
    /// Offers the packet's own selectors only (SINGLE_PAIR_REQUIRED, RFC 7296 §2.9).
    pub(crate) single_pair: bool,
    /// The Child SA, by the SPI that we chose, which this one takes over from.
    pub(crate) replaces: Option<Spi>,
}

impl Want {
    /// An SA of this policy with this peer and no other, which speaks for itself, without a packet that asks for it.
    pub(crate) const fn with(peer: PeerId, policy: PolicyId, path: Path) -> Self {
        Self {
            policy,
            peer: Some(peer),
            entry: peer,
            packet: None,
            path,
            behind: None,
            restarts: 0,
            single_pair: false,
            replaces: None,
        }
    }
}

/// IKE_SA_INIT was sent and no good answer has come.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct InitSent<K> {
    pub(crate) want: Want,
    pub(crate) exchange: K,
    pub(crate) nonce: [u8; NONCE],
    pub(crate) cookie: heapless::Vec<u8, { crate::wire::notify::MAX_COOKIE }>,
    pub(crate) tried: Tried,
    pub(crate) retries: u8,
    /// An error that somebody sent without protection.
    pub(crate) hint: Option<u16>,
}

/// What IKE_SA_INIT agreed on.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Agreed {
    pub(crate) role: Role,
    pub(crate) suite: Suite,
    pub(crate) keys: IkeKeys,
    pub(crate) own_nonce: [u8; NONCE],
    pub(crate) peer_nonce: heapless::Vec<u8, MAX_NONCE>,
    /// The request as it was answered.
    pub(crate) request: BufferId,
    /// The answer.
    pub(crate) response: BufferId,
    pub(crate) nat: Nat,
    pub(crate) hashes: SignatureHashes,
    /// The peer asked for our raw key, in this form (RFC 7670 §3).
    pub(crate) key_wanted: Option<CertEncoding>,
    /// What IKE_INTERMEDIATE left, once it took place.
    pub(crate) intermediate: Option<Intermediate>,
    /// The responder takes an IKE SA without Child SA (RFC 6023).
    pub(crate) childless: bool,
    pub(crate) ppk: PpkUse,
}

/// An IKE_AUTH request, decrypted, that waits for what DNS says about its sender.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Held {
    pub(crate) path: Path,
    pub(crate) header: Header,
    /// See [`Clear::head`](crate::wire::encrypted::Clear::head).
    pub(crate) head: [u8; Header::LENGTH + PAYLOAD_HEADER],
    pub(crate) fingerprint: Fingerprint,
    /// The payloads.
    pub(crate) text: BufferId,
}

/// Whether a post-quantum preshared key takes part (RFC 8784 §3).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum PpkUse {
    /// Not both ends spoke of one.
    None,
    /// Both ends know such keys.
    Offered,
    /// One is in the keys.
    Mixed,
}

impl PpkUse {
    /// What IKE_SA_INIT brings: we have such keys, and the peer says so too.
    pub(crate) fn new(ours: bool, payloads: &Payloads<'_>) -> Self {
        let is_offered = ours && payloads.notify(NotifyType::USE_PPK).is_some();
        if is_offered { Self::Offered } else { Self::None }
    }
}

/// An additional key exchange that waits for its answer.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Additional<K> {
    pub(crate) exchange: K,
    /// IntAuth_i1 (RFC 9242 §3.3.2).
    pub(crate) int_auth: PrfOutput,
}

/// What IKE_INTERMEDIATE leaves for IKE_AUTH.
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Intermediate {
    /// IntAuth_i1 (RFC 9242 §3.3.2).
    pub(crate) initiator: PrfOutput,
    /// IntAuth_r1.
    pub(crate) responder: PrfOutput,
    /// What our message was sealed with, should it have to be cut smaller.
    pub(crate) sealed_with: RawKey,
}

impl Agreed {
    /// What the keys of the first Child SA are made of. It is used at once.
    pub(crate) fn making(&self) -> Making<'_> {
        Making {
            role: self.role,
            prf: self.suite.prf,
            sk_d: &self.keys.sk_d,
            secrets: None,
            nonces: self.nonces(),
            nat: self.nat,
            may_send: true,
            unsure_until: None,
        }
    }

    /// The key exchange that has to take place in IKE_INTERMEDIATE before IKE_AUTH.
    pub(crate) fn awaits_intermediate(&self) -> Option<Group> {
        self.suite.additional.filter(|_| self.intermediate.is_none())
    }

    /// The Message ID of IKE_AUTH: one more than that of the exchange before it (RFC 9242 §3.2).
    pub(crate) const fn auth_id(&self) -> u32 {
        if self.intermediate.is_some() { 2 } else { 1 }
    }

    /// Both nonces in the order of the exchange.
    pub(crate) fn nonces(&self) -> Nonces<'_> {
        match self.role {
            Role::Initiator => Nonces { initiator: &self.own_nonce, responder: &self.peer_nonce },
            Role::Responder => Nonces { initiator: &self.peer_nonce, responder: &self.own_nonce },
        }
    }
}

impl<C: Crypto> Handshake<C> {
    /// What its initiator is after, if that is us.
    pub(crate) fn want(&self) -> Option<&Want> {
        match self {
            Self::InitSent(InitSent { want, .. })
            | Self::IntermediateSent(_, want, _)
            | Self::AuthSent(_, want) => Some(want),
            _ => None,
        }
    }

    /// The messages that are kept for signatures.
    pub(crate) fn messages(&self) -> Option<[BufferId; 2]> {
        match self {
            Self::IntermediateSent(agreed, ..)
            | Self::AuthSent(agreed, _)
            | Self::InitAnswered(agreed)
            | Self::AuthHeld(agreed, _) => Some([agreed.request, agreed.response]),
            _ => None,
        }
    }

    /// The keys of the SK payload, once there are any.
    pub(crate) fn agreed(&self) -> Option<&Agreed> {
        match self {
            Self::IntermediateSent(agreed, ..)
            | Self::AuthSent(agreed, _)
            | Self::InitAnswered(agreed)
            | Self::AuthHeld(agreed, _) => Some(agreed),
            _ => None,
        }
    }
}
