//! The data plane of IPsec without heap or operating system (RFC 4301, RFC 4303).
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
pub mod encapsulation;
pub mod engine;
pub mod hold;
mod latch;
pub mod mtu;
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
