//! Buttons on Linux: everything a host needs around `firmware`.
//!
//! | module | what it is |
//! |---|---|
//! | [`time`], [`executor`], [`readiness`] | embassy's time driver (real or virtual), tasks on one thread, `poll(2)` |
//! | [`cable`] | the simulated cable, with an eavesdropper, an attacker and a saboteur on it |
//! | [`bgp`] | a small BGP speaker, the application that the demo protects |
//! | [`peer`] | strongSwan and BIRD from the distribution, each in a namespace of its own |
pub mod bgp;
pub mod cable;
pub mod capture;
pub mod executor;
pub mod key;
pub mod peer;
pub mod readiness;
pub mod time;
