//! What fuzz targets do with the octets that they are given, as functions, so that the same code serves a
//! fuzzer, the replay of its corpora in the ordinary tests, and property tests. Nothing here keeps anything
//! from one call to the next. The fuzzers themselves are in `host-tests/fuzz`, `.ci/fuzz` runs them.

pub mod dnssec;
pub mod endpoint;
pub mod proxy;
pub mod reassembly;
pub mod resolver;
mod script;
pub mod update;
pub mod wire;

pub use script::Script;

/// A target: a name and what it does with octets of any making.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 7] = [
    ("wire", wire::run),
    ("endpoint", endpoint::run),
    ("reassembly", reassembly::run),
    ("proxy", proxy::run),
    ("dnssec", dnssec::run),
    ("resolver", resolver::run),
    ("update", update::run),
];
