//! IKEv2, PAD and BTNS without heap or operating system (RFC 7296, RFC 4301 §4.4.3, RFC 5386).
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod auth;
pub mod crypto;
pub mod ike_sa;
pub mod output;
pub mod wire;
