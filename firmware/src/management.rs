//! What an operator may ask a running device, and the answers, all serializable: a board carries them
//! over whatever it has (on Linux a Unix socket).

use core::net::{IpAddr, SocketAddr};

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::mutex::Mutex;
use esp_engine::spd::Level;
use heapless::{String, Vec};
use ike_core::discovery::anchors::MAX_ANCHORS;
use serde::{Deserialize, Serialize};

use crate::config::clock::{MAX_TIME_SERVERS, Source};
use crate::config::{LevelWords, MAX_PEERS, MAX_SERVERS, Name, Site};
use crate::control::remembered::MAX_REMEMBERED;

pub use explanation::{Explanation, Subject};

pub mod explanation;

/// IKE SAs and Child SAs that a status lists.
pub const MAX_LISTED: usize = 8;
/// Octets of a reason in words.
pub const MAX_WORDS: usize = 160;

/// What a server lacks: so much is listed of it.
pub const MAX_LACKS: usize = 3;

/// A few words for an operator.
pub type Phrase = String<64>;

/// A sentence for an operator.
pub type Words = String<MAX_WORDS>;

/// What an operator asks or orders.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// How things are.
    Status,
    /// Why traffic with somebody is encrypted, or is not.
    Why(Subject),
    /// Begin an IKE SA with this peer; where one stands, a successor of its Child SA.
    Start(Name),
    /// Begin a successor of each IKE SA with this peer.
    RekeyIkeSa(Name),
    /// End every IKE SA with this peer.
    Close(Name),
    /// What is remembered of peers when their SAs are gone.
    Remembered,
    /// Remember nothing of this one any more, by what it is shown as; a stranger's IKE SAs end.
    Forget(Words),
    /// This stranger has another key from now on.
    Accept {
        /// What it is shown as.
        of: Words,
        /// SHA-256 of the key's SubjectPublicKeyInfo.
        fingerprint: [u8; 32],
    },
    /// The device is there from now on, in place of its outer address of this family.
    Put(Site),
    /// It is so late, seconds since 1970 in UTC.
    SetClock(u64),
    /// End every IKE SA and begin none any more: the device is about to stop.
    Shutdown,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one answer exists at a time")]
pub enum Response {
    /// How things are.
    Status(Status),
    /// Why.
    Why(Explanation),
    /// What is remembered.
    Remembered(Vec<RememberedPeer, MAX_REMEMBERED>),
    /// The order is being carried out.
    Done,
    /// No peer has this name, and no client asked for it.
    NoSuchPeer,
    /// The order cannot be carried out.
    Refused(Words),
}

/// Why something did not happen, or ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reason {
    /// Milliseconds from the start of the device to the event.
    pub at_ms: u64,
    /// What happened.
    pub words: Words,
}

/// How things are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// Milliseconds since the device started.
    pub uptime_ms: u64,
    /// Whether what is learnt will be there after a restart.
    pub remembers: bool,
    /// The last peer that there was no place to remember, until somebody is forgotten.
    pub unplaced: Option<Words>,
    /// Where the device is on its outer port.
    pub outside: Vec<Site, 2>,
    /// Offers of DHCP servers that could not be taken.
    pub refused_leases: u32,
    /// How late it is, and who says so.
    pub clock: ClockStatus,
    /// The servers of DNS.
    pub dns: Vec<DnsServerStatus, MAX_SERVERS>,
    /// Keys of DNS's root, and how far each is trusted.
    pub anchors: Vec<AnchorStatus, MAX_ANCHORS>,
    /// The configured peers.
    pub peers: Vec<PeerStatus, MAX_PEERS>,
    /// IKE SAs, at most [`MAX_LISTED`].
    pub ike_sas: Vec<IkeSaStatus, MAX_LISTED>,
    /// Pairs of Child SAs, at most [`MAX_LISTED`].
    pub child_sas: Vec<ChildSaStatus, MAX_LISTED>,
    /// What became of packets.
    pub packets: Packets,
    /// What became of IKE datagrams.
    pub datagrams: Datagrams,
}

/// The time of day.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClockStatus {
    /// Who is believed about it.
    pub source: Source,
    /// Seconds since 1970, if it is known.
    pub unix: Option<u64>,
    /// It certainly is not earlier than this.
    pub not_before: u64,
    /// The time servers, and what each was good for.
    pub servers: Vec<(SocketAddr, Phrase), MAX_TIME_SERVERS>,
}

/// One server of DNS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DnsServerStatus {
    /// Where it is.
    pub address: SocketAddr,
    /// Its word is believed.
    pub is_believed: bool,
    /// It has been tried out.
    pub is_probed: bool,
    /// What it lacks; at most [`MAX_LACKS`] are listed.
    pub lacks: Vec<Phrase, MAX_LACKS>,
}

/// One key of DNS's root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AnchorStatus {
    /// Its tag, by which it is usually called.
    pub key_tag: u16,
    /// Its state in RFC 5011 §4.2.
    pub state: Phrase,
    /// The configuration, or the program, names it.
    pub is_configured: bool,
}

/// One configured peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: Name,
    /// Established IKE SAs with it.
    pub established: u16,
    /// The last reason why it was not.
    pub last_reason: Option<Reason>,
}

