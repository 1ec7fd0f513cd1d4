//! The publisher of our own name and a server that may answer anything: answers signed with the secret and altered on
//! the way, others, time in leaps, and other wishes meanwhile.
//!
//! What must hold: no panic; nothing is taken for published, refused or wrong in time but by an answer that the secret
//! vouches for, octet by octet; updates are no longer than they may be; there is always an end of what is to be done.

use std::time::Duration;

use esp_engine::time::Instant;
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Prf, PublicKey};
use ike_core::discovery::UnixTime;
use ike_core::discovery::ipseckey::Gateway;
use ike_core::discovery::update::{
    Config, Discarded, Event, FUDGE, Form, MAX_UPDATE, Output, Publisher, TsigKey, Wanted,
};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use super::Script;

const SECRET: [u8; 32] = [7; 32];
const START: u64 = 1_800_000_000;
const KEY_NAME: &[u8] = b"\x01b\x07example\x03net\0";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";

/// Plays a script.
pub fn run(octets: &[u8]) {
    publishes(octets);
}

/// How often the name is published in the course of a script.
pub fn publishes(octets: &[u8]) -> u32 {
    let mut script = Script::new(octets);
    let mut scene = Scene::new();
    while let Some(act) = script.more() {
        scene.act(act, &mut script);
    }
    scene.published
}

struct Scene {
    ours: Publisher<Software, ChaCha8Rng>,
    /// Milliseconds since the start.
    now: u64,
    /// The last update that left.
    request: Vec<u8>,
    /// The last message came as the server signed it.
    is_genuine: bool,
    published: u32,
}

impl Scene {
    fn new() -> Self {
        let name = |text: &str| text.parse().expect("a name");
        let key = TsigKey::new(name("b.example.net"), &SECRET).expect("a secret");
        let config = Config { zone: name("example.net"), name: name("b.example.net"), key };
        let ours = Publisher::new(config, Software, ChaCha8Rng::seed_from_u64(1));
        let mut scene = Self { ours, now: 0, request: Vec::new(), is_genuine: false, published: 0 };
        scene.ours.publish(scene.at(), wanted(1), Duration::ZERO);
        scene.drain();
        scene
    }

    fn at(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    fn time(&self) -> UnixTime {
        UnixTime(START + self.now / 1_000)
    }

    fn act(&mut self, act: u8, script: &mut Script<'_>) {
        self.is_genuine = false;
        match act % 6 {
            0 => self.now += u64::from(script.number()) * 16,
            1 => {
                let answer = self.answer(script);
                self.give(&answer, true);
            }
            2 => {
                let signed = self.answer(script);
                let mut answer = signed.clone();
                let place = script.below(answer.len().max(1));
                let bits = script.octet();
                if let Some(octet) = answer.get_mut(place) {
                    *octet ^= bits;
                }
                answer.truncate(answer.len().saturating_sub(script.below(4)));
                // Names are the same in other letters (RFC 8945 §4.3.3).
                self.give(&answer, answer.eq_ignore_ascii_case(&signed));
            }
            3 => {
                let length = script.below(200);
                let answer = script.octets(length).to_vec();
                self.give(&answer, false);
            }
            4 => self.ours.publish(self.at(), wanted(script.octet()), Duration::ZERO),
            _ => match script.below(3) {
                0 => self.ours.roll_over(self.at(), PublicKey::Ed25519([script.octet(); 32])),
                1 => self.ours.switched(self.at()),
                _ => self.ours.readdress(self.at(), &[[192, 0, 2, script.octet()].into()]),
            },
        }
        self.drain();
        self.ours.handle_timeout(self.at(), Some(self.time()));
        self.drain();
    }

    fn give(&mut self, answer: &[u8], is_genuine: bool) {
        let before = self.ours.discarded();
        self.is_genuine = is_genuine;
        let taken: Result<(), Discarded> = self.ours.handle_message(self.at(), Some(self.time()), answer);
        assert_eq!(self.ours.discarded() - before, u32::from(taken.is_err()), "what is dropped is counted");
    }

    /// What a server with the secret answers to the last update.
    fn answer(&self, script: &mut Script<'_>) -> Vec<u8> {
        let request = &self.request;
        let Some(tail) = request.len().checked_sub(48) else { return Vec::new() };
        let mac = &request[tail + 10..tail + 42];
        let (code, skew) = (script.octet(), i64::from(script.octet() as i8) * 60);
        let server = self.time().0.saturating_add_signed(skew);
        let (time, error, other) = match code {
            // Its clock is another (RFC 8945 §5.2.3).
            18 => (&request[tail..tail + 6], 18_u16, server.to_be_bytes()[2..].to_vec()),
            _ => (&server.to_be_bytes()[2..], 0, Vec::new()),
        };
        let rcode = if code == 18 { 9 } else { code & 15 };
        let mut header = [request[0], request[1], 0xA8 | code >> 6 & 2, rcode, 0, 0, 0, 0, 0, 0, 0, 0];
        let times = [time, &FUDGE.to_be_bytes()].concat();
        let tail = [&error.to_be_bytes()[..], &(other.len() as u16).to_be_bytes(), &other].concat();
        let variables: [&[u8]; 8] =
            [&[0, 32], mac, &header, KEY_NAME, &[0, 255, 0, 0, 0, 0], ALGORITHM, &times, &tail];
        let signature = Software.prf(Prf::HmacSha256, &SECRET, &variables);
        let data = [ALGORITHM, &times, &[0, 32], signature.octets(), &request[..2], &tail].concat();
        header[11] = 1;
        [&header, KEY_NAME, &[0, 250, 0, 255, 0, 0, 0, 0, 0, data.len() as u8], &data].concat()
    }

    fn drain(&mut self) {
        for _ in 0..16 {
            match self.ours.poll_output() {
                Output::Transmit { octets, .. } => {
                    assert!(octets.len() <= MAX_UPDATE);
                    self.request = octets.to_vec();
                }
                Output::Event(Event::Published) => {
                    assert!(self.is_genuine, "by an answer that nobody vouches for");
                    self.published += 1;
                }
                Output::Event(_) => {}
                Output::Timeout(_) => return,
            }
        }
        panic!("no end of it");
    }
}

fn wanted(last: u8) -> Wanted {
    Wanted {
        addresses: Some([[192, 0, 2, last].into()].into_iter().collect()),
        keys: [PublicKey::Ed25519([last; 32])].into_iter().collect(),
        form: if last & 1 == 0 { Form::Key } else { Form::Fingerprint },
        gateway: Gateway::None,
        precedence: 10,
        ttl: 300,
    }
}
