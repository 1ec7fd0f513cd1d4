//! The product as a library.
#![no_std]
#![forbid(unsafe_code)]

pub mod config;
