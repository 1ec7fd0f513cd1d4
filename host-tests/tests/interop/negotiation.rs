//! The less ordinary exchanges with strongSwan, each with pings through what comes of it.

use std::time::Duration;

use buttons::peer::StrongSwan;
use libtest_mimic::Trial;

use crate::cases::{Case, First, ORDINARY, Suite};
use crate::device::Device;
use crate::ground::{Ground, expect, expect_soon};
use crate::{Fault, case, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    vec![
        case("negotiation::our_wrong_guess_is_corrected", || wrong_guess(First::Device)),
        case("negotiation::strongswans_wrong_guess_is_corrected", || wrong_guess(First::Peer)),
        case("negotiation::sas_are_replaced_without_loss", replaced_without_loss),
        case("negotiation::strongswan_replaces_the_child_sa_without_loss", child_sa_replaced),
        case("negotiation::strongswan_authenticates_anew_where_it_cannot_rekey", ike_sa_replaced),
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

/// RFC 7296 §2.8, with strongSwan as the one that replaces.
fn child_sa_replaced() -> Result<(), Fault> {
    with(ORDINARY, |ground, device, peer| {
        let spis = || -> Result<Vec<_>, Fault> {
            Ok(device.status()?.child_sas.iter().map(|sa| (sa.inbound, sa.outbound)).collect())
        };
        let before = spis()?;
        // Pings before, while and after it happens.
        std::thread::scope(|scope| {
            let pings = scope.spawn(|| traffic::ping_many(&ground.topology.host, ORDINARY.far()));
            std::thread::sleep(Duration::from_millis(500));
            peer.control(&["--rekey", "--child", "net"])?;
            pings.join().map_err(|_| "the pinger panicked")?
        })?;
        let after = spis()?;
        expect(after.len() == 1 && after != before, || format!("{before:?} {after:?}"))
    })
}

/// The IKE SA itself is not rekeyed here; strongSwan begins another.
fn ike_sa_replaced() -> Result<(), Fault> {
    let case = Case { first: First::Peer, ..ORDINARY };
    with(case, |ground, device, peer| {
        peer.control(&["--rekey", "--ike", "device"])?;
        let again = || peer.log().matches("IKE_SA device[3] established").count() == 1;
        expect_soon(Duration::from_secs(10), again, || "not authenticated anew".into())?;
        traffic::ping_once(&ground.topology.host, case.far(), Duration::from_secs(5))?;
        traffic::ping_many(&ground.topology.host, case.far())?;
        let status = device.status()?;
        expect(status.ike_sas.len() == 1 && status.child_sas.len() == 1, || format!("{status:?}"))
    })
}
