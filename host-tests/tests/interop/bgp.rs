//! BIRD behind our gateway and BIRD behind strongSwan: the session that all this is for.

use std::time::{Duration, Instant};

use buttons::peer::{Bird, BirdSession, wait_until};
use libtest_mimic::Trial;

use crate::case::ORDINARY;
use crate::ground::{Ground, expect, expect_soon};
use crate::sniffer::BGP;
use crate::{Absent, Fault, needing, strongswan};

/// How long the session has to stay up.
const LIFE: Duration = Duration::from_secs(60);
const HOLD: u16 = 9;

/// The one case.
pub fn trials() -> Vec<Trial> {
    let check = || strongswan().and_then(|()| Bird::check().map_err(Absent::from));
    vec![needing("bgp::a_session_lives_through_our_gateway", check, a_session_lives)]
}

fn a_session_lives() -> Result<(), Fault> {
    let ground = Ground::listening_for(BGP)?;
    let (device, peer) = ORDINARY.start(&ground, None)?;
    let near = BirdSession {
        local: "10.1.0.2",
        local_as: 64_501,
        neighbour: "10.2.0.1",
        neighbour_as: 64_502,
        hold: HOLD,
        network: "198.51.100.0/24",
    };
    let far = BirdSession {
        local: near.neighbour,
        local_as: near.neighbour_as,
        neighbour: near.local,
        neighbour_as: near.local_as,
        hold: HOLD,
        network: "203.0.113.0/24",
    };
    let here = Bird::start(&ground.topology.host, &ground.folder.inside("near")?, &near)?;
    let there = Bird::start(&ground.topology.peer, &ground.folder.inside("far")?, &far)?;
    let logs = || format!("--- near\n{}--- far\n{}--- device\n{}", here.log(), there.log(), device.log());

    let learnt = || here.has_route(far.network) && there.has_route(near.network);
    expect_soon(Duration::from_secs(20), learnt, || format!("no session: {}", logs()))?;
    let end = Instant::now() + LIFE;
    let fell = wait_until(LIFE, || Instant::now() < end && !(here.established() && there.established()));
    expect(!fell, || format!("the session fell: {}", logs()))?;
    let times = (here.times_established(), there.times_established());
    expect(times == (1, 1) && learnt(), || format!("established {times:?} times: {}", logs()))?;
    drop((here, there, device, peer));
    ground.only_esp()?;
    Ok(())
}
