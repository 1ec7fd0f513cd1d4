//! Questions of neighbours and to them (RFC 826, RFC 4861).

use core::net::IpAddr;

use esp_engine::crypto::Cipher;
use esp_engine::time::Instant;

use super::super::link::{self, Own};
use super::super::neighbour::LinkAddress;
use super::super::route::Hop;
use super::{Forwarding, Wire};

impl<C: Cipher> Forwarding<'_, '_, C> {
    pub(super) fn answer(
        &mut self,
        now: Instant,
        port: u8,
        asker: Option<(IpAddr, LinkAddress)>,
        target: IpAddr,
        wire: &mut impl Wire,
    ) {
        let Some(own) = self.port(port) else { return };
        if !own.addresses.iter().any(|prefix| prefix.address == target) {
            return;
        }
        let mut message = [0; link::MAX_MESSAGE];
        let us = Own { link: own.link, address: target };
        if let Some((neighbour, link)) = asker.filter(|(address, _)| !self.is_own(*address)) {
            self.tables.neighbours.asked(now, Hop { interface: port, neighbour }, link);
        }
        if let Some(frame) = link::answer(us, asker, &mut message) {
            wire.send(port, frame.len(), |out| out.copy_from_slice(frame));
        }
    }

    pub(super) fn solicit(&self, hop: Hop, wire: &mut impl Wire) {
        let Some(us) = self.own_address(hop.interface, hop.neighbour.is_ipv4()) else { return };
        let Some(port) = self.port(hop.interface) else { return };
        let mut message = [0; link::MAX_MESSAGE];
        if let Some(frame) = link::question(Own { link: port.link, address: us }, hop.neighbour, &mut message)
        {
            wire.send(hop.interface, frame.len(), |out| out.copy_from_slice(frame));
        }
    }
}
