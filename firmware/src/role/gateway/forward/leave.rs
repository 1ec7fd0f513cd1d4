//! The last part of a packet's way: policy, route, neighbour, frame.

use core::net::{IpAddr, Ipv4Addr};

use esp_engine::counters::DropReason;
use esp_engine::crypto::Cipher;
use esp_engine::engine::{Outbound, Seal};
use esp_engine::time::Instant;

use super::super::inspect::Refusal;
use super::super::link;
use super::super::neighbour::{HeldPacket, LinkAddress, MAX_PACKET, Resolution};
use super::super::route::Hop;
use super::{Forwarding, OUTSIDE, Wire};

impl<C: Cipher> Forwarding<'_, '_, C> {
    /// Finds the way of a packet that may go on.
    pub(super) fn leave(
        &mut self,
        now: Instant,
        destination: IpAddr,
        packet: &[u8],
        wire: &mut impl Wire,
    ) -> Result<(), Refusal> {
        // Only our own packets get here with this destination: questions for an address.
        let is_for_all = destination == IpAddr::V4(Ipv4Addr::BROADCAST);
        let everybody = Hop { interface: OUTSIDE, neighbour: destination };
        match if is_for_all { Some(everybody) } else { self.routes.lookup(destination) } {
            Some(hop) if hop.interface != OUTSIDE => self.send(now, hop, packet, wire),
            way => self.leave_outside(now, way, packet, wire),
        }
    }

    /// Protected traffic needs no route of its own: it goes where the peer is.
    fn leave_outside(
        &mut self,
        now: Instant,
        way: Option<Hop>,
        packet: &[u8],
        wire: &mut impl Wire,
    ) -> Result<(), Refusal> {
        let verdict = self.engine.borrow_mut().outbound(now, packet);
        self.shared.note_moved();
        match verdict {
            Outbound::Bypass => self.send(now, way.ok_or(Refusal::NoRoute)?, packet, wire),
            Outbound::Seal(seal) => self.seal(now, seal, packet, wire),
            Outbound::Hold { packet: flow, .. } => Err(Refusal::WantsSa(flow)),
            Outbound::TooBig { mtu } => Err(Refusal::TooBig(mtu)),
            Outbound::Drop(DropReason::NoPolicy | DropReason::Discard) => Err(Refusal::Prohibited),
            Outbound::Drop(_) => Err(Refusal::Engine),
        }
    }

    fn seal(&mut self, now: Instant, seal: Seal, packet: &[u8], wire: &mut impl Wire) -> Result<(), Refusal> {
        let peer = self.engine.borrow().outer_destination(&seal).ok_or(Refusal::Engine)?;
        let hop = self.routes.lookup(peer).filter(|hop| hop.interface == OUTSIDE).ok_or(Refusal::NoRoute)?;
        let length = seal.length();
        match self.tables.neighbours.resolve(now, hop) {
            Resolution::Known(to) => {
                let from = self.port(OUTSIDE).ok_or(Refusal::NoRoute)?.link;
                let engine = self.engine;
                let sent = wire.send(OUTSIDE, link::HEADER + length, |frame| {
                    let out = frame.get_mut(link::HEADER..).unwrap_or_default();
                    // The SA is the one that granted the seal: nothing ran in between. Were it gone,
                    // the frame would be all zero.
                    if engine.borrow_mut().seal(seal, packet, out).is_ok() {
                        link::address(frame, from, to);
                    }
                });
                if sent { Ok(()) } else { Err(Refusal::NoRoom) }
            }
            Resolution::Wait => {
                let mut sealed = HeldPacket::new();
                sealed.resize(length, 0).map_err(|_| Refusal::NeighbourFull)?;
                self.engine.borrow_mut().seal(seal, packet, &mut sealed).map_err(|_| Refusal::Engine)?;
                self.wait(hop, &sealed)
            }
            Resolution::Full => Err(Refusal::NeighbourFull),
        }
    }

    fn send(&mut self, now: Instant, hop: Hop, packet: &[u8], wire: &mut impl Wire) -> Result<(), Refusal> {
        let mtu = self.port(hop.interface).ok_or(Refusal::NoRoute)?.mtu.min(MAX_PACKET);
        if packet.len() > mtu {
            return Err(Refusal::TooBig(u16::try_from(mtu).unwrap_or(u16::MAX)));
        }
        if hop.neighbour == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return self.transmit(hop, [0xFF; 6], packet, wire);
        }
        match self.tables.neighbours.resolve(now, hop) {
            Resolution::Known(to) => self.transmit(hop, to, packet, wire),
            Resolution::Wait => self.wait(hop, packet),
            Resolution::Full => Err(Refusal::NeighbourFull),
        }
    }

    fn wait(&mut self, hop: Hop, packet: &[u8]) -> Result<(), Refusal> {
        if self.tables.neighbours.hold(hop, packet) { Ok(()) } else { Err(Refusal::NeighbourFull) }
    }

    pub(super) fn transmit(
        &self,
        hop: Hop,
        to: LinkAddress,
        packet: &[u8],
        wire: &mut impl Wire,
    ) -> Result<(), Refusal> {
        let from = self.port(hop.interface).ok_or(Refusal::NoRoute)?.link;
        let sent = wire.send(hop.interface, link::HEADER + packet.len(), |frame| {
            if let Some(place) = frame.get_mut(link::HEADER..link::HEADER + packet.len()) {
                place.copy_from_slice(packet);
            }
            link::address(frame, from, to);
        });
        if sent { Ok(()) } else { Err(Refusal::NoRoom) }
    }
}
