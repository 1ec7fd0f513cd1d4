//! IKEv2, PAD and BTNS without heap or operating system (RFC 7296, RFC 4301 §4.4.3, RFC 5386).
//!
//! An [`endpoint::Endpoint`] is a pure machine: time, datagrams and reports go in, [`output::Output`]s
//! come out. It has no clock, no socket and no logger; its randomness and its cryptography are
//! parameters. After every input:
//!
//! ```ignore
//! loop {
//!     match endpoint.poll_output() {
//!         Output::Event(event) => act_on(event),
//!         Output::Transmit { path, datagram } => send(path, datagram),
//!         Output::Timeout(at) => break wake_me(at),
//!     }
//! }
//! ```
//!
//! Outputs come in causal order: an SA is installed before the message that announces it leaves. What
//! a peer sends is never an error of ours: a bad datagram is [`error::Discarded`] for a reason, counted,
//! and changes nothing.
//!
//! | module | what |
//! |---|---|
//! | [`endpoint`] | demultiplexing, cookies, timers, the public face |
//! | [`config`], [`pad`] | what an endpoint is told |
//! | [`output`], [`error`], [`counters`] | what it says |
//! | `exchange` | one file per exchange and role |
//! | [`ike_sa`], `child_sa`, `handshake`, `wants`, `names` | state |
//! | [`remembered`] | what outlives SAs |
//! | `proposal`, `narrow`, [`auth`] | negotiation, selectors, proof |
//! | [`wire`] | messages and payloads |
//! | `discovery` | peers by name: DNS, DNSSEC, IPSECKEY (with the feature of that name) |
//! | [`crypto`] | the seam to algorithms |
//! | [`resources`] | every octet of memory |
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod auth;
pub mod child_sa;
pub mod config;
mod cookie;
pub mod counters;
pub mod crypto;
#[cfg(feature = "discovery")]
pub mod discovery;
pub mod endpoint;
pub mod error;
mod exchange;
mod handshake;
pub mod ike_sa;
mod names;
mod narrow;
mod outbox;
pub mod output;
mod own;
mod pace;
pub mod pad;
mod proposal;
mod random;
pub mod remembered;
pub mod resources;
mod setback;
mod wants;
pub mod wire;
