//! The packet path (RFC 4301 §5): [`Engine::outbound`] and [`Engine::inbound`] decide about one IP
//! packet each, [`Engine::seal`] finishes what the first decided. Key management installs, moves and
//! removes SAs, and learns through [`Engine::poll_output`] what the packets showed.
//!
//! Whatever is missing, a policy, an SA, room in a table, ends in a drop: no path leads from a
//! packet that policy protects to clear octets.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;

use heapless::VecView;

use crate::counters::{Counters, DropReason};
use crate::crypto::{Algorithm, Cipher};
use crate::encapsulation;
use crate::mtu::Wrapping;
use crate::resources::{Desk, Resources};
use crate::sa::{ChildSa, Mode, SaReport, SaUpdate, Spi};
use crate::sad::Sad;
use crate::selector::{AddressRange, Selectors};
use crate::spd::{self, Action, Decision, Policy, PolicyId, PolicySelectors, Unmatched};
use crate::time::Instant;
use crate::wire::ip;

pub use crate::sad::InstallError;
pub use crate::tunnel::DfPolicy;
pub use outbound::Seal;
pub use status::SaStatus;

mod inbound;
mod outbound;
mod status;
mod unwrap;

/// One data plane. All state lies in its [`Resources`].
#[derive(Debug)]
pub struct Engine<'r, C: Cipher> {
    settings: Settings,
    policies: &'r mut VecView<Policy>,
    sad: Sad<'r, C>,
    desk: &'r mut Desk,
}

/// What holds for every packet.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// Octets of the largest IP packet that the link takes.
    pub mtu: u16,
    /// DF of outer IPv4 headers.
    pub df: DfPolicy,
    /// What happens to packets that no policy matches.
    pub unmatched: Unmatched,
    /// UDP datagrams to this port carry ESP or IKE (RFC 3948).
    pub encapsulation_port: u16,
    /// Whether [`Engine::stack_mtu`] leaves room for UDP encapsulation and IPv6 outer headers,
    /// before any SA tells whether they are needed.
    pub reserve_encapsulation: bool,
    /// How long packets go unanswered before [`SaReport::Unanswered`] says so; zero: it never does.
    pub silence: Duration,
    /// The algorithm that [`Engine::stack_mtu`] leaves room for: of those that may be agreed on, the one
    /// that adds most.
    pub reserve_algorithm: Algorithm,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mtu: 1500,
            df: DfPolicy::default(),
            unmatched: Unmatched::default(),
            encapsulation_port: encapsulation::PORT,
            reserve_encapsulation: true,
            silence: Duration::ZERO,
            reserve_algorithm: Algorithm::ChaCha20Poly1305,
        }
    }
}

/// What becomes of a packet that wants to leave.
#[derive(PartialEq, Eq, Debug)]
#[must_use]
pub enum Outbound {
    /// Send it as it is.
    Bypass,
    /// Seal it; the sequence number is spent, so a seal that is dropped leaves a gap.
    Seal(Seal),
    /// Policy protects it and no SA can send now. Key management has been told, or will be by
    /// [`Engine::poll_output`]. Keep it and ask again when an SA is installed, or drop it.
    Hold {
        /// The policy that wants an SA.
        policy: PolicyId,
        /// The flow.
        packet: Selectors,
    },
    /// It does not fit once it is sealed. Tunnel mode does not fragment before ESP either
    /// (RFC 4301 §8.2.1 leaves the choice), so this also meets packets without DF.
    TooBig {
        /// Octets of the largest clear packet that fits, for "packet too big". Never below 1280 for
        /// IPv6, whose hosts do not believe less (RFC 8201 §4).
        mtu: u16,
    },
    /// Drop it.
    Drop(DropReason),
}

/// What becomes of a packet that arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Inbound {
    /// Let it in as it is.
    Bypass,
    /// Let in the clear IP packet that now lies at these octets of the buffer.
    Deliver(Range<usize>),
    /// Nobody has this SPI here, but its sender has another: the SA may be on its way. Keep it until the SA
    /// is installed and ask again, or drop it.
    Early(Spi),
    /// Drop it.
    Drop(DropReason),
}

