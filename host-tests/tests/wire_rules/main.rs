//! Rules of the wire format: one test each, named after what it shows (RFC 7296 §3).

mod encrypted;
mod identity;
mod keys;
mod message;
mod notify;
mod proposals;
mod selectors;
mod support;
