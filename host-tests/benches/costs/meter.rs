//! Times, and two endpoints that play a handshake while the time of each is taken.

use std::time::{Duration, Instant as Clock};

use esp_engine::time::Instant;
use host_tests::parties::PEER;
use ike_core::crypto::software::Software;
use ike_core::endpoint::Endpoint;
use ike_core::output::{Event, Output, Path};
use rand_chacha::ChaCha20Rng;

/// An endpoint that is measured.
pub type Measured<'r> = Endpoint<'r, Software, ChaCha20Rng>;

/// When everything happens.
pub const NOW: Instant = Instant::from_millis(1_000);

/// The time of the quickest turn so far.
#[derive(Copy, Clone)]
pub struct Best(Duration);

impl Best {
    pub const fn new() -> Self {
        Self(Duration::MAX)
    }

    pub fn take(&mut self, time: Duration) {
        self.0 = self.0.min(time);
    }

    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Clock::now();
        let done = work();
        self.take(start.elapsed());
        done
    }

    pub fn microseconds(self) -> f64 {
        self.0.as_secs_f64() * 1e6
    }
}

/// Lets `a` set up an SA with `b`; what it cost each.
pub fn handshake(now: Instant, a: &mut Measured<'_>, b: &mut Measured<'_>) -> [Duration; 2] {
    let mut spent = [Duration::ZERO; 2];
    let start = Clock::now();
    a.initiate(now, PEER).expect("begins");
    spent[0] += start.elapsed();
    let mut established = [false; 2];
    for _ in 0..6 {
        pass(now, a, b, 0, &mut spent, &mut established);
        pass(now, b, a, 1, &mut spent, &mut established);
    }
    assert_eq!(established, [true; 2]);
    spent
}

/// What `from` has to say, and what comes of it at the other end.
fn pass(
    now: Instant,
    from: &mut Measured<'_>,
    to: &mut Measured<'_>,
    index: usize,
    spent: &mut [Duration; 2],
    established: &mut [bool; 2],
) {
    let mut buffer = [0; 1_500];
    loop {
        let start = Clock::now();
        let output = from.poll_output();
        spent[index] += start.elapsed();
        match output {
            Output::Transmit { path, datagram } => {
                let datagram = {
                    buffer[..datagram.len()].copy_from_slice(datagram);
                    &mut buffer[..datagram.len()]
                };
                let path = Path { local: path.remote, remote: path.local, ..path };
                let start = Clock::now();
                // Whoever demands a cookie discards the message.
                let _ = to.handle_datagram(now, path, datagram);
                spent[1 - index] += start.elapsed();
            }
            Output::Event(Event::ChildEstablished(_)) => established[index] = true,
            Output::Event(Event::Failed(failed)) => panic!("{}", failed.reason.words()),
            Output::Event(_) => {}
            Output::Timeout(_) => return,
        }
    }
}
