//! Traffic that carries the marker: pings, and a TCP transfer whose every octet is checked.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use buttons::peer::Namespace;

use crate::Fault;
use crate::sniffer::MARKER;

/// Octets of a whole transfer.
pub const TRANSFER: usize = 20_000_000;
/// Pings of a run, none of which may be lost.
pub const PINGS: u32 = 1_000;

/// Pings of one round.
const ROUND: u32 = 100;

const PORT: u16 = 5001;
/// A transfer that stands still for this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One ping, which has this long to be answered.
pub fn ping_once(from: &Namespace, to: IpAddr, limit: Duration) -> Result<(), Fault> {
    ping(from, to, 1, "1", limit)
}

/// [`PINGS`] pings, 500 a second; none may be lost.
pub fn ping_many(from: &Namespace, to: IpAddr) -> Result<(), Fault> {
    ping(from, to, PINGS, "0.002", Duration::from_secs(3))
}

/// So many pings, `interval` seconds apart, of which none may be lost; `limit` is for the last answer.
pub fn ping(from: &Namespace, to: IpAddr, count: u32, interval: &str, limit: Duration) -> Result<(), Fault> {
    match lost_pings(from, to, count, interval, limit)? {
        (0, _) => Ok(()),
        (_, said) => Err(format!("pings to {to} were lost: {said}").into()),
    }
}

/// How many of so many pings were lost, and what `ping` said.
fn lost_pings(
    from: &Namespace,
    to: IpAddr,
    count: u32,
    interval: &str,
    limit: Duration,
) -> Result<(u32, String), Fault> {
    let pattern: String = MARKER.iter().map(|octet| format!("{octet:02x}")).collect();
    let said = from
        .command("ping")
        .args(["-q", "-n", "-s", "120", "-c", &count.to_string(), "-i", interval, "-p", &pattern])
        .args(["-W", &limit.as_secs().to_string(), &to.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let before = |words: &str| said.split(words).next()?.rsplit([' ', '\n']).next()?.parse::<u32>().ok();
    let sent = before(" packets transmitted").ok_or_else(|| format!("ping to {to}: {said}"))?;
    let received = before(" received").ok_or_else(|| format!("ping to {to}: {said}"))?;
    // A ping that the system would not send, and an answer that came twice, are losses too.
    Ok((count.abs_diff(received).max(count.abs_diff(sent)), said))
}

/// Pings that were sent, and how many of them were lost.
#[derive(Copy, Clone, Default, Debug)]
pub struct Pings {
    pub sent: u32,
    pub lost: u32,
}

/// Pings while `work` is done, in rounds.
pub fn ping_while(
    from: &Namespace,
    to: IpAddr,
    interval: &str,
    work: impl FnOnce() -> Result<(), Fault>,
) -> Result<Pings, Fault> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pings = scope.spawn(|| -> Result<Pings, String> {
            let mut pings = Pings::default();
            while !done.load(Ordering::Relaxed) {
                let (lost, _) = lost_pings(from, to, ROUND, interval, Duration::from_secs(5))
                    .map_err(|fault| fault.to_string())?;
                pings = Pings { sent: pings.sent + ROUND, lost: pings.lost + lost };
            }
            Ok(pings)
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let pings = pings.join().map_err(|_| "the pinger panicked")?;
        worked?;
        Ok(pings?)
    })
}

/// Carries so many octets over one TCP connection, checks them, and says how many were carried a
/// second.
pub fn transfer(from: &Namespace, to: &Namespace, address: IpAddr, octets: usize) -> Result<f64, Fault> {
    let address = SocketAddr::new(address, PORT);
    let (ready, wait) = std::sync::mpsc::channel();
    let receiver = to.thread(move || {
        let listener = TcpListener::bind(address)?;
        let _ = ready.send(());
        let (stream, _) = listener.accept()?;
        receive(stream, octets)
    })?;
    wait.recv().map_err(|_| "nobody listens")?;
    let sender = from.thread(move || {
        let start = Instant::now();
        send(TcpStream::connect_timeout(&address, PATIENCE)?, octets)?;
        io::Result::Ok(start.elapsed())
    })?;
    let took = sender.join().map_err(|_| "the sender panicked")???;
    receiver.join().map_err(|_| "the receiver panicked")???;
    Ok(octets as f64 / took.as_secs_f64())
}

/// What is sent over and over: 65,521 octets, a prime, so that a displaced segment shows.
fn pattern() -> Vec<u8> {
    let numbers = (0u32..).flat_map(|n| MARKER.iter().copied().chain(n.to_be_bytes()));
    numbers.take(65_521).collect()
}

fn send(mut stream: TcpStream, octets: usize) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let pattern = pattern();
    let mut left = octets;
    while left > 0 {
        let piece = &pattern[..left.min(pattern.len())];
        stream.write_all(piece)?;
        left -= piece.len();
    }
    let mut done = [0];
    stream.read_exact(&mut done)
}

fn receive(mut stream: TcpStream, octets: usize) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let pattern = pattern();
    let mut got = vec![0; pattern.len()];
    let mut left = octets;
    while left > 0 {
        let piece = left.min(pattern.len());
        stream.read_exact(&mut got[..piece])?;
        if got[..piece] != pattern[..piece] {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "octets arrived changed"));
        }
        left -= piece;
    }
    stream.write_all(&[1])
}
