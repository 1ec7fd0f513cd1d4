//! What the packet path does to honest packets (RFC 4301 §5, RFC 4303 §3).

#[path = "../common/mod.rs"]
mod common;

mod encapsulation;
mod round_trip;
mod size;
mod succession;
