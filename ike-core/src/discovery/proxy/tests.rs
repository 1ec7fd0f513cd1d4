//! The rules of the proxy in virtual time: clients, servers and a resolver played by hand.

extern crate std;

use std::vec::Vec;

use domain::base::Rtype;

use crate::discovery::Name;

mod bench;
mod forward;
mod hold;
mod hostile;
mod life;

pub(super) fn name(text: &str) -> Name {
    let mut octets = Vec::new();
    for label in text.trim_end_matches('.').split('.') {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.bytes());
    }
    octets.push(0);
    Name::from_octets(octets.as_slice().try_into().unwrap()).unwrap()
}

/// A question without EDNS, as stubs ask it.
pub(super) fn query(of: &str, rtype: Rtype, id: u16) -> Vec<u8> {
    let mut octets = Vec::from(id.to_be_bytes());
    octets.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    octets.extend(name(of).as_slice());
    octets.extend(rtype.to_int().to_be_bytes());
    octets.extend([0, 1]);
    octets
}
