//! The less ordinary exchanges with strongSwan, each with pings through what comes of it.

use std::time::Duration;

use buttons::peer::StrongSwan;
use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY, Suite};
use crate::device::{Device, Sa};
use crate::ground::{Ground, expect};
use crate::{Fault, case, traffic};

/// How often an end replaces an SA in one case.
const REKEYS: u32 = 50;

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        case("negotiation::our_wrong_guess_is_corrected", || wrong_guess(First::Device)),
        case("negotiation::strongswans_wrong_guess_is_corrected", || wrong_guess(First::Peer)),
        case("negotiation::sas_are_replaced_without_loss", replaced_without_loss),
        case("negotiation::we_replace_the_child_sa_without_loss", || replaced(First::Device, Sa::Child)),
        case("negotiation::we_replace_the_ike_sa_without_loss", || replaced(First::Device, Sa::Ike)),
        case("negotiation::strongswan_replaces_the_child_sa_without_loss", || {
            replaced(First::Peer, Sa::Child)
        }),
        case("negotiation::strongswan_replaces_the_ike_sa_without_loss", || replaced(First::Peer, Sa::Ike)),
    ]
}

/// Brings the SA of `case` up, has `then` look at it, and checks that nothing was in clear.
pub fn with(
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

/// RFC 7296 §2.8: one end replaces the IKE SA or the Child SA [`REKEYS`] times under pings, of which none is
/// lost, and one SA of each kind stands.
fn replaced(by: First, what: Sa) -> Result<(), Fault> {
    let case = Case { first: by, ..ORDINARY };
    with(case, |ground, device, peer| {
        let order = || match (by, what) {
            (First::Device, _) => device.rekey("strongswan", what),
            (First::Peer, _) => strongswan_rekeys(peer, what),
        };
        std::thread::scope(|scope| {
            // A ping waits for no answer, so they go on while the SAs are replaced and end some time after.
            let pings = scope.spawn(|| {
                traffic::ping(&ground.topology.host, case.far(), 40 * REKEYS, "0.01", Duration::from_secs(3))
            });
            device.is_replaced(what, REKEYS, Duration::from_secs(10), order)?;
            pings.join().map_err(|_| "the pinger panicked")?
        })
    })
}

/// Has strongSwan begin a successor.
pub fn strongswan_rekeys(peer: &StrongSwan, what: Sa) -> Result<(), Fault> {
    let [kind, name] = if what == Sa::Ike { ["--ike", "device"] } else { ["--child", "net"] };
    peer.control(&["--rekey", kind, name])?;
    Ok(())
}
