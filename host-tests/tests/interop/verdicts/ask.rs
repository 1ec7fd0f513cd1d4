//! One question: to our resolver, which asks unbound and checks by itself, and to unbound, which says what it
//! found by RCODE and AD bit (RFC 4035 §3.2.3).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime};

use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, Name, Rtype, ToName};
use esp_engine::time::Instant;
use ike_core::crypto::software::Software;
use ike_core::discovery::UnixTime;
use ike_core::discovery::clock::Clock;
use ike_core::discovery::dnssec::Ds;
use ike_core::discovery::outcome::Security;
use ike_core::discovery::output::{Output, Transport};
use ike_core::discovery::question::{self, Ticket};
use ike_core::discovery::resolver::{Config, Resolver, Resources};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::Verdict;
use super::zones::{Case, QUESTIONS, Question};
use crate::Fault;

/// How long a server on this machine may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// What our resolver found.
pub struct Found {
    pub verdict: Verdict,
    /// In words.
    pub why: String,
}

/// What our resolver finds, for each question.
pub fn ours(server: SocketAddr, anchor: &Ds, case: &Case) -> Result<Vec<Found>, Fault> {
    let mut now = Instant::from_millis(1_000);
    let mut clock = Clock::new(UnixTime(0));
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    clock.set(now, UnixTime(today)).map_err(|_| "the clock is set")?;
    let mut room = Box::<Resources<1, 4, 4>>::default();
    let config = Config { servers: &[server.into()], anchors: &[*anchor] };
    let rng = ChaCha8Rng::seed_from_u64(1);
    let mut resolver =
        Resolver::new(config, clock, &mut *room, Software, rng).map_err(|error| format!("{error:?}"))?;
    let ask = |question| find(&mut resolver, &mut now, case, question);
    QUESTIONS.into_iter().map(ask).collect()
}

/// The resolver's time runs as far as it says that it would wait, and no further.
fn find(
    resolver: &mut Resolver<'_, Software, ChaCha8Rng>,
    now: &mut Instant,
    case: &Case,
    question: Question,
) -> Result<Found, Fault> {
    let name = full_name(case, question)?.try_to_name().map_err(|_| "a long name")?;
    let records = question::Question::Records { name, rtype: question.rtype.parse().map_err(|_| "a type")? };
    resolver.lookup(*now, Ticket(1), records).map_err(|_| "busy")?;
    loop {
        let (socket, server, transport, octets) = match resolver.poll_output() {
            Output::Answer { outcome, .. } => {
                let verdict = match outcome.security {
                    Security::Secure => Verdict::Secure,
                    Security::Insecure => Verdict::Insecure,
                    Security::Bogus(_) => Verdict::Bogus,
                    Security::Indeterminate(_) => Verdict::None,
                };
                return Ok(Found { verdict, why: format!("{:?}", outcome.security) });
            }
            Output::Query { socket, server, transport, octets } => {
                (socket, server, transport, octets.to_vec())
            }
            Output::Timeout(Some(at)) => {
                *now = at;
                resolver.handle_timeout(at);
                continue;
            }
            Output::Timeout(None) => return Err("the resolver waits for nothing".into()),
            Output::Close { .. }
            | Output::Proposed(_)
            | Output::NotBefore(_)
            | Output::Anchors(_)
            | Output::Probed(_) => {
                continue;
            }
        };
        let received = match transport {
            Transport::Udp { .. } => over_udp(server, &octets),
            Transport::Tcp => over_tcp(server, &octets),
        };
        let handled = match (received, transport) {
            (Err(_), _) => {
                resolver.handle_failure(*now, socket);
                Ok(())
            }
            (Ok(answer), Transport::Udp { .. }) => resolver.handle_datagram(*now, socket, server, &answer),
            (Ok(answer), Transport::Tcp) => resolver.handle_stream(*now, socket, &answer),
        };
        handled.map_err(|discarded| format!("{case} {question}: {}", discarded.words()))?;
    }
}

fn full_name(case: &Case, question: Question) -> Result<Name<Vec<u8>>, Fault> {
    Ok(format!("{}.{}", question.label, case.apex).parse()?)
}

/// unbound's verdict.
pub fn theirs(server: SocketAddr, case: &Case, question: Question) -> Result<Verdict, Fault> {
    let answer =
        exchange(server, &full_name(case, question)?, question.rtype.parse().map_err(|_| "a type")?)?;
    let header = Message::from_slice(&answer)?.header();
    Ok(match (header.rcode().to_int(), header.ad()) {
        (2, _) => Verdict::Bogus,
        (0 | 3, true) => Verdict::Secure,
        (0 | 3, false) => Verdict::Insecure,
        _ => Verdict::None,
    })
}

/// What a server answers to a question.
pub fn rcode(server: SocketAddr, name: &str, rtype: &str) -> Result<u8, Fault> {
    let answer = exchange(server, &name.parse()?, rtype.parse().map_err(|_| "a type")?)?;
    Ok(Message::from_slice(&answer)?.header().rcode().to_int())
}

fn exchange(server: SocketAddr, name: &Name<Vec<u8>>, rtype: Rtype) -> Result<Vec<u8>, Fault> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name, rtype))?;
    let mut builder = builder.additional();
    builder.opt(|opt| {
        opt.set_udp_payload_size(1232);
        opt.set_dnssec_ok(true);
        Ok(())
    })?;
    let query = builder.finish();
    let answer = over_udp(server, &query)?;
    if Message::from_slice(&answer)?.header().tc() { over_tcp(server, &query) } else { Ok(answer) }
}

fn over_udp(server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, Fault> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    socket.send(query)?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn over_tcp(server: SocketAddr, query: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[&u16::try_from(query.len())?.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
