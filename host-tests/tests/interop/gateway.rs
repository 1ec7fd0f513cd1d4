//! Our gateway against strongSwan: every way to authenticate, every suite, either end first, either
//! end's Delete.

use std::time::Duration;

use buttons::key::Kind;
use buttons::peer::StrongSwan;
use firmware::management::Shown;
use ike_core::error::CloseReason;
use libtest_mimic::Trial;

use crate::case::{Case, First, ORDINARY, Proof, Suite};
use crate::credentials::PEER;
use crate::device::Device;
use crate::ground::{Ground, expect};
use crate::{Fault, case, traffic};

/// All of them.
pub fn trials() -> Vec<Trial> {
    let ways = [
        ("ed25519", Proof::Pinned(Kind::Ed25519), Suite::AesCurve25519),
        ("p256", Proof::Pinned(Kind::P256), Suite::AesP256),
        ("shared_key", Proof::SharedKey, Suite::ChaChaCurve25519),
        ("btns", Proof::Btns(Kind::P256), Suite::ChaChaCurve25519),
        ("rsa2048", Proof::Pinned(Kind::Rsa2048), Suite::AesCurve25519),
        ("rsa3072", Proof::Pinned(Kind::Rsa3072), Suite::AesCurve25519),
        ("rsa4096", Proof::Pinned(Kind::Rsa4096), Suite::AesCurve25519),
        ("rsa_btns", Proof::Btns(Kind::Rsa2048), Suite::AesCurve25519),
        ("p384", Proof::Pinned(Kind::P384), Suite::AesP384),
        ("modp2048", Proof::Pinned(Kind::Ed25519), Suite::AesModp2048),
        ("compat", Proof::Pinned(Kind::P256), Suite::Compat),
        ("cbc_prf384", Proof::SharedKey, Suite::CbcPrf384),
        ("gcm_prf512", Proof::SharedKey, Suite::GcmPrf512),
    ];
    let mut trials = Vec::new();
    for (first, who) in [(First::Device, "we_begin"), (First::Peer, "strongswan_begins")] {
        for (name, proof, suite) in ways {
            let plain = Case { proof, suite, first, ..ORDINARY };
            trials.push(case(format!("gateway::{name}::{who}"), move || plain.run()));
        }
        let six = Case { suite: Suite::AesP256, first, six: true, ..ORDINARY };
        trials.push(case(format!("gateway::ipv6::{who}"), move || six.run()));
        for (liar, wrong) in [("ours", First::Device), ("strongswans", First::Peer)] {
            let name = format!("gateway::wrong_key_of_{liar}::{who}");
            let plain = Case { six: false, ..six };
            trials.push(case(name, move || plain.run_with_wrong_key(wrong)));
        }
    }
    trials
}

impl Case {
    fn run(self) -> Result<(), Fault> {
        let ground = Ground::new()?;
        let (device, peer) = self.start(&ground, None)?;
        let with_log = |fault: Fault| -> Fault { format!("{fault}\n--- strongSwan\n{}", peer.log()).into() };
        let up = self.converse(&ground, &device, &peer);
        up.map_err(|fault| with_log(format!("{fault}\n--- device\n{}", device.log()).into()))?;
        self.part(device, &peer).map_err(with_log)?;
        drop(peer);
        ground.only_esp()?;
        Ok(())
    }

    /// Brings the SA up and carries traffic.
    fn converse(&self, ground: &Ground, device: &Device, peer: &StrongSwan) -> Result<(), Fault> {
        if self.first == First::Peer {
            peer.initiate()?;
        }
        // The first packet waits for its SA and is not lost.
        traffic::ping_once(&ground.topology.host, self.far(), Duration::from_secs(5))?;
        let [out, back] = ground.traffic(self.near(), self.far(), self.first == First::Device)?;
        println!("{:.0} and {:.0} Mbit/s", out * 8e-6, back * 8e-6);
        let sas = peer.sas()?;
        expect(sas.matches("INSTALLED, TUNNEL").count() == 1, || format!("not one Child SA: {sas}"))?;
        let status = device.status()?;
        let [ike] = &*status.ike_sas else { return Err(format!("not one IKE SA: {status:?}").into()) };
        let [child] = &*status.child_sas else { return Err(format!("not one Child SA: {status:?}").into()) };
        let shown = [ike.level, Some(child.level)];
        expect(shown == [Some(Shown(self.level())); 2], || format!("level: {shown:?}"))?;
        expect(ike.identity == PEER, || format!("identity: {}", ike.identity))?;
        expect(child.packets.0 > traffic::PINGS.into() && child.packets.1 > traffic::PINGS.into(), || {
            format!("too few packets: {child:?}")
        })
    }

    /// One end deletes the IKE SA, the other has to know it.
    fn part(&self, device: Device, peer: &StrongSwan) -> Result<(), Fault> {
        match self.first {
            First::Device => {
                peer.terminate()?;
                let status = device.status()?;
                expect(status.ike_sas.is_empty() && status.child_sas.is_empty(), || format!("{status:?}"))?;
                let why = device.why("strongswan")?;
                expect(why == CloseReason::DeletedByPeer.words(), || format!("other reason: {why}"))
            }
            First::Peer => {
                let log = device.stop()?;
                expect(peer.sas()?.is_empty(), || format!("strongSwan keeps its SA; the device:\n{log}"))?;
                let told = "received DELETE for IKE_SA";
                expect(peer.log().contains(told), || format!("no Delete; the device:\n{log}"))
            }
        }
    }

    /// One end signs with a key that the other does not know. Both ends say AUTHENTICATION_FAILED.
    fn run_with_wrong_key(self, liar: First) -> Result<(), Fault> {
        let ground = Ground::new()?;
        let (device, peer) = self.start(&ground, Some(liar))?;
        match self.first {
            First::Device => {
                let ping = traffic::ping_once(&ground.topology.host, self.far(), Duration::from_secs(1));
                expect(ping.is_err(), || "a ping passed".into())?;
            }
            First::Peer => expect(peer.initiate().is_err(), || "strongSwan has an SA".into())?,
        }
        let (why, log) = (device.why("strongswan")?, peer.log());
        let both = || format!("why: {why}\n--- device\n{}\n--- strongSwan\n{log}", device.log());
        let told = match liar {
            First::Device => why.contains("AUTHENTICATION_FAILED"),
            First::Peer => why.starts_with("authentication failed"),
        };
        expect(told && log.contains("N(AUTH_FAILED)"), both)?;
        let status = device.status()?;
        expect(status.child_sas.is_empty() && !status.ike_sas.iter().any(|sa| sa.established), both)?;
        expect(peer.sas()?.is_empty(), both)?;
        drop(peer);
        ground.only_ike()?;
        Ok(())
    }
}
