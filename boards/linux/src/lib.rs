//! Buttons on Linux: everything a host needs around `firmware`.
//!
//! | module | what it is |
//! |---|---|
//! | [`time`], [`executor`], [`readiness`], [`signal`] | embassy's time driver (real or virtual), tasks on one thread, `poll(2)`, SIGTERM |
//! | [`memory`] | a device's memory, on the heap without passing through the stack that the device runs on |
//! | [`cable`] | the simulated cable, with an eavesdropper, an attacker and a saboteur on it |
//! | [`port`] | Linux interfaces (AF_PACKET, TAP) as embassy-net drivers |
//! | [`capture`] | pcapng files, and the key tables with which Wireshark decrypts them |
//! | [`key`] | private keys in files, public keys in every spelling that peers want |
//! | [`hook`] | an operator's program that hears when a captured name gets protection |
//! | [`publish`] | our own name into its zone, by signed updates |
//! | [`state`] | what is remembered across restarts, in a file |
//! | [`pins`] | what is remembered of peers, and the operator's word on it |
//! | [`resolve`] | what a device would believe about a name |
//! | [`bgp`] | a small BGP speaker, the application that the demo protects |
//! | [`peer`] | strongSwan and BIRD from the distribution, each in a namespace of its own |
pub mod bgp;
pub mod cable;
pub mod capture;
pub mod config;
pub mod demo;
pub mod executor;
pub mod hook;
pub mod key;
pub mod manage;
pub mod memory;
pub mod peer;
pub mod pins;
pub mod port;
pub mod publish;
pub mod readiness;
pub mod resolve;
pub mod run;
pub mod signal;
pub mod state;
pub mod time;
pub mod why;
pub mod words;
