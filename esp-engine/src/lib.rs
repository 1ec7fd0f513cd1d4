//! The data plane of IPsec without heap or operating system (RFC 4301, RFC 4303).
//!
//! ```text
//!   stack                                engine                                   wire
//!         packet    ┌─────┐ Protect  ┌─────┐  Seal   ┌───────────┐  ESP
//!   ─────────────▶  │ SPD │ ───────▶ │ SAD │ ──────▶ │ transform │ ────────────▶
//!                   │     │          └─────┘         └───────────┘
//!                   │     │             └── no SA: Hold, and key management is asked
//!                   │     │ Bypass, in clear
//!                   │     │ ───────────────────────────────────────────────────▶
//!                   └─────┘ Discard, no policy: dropped
//!         packet    ┌─────┐ selectors ┌───────────┐ window ┌─────┐  ESP
//!   ◀─────────────  │ SPD │ ◀──────── │ transform │ ◀───── │ SAD │ ◀────────────
//!                   │     │           └───────────┘        └─────┘
//!                   │     │ Bypass, in clear (dropped where policy protects)
//!   ◀─────────────  │     │ ◀───────────────────────────────────────────────────
//!                   └─────┘
//! ```
//!
//! [`engine::Engine`] decides about one packet at a time; all its state lies in
//! [`resources::Resources`]. Key management installs [`sa::ChildSa`]s and polls for what it should
//! know. Manual keying is the same without the polling. The engine exempts nothing by itself: IKE on
//! ports 500 and 4500, neighbour discovery and DHCP want bypass policies ahead of any that protects
//! them (RFC 4301 §4.4.1).
//!
//! The words: [`spd`] and [`selector`] say what is protected, [`sa`] how, [`counters`] what became of
//! it. The packet: [`wire`], [`encapsulation`], [`mtu`], [`replay`]. The ciphers: [`crypto`]. Under a
//! stack: the adapters of features `driver` and `device`, with [`hold`], [`early`] and [`reassembly`].
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(test)]
extern crate std;

mod acquire;
#[cfg(any(feature = "driver", feature = "device"))]
pub mod adapter;
pub mod counters;
pub mod crypto;
#[cfg(feature = "device")]
pub mod device;
#[cfg(feature = "driver")]
pub mod driver;
pub mod early;
pub mod encapsulation;
pub mod engine;
pub mod hold;
pub mod index;
mod latch;
pub mod mtu;
mod open;
pub mod reassembly;
pub mod replay;
pub mod resources;
pub mod sa;
mod sad;
pub mod selector;
pub mod spd;
pub mod time;
mod transform;
mod tunnel;
pub mod wire;
