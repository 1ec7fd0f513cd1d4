//! A NAT between our gateway and strongSwan, in front of either, and what happens when it forgets its
//! mappings (RFC 7296 §2.23, RFC 3948).

use std::time::Duration;

use buttons::peer::{Behind, StrongSwan, Topology};
use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY};
use crate::device::Device;
use crate::ground::{Ground, expect, expect_soon};
use crate::sniffer::MARKER;
use crate::{Fault, case, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        case("nat::in_front_of_the_device", || behind(Behind::Device)),
        case("nat::in_front_of_strongswan", || behind(Behind::Peer)),
    ]
}

/// Whoever is behind the NAT begins. The NAT forgets everything; its end speaks, and both go on.
fn behind(behind: Behind) -> Result<(), Fault> {
    let first = if behind == Behind::Device { First::Device } else { First::Peer };
    let case = Case { first, nat: Some(behind), ..ORDINARY };
    let ground = Ground::on(Topology::with_nat(Some(behind))?, MARKER)?;
    let (device, peer) = case.start(&ground, None)?;
    converse(case, &ground, &device, &peer)
        .map_err(|fault| format!("{fault}\n--- device\n{}--- strongSwan\n{}", device.log(), peer.log()))?;
    drop((device, peer));
    ground.only_esp()?;
    Ok(())
}

fn converse(case: Case, ground: &Ground, device: &Device, peer: &StrongSwan) -> Result<(), Fault> {
    let Topology { host, nat, .. } = &ground.topology;
    let nat = nat.as_ref().ok_or("no NAT")?;
    if case.first == First::Peer {
        peer.initiate()?;
    }
    traffic::ping_once(host, case.far(), Duration::from_secs(5))?;
    traffic::ping(host, case.far(), 200, "0.01", Duration::from_secs(3))?;
    nat.rebind()?;
    match case.first {
        // A message of ours shows strongSwan the new mapping.
        First::Device => device.begin("strongswan")?,
        First::Peer => drop(peer.control(&["--rekey", "--child", "net"])?),
    }
    let again = || traffic::ping_once(host, case.far(), Duration::from_secs(1)).is_ok();
    expect_soon(Duration::from_secs(10), again, || "nothing passes the new mapping".into())?;
    traffic::ping_many(host, case.far())?;
    let status = device.status()?;
    expect(status.ike_sas.len() == 1 && status.child_sas.len() == 1, || format!("{status:?}"))
}
