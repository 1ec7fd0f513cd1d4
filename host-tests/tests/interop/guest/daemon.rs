//! A daemon inside the machine, as the cases use it.

use super::case::Case;
use super::machine::Machine;
use crate::Fault;
use crate::credentials::KeyPair;
use crate::device::Sa;

/// strongSwan or libreswan on the kernel's ESP. It has one connection at a time, called `device`, with one Child SA.
pub trait Daemon: Sync {
    /// What it is called in the names of cases.
    fn name(&self) -> &'static str;

    /// The name of its process.
    fn process(&self) -> &'static str;

    /// Gives it the connection of `case` in place of any other, and starts it unless it runs; `device` is the
    /// device's key. Returns the public key, in PEM, that it will prove itself with.
    fn load(&self, machine: &Machine, case: &Case, device: &KeyPair) -> Result<String, Fault>;

    /// Starts it with the connection that was loaded last; returns when it listens.
    fn start(&self, machine: &Machine) -> Result<(), Fault>;

    /// Has it begin.
    fn initiate(&self, machine: &Machine) -> Result<(), Fault>;

    /// Has it delete what stands.
    fn terminate(&self, machine: &Machine) -> Result<(), Fault>;

    /// Has it begin a successor.
    fn rekey(&self, machine: &Machine, what: Sa) -> Result<(), Fault>;

    /// What it told since the connection was loaded.
    fn log(&self, machine: &Machine) -> String;

    /// Whether its log says that a Child SA was replaced with a key exchange of its own.
    fn tells_of_pfs(&self, log: &str) -> bool;
}