/// What is remembered of one peer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RememberedPeer {
    /// What it calls itself; its address where that says nothing.
    pub of: Words,
    /// Where it was.
    pub address: IpAddr,
    /// The best that it ever was.
    pub level: Shown,
    /// SHA-256 of a stranger's SubjectPublicKeyInfo, in hexadecimal digits.
    pub fingerprint: Option<String<64>>,
}

/// One IKE SA.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IkeSaStatus {
    /// The peer's configured name, once it is known.
    pub peer: Option<Name>,
    /// What the peer calls itself.
    pub identity: Words,
    /// The address whose gateway it is, and for which it speaks (RFC 4025 §2.5).
    pub gateway_for: Option<IpAddr>,
    /// Both SPIs, initiator's first.
    pub spis: (u64, u64),
    /// Whether both ends are authenticated.
    pub established: bool,
    /// How well the peer is authenticated, once it is.
    pub level: Option<Shown>,
    /// Where the peer is.
    pub remote: SocketAddr,
    /// Child SAs under it.
    pub children: u16,
}

/// One pair of Child SAs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChildSaStatus {
    /// The name of the policy it serves.
    pub policy: Name,
    /// The SPI that we chose.
    pub inbound: u32,
    /// The SPI that the peer chose.
    pub outbound: u32,
    /// How well the peer is authenticated.
    pub level: Shown,
    /// Packets received and sent.
    pub packets: (u64, u64),
    /// Octets of clear packets received and sent.
    pub octets: (u64, u64),
}

/// A level in the form that is stored and shown.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shown(#[serde(with = "LevelWords")] pub Level);

impl Shown {
    /// The level in a word or two; nothing below `shared` is called authenticated.
    pub const fn words(self) -> &'static str {
        match self.0 {
            Level::Clear => "clear",
            Level::Null => "null: nobody knows whom",
            Level::Any => "any key (BTNS): not authenticated",
            Level::First => "first key seen: not authenticated",
            Level::Known => "known key: not authenticated",
            Level::Shared => "shared key",
            Level::Validated => "validated by DNSSEC",
            Level::Pinned => "pinned key",
        }
    }
}

/// What became of packets since the device started.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Packets {
    /// Protected and sent.
    pub sealed: u64,
    /// Received and opened.
    pub opened: u64,
    /// Sent in clear by policy.
    pub bypassed_out: u64,
    /// Received in clear by policy.
    pub bypassed_in: u64,
    /// Needed an SA that was not there.
    pub without_sa: u64,
    /// Dropped, over all reasons.
    pub dropped: u64,
    /// Reports to Control that were lost because it was busy.
    pub overflow: u32,
}

/// What became of IKE datagrams since the device started.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Datagrams {
    /// Taken.
    pub accepted: u32,
    /// Dropped without effect.
    pub discarded: u32,
    /// IKE SAs established.
    pub established: u32,
    /// Negotiations failed.
    pub failed: u32,
    /// Of these, with strangers whose network has its share.
    pub network_full: u32,
}

/// The way from a board's transport to Control: one question at a time.
pub struct Management {
    asking: Mutex<CriticalSectionRawMutex, ()>,
    requests: Channel<CriticalSectionRawMutex, Request, 1>,
    responses: Channel<CriticalSectionRawMutex, Response, 1>,
}

impl Management {
    /// Nobody asks.
    pub const fn new() -> Self {
        Self { asking: Mutex::new(()), requests: Channel::new(), responses: Channel::new() }
    }

    /// The board's end: asks and waits for the answer.
    pub async fn ask(&self, request: Request) -> Response {
        let _one_at_a_time = self.asking.lock().await;
        // The answer to someone who stopped waiting is nobody's.
        self.responses.clear();
        self.requests.send(request).await;
        self.responses.receive().await
    }

    /// Control's end: the next question.
    pub(crate) async fn next_request(&self) -> Request {
        self.requests.receive().await
    }

    /// Control's end: the answer, which replaces one that nobody fetched.
    pub(crate) fn answer(&self, response: Response) {
        self.responses.clear();
        let _ = self.responses.try_send(response);
    }
}

impl Default for Management {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use embassy_futures::block_on;
    use embassy_futures::join::join;

    use super::*;

    #[test]
    fn each_question_gets_its_own_answer() {
        let management = Management::new();
        management.answer(Response::NoSuchPeer);
        let control = async {
            assert_eq!(management.next_request().await, Request::Status);
            management.answer(Response::Status(Status::default()));
            assert_eq!(management.next_request().await, Request::Close(Name::new()));
            management.answer(Response::Done);
        };
        let board = async {
            let status = management.ask(Request::Status).await;
            (status, management.ask(Request::Close(Name::new())).await)
        };
        let (_, answers) = block_on(join(control, board));
        assert_eq!(answers, (Response::Status(Status::default()), Response::Done));
    }

    #[test]
    fn nothing_below_shared_is_shown_as_authenticated() {
        for level in [Level::Any, Level::First, Level::Known] {
            assert!(Shown(level).words().ends_with("not authenticated"));
        }
    }
}
