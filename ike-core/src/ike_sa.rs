//! The IKE SA (RFC 7296 §2.3, §2.14).

pub mod keys;
