//! Whole devices on simulated cables in virtual time: both halves of `firmware` in either role, their
//! IKE between them, and TCP through what they agree on. The cable between the devices is searched
//! for text that only the clear side may carry.

mod dhcp;
mod gateways;
mod hosts;
mod moved;
mod stage;
mod strangers;