/// The next thing that key management should know. Drain until [`Output::Timeout`].
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A flow has no SA. Told again a second later if its packets still find none.
    Acquire {
        /// The policy that protects it.
        policy: PolicyId,
        /// The packet that asked, seen from our side.
        packet: Selectors,
    },
    /// Something happened to an SA.
    Sa(SaReport),
    /// Nothing more; call [`Engine::handle_timeout`] at this moment, or never if `None`.
    Timeout(Option<Instant>),
}

/// The SPD is full.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct SpdFull;

impl<'r, C: Cipher> Engine<'r, C> {
    /// An engine over `resources`, with what they already hold.
    pub fn new<const POLICIES: usize, const SAS: usize, const WORDS: usize>(
        settings: Settings,
        resources: &'r mut Resources<C, POLICIES, SAS, WORDS>,
    ) -> Self {
        let Resources { policies, sas, windows, ledger, desk } = resources;
        let sad = Sad::new(sas, windows.as_flattened_mut(), WORDS, settings.silence, ledger);
        Self { settings, policies: policies.as_mut_view(), sad, desk }
    }

    /// Appends a policy to the SPD; its id is its place.
    ///
    /// # Errors
    /// [`SpdFull`].
    pub fn add_policy(&mut self, policy: Policy) -> Result<PolicyId, SpdFull> {
        let id = u16::try_from(self.policies.len()).map_err(|_| SpdFull)?;
        self.policies.push(policy).map_err(|_| SpdFull)?;
        Ok(PolicyId(id))
    }

    /// Changes the far side of a policy: the peer that it is for has other addresses. SAs stay as they are; a
    /// packet that only they cover is now decided by the policies behind it. `false` when there is no such policy.
    pub fn set_remote(&mut self, policy: PolicyId, remote: PolicySelectors) -> bool {
        match self.policies.get_mut(usize::from(policy.0)) {
            Some(policy) => {
                policy.remote = remote;
                true
            }
            None => false,
        }
    }

    /// Changes our side of a policy: the address of ours that it is for is another now. As with
    /// [`Self::set_remote`], SAs stay as they are.
    pub fn set_local(&mut self, policy: PolicyId, local: PolicySelectors) -> bool {
        match self.policies.get_mut(usize::from(policy.0)) {
            Some(policy) => {
                policy.local = local;
                true
            }
            None => false,
        }
    }

    /// The SPD, in order.
    pub fn policies(&self) -> &[Policy] {
        self.policies
    }

    /// Pairs of SAs that fit; what [`Spi::for_slot`] wants to know.
    pub fn slots(&self) -> u16 {
        self.sad.slots()
    }

    /// Whoever is there was shown to protect nothing: until then policies with [`Level::Clear`](crate::spd::Level::Clear) for their minimum
    /// let packets pass in clear there, in both directions, while no SA stands for them.
    pub fn let_clear(&mut self, remote: AddressRange, until: Instant) {
        self.desk.open.add(remote, until);
    }

    /// Installs a pair of SAs, both or neither.
    ///
    /// # Errors
    /// [`InstallError`]; nothing has changed then.
    pub fn install(&mut self, now: Instant, child: ChildSa<C>) -> Result<(), InstallError> {
        let policy = self.policies.get(usize::from(child.policy.0));
        match policy.map(|policy| policy.action) {
            Some(Action::Protect { mode, .. }) if mode != child.mode => return Err(InstallError::WrongMode),
            Some(Action::Protect { minimum, .. }) if child.level < minimum => {
                return Err(InstallError::TooWeak);
            }
            Some(Action::Protect { .. }) => {}
            _ => return Err(InstallError::NotProtected),
        }
        if child.local.is_ipv4() != child.remote.is_ipv4() {
            return Err(InstallError::MixedFamilies);
        }
        self.sad.admits(&child)?;
        self.sad.insert(now, child);
        Ok(())
    }

    /// Removes a pair of SAs; whether there was one.
    pub fn remove(&mut self, inbound: Spi) -> bool {
        let removed = self.sad.remove(inbound);
        if let Some(sa) = &removed {
            self.desk.acquires.forget(sa.policy);
            self.desk
                .notices
                .retain(|notice| !matches!(notice, SaReport::PeerMoved { spi, .. } if *spi == inbound));
        }
        removed.is_some()
    }

