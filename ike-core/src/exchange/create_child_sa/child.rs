//! Child SAs by CREATE_CHILD_SA (RFC 7296 §1.3.1, §1.3.3): new ones and successors.

pub(super) mod initiator;
mod outcome;
pub(crate) mod responder;
