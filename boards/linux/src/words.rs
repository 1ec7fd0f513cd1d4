//! What a router reports, in sentences for a person; the demo and `buttons run` speak with one voice.

use esp_engine::crypto::Algorithm;
use esp_engine::sa::SaReport;
use firmware::management::Shown;
use firmware::report::Event;
use ike_core::crypto::Group;
use ike_core::error::FailReason;
use ike_core::output::{ChildEstablished, Established, Failed, Method, Role};

use crate::key::hex;

/// RFC 7296 §3.10.1.
pub const AUTHENTICATION_FAILED: u16 = 24;

/// The sentences for an event; none for what only a machine wants to know.
pub fn of(event: &Event) -> Vec<String> {
    match event {
        Event::Sent(_, message) => {
            let name = message.exchange_name().unwrap_or("unknown exchange");
            let way = if message.response { "response" } else { "request" };
            vec![format!("sends {name} {way}, {} octets", message.octets)]
        }
        Event::Acquire { packet, .. } => {
            vec![format!("a packet to {} waits: its policy wants an SA", packet.destination)]
        }
        Event::NotStarted { reason, .. } => vec![format!("no negotiation begins: {reason:?}")],
        Event::Established(established) => of_established(established),
        Event::ChildEstablished(child) => of_child(child),
        Event::Failed(failed) => vec![of_failed(failed)],
        Event::Closed { reason, .. } => vec![format!("IKE SA closed: {}", reason.words())],
        Event::Removed(spi) => vec![format!("SPI {:08x} removed", spi.get())],
        Event::Sa(SaReport::HardExpired(spi)) => vec![format!("SPI {:08x} has expired", spi.get())],
        Event::UnusableKey(spi, algorithm) => {
            vec![format!("SPI {:08x} given up: no {} here", spi.get(), of_algorithm(*algorithm))]
        }
        Event::NotInstalled(spi, reason) => vec![format!("SPI {:08x} not installed: {reason:?}", spi.get())],
        _ => Vec::new(),
    }
}

fn of_established(established: &Established) -> Vec<String> {
    let method = match established.method {
        Method::Ed25519 => "an Ed25519 signature",
        Method::EcdsaP256 => "an ECDSA P-256 signature",
        Method::SharedKey => "a shared key",
    };
    let mut words = vec![
        format!("peer says {}, proves it by {method}", established.identity),
        format!("its level: {}", Shown(established.level).words()),
    ];
    if established.role == Role::Initiator {
        let group = match established.suite.group {
            Group::Curve25519 => "Curve25519",
            Group::P256 => "P-256",
        };
        words.push(format!("IKE SA: {}, HMAC-SHA2-256, {group}", of_algorithm(established.suite.ike)));
    }
    words
}

fn of_child(child: &ChildEstablished) -> Vec<String> {
    let mode = format!("{:?}", child.mode).to_lowercase();
    let esn = if child.extended_sequence { ", ESN" } else { "" };
    let udp = if child.encapsulated { ", in UDP" } else { "" };
    vec![
        format!("Child SA: ESP {mode} mode, {}{esn}{udp}", of_algorithm(child.algorithm)),
        format!("SPIs: {:08x} in, {:08x} out", child.inbound.get(), child.outbound.get()),
    ]
}

fn of_failed(failed: &Failed) -> String {
    match failed.reason {
        FailReason::Refused(AUTHENTICATION_FAILED) => "is refused: AUTHENTICATION_FAILED".into(),
        FailReason::Refused(notify) => format!("is refused: notify type {notify}"),
        FailReason::KeyMismatch(fingerprint) => {
            format!("{}: {}…", failed.reason.words(), hex(&fingerprint[..4]))
        }
        reason => format!("negotiation failed: {}", reason.words()),
    }
}

fn of_algorithm(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Aes128Gcm16 => "AES-GCM-128",
        Algorithm::Aes256Gcm16 => "AES-GCM-256",
        Algorithm::ChaCha20Poly1305 => "ChaCha20-Poly1305",
    }
}
