//! Network namespaces and the cables between them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread::JoinHandle;

use super::{PeerError, output};

/// What a thread inside has for a stack: as much as a program's first thread, where devices run otherwise.
const STACK: usize = 8 << 20;

/// A network namespace; it goes when this goes.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one. Processes that run at the same time are told apart by their number.
    ///
    /// # Errors
    /// [`PeerError::Refused`] when `ip netns add` fails.
    pub fn new(role: &str) -> Result<Self, PeerError> {
        let name = format!("buttons-{}-{role}", std::process::id());
        output(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.run("ip", &["link", "set", "lo", "up"])?;
        // Without duplicate address detection an IPv6 address can be used at once.
        namespace.run("sysctl", &["-qw", "net.ipv6.conf.default.accept_dad=0"])?;
        Ok(namespace)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a command inside to its end.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with its words when it fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String, PeerError> {
        output(self.command(program).args(arguments))
    }

    /// Starts a thread whose sockets are inside.
    ///
    /// # Errors
    /// What the system says when the namespace cannot be entered.
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<T>>> {
        let namespace = File::open(format!("/run/netns/{}", self.name))?;
        std::thread::Builder::new().stack_size(STACK).spawn(move || {
            // SAFETY: the descriptor is open; only this thread moves.
            if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
                return Err(io::Error::last_os_error());
            }
            drop(namespace);
            Ok(work())
        })
    }

    /// Lays a cable: two interfaces, up, with every checksum and segment finished before it leaves.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn cable(&self, device: &str, other: &Self, other_device: &str) -> Result<(), PeerError> {
        self.run(
            "ip",
            &["link", "add", device, "type", "veth", "peer", "name", other_device, "netns", other.name()],
        )?;
        for (end, device) in [(self, device), (other, other_device)] {
            end.run("ip", &["link", "set", device, "up"])?;
            end.run(
                "ethtool",
                &["-K", device, "rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off"],
            )?;
        }
        Ok(())
    }

    fn address(&self, device: &str, address: &str) -> Result<(), PeerError> {
        let mut arguments = vec!["addr", "add", address, "dev", device];
        if address.contains(':') {
            arguments.push("nodad");
        }
        self.run("ip", &arguments).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = output(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// A device with two ports between a network of hosts and a peer:
/// ```text
///   host 10.1.0.2 ── lan0 [ device ] wan0 ── 192.0.2.2 peer, 10.2.0.1 on a stub behind it
/// ```
/// The device's own ports carry no kernel address: whoever opens them raw is the device
/// (192.0.2.1 and 2001:db8::1 towards the peer, 10.1.0.1 and fd00:a::1 towards the hosts).
#[derive(Debug)]
pub struct Topology {
    /// Where the device runs; ports `wan0` and `lan0`.
    pub device: Namespace,
    /// A host behind the device: port `lan0`, 10.1.0.2/16 and fd00:a::2/64.
    pub host: Namespace,
    /// The peer: port `wan0`, 192.0.2.2/24 and 2001:db8::2/64.
    pub peer: Namespace,
    /// A NAT between device and peer, if there is one.
    pub nat: Option<Nat>,
}

/// Which end a NAT stands in front of.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Behind {
    /// The device has 198.51.100.2/24 and the router 198.51.100.1; the peer sees 192.0.2.1.
    Device,
    /// The peer has 198.51.100.2/24; the device sees 192.0.2.2.
    Peer,
}

/// A router with nftables that hides one end (IPv4 only).
#[derive(Debug)]
pub struct Nat {
    namespace: Namespace,
}

impl Nat {
    /// Ports that it gives out at first.
    const FIRST: u16 = 20_000;

    fn new(inside: &Namespace, outside: &Namespace, address: &str) -> Result<Self, PeerError> {
        let namespace = Namespace::new("nat")?;
        inside.cable("wan0", &namespace, "in0")?;
        namespace.cable("out0", outside, "wan0")?;
        namespace.address("in0", "198.51.100.1/24")?;
        namespace.address("out0", &format!("{address}/24"))?;
        namespace.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
        let nat = Self { namespace };
        nat.translate(Self::FIRST)?;
        Ok(nat)
    }

    fn translate(&self, first: u16) -> Result<(), PeerError> {
        let rules = format!(
            "table ip nat {{}}; flush table ip nat; table ip nat {{ chain post {{ \
             type nat hook postrouting priority 100; oifname \"out0\" ip protocol udp \
             masquerade to :{first}-{}; }}; }}",
            first + 999
        );
        self.namespace.run("nft", &[&rules]).map(drop)
    }

    /// Forgets every mapping, as after a restart, and gives out other ports from then on.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn rebind(&self) -> Result<(), PeerError> {
        self.translate(Self::FIRST + 10_000)?;
        // The kernel forgets the mappings of an interface that goes down.
        self.namespace.run("ip", &["link", "set", "out0", "down"])?;
        self.namespace.run("ip", &["link", "set", "out0", "up"]).map(drop)
    }
}

