//! A relay in front of Unbound: it passes questions on and remembers them, and answers late, or sends lies
//! before the truth (RFC 5452). It takes no connections.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use buttons::peer::Namespace;
use domain::base::{Message, Rtype};

use super::UNBOUND;
use crate::Fault;

/// Where it is asked.
pub const RELAY: &str = "203.0.113.59:53";
/// Another address of its own.
const ELSEWHERE: &str = "203.0.113.60:53";
/// How long Unbound may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A datagram that comes before the true answer. All of them but the last refuse the question.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Lie {
    /// As the true answer would, so that it has to be taken for it.
    Perfect,
    OtherId,
    /// From another port of the server.
    OtherPort,
    /// From another server.
    OtherAddress,
    /// The name in capitals where the question has small letters, and the other way round.
    OtherCase,
    OtherName,
    OtherType,
    /// A question, not an answer.
    Question,
    /// Ends within the question.
    Cut,
    /// The true answer, with an address for its name in the additional section, which nobody asked for.
    Addition,
}

/// What it does with an answer.
#[derive(Clone, Debug)]
pub enum Manner {
    Late(Duration),
    /// One of these lies comes first, each in its turn.
    Lying(Vec<Lie>),
}

/// A running relay; it ends with its namespace.
pub struct Relay {
    asked: Arc<Mutex<Vec<(String, Rtype)>>>,
    manner: Arc<Mutex<Manner>>,
}

/// The sockets that answers leave by.
struct Sockets {
    own: UdpSocket,
    other_port: UdpSocket,
    other_address: UdpSocket,
}

impl Relay {
    /// Starts it where Unbound runs.
    pub fn start(namespace: &Namespace, manner: Manner) -> Result<Self, Fault> {
        for address in [RELAY, ELSEWHERE] {
            let address = address.replace(":53", "/32");
            namespace.run("ip", &["addr", "add", &address, "dev", "lo"])?;
        }
        let relay = Self { asked: Arc::default(), manner: Arc::new(Mutex::new(manner)) };
        let (asked, manner) = (relay.asked.clone(), relay.manner.clone());
        let (ready, wait) = std::sync::mpsc::channel();
        drop(namespace.thread(move || {
            let sockets = Sockets::open();
            let _ = ready.send(sockets.as_ref().map(drop).map_err(ToString::to_string));
            let Ok(sockets) = sockets.map(Arc::new) else { return };
            let mut octets = [0; 1_500];
            for turn in 0.. {
                let Ok((length, from)) = sockets.own.recv_from(&mut octets) else { return };
                let question = octets[..length].to_vec();
                asked.lock().unwrap_or_else(PoisonError::into_inner).extend(asks(&question));
                let manner = manner.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let sockets = sockets.clone();
                // One that waits does not hold up the others.
                thread::spawn(move || sockets.answer(&question, from, &manner, turn));
            }
        })?);
        wait.recv()??;
        Ok(relay)
    }

    pub fn set(&self, new: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Whether anybody asked for records of a name.
    pub fn was_asked(&self, name: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().any(|(other, _)| other == name)
    }
}

fn asks(question: &[u8]) -> Option<(String, Rtype)> {
    let question = Message::from_slice(question).ok()?.sole_question().ok()?;
    Some((question.qname().to_string().to_lowercase(), question.qtype()))
}

impl Sockets {
    fn open() -> std::io::Result<Self> {
        let elsewhere: SocketAddr = ELSEWHERE.parse().map_err(std::io::Error::other)?;
        let relay: SocketAddr = RELAY.parse().map_err(std::io::Error::other)?;
        Ok(Self {
            own: UdpSocket::bind(relay)?,
            other_port: UdpSocket::bind((relay.ip(), 0))?,
            other_address: UdpSocket::bind(elsewhere)?,
        })
    }

    fn answer(&self, question: &[u8], to: SocketAddr, manner: &Manner, turn: usize) -> Option<()> {
        let truth = truth(question).ok()?;
        match manner {
            Manner::Late(by) => thread::sleep(*by),
            Manner::Lying(lies) => {
                let lie = lies.iter().cycle().nth(turn % lies.len().max(1));
                let _ = lie.map(|lie| self.lie(*lie, &truth, to));
            }
        }
        self.own.send_to(&truth, to).ok().map(drop)
    }

    fn lie(&self, lie: Lie, truth: &[u8], to: SocketAddr) -> std::io::Result<usize> {
        let mut octets = truth.to_vec();
        let (mut socket, first_letter) = (&self.own, 13);
        // RFC 1035 §4.1.1: the RCODE is in the low half of the fourth octet; REFUSED is 5.
        octets[3] = octets[3] & 0xF0 | 5;
        match lie {
            Lie::Perfect => {}
            Lie::OtherId => octets[0] ^= 0x55,
            Lie::OtherPort => socket = &self.other_port,
            Lie::OtherAddress => socket = &self.other_address,
            Lie::OtherCase => octets[first_letter] ^= 0x20,
            Lie::OtherName => octets[first_letter] = if octets[first_letter] == b'q' { b'k' } else { b'q' },
            Lie::OtherType => {
                let end = 12 + octets[12..].iter().position(|octet| *octet == 0).unwrap_or(0);
                octets[end + 2] ^= 0x10;
            }
            Lie::Question => octets[2] ^= 0x80,
            Lie::Cut => octets.truncate(16),
            Lie::Addition => octets = with_addition(truth),
        }
        socket.send_to(&octets, to)
    }
}

/// The true answer with one record more: its name has the address 192.0.2.66.
fn with_addition(truth: &[u8]) -> Vec<u8> {
    // A pointer to the name of the question, type A, class IN, 300 s, four octets.
    const RECORD: [u8; 16] = [0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 66];
    let mut octets = [truth, &RECORD].concat();
    octets[11] += 1;
    octets
}

fn truth(question: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("203.0.113.59:0")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(UNBOUND)?;
    socket.send(question)?;
    let mut answer = vec![0; 4_096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}
