//! Our round: one endpoint answers, and each initiator is an endpoint of its own, as its device would be.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use buttons::peer::Cable;
use esp_engine::time::Instant;
use host_tests::parties::{self, A_KEY, B_KEY, PEER};
use ike_core::config::{Config, Suite, Timing};
use ike_core::crypto::Group;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path};
use ike_core::pad::{Identity, Matcher};
use ike_core::resources::Resources;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::{AT_ONCE, ENDS, Fault, ROUND, Round};

/// Room for all IKE SAs of a round at the responder.
type Hall = Resources<Software, 1024, { 2 * AT_ONCE }, 1024, 160>;
/// Room for the one of an initiator.
type Cell = Resources<Software, 1, 1, 1, 4>;

static HALL: Mutex<Hall> = Mutex::new(Hall::new());

/// How long a round may take.
const LIMIT: Duration = Duration::from_secs(60);

pub fn round(cable: &Cable) -> Result<Round, Fault> {
    let over = Arc::new(AtomicBool::new(false));
    let responder = cable.far.thread({
        let over = Arc::clone(&over);
        move || respond(&over)
    })?;
    let initiators = cable.device.thread(initiate)?.join().map_err(|_| "the initiators panicked")??;
    over.store(true, Ordering::Relaxed);
    let spent = responder.join().map_err(|_| "the responder panicked")???;
    let (time, spent_initiating) = initiators?;
    Ok(Round { time, spent: [spent_initiating, spent] })
}

/// A party of the load: a name, a key, one policy for all traffic with the other end.
fn party(name: &'static str, end: usize) -> Config<'static> {
    let [own, peer] = [ENDS[end], ENDS[1 - end]].map(IpAddr::from);
    let (key, peer_name, peer_key) =
        if end == 0 { (A_KEY, "responder.load", &B_KEY) } else { (B_KEY, "", &A_KEY) };
    let mut entry = parties::pinned(peer_name, peer_key, peer);
    entry.matcher =
        if end == 0 { Matcher::Exact(Identity::Fqdn(peer_name)) } else { Matcher::Suffix(".load") };
    let mut config = parties::config(name, key, own, vec![entry], peer);
    config.suites = &[Suite { group: Group::Curve25519, ..Suite::HARDWARE_AES }];
    config.timing = Timing { cookie_threshold: u8::MAX, half_open_per_source: u8::MAX, ..Timing::DEFAULT };
    config
}

/// A socket on port 500 that gives way now and then.
fn socket(end: usize) -> Result<UdpSocket, Fault> {
    let socket = UdpSocket::bind(SocketAddr::from((ENDS[end], 500)))?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    Ok(socket)
}

fn respond(over: &AtomicBool) -> Result<Duration, Fault> {
    let config = party("responder.load", 1);
    let mut hall = HALL.lock().map_err(|_| "poisoned")?;
    let rng = ChaCha20Rng::seed_from_u64(1);
    let mut endpoint =
        Endpoint::new(&config, &mut *hall, Software, rng).map_err(|fault| format!("{fault:?}"))?;
    let (socket, began, before) = (socket(1)?, Clock::now(), spent());
    let mut octets = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        let now = Instant::from_millis(began.elapsed().as_millis() as u64);
        match socket.recv_from(&mut octets) {
            Ok((length, remote)) => {
                let path = Path { interface: 0, local: socket.local_addr()?, remote };
                // What is dropped comes again.
                let _ = endpoint.handle_datagram(now, path, &mut octets[..length]);
            }
            Err(_) => endpoint.handle_timeout(now),
        }
        drain(&mut endpoint, &socket)?;
    }
    Ok(spent() - before)
}

/// An endpoint whose storage lives as long as the program.
type Client = Endpoint<'static, Software, ChaCha20Rng>;

fn initiate() -> Result<(Duration, Duration), Fault> {
    let name = |number| parties::leak(format!("{number}.load")).as_str();
    let configs: Vec<_> = (0..ROUND).map(|number| parties::leak(party(name(number), 0))).collect();
    let (socket, began, before) = (socket(0)?, Clock::now(), spent());
    let mut clients: HashMap<[u8; 8], Client> = HashMap::new();
    let (mut octets, mut done, mut retried) = ([0; 2048], 0, Duration::ZERO);
    while done < ROUND {
        if began.elapsed() > LIMIT {
            return Err(format!("we made {done} of {ROUND} IKE SAs in time").into());
        }
        let now = Instant::from_millis(began.elapsed().as_millis() as u64);
        while clients.len() < ROUND && clients.len() - done < AT_ONCE {
            let number = clients.len();
            let cell = Box::leak(Box::new(Cell::new()));
            let rng = ChaCha20Rng::seed_from_u64(2 + number as u64);
            let mut client =
                Endpoint::new(configs[number], cell, Software, rng).map_err(|fault| format!("{fault:?}"))?;
            client.initiate(now, PEER).map_err(|fault| format!("{fault:?}"))?;
            let spi = client.status().next().ok_or("no IKE SA")?.spis.initiator;
            drain(&mut client, &socket)?;
            clients.insert(spi.to_be_bytes(), client);
        }
        if let Ok((length, remote)) = socket.recv_from(&mut octets)
            && let Some(client) = octets.first_chunk().and_then(|spi| clients.get_mut(spi))
        {
            let path = Path { interface: 0, local: socket.local_addr()?, remote };
            let _ = client.handle_datagram(now, path, &mut octets[..length]);
            done += drain(client, &socket)?;
        }
        if began.elapsed() > retried + Duration::from_millis(500) {
            retried = began.elapsed();
            for client in clients.values_mut() {
                client.handle_timeout(now);
                done += drain(client, &socket)?;
            }
        }
    }
    Ok((began.elapsed(), spent() - before))
}

/// Sends what there is to be sent; how many IKE SAs came to stand.
fn drain(endpoint: &mut Endpoint<'_, Software, ChaCha20Rng>, socket: &UdpSocket) -> Result<usize, Fault> {
    let mut established = 0;
    loop {
        match endpoint.poll_output() {
            Output::Event(Event::Established(_)) => established += 1,
            Output::Event(Event::Failed(failed)) => return Err(failed.reason.words().into()),
            Output::Event(_) => {}
            Output::Transmit { path, datagram } => {
                socket.send_to(datagram, path.remote)?;
            }
            Output::Timeout(_) => return Ok(established),
        }
    }
}

/// The processor's time that this thread has used.
fn spent() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists and the structure is ours to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
