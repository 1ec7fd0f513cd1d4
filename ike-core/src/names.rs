//! Peers whose keys come from DNS: what is being asked, what was answered, and who waits for it. A fixed
//! number of names; those of the configuration keep their places, and strangers share the others.
//!
//! ```text
//! Open ─ answer ─▶ Idle, with a record until it expires ─ in use, or wanted again ─▶ Open
//!   └─ nobody answers for 4 s ─▶ Late: as if the answer were "nobody knows"; the answer is still taken
//! ```
//! A record that nobody renews is used beyond its time while IKE SAs rest on its keys, as long as the signatures last
//! that prove it ([`Age`]).

use core::net::IpAddr;
use core::time::Duration;

use esp_engine::selector::Selectors;
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;

use crate::error::AcquireError;
use crate::pace::Pace;
use crate::pad::record::Way;
use crate::pad::{Addresses, Identity, OwnedIdentity, PeerId, PeerRecord, Security};
use crate::setback::Setbacks;

/// How long an answer is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// How long nobody is asked again who did not answer, or whose answer expires at once.
const LEAST: Duration = Duration::from_secs(5);

/// After how long somebody who did not answer is asked again, whom the configuration names.
const RETRY: Duration = Duration::from_secs(30);

/// How long a record is used beyond its time before it has to be asked for again: until the next try has failed too
/// (RFC 8767 §4 has 30 s).
const STALE: Duration = Duration::from_secs(40);

/// Look-ups that strangers make us begin in a second.
const FOR_STRANGERS: u16 = 5;

/// Negotiations of ours that wait for an answer at most.
const WAITING: usize = 4;

/// Names one look-up; the asker chooses it. It is answered once, or expires.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ticket(pub u32);

/// One name, or one address, under one entry of the PAD.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Name {
    pub(crate) peer: PeerId,
    /// The name whose A, AAAA and IPSECKEY records are meant, or the address whose reverse name's.
    pub(crate) of: OwnedIdentity,
    /// The configuration names it.
    is_configured: bool,
    asking: Asking,
    pub(crate) record: Option<PeerRecord>,
    /// When the record came.
    answered: Instant,
    age: Age,
    /// Somebody has to hear of its age.
    has_aged: bool,
    /// The slot of an IKE SA whose IKE_AUTH request waits for the answer.
    held: Option<u16>,
    /// A key of it was validated.
    pub(crate) was_validated: bool,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that was validated last.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// Which way to it is tried first, and how many were tried in a row.
    way: (u8, u8),
    /// Where the caller was told that it is.
    told: Addresses,
    /// It may be elsewhere now.
    has_news: bool,
    /// When it is asked again although its record is still good.
    renewal: Option<Instant>,
    used: Instant,
}

#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum Asking {
    Idle,
    Open { ticket: Ticket, until: Instant },
    Late(Ticket),
}

/// What becomes of a record on which IKE SAs rest while nobody says more (RFC 8767).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Age {
    /// It holds.
    Fresh,
    /// It is believed beyond its time, until then at most.
    Stale(Instant),
    /// Its signatures have ended.
    Ended,
}

/// A negotiation of ours that waits for an answer.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Waiting {
    pub(crate) policy: PolicyId,
    /// The peer that was asked for, if the caller named one.
    pub(crate) peer: Option<PeerId>,
    pub(crate) packet: Option<Selectors>,
    /// What it waits for.
    pub(crate) ticket: Ticket,
}

/// What concerns look-ups as a whole.
#[derive(Debug)]
#[cfg_attr(feature = "explore", derive(Clone, Hash))]
pub(crate) struct Lookups {
    next: u32,
    /// Those begun for strangers.
    pace: Pace,
    /// Networks whose strangers made us ask.
    networks: Setbacks<()>,
    waiting: heapless::Vec<Waiting, WAITING>,
}

impl Lookups {
    pub(crate) const fn new() -> Self {
        Self { next: 0, pace: Pace::new(), networks: Setbacks::new(), waiting: heapless::Vec::new() }
    }

