//! The data plane of IPsec without heap or operating system (RFC 4301, RFC 4303).
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(test)]
extern crate std;

pub mod crypto;
pub mod hold;
pub mod reassembly;
pub mod sa;
pub mod selector;
pub mod spd;
pub mod time;
