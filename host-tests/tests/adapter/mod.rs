//! Stacks of smoltcp over both adapters, with manual SAs in transport mode.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod cable;
pub mod fragments;
pub mod host;
pub mod packets;