    /// A ticket that no other look-up has.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next = self.next.wrapping_add(1);
        Ticket(self.next)
    }

    /// Whether a stranger from this network may make us ask.
    pub(crate) fn may_ask(&self, network: IpAddr, now: Instant) -> bool {
        !self.pace.is_spent(now, FOR_STRANGERS) && !self.networks.is_waiting((), network, now)
    }

    /// A stranger from this network made us ask.
    pub(crate) fn asked_by(&mut self, network: IpAddr, now: Instant) {
        self.pace.spend(now);
        self.networks.failed((), network, now);
    }

    /// The stranger from this network turned out to be somebody.
    pub(crate) fn was_worth_it(&mut self, network: IpAddr) {
        self.networks.succeeded((), network);
    }

    /// A negotiation of ours waits; its like waits once.
    ///
    /// # Errors
    /// [`AcquireError::NoSlot`]: the packet that wants it asks again.
    pub(crate) fn wait(&mut self, waiting: Waiting) -> Result<(), AcquireError> {
        let is_like = |other: &Waiting| (other.policy, other.peer) == (waiting.policy, waiting.peer);
        if self.waiting.iter().any(is_like) {
            return Ok(());
        }
        self.waiting.push(waiting).map_err(|_| AcquireError::NoSlot)
    }

    /// Takes a negotiation whose answer is there.
    pub(crate) fn take_ready(&mut self, names: &Names<'_>) -> Option<Waiting> {
        let index = self.waiting.iter().position(|waiting| !names.is_open(waiting.ticket))?;
        Some(self.waiting.remove(index))
    }

    fn has_ready(&self, names: &Names<'_>) -> bool {
        self.waiting.iter().any(|waiting| !names.is_open(waiting.ticket))
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct Names<'r> {
    slots: &'r mut [Option<Name>],
}

/// What came of a question.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// It is to be asked under this ticket.
    Now(Ticket),
    /// It is being asked already.
    Already(Ticket),
}

impl Asked {
    pub(crate) const fn ticket(self) -> Ticket {
        match self {
            Self::Now(ticket) | Self::Already(ticket) => ticket,
        }
    }
}

impl<'r> Names<'r> {
    pub(crate) fn new(slots: &'r mut [Option<Name>]) -> Self {
        Self { slots }
    }

