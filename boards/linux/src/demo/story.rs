//! What the demo prints: a line when something happens, with the time and who it happened to; or the
//! same as JSON, one object a line.

use std::cell::RefCell;
use std::io::Write;

use esp_engine::crypto::Algorithm;
use firmware::management::Shown;
use firmware::report::Event;
use ike_core::crypto::Group;
use ike_core::output::{ChildEstablished, Established, Failed, Method, Role};

use crate::capture::Written;
use crate::time;

/// The narrator.
pub struct Story {
    out: RefCell<Box<dyn Write>>,
    json: bool,
}

impl Story {
    /// A narrator who writes to `out`.
    pub fn new(out: Box<dyn Write>, json: bool) -> Self {
        Self { out: RefCell::new(out), json }
    }

    /// A heading.
    pub fn scene(&self, title: &str) {
        if self.json {
            self.object(&[("scene", title)]);
        } else {
            self.line(&format!("\n{title}"));
        }
    }

    /// Something happened to `who`.
    pub fn say(&self, who: &str, text: &str) {
        if self.json {
            self.object(&[("who", who), ("what", text)]);
        } else {
            let seconds = time::now_micros() / 1000;
            self.line(&format!("{:>4}.{:03} s  {who}  {text}", seconds / 1000, seconds % 1000));
        }
    }

    /// What was seen to be true, after it was checked.
    pub fn proven(&self, text: &str) {
        if self.json {
            self.object(&[("proven", text)]);
        } else {
            self.line(&format!("         ✓  {text}"));
        }
    }

    /// Where the files are, and how to read them.
    pub fn finish(&self, scenes: usize, written: &Written) {
        if self.json {
            let (capture, tables) = (written.capture.to_string_lossy(), written.tables.to_string_lossy());
            self.object(&[("capture", &capture), ("tables", &tables), ("tshark", &written.tshark())]);
            return;
        }
        self.line(&format!("\nAll {scenes} scenes took place. The capture of the first cable is in"));
        self.line(&format!("{}; with its keys beside it, tshark reads the BGP:", written.capture.display()));
        self.line(&format!("  {}", written.tshark()));
    }

    fn line(&self, text: &str) {
        // Whoever closed the pipe does not want the rest; the exit status still counts.
        let _ = writeln!(self.out.borrow_mut(), "{text}");
    }

    fn object(&self, fields: &[(&str, &str)]) {
        let mut object = serde_json::Map::new();
        object.insert("at_ms".into(), (time::now_micros() / 1000).into());
        for (name, value) in fields {
            object.insert((*name).into(), (*value).into());
        }
        self.line(&serde_json::Value::Object(object).to_string());
    }

    /// What a router reported, if it moves the story on.
    pub fn event(&self, who: &str, event: &Event) {
        match event {
            Event::Sent(_, message) => {
                let name = message.exchange_name().unwrap_or("unknown exchange");
                let way = if message.response { "response" } else { "request" };
                self.say(who, &format!("sends {name} {way}, {} octets", message.octets));
            }
            Event::Acquire { packet, .. } => {
                let to = packet.destination;
                self.say(who, &format!("a packet to {to} waits: its policy wants an SA"));
            }
            Event::Established(established) => self.established(who, established),
            Event::ChildEstablished(child) => self.child(who, child),
            Event::Failed(failed) => self.failed(who, failed),
            Event::Closed { reason, .. } => self.say(who, &format!("IKE SA closed: {}", reason.words())),
            _ => {}
        }
    }

    fn established(&self, who: &str, established: &Established) {
        let method = match established.method {
            Method::Ed25519 => "an Ed25519 signature",
            Method::EcdsaP256 => "an ECDSA P-256 signature",
            Method::SharedKey => "a shared key",
        };
        let identity = &established.identity;
        self.say(who, &format!("peer says {identity}, proves it by {method}"));
        self.say(who, &format!("its level: {}", Shown(established.level).words()));
        if established.role == Role::Initiator {
            let group = match established.suite.group {
                Group::Curve25519 => "Curve25519",
                Group::P256 => "P-256",
            };
            let ike = algorithm(established.suite.ike);
            self.say(who, &format!("IKE SA: {ike}, HMAC-SHA2-256, {group}"));
        }
    }

    fn child(&self, who: &str, child: &ChildEstablished) {
        let (inbound, outbound) = (child.inbound.get(), child.outbound.get());
        let esn = if child.extended_sequence { ", ESN" } else { "" };
        let mode = format!("{:?}", child.mode).to_lowercase();
        self.say(who, &format!("Child SA: ESP {mode} mode, {}{esn}", algorithm(child.algorithm)));
        self.say(who, &format!("SPIs: {inbound:08x} in, {outbound:08x} out"));
    }

    fn failed(&self, who: &str, failed: &Failed) {
        use ike_core::error::FailReason;
        match failed.reason {
            FailReason::Refused(24) => self.say(who, "is refused: AUTHENTICATION_FAILED"),
            FailReason::Refused(notify) => self.say(who, &format!("is refused: notify type {notify}")),
            FailReason::KeyMismatch(fingerprint) => {
                let start = crate::key::hex(&fingerprint[..4]);
                self.say(who, &format!("{}: {start}…", failed.reason.words()));
            }
            reason => self.say(who, &format!("negotiation failed: {}", reason.words())),
        }
    }
}

fn algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Aes128Gcm16 => "AES-GCM-128",
        Algorithm::Aes256Gcm16 => "AES-GCM-256",
        Algorithm::ChaCha20Poly1305 => "ChaCha20-Poly1305",
    }
}
