//! Explores every order of events on the real code: two endpoints and their data planes, whose whole
//! state is copied at each step, so that every choice is tried from the same state. Cryptography is
//! [`ike_core::crypto::toy`]'s; everything else is what runs on a device.
//!
//! A [`scenario::Scenario`] says what both ends begin at any moment they like and how unkind the cable
//! is: each message is delivered, at once or after any other, and may be lost or doubled once. Where
//! nothing else is to happen time goes on to the next timer; [`Scenario::haste`](scenario::Scenario)
//! lets timers fire while messages are on their way too.
//!
//! [`search`] walks depth first and knows states by a hash ([`hash`]) in which moments count as
//! distances from now and counters do not count. [`check`] looks at every state and every end.

pub mod cases;
pub mod check;
pub mod end;
pub mod hash;
pub mod ladder;
pub mod lot;
pub mod scenario;
pub mod search;
pub mod world;