    /// How many names there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn find(&self, peer: PeerId, of: &Identity<'_>) -> Option<&Name> {
        self.slots.iter().flatten().find(|name| name.is(peer, of))
    }

    pub(crate) fn find_mut(&mut self, peer: PeerId, of: &Identity<'_>) -> Option<&mut Name> {
        self.slots.iter_mut().flatten().find(|name| name.is(peer, of))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Name> {
        self.slots.iter().flatten()
    }

    /// What DNS says of this, if that is still good at `now`.
    pub(crate) fn fresh(&self, peer: PeerId, of: &Identity<'_>, now: Instant) -> Option<&PeerRecord> {
        self.find(peer, of)?.record.as_ref().filter(|record| now < record.expires)
    }

    /// Notes that a question is asked under `ticket`, unless it is being asked. `None` when there is no place:
    /// `for_strangers` many may be taken by names that the configuration does not have.
    pub(crate) fn ask(
        &mut self,
        (peer, of): (PeerId, &OwnedIdentity),
        is_configured: bool,
        for_strangers: usize,
        ticket: Ticket,
        now: Instant,
    ) -> Option<Asked> {
        let open = Asking::Open { ticket, until: now + PATIENCE };
        if let Some(name) = self.find_mut(peer, &of.view()) {
            name.used = now;
            if let Asking::Open { ticket, .. } = name.asking {
                return Some(Asked::Already(ticket));
            }
            name.asking = open;
            return Some(Asked::Now(ticket));
        }
        let place = self.place(is_configured, for_strangers)?;
        *self.slots.get_mut(place)? = Some(Name {
            peer,
            of: of.clone(),
            is_configured,
            asking: open,
            record: None,
            answered: now,
            age: Age::Fresh,
            has_aged: false,
            held: None,
            was_validated: false,
            fingerprint: None,
            way: (0, 0),
            told: Addresses::new(),
            has_news: false,
            renewal: None,
            used: now,
        });
        Some(Asked::Now(ticket))
    }

    /// A place that is free, or whose stranger was of no use for the longest time.
    fn place(&self, is_configured: bool, for_strangers: usize) -> Option<usize> {
        let strangers = self.iter().filter(|name| !name.is_configured).count();
        let free = self.slots.iter().position(Option::is_none);
        if free.is_some() && (is_configured || strangers < for_strangers) {
            return free;
        }
        let is_idle = |name: &Name| {
            !name.is_configured && name.held.is_none() && !matches!(name.asking, Asking::Open { .. })
        };
        let idle = self.slots.iter().enumerate().filter_map(|(place, name)| {
            let name = name.as_ref().filter(|name| is_idle(name))?;
            Some((name.was_validated, name.used, place))
        });
        idle.min().map(|(_, _, place)| place)
    }

    /// Takes the answer to a look-up, early or late, and says what it was about; `None` when nobody asked.
    /// `in_use`: whether IKE SAs rest on the record of a name.
    pub(crate) fn answer(
        &mut self,
        ticket: Ticket,
        mut record: PeerRecord,
        now: Instant,
        in_use: impl Fn(PeerId, &Identity<'_>) -> bool,
    ) -> Option<(PeerId, OwnedIdentity)> {
        let name = self.slots.iter_mut().flatten().find(|name| name.asking.is(ticket))?;
        name.asking = Asking::Idle;
        record.expires = record.expires.max(now + LEAST);
        let is_in_use = in_use(name.peer, &name.of.view());
        name.take(record, now, is_in_use);
        Some((name.peer, name.of.clone()))
    }

    /// Those who did not answer in time count as silent.
    pub(crate) fn expire(&mut self, now: Instant, in_use: impl Fn(PeerId, &Identity<'_>) -> bool) {
        for name in self.slots.iter_mut().flatten() {
            if let Asking::Open { ticket, until } = name.asking
                && until <= now
            {
                name.asking = Asking::Late(ticket);
                let is_in_use = in_use(name.peer, &name.of.view());
                name.take(PeerRecord::silence(now + LEAST), now, is_in_use);
            }
        }
    }

    /// Whether the answer to this is still waited for.
    fn is_open(&self, ticket: Ticket) -> bool {
        self.iter().any(|name| matches!(name.asking, Asking::Open { ticket: open, .. } if open == ticket))
    }

    /// IKE SAs whose IKE_AUTH request waits for an answer, by their slots.
    pub(crate) fn held(&self) -> impl Iterator<Item = u16> {
        self.iter().filter_map(|name| name.held)
    }

    /// Takes an IKE SA whose answer is there.
    pub(crate) fn take_held(&mut self) -> Option<u16> {
        let is_ready = |name: &&mut Name| name.held.is_some() && !matches!(name.asking, Asking::Open { .. });
        self.slots.iter_mut().flatten().find(is_ready)?.held.take()
    }

    /// The peer of this entry may have come to rest on other addresses.
    pub(crate) fn note_change(&mut self, peer: PeerId) {
        self.slots
            .iter_mut()
            .flatten()
            .filter(|name| name.peer == peer)
            .for_each(|name| name.has_news = true);
    }

    /// A name of the configuration that is elsewhere than it was, with its addresses: those that are still `used`,
    /// then those of its record if that is secure.
    pub(crate) fn take_news<I: Iterator<Item = IpAddr>>(
        &mut self,
        used: impl Fn(PeerId) -> I,
    ) -> Option<(PeerId, Addresses)> {
        self.slots.iter_mut().flatten().find_map(|name| {
            let record = core::mem::take(&mut name.has_news).then_some(name.record.as_ref()?)?;
            if !name.is_configured || record.security != Security::Secure {
                return None;
            }
            let mut addresses = Addresses::new();
            for address in used(name.peer).chain(record.addresses.iter().copied()) {
                if !addresses.contains(&address) {
                    // Of more than there is room for the first are used.
                    let _ = addresses.push(address);
                }
            }
            let is_elsewhere = addresses != name.told;
            name.told = addresses;
            is_elsewhere.then(|| (name.peer, name.told.clone()))
        })
    }

    /// Where the caller was told that the peer of this entry is.
    pub(crate) fn told(&self, peer: PeerId) -> Option<&Addresses> {
        let mut named = self.iter().filter(|name| name.peer == peer && name.is_configured);
        named.find(|name| !name.told.is_empty()).map(|name| &name.told)
    }

    /// A name whose record has aged while IKE SAs rest on it.
    pub(crate) fn take_aged(&mut self) -> Option<(PeerId, OwnedIdentity, Age)> {
        let name = self.slots.iter_mut().flatten().find(|name| name.has_aged)?;
        name.has_aged = false;
        Some((name.peer, name.of.clone(), name.age))
    }

    /// Names whose records should be renewed by now.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<(PeerId, OwnedIdentity)> {
        let is_due = |name: &&mut Name| name.renewal.is_some_and(|at| at <= now);
        let name = self.slots.iter_mut().flatten().find(is_due)?;
        name.renewal = None;
        Some((name.peer, name.of.clone()))
    }

    /// When something is to be done about one of them; at once where somebody can go on.
    pub(crate) fn next(&self, lookups: &Lookups) -> Option<Instant> {
        let is_ready = lookups.has_ready(self)
            || self.iter().any(|n| n.held.is_some() && !matches!(n.asking, Asking::Open { .. }));
        if is_ready {
            return Some(Instant::ZERO);
        }
        let times = self.iter().flat_map(|name| [name.asking.until(), name.renewal]);
        times.flatten().min()
    }
}

impl Name {
    fn is(&self, peer: PeerId, of: &Identity<'_>) -> bool {
        self.peer == peer && self.of.view().is_same(of)
    }

    /// A new record takes the place of the old one, unless it knows less while that may still be used.
    fn take(&mut self, record: PeerRecord, now: Instant, is_in_use: bool) {
        let knows_less = matches!(record.security, Security::Bogus | Security::Indeterminate);
        let mut age = Age::Fresh;
        if let Some(old) = self.record.as_mut().filter(|_| knows_less) {
            let limit = old.usable_until(is_in_use);
            if now < limit {
                // An answer that was kept comes at once: half of ever less would never reach the end.
                self.renewal = Some(now + RETRY.min(limit.since(now) / 2).max(LEAST));
                let until = limit.min(now + STALE);
                if old.expires < until {
                    old.expires = until;
                    self.grow(Age::Stale(limit));
                }
                return;
            }
            if self.age != Age::Fresh || (is_in_use && old.signed_until.is_some()) {
                age = Age::Ended;
            }
        }
        // At two thirds of its life there is time for another try.
        let life = record.expires.since(now) / 3 * 2;
        self.renewal = Some(now + if knows_less { RETRY } else { life });
        (self.record, self.answered) = (Some(record), now);
        self.has_news = true;
        self.grow(age);
    }

    fn grow(&mut self, age: Age) {
        self.has_aged |= age != self.age && age != Age::Fresh;
        self.age = age;
    }

    /// Whether the record has been there for so long that DNS may know more by now.
    pub(crate) fn may_be_outdated(&self, now: Instant) -> bool {
        now.since(self.answered) >= LEAST
    }

    /// An IKE_AUTH request waits for the answer; `false` when another one does.
    pub(crate) fn hold(&mut self, slot: u16) -> bool {
        let is_free = self.held.is_none();
        if is_free {
            self.held = Some(slot);
        }
        is_free
    }

    /// The way to begin with; `owner` if only that address will do.
    pub(crate) fn way(&self, owner: Option<IpAddr>, fits: impl Fn(&Way) -> bool) -> Option<Way> {
        let all = self.record.as_ref()?.ways(owner);
        let first = usize::from(self.way.0).checked_rem(all.len())?;
        all.iter().cycle().skip(first).take(all.len()).copied().find(fits)
    }

    /// Nothing came of the last way: the next one has its turn; `false` when all of them had theirs.
    pub(crate) fn next_way(&mut self, owner: Option<IpAddr>) -> bool {
        let count = self.record.as_ref().map_or(0, |record| record.ways(owner).len());
        let (first, tried) = self.way;
        let has_more = usize::from(tried) + 1 < count;
        self.way = (first.wrapping_add(1), if has_more { tried + 1 } else { 0 });
        has_more
    }

    /// A peer of this name is authenticated.
    pub(crate) fn validated(&mut self, now: Instant, fingerprint: Option<[u8; 32]>) {
        self.was_validated = true;
        self.fingerprint = fingerprint;
        self.way.1 = 0;
        self.used = now;
    }
}

impl Asking {
    fn is(self, ticket: Ticket) -> bool {
        matches!(self, Self::Open { ticket: open, .. } | Self::Late(open) if open == ticket)
    }

    const fn until(self) -> Option<Instant> {
        match self {
            Self::Open { until, .. } => Some(until),
            Self::Idle | Self::Late(_) => None,
        }
    }
}
