//! The resolver against servers that are slow, silent, broken or lying, and against those who answer in their
//! place. Virtual time; the numbers are those of the rules for whoever sends anything to a device.

use std::cell::Cell;
use std::rc::Rc;

use domain::base::iana::Rcode;
use domain::base::{Record, Rtype, Ttl};
use domain::rdata::ZoneRecordData;
use host_tests::dns::{Arrival, Asked, Reply, Server, Signing, Tree, World, honest, record, silent};
use ike_core::discovery::dnssec::Bogus;
use ike_core::discovery::outcome::{Indeterminate, Presence, Security};
use ike_core::discovery::output::{Discarded, Transport};
use ike_core::discovery::upstream::Unfit;

mod bounds;
mod edns;
mod lies;
mod matching;
mod silence;

const KEY: &str = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";

fn tree() -> Rc<Tree> {
    let many: String =
        (0..40).map(|n| format!("many.peer.test. IPSECKEY {} 0 4 . {KEY}\n", 40 - n)).collect();
    let chain: String = (0..50).map(|n| format!("c{n}.peer.test. CNAME c{}.peer.test.\n", n + 1)).collect();
    let long = "a".repeat(60);
    let peer = format!(
        "vpn.peer.test. IPSECKEY 10 0 4 . {KEY}\n\
         vpn.peer.test. A 192.0.2.1\n\
         loop.peer.test. CNAME pool.peer.test.\n\
         pool.peer.test. CNAME loop.peer.test.\n\
         grow.peer.test. DNAME {long}.{long}.{long}.grow.test.\n\
         {many}{chain}"
    );
    Rc::new(Tree::new(&[
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, &peer),
        ("plain.test.", Signing::Unsigned, "vpn.plain.test. A 192.0.2.2\n"),
    ]))
}

fn world(servers: Vec<Server>) -> World {
    World::new(servers, tree().anchors())
}

/// A server that tells the truth, but for what `change` makes of its answers.
fn changed(change: impl Fn(&Asked, Reply) -> Reply + 'static) -> Server {
    let tree = tree();
    Box::new(move |asked| {
        let reply = change(asked, tree.answer(&asked.name(), asked.rtype()));
        asked.answered(asked.reply(&reply))
    })
}

/// A server whose octets `change` puts in front of the true answer.
fn preceded(change: impl Fn(&Asked, Vec<u8>) -> Option<Vec<u8>> + 'static) -> Server {
    let tree = tree();
    Box::new(move |asked| {
        let octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
        let mut arrivals = Vec::new();
        if let Some(octets) = change(asked, octets.clone()) {
            arrivals.push(Arrival { after: 5, from: asked.server, octets: Some(octets) });
        }
        arrivals.extend(asked.answered(octets));
        arrivals
    })
}

fn is_secure(world: &mut World) -> bool {
    let outcome = world.peer("vpn.peer.test.");
    (outcome.security, outcome.presence) == (Security::Secure, Presence::Present)
}