    /// Whether there is a pair of SAs that receives on this SPI.
    pub fn has_sa(&self, inbound: Spi) -> bool {
        self.sad.get(inbound).is_some()
    }

    /// Sends nothing more on a pair of SAs that has a successor; what is on its way still comes in
    /// (RFC 7296 §2.8). `false` when there is no such pair.
    pub fn retire(&mut self, inbound: Spi) -> bool {
        self.sad.retire(inbound)
    }

    /// Moves a pair of SAs to other outer addresses; `false` when there is no such pair, or the
    /// addresses are of different families.
    pub fn update(&mut self, update: SaUpdate) -> bool {
        update.local.is_ipv4() == update.remote.is_ipv4() && self.sad.relocate(update)
    }

    /// Lets lifetimes pass. Early calls are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.sad.handle_timeout(now);
    }

    /// What key management should know next.
    pub fn poll_output(&mut self) -> Output {
        if let Some(report) = self.sad.next_report() {
            return Output::Sa(report);
        }
        if !self.desk.notices.is_empty() {
            return Output::Sa(self.desk.notices.remove(0));
        }
        match self.desk.acquires.next() {
            Some((policy, packet)) => Output::Acquire { policy, packet },
            None => Output::Timeout(self.sad.next_change()),
        }
    }

    /// What became of all packets.
    pub fn counters(&self) -> &Counters {
        &self.desk.counters
    }

    /// Every pair of SAs.
    pub fn sas(&self) -> impl Iterator<Item = SaStatus<'_>> {
        self.sad.iter().map(SaStatus::of)
    }

    /// Whether ESP in UDP went to this address and port since then: a NAT between us needs no other
    /// reminder (RFC 3948 §4).
    pub fn has_sent_since(&self, since: Instant, remote: SocketAddr) -> bool {
        self.sad.towards(remote.ip()).any(|sa| {
            let port = sa.encapsulation.map(|ports| ports.remote_port);
            port == Some(remote.port()) && sa.has_sent_since(since)
        })
    }

    /// Octets of the largest IP packet that a stack above should send: what every protecting policy
    /// leaves of the link's MTU. IPv6 over links near 1280 may get less than its minimum; TCP follows
    /// the segment size that SYNs are clamped to.
    pub fn stack_mtu(&self) -> u16 {
        let left = |policy: &Policy| match policy.action {
            Action::Protect { mode, .. } => self.expected_wrapping(mode, policy).inner_mtu(self.settings.mtu),
            Action::Bypass | Action::Discard => self.settings.mtu,
        };
        self.policies.iter().map(left).min().unwrap_or(self.settings.mtu)
    }

    /// How a policy's packets will be wrapped, before any SA says so.
    fn expected_wrapping(&self, mode: Mode, policy: &Policy) -> Wrapping {
        let v6 = policy.remote.iter().any(|ts| ts.addresses.first().is_ipv6());
        let reserve = self.settings.reserve_encapsulation;
        let wide = match mode {
            Mode::Transport => v6,
            Mode::Tunnel => v6 || reserve,
        };
        let headers = if wide { ip::V6_HEADER } else { ip::V4_HEADER };
        let algorithm = self.settings.reserve_algorithm;
        Wrapping { mode, headers, encapsulated: reserve, algorithm }
    }

    /// What policy says of a packet seen from our side. `None` stands for [`Unmatched`].
    fn decide(&self, packet: &Selectors, hidden: bool) -> Result<Option<(PolicyId, Action)>, DropReason> {
        match (spd::decide(self.policies, packet, hidden), self.settings.unmatched) {
            (Decision::Policy(_, Action::Discard), _) => Err(DropReason::Discard),
            (Decision::Policy(id, action), _) => Ok(Some((id, action))),
            (Decision::Unclassifiable, _) => Err(DropReason::UnclassifiableFragment),
            (Decision::None, Unmatched::Bypass) => Ok(None),
            (Decision::None, Unmatched::Discard) => Err(DropReason::NoPolicy),
        }
    }
}
