//! What must hold in every state, and what at every end.

use std::net::IpAddr;

use esp_engine::engine::{Inbound, Outbound};
use esp_engine::spd::PolicyId;
use ike_core::crypto::toy::Toy;
use ike_core::crypto::{Crypto, Signer};
use ike_core::output::Phase;

use super::end::Who;
use super::scenario::{FIRST, Procedure, Scenario};
use super::world::{Action, World};
use crate::parties::{A, A_KEY, B, B_KEY};

/// What does not hold.
pub type Violation = String;

/// Nothing that policy protects leaves in clear, and while nobody ends what it needs, a packet sent now
/// arrives: at once, and behind what is on its way already (RFC 7296 §2.8, RFC 4301 §5).
pub fn state(world: &World) -> Result<(), Violation> {
    for from in Who::BOTH {
        let sent = match world.end(from).try_plane().send(world.now, &packet(from)) {
            Ok(sent) => sent,
            Err(Outbound::Hold { .. }) if world.ending || !world.stood => continue,
            Err(verdict) => return Err(format!("{from:?}'s packet does not leave: {verdict:?}")),
        };
        if world.ending || !world.stood {
            continue;
        }
        arrives(world, from, &sent).map_err(|why| format!("{from:?}'s packet is lost: {why}"))?;
        let mut later = world.clone();
        while let Some(index) = later.wire.iter().position(|message| message.to == from.other()) {
            later.act(Action::Deliver(index), &mut |_| {});
        }
        arrives(&later, from, &sent)
            .map_err(|why| format!("{from:?}'s packet behind its messages is lost: {why}"))?;
    }
    Ok(())
}

fn arrives(world: &World, from: Who, sent: &[u8]) -> Result<(), Violation> {
    match world.end(from.other()).try_plane().receive(world.now, sent) {
        Inbound::Deliver(_) => Ok(()),
        verdict => Err(format!("{verdict:?}")),
    }
}

/// Both ends agree on what stands, nothing is left over, and what was asked for was done.
pub fn end(world: &World, scenario: &Scenario, before: &World) -> Result<(), Violation> {
    let [a, b] = Who::BOTH.map(|who| stands(world, who));
    let (a, b) = (a?, b?);
    if a.ike_sas != b.ike_sas {
        return Err(format!("IKE SAs differ: A has {:x?}, B has {:x?}", a.ike_sas, b.ike_sas));
    }
    let mut mirrored: Vec<_> =
        b.pairs.iter().map(|(policy, inbound, outbound)| (*policy, *outbound, *inbound)).collect();
    mirrored.sort_unstable();
    if a.pairs != mirrored {
        return Err(format!("Child SAs differ: A has {:x?}, B has {:x?}", a.pairs, b.pairs));
    }
    for who in Who::BOTH {
        clear_is_refused(world, who)?;
        if scenario.strangers {
            knows(world, who)?;
        }
    }
    if world.ending {
        return Ok(());
    }
    if a.ike_sas.len() != 1 {
        return Err(format!("{} IKE SAs stand", a.ike_sas.len()));
    }
    let count = |policy| a.pairs.iter().filter(|(of, ..)| of.0 == policy).count();
    let asked = |wanted| scenario.begun.iter().filter(|(_, procedure)| *procedure == wanted).count();
    // Whoever asks for a second pair of its own accord gets it (RFC 7296 §1.3.1): one a request at most.
    let second = asked(Procedure::CreateChild).max(usize::from(scenario.second_stands));
    if count(0) != 1 || count(1) > second || (count(1) == 0) != (second == 0) {
        return Err(format!("{} and {} pairs of Child SAs stand", count(0), count(1)));
    }
    let old = stands(before, Who::A)?;
    if asked(Procedure::RekeyChild) > 0 && a.pairs.first() == old.pairs.first() {
        return Err("the Child SA was not replaced".into());
    }
    if asked(Procedure::RekeyIkeSa) > 0 && a.ike_sas == old.ike_sas {
        return Err("the IKE SA was not replaced".into());
    }
    Ok(())
}

/// What one end has.
struct Stands {
    ike_sas: Vec<(u64, u64)>,
    pairs: Vec<(PolicyId, u32, u32)>,
}

fn stands(world: &World, who: Who) -> Result<Stands, Violation> {
    let end = world.end(who);
    let mut ike_sas: Vec<(u64, u64)> = Vec::new();
    for (spis, phase) in
        end.look(|endpoint| endpoint.status().map(|sa| (sa.spis, sa.phase)).collect::<Vec<_>>())
    {
        if phase != Phase::Established {
            return Err(format!("{who:?} has an IKE SA that is {phase:?} for ever"));
        }
        ike_sas.push((spis.initiator, spis.responder));
    }
    ike_sas.sort_unstable();
    let mut pairs: Vec<_> =
        end.try_plane().pairs().into_iter().map(|(policy, i, o)| (policy, i.get(), o.get())).collect();
    pairs.sort_unstable();
    let usage = end.usage();
    let expected = (ike_sas.len(), pairs.len(), 0, 0);
    let found = (usage.ike_sas, usage.children, usage.handshakes, usage.buffers);
    if found != expected {
        return Err(format!(
            "{who:?} leaks: IKE SAs, Child SAs, handshakes, buffers are {found:?}, not {expected:?}"
        ));
    }
    Ok(Stands { ike_sas, pairs })
}

/// RFC 5386 §4.2: of a stranger whose SA came to stand the key is remembered, and no other.
fn knows(world: &World, who: Who) -> Result<(), Violation> {
    let (name, key) = if who == Who::A { ("b.example", &B_KEY) } else { ("a.example", &A_KEY) };
    let expected = Toy::<false>.signer(key).expect("a key").public_key();
    let known: Vec<_> = world
        .end(who)
        .look(|endpoint| endpoint.remembered().map(|(_, known)| (known.of.to_string(), known.key)).collect());
    if known == [(name.into(), Some(expected))] {
        Ok(())
    } else {
        Err(format!("{who:?} remembers {known:?}"))
    }
}

/// RFC 4301 §5.2: what policy protects is not let in in clear.
fn clear_is_refused(world: &World, who: Who) -> Result<(), Violation> {
    match world.end(who).try_plane().receive(world.now, &packet(who.other())) {
        Inbound::Drop(_) => Ok(()),
        verdict => Err(format!("{who:?} takes a clear packet: {verdict:?}")),
    }
}

/// A UDP packet of the first policy.
pub fn packet(from: Who) -> Vec<u8> {
    let (source, destination) = if from == Who::A { (A, B) } else { (B, A) };
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0];
    for address in [source, destination] {
        let IpAddr::V4(address) = address else { unreachable!("the parties have IPv4 addresses") };
        packet.extend(address.octets());
    }
    let words = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum = words.sum::<u32>();
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend([FIRST, FIRST, 12, 0].into_iter().flat_map(u16::to_be_bytes));
    packet.extend(*b"text");
    packet
}
