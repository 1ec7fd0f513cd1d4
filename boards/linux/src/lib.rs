//! Buttons on Linux.
pub mod peer;
