//! Peers behind a gateway that DNS names (RFC 4025 §2.5): IKE goes to the gateway or comes from it, in tunnel mode, and
//! it speaks for the address of the record's owner and for nothing else. Only what is signed says so.

mod beginning;
mod bounds;
mod reached;
mod stage;
