//! A small BGP-4 speaker over an embassy-net TCP socket (RFC 4271): OPEN, KEEPALIVE, UPDATE,
//! NOTIFICATION, hold timer. It announces prefixes and remembers those of its peer; it chooses no
//! routes. It is the application whose session the demo protects.

use std::cell::RefCell;
use std::net::Ipv4Addr;

use embassy_futures::select::{Either, select};
use embassy_net::tcp::TcpSocket;
use embassy_time::{Duration, Instant, Timer};

pub mod message;

use message::{Message, Prefix};

/// The port that BGP listens on.
pub const PORT: u16 = 179;

/// What a speaker says about itself.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// Its autonomous system (16 bits are enough for the numbers kept for documentation).
    pub autonomous_system: u16,
    /// Its BGP identifier.
    pub identifier: Ipv4Addr,
    /// The address it names as next hop.
    pub next_hop: Ipv4Addr,
    /// The hold time it proposes, in seconds.
    pub hold_time: u16,
}

/// What became of a conversation; filled in while it goes on.
#[derive(Clone, Default, Debug)]
pub struct Session {
    /// The peer's autonomous system once its OPEN has arrived.
    pub peer: Option<u16>,
    /// Both OPENs were confirmed by a KEEPALIVE, and the session has not ended since.
    pub established: bool,
    /// KEEPALIVEs that arrived.
    pub keepalives: u32,
    /// UPDATEs that arrived.
    pub updates: u32,
    /// Prefixes that the peer announced.
    pub learned: Vec<Prefix>,
    /// Prefixes that are still to be announced.
    pub to_announce: Vec<Prefix>,
    /// When it became established.
    pub since: Option<Instant>,
}

/// Why a session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// TCP was reset or closed.
    Connection,
    /// Nothing arrived for the hold time.
    HoldTimerExpired,
    /// The peer said so: error code and subcode (RFC 4271 §4.5).
    Notification(u8, u8),
    /// The peer sent what is no BGP message here.
    Malformed,
}

impl Speaker {
    /// Speaks over a connected `socket` until the session ends.
    pub async fn converse(&self, socket: &mut TcpSocket<'_>, session: &RefCell<Session>) -> Ended {
        // The TCP connection alone must not outlive the session by much.
        socket.set_timeout(Some(Duration::from_secs(60)));
        let ended = match self.talk(socket, session).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        session.borrow_mut().established = false;
        socket.abort();
        ended
    }

    async fn talk(
        &self,
        socket: &mut TcpSocket<'_>,
        session: &RefCell<Session>,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut inbox = Inbox::default();
        let open = Message::Open {
            autonomous_system: self.autonomous_system,
            hold_time: self.hold_time,
            identifier: self.identifier,
        };
        send(socket, &open).await?;
        let mut hold = Duration::from_secs(u64::from(self.hold_time));
        let mut heard = Instant::now();
        let mut said = Instant::now();
        loop {
            let turn = (heard + hold).min(said + hold / 3).min(Instant::now() + Duration::from_secs(1));
            match select(inbox.next(socket), Timer::at(turn)).await {
                Either::First(message) => {
                    heard = Instant::now();
                    match message? {
                        Message::Open { autonomous_system, hold_time, .. } => {
                            session.borrow_mut().peer = Some(autonomous_system);
                            hold = hold.min(Duration::from_secs(u64::from(hold_time)));
                            send(socket, &Message::Keepalive).await?;
                            said = Instant::now();
                        }
                        Message::Keepalive => {
                            let mut session = session.borrow_mut();
                            session.keepalives += 1;
                            session.established = session.peer.is_some();
                            session.since.get_or_insert(Instant::now());
                        }
                        Message::Update { announced, .. } => {
                            let mut session = session.borrow_mut();
                            session.updates += 1;
                            session.learned.extend(announced);
                        }
                        Message::Notification(code, subcode) => {
                            return Err(Ended::Notification(code, subcode));
                        }
                    }
                }
                Either::Second(()) if Instant::now() >= heard + hold => return Err(Ended::HoldTimerExpired),
                Either::Second(()) => {}
            }
            let news = self.take_news(session);
            if let Some(update) = &news {
                send(socket, update).await?;
            }
            if news.is_some() || Instant::now() >= said + hold / 3 {
                send(socket, &Message::Keepalive).await?;
                said = Instant::now();
            }
        }
    }

    fn take_news(&self, session: &RefCell<Session>) -> Option<Message> {
        let mut session = session.borrow_mut();
        if !session.established || session.to_announce.is_empty() {
            return None;
        }
        let announced = std::mem::take(&mut session.to_announce);
        Some(Message::Update {
            autonomous_system: self.autonomous_system,
            next_hop: self.next_hop,
            announced,
        })
    }
}

async fn send(socket: &mut TcpSocket<'_>, message: &Message) -> Result<(), Ended> {
    let octets = message.encode();
    let mut rest = octets.as_slice();
    while !rest.is_empty() {
        let written = socket.write(rest).await.map_err(|_| Ended::Connection)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Octets that arrived and are not yet a whole message.
#[derive(Default)]
struct Inbox(Vec<u8>);

impl Inbox {
    /// The next message. Nothing is lost when the future is dropped before it is ready.
    async fn next(&mut self, socket: &mut TcpSocket<'_>) -> Result<Message, Ended> {
        loop {
            if let Some((message, length)) = Message::decode(&self.0).map_err(|_| Ended::Malformed)? {
                self.0.drain(..length);
                return Ok(message);
            }
            let mut octets = [0; 512];
            match socket.read(&mut octets).await {
                Ok(0) | Err(_) => return Err(Ended::Connection),
                Ok(count) => self.0.extend(octets.iter().take(count)),
            }
        }
    }
}