impl Topology {
    /// Makes the three namespaces and lays the cables.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn new() -> Result<Self, PeerError> {
        Self::with_nat(None)
    }

    /// The same with a NAT between device and peer.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn with_nat(behind: Option<Behind>) -> Result<Self, PeerError> {
        let (device, host, peer) =
            (Namespace::new("device")?, Namespace::new("host")?, Namespace::new("peer")?);
        device.run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
        let nat = match behind {
            None => {
                device.cable("wan0", &peer, "wan0")?;
                None
            }
            Some(Behind::Device) => Some(Nat::new(&device, &peer, "192.0.2.1")?),
            Some(Behind::Peer) => Some(Nat::new(&peer, &device, "192.0.2.2")?),
        };
        put_behind(&device, &host)?;
        peer.cable("stub", &peer, "stub-end")?;
        let hidden = behind == Some(Behind::Peer);
        let v4 = if hidden { "198.51.100.2/24" } else { "192.0.2.2/24" };
        for (end, device, addresses) in
            [(&peer, "wan0", [v4, "2001:db8::2/64"]), (&peer, "stub", ["10.2.0.1/16", "fd00:b::1/64"])]
        {
            for address in addresses {
                end.address(device, address)?;
            }
        }
        if hidden {
            peer.run("ip", &["route", "add", "default", "via", "198.51.100.1"])?;
        }
        Ok(Self { device, host, peer, nat })
    }

    /// Puts the kernel in the device's place, as a router with the device's addresses, for another
    /// program to protect what it forwards.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn kernel_as_device(&self) -> Result<(), PeerError> {
        for setting in
            ["net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1"]
        {
            self.device.run("sysctl", &["-qw", setting])?;
        }
        for (port, addresses) in
            [("wan0", ["192.0.2.1/24", "2001:db8::1/64"]), ("lan0", ["10.1.0.1/16", "fd00:a::1/64"])]
        {
            self.device.run("sysctl", &["-qw", &format!("net.ipv6.conf.{port}.disable_ipv6=0")])?;
            for address in addresses {
                self.device.address(port, address)?;
            }
        }
        Ok(())
    }
}

/// Lays the cable between a device and a host that knows no other way out.
fn put_behind(device: &Namespace, host: &Namespace) -> Result<(), PeerError> {
    device.cable("lan0", host, "lan0")?;
    for address in ["10.1.0.2/16", "fd00:a::2/64"] {
        host.address("lan0", address)?;
    }
    host.run("ip", &["route", "add", "default", "via", "10.1.0.1"])?;
    host.run("ip", &["-6", "route", "add", "default", "via", "fd00:a::1"])?;
    Ok(())
}

/// A device with hosts behind it, and a bare end of its cable for a guest or a peer:
/// ```text
///   host 10.1.0.2 ── lan0 [ device ] wan0 ── lab0
/// ```
#[derive(Debug)]
pub struct Cable {
    /// Where the device runs; ports `wan0` and `lan0`.
    pub device: Namespace,
    /// A host behind the device: port `lan0`, 10.1.0.2/16 and fd00:a::2/64.
    pub host: Namespace,
    /// The other end; port `lab0`.
    pub far: Namespace,
}

impl Cable {
    /// Makes three namespaces and lays the cables.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn new() -> Result<Self, PeerError> {
        let (device, host, far) =
            (Namespace::new("device")?, Namespace::new("host")?, Namespace::new("far")?);
        for end in [&device, &far] {
            end.run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"])?;
        }
        device.cable("wan0", &far, "lab0")?;
        put_behind(&device, &host)?;
        Ok(Self { device, host, far })
    }

    /// The same with the kernel at both ends: 192.0.2.1/24 and 192.0.2.2/24.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the words of the command that failed.
    pub fn with_addresses() -> Result<Self, PeerError> {
        let cable = Self::new()?;
        cable.device.address("wan0", "192.0.2.1/24")?;
        cable.far.address("lab0", "192.0.2.2/24")?;
        Ok(cable)
    }
}
