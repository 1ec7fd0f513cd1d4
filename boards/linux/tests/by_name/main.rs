//! Devices that know each other by name, on a simulated cable in virtual time, with a DNS server beside them: a
//! policy for a name is all that one end has, and the end of names all that the other has. Their configurations
//! are read as operators write them.

mod captured;
mod clear;
mod fingerprints;
mod gateways;
mod inside;
mod names;
mod stage;
mod why;
