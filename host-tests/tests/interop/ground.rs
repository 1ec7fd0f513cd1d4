//! Where a case plays: namespaces with an eavesdropper on the wire between device and peer, and one
//! inside the device's network who shows that there was something to hear.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use buttons::peer::{Topology, wait_until};

use crate::Fault;
use crate::sniffer::{Heard, MARKER, Marker, Sniffer};
use crate::traffic;

/// A folder that goes when this goes.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, that nobody else can read.
    pub fn new() -> Result<Self, Fault> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("buttons-interop-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// A folder inside.
    pub fn inside(&self, name: &str) -> Result<PathBuf, Fault> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("BUTTONS_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// What both eavesdroppers heard.
pub struct Both {
    /// Between device and peer.
    pub wire: Heard,
    /// Between host and device.
    pub inside: Heard,
}

/// Device, host and peer with eavesdroppers.
pub struct Ground {
    /// On the cable between device and peer.
    wire: Sniffer,
    /// On the cable between host and device.
    inside: Sniffer,
    /// Configurations and logs.
    pub folder: Folder,
    /// The namespaces.
    pub topology: Topology,
}

impl Ground {
    /// Makes it, with both eavesdroppers listening for the marker of our own traffic.
    pub fn new() -> Result<Self, Fault> {
        Self::listening_for(MARKER)
    }

    /// Makes it, with both eavesdroppers listening.
    pub fn listening_for(marker: &'static Marker) -> Result<Self, Fault> {
        Self::on(Topology::new()?, marker)
    }

    /// Makes it on namespaces that are there.
    pub fn on(topology: Topology, marker: &'static Marker) -> Result<Self, Fault> {
        let wire = Sniffer::start(&topology.peer, "wan0", marker)?;
        let inside = Sniffer::start(&topology.host, "lan0", marker)?;
        Ok(Self { wire, inside, folder: Folder::new()?, topology })
    }

    /// [`traffic::PINGS`] pings from the host to `far`, then a TCP transfer out and one back, the whole
    /// [`traffic::TRANSFER`] in one direction and a tenth in the other. Returns octets a second, out
    /// and back.
    pub fn traffic(&self, near: IpAddr, far: IpAddr, most_out: bool) -> Result<[f64; 2], Fault> {
        let Topology { host, peer, .. } = &self.topology;
        let (all, some) = (traffic::TRANSFER, traffic::TRANSFER / 10);
        let (out, back) = if most_out { (all, some) } else { (some, all) };
        traffic::ping_many(host, far)?;
        Ok([traffic::transfer(host, peer, far, out)?, traffic::transfer(peer, host, near, back)?])
    }

    /// Checks that the wire carried ESP and nothing in clear, although there was something to hear.
    pub fn only_esp(self) -> Result<Heard, Fault> {
        let (wire, inside) = (self.wire.finish()?, self.inside.finish()?);
        expect(inside.marked > 0, || format!("nothing to hear inside: {inside:?}"))?;
        expect(wire.esp >= inside.marked / 2, || format!("too little ESP: {wire:?}, inside {inside:?}"))?;
        nothing_in_clear(wire)
    }

    /// What was heard on either side, to be judged by who knows what should have been.
    pub fn both(self) -> Result<Both, Fault> {
        let (wire, inside) = (self.wire.finish()?, self.inside.finish()?);
        expect(wire.missed + inside.missed == 0, || format!("too slow: {wire:?}, inside {inside:?}"))?;
        Ok(Both { wire, inside })
    }

    /// Checks that the wire carried no ESP and nothing in clear.
    pub fn only_ike(self) -> Result<Heard, Fault> {
        let wire = self.wire.finish()?;
        expect(wire.esp == 0, || format!("ESP without an SA: {wire:?}"))?;
        nothing_in_clear(wire)
    }
}

/// Checks what an eavesdropper heard for plain text.
pub fn nothing_in_clear(wire: Heard) -> Result<Heard, Fault> {
    expect(wire.missed == 0, || format!("the eavesdropper was too slow: {wire:?}"))?;
    expect(wire.marked == 0 && wire.stray.is_empty(), || format!("in clear on the wire: {wire:?}"))?;
    Ok(wire)
}

/// A fault with these words unless `condition` holds.
pub fn expect(condition: bool, words: impl FnOnce() -> String) -> Result<(), Fault> {
    if condition { Ok(()) } else { Err(words().into()) }
}

/// A fault with these words unless `condition` holds within `limit`.
pub fn expect_soon(
    limit: Duration,
    condition: impl FnMut() -> bool,
    words: impl FnOnce() -> String,
) -> Result<(), Fault> {
    expect(wait_until(limit, condition), words)
}
