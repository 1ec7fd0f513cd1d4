//! A device that takes strongSwan for a stranger: its key is remembered when the device starts again, and another one
//! is refused (RFC 5386 §4.2).

use std::time::Duration;

use buttons::key::Kind;
use esp_engine::spd::Level;
use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY, Proof};
use crate::device::Device;
use crate::ground::{Ground, expect};
use crate::{Fault, case, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![case("strangers::restart", restart)]
}

fn restart() -> Result<(), Fault> {
    let case = Case { proof: Proof::FirstUse(Kind::P256), first: First::Device, ..ORDINARY };
    let ground = Ground::new()?;
    let (device, peer) = case.start(&ground, None)?;
    reaches(case, &ground, &device, Level::First)?;
    device.stop()?;
    let folder = ground.folder.inside("device")?;
    let device = Device::start(&ground.topology.device, &folder, &case.for_device())?;
    reaches(case, &ground, &device, Level::Known)?;
    device.stop()?;
    drop(peer);

    // Both get new keys, of which one is an impostor's.
    std::fs::remove_file(folder.join("own.pem"))?;
    let (device, peer) = case.start(&ground, None)?;
    let ping = traffic::ping_once(&ground.topology.host, case.far(), Duration::from_secs(2));
    let why = device.why("strongswan")?;
    expect(ping.is_err() && why.contains("not the key that is remembered"), || {
        format!("why: {why}\n--- device\n{}--- strongSwan\n{}", device.log(), peer.log())
    })?;
    expect(device.status()?.child_sas.is_empty(), || "an impostor has a Child SA".into())?;
    drop((device, peer));
    ground.only_esp()?;
    Ok(())
}

/// A ping passes, and the device says that its peer reached this level.
fn reaches(case: Case, ground: &Ground, device: &Device, level: Level) -> Result<(), Fault> {
    traffic::ping_once(&ground.topology.host, case.far(), Duration::from_secs(5))
        .map_err(|fault| format!("{fault}\n--- device\n{}", device.log()))?;
    let levels: Vec<_> = device.status()?.child_sas.iter().map(|sa| sa.level.0).collect();
    expect(levels == [level], || format!("{levels:?}\n{}", device.log()))
}
