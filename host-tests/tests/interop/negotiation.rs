//! The less ordinary exchanges with strongSwan, each with pings through what comes of it.

use std::time::Duration;

use buttons::peer::StrongSwan;
use libtest_mimic::Trial;

use crate::cases::{Case, First, ORDINARY, Suite};
use crate::device::Device;
use crate::ground::{Ground, expect, expect_soon};
use crate::{Fault, case, traffic};

/// How often strongSwan replaces an SA in one case.
const REKEYS: u32 = 50;

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        case("negotiation::our_wrong_guess_is_corrected", || wrong_guess(First::Device)),
        case("negotiation::strongswans_wrong_guess_is_corrected", || wrong_guess(First::Peer)),
        case("negotiation::sas_are_replaced_without_loss", replaced_without_loss),
        case("negotiation::strongswan_replaces_the_child_sa_without_loss", || replaced_by_strongswan(false)),
        case("negotiation::strongswan_replaces_the_ike_sa_without_loss", || replaced_by_strongswan(true)),
    ]
}

/// Brings the SA of `case` up, has `then` look at it, and checks that nothing was in clear.
fn with(
    case: Case,
    then: impl FnOnce(&Ground, &Device, &StrongSwan) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let ground = Ground::new()?;
    let (device, peer) = case.start(&ground, None)?;
    let ran = (|| {
        if case.first == First::Peer {
            peer.initiate()?;
        }
        traffic::ping_once(&ground.topology.host, case.far(), Duration::from_secs(5))?;
        then(&ground, &device, &peer)
    })();
    ran.map_err(|fault: Fault| {
        format!("{fault}\n--- device\n{}--- strongSwan\n{}", device.log(), peer.log())
    })?;
    drop((device, peer));
    ground.only_esp()?;
    Ok(())
}

/// RFC 7296 §1.2: INVALID_KE_PAYLOAD names the group, and IKE_SA_INIT is begun again with it.
fn wrong_guess(first: First) -> Result<(), Fault> {
    with(Case { suite: Suite::AfterWrongGuess, first, ..ORDINARY }, |_, _, peer| {
        let said = if first == First::Device { "generating" } else { "parsed" };
        let told = peer.log().contains(&format!("{said} IKE_SA_INIT response 0 [ N(INVAL_KE) ]"));
        expect(told, || "nobody guessed wrong".into())
    })
}

/// Pings for more than two lifetimes, of which none is lost.
fn replaced_without_loss() -> Result<(), Fault> {
    let case = Case { lifetime: 24, ..ORDINARY };
    with(case, |ground, _, peer| {
        traffic::ping(&ground.topology.host, case.far(), 2_600, "0.01", Duration::from_secs(3))?;
        let count = peer.log().matches("CHILD_SA net{").count();
        expect(count >= 3, || format!("{count} Child SAs in 26 s"))
    })
}

/// RFC 7296 §2.8: strongSwan replaces the IKE SA or the Child SA [`REKEYS`] times under pings, of which none is
/// lost, and one SA of each kind stands.
fn replaced_by_strongswan(ike: bool) -> Result<(), Fault> {
    let what = if ike { ["--ike", "device"] } else { ["--child", "net"] };
    let case = Case { first: First::Peer, ..ORDINARY };
    with(case, |ground, device, peer| {
        let standing = || {
            let status = device.status().ok()?;
            let ([ike_sa], [child]) = (&*status.ike_sas, &*status.child_sas) else { return None };
            Some((ike_sa.spis, if ike { 0 } else { child.inbound }))
        };
        let replace = || -> Result<(), Fault> {
            for number in 0..REKEYS {
                let before = standing();
                peer.control(&["--rekey", what[0], what[1]])?;
                let is_new = || standing().is_some_and(|now| Some(now) != before);
                expect_soon(Duration::from_secs(10), is_new, || format!("not replaced: {what:?} {number}"))?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            // A ping waits for no answer, so they go on while the SAs are replaced and end some time after.
            let pings = scope.spawn(|| {
                traffic::ping(&ground.topology.host, case.far(), 40 * REKEYS, "0.01", Duration::from_secs(3))
            });
            replace()?;
            pings.join().map_err(|_| "the pinger panicked")?
        })
    })
}
