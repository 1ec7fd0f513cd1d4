//! A server beside the true one that is quicker: what does not answer the very question, from the very server, is
//! not heard (RFC 5452 §9).

use std::net::{IpAddr, Ipv4Addr};

use ike_core::discovery::outcome::Security;

use super::relay::{Lie, Manner, RELAY, Relay};
use super::{Ground, NOBODY, devices};
use crate::Fault;
use crate::ground::expect;

const LIES: [Lie; 9] = [
    Lie::OtherId,
    Lie::OtherPort,
    Lie::OtherAddress,
    Lie::OtherCase,
    Lie::OtherName,
    Lie::OtherType,
    Lie::Question,
    Lie::Cut,
    Lie::Addition,
];

const NAME: &str = "dev2.nsec.test";
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// A lie costs not even a query, and lies do not keep two devices apart, which have a silent server before the
/// lying one.
pub fn are_not_heard(ground: &Ground) -> Result<(), Fault> {
    let relay = Relay::start(&ground.namespace, Manner::Lying(Vec::new()))?;
    let honest = ground.ask(NAME, &[RELAY], None)?;
    expect(honest.outcome.security == Security::Secure, || buttons::resolve::show::text(&honest))?;
    for lie in LIES {
        relay.set(Manner::Lying(vec![lie]));
        let found = ground.ask(NAME, &[RELAY], None)?;
        let is_true = found.outcome.security == Security::Secure
            && found.outcome.keys().count() == 1
            && found.outcome.addresses().eq([ADDRESS])
            && found.queries == honest.queries;
        expect(is_true, || format!("{lie:?}:\n{}", buttons::resolve::show::text(&found)))?;
    }
    // One that cannot be told from the truth shows that the others would do harm.
    relay.set(Manner::Lying(vec![Lie::Perfect]));
    let found = ground.ask(NAME, &[RELAY], None)?;
    expect(matches!(found.outcome.security, Security::Indeterminate(_)), || {
        buttons::resolve::show::text(&found)
    })?;
    relay.set(Manner::Lying(LIES.to_vec()));
    devices::meet(ground, &[NOBODY, RELAY])
}
