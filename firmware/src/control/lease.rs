//! Where the outer address comes from a DHCP server: between the client, Network, which carries its messages, and
//! what follows from a lease.

use core::net::IpAddr;

use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::discovery::output::Transport;
use rand_core::TryCryptoRng;

use super::Control;
use crate::clock;
use crate::config::Prefix;
use crate::dhcp::{CLIENT_PORT, Client, Event, Output};
use crate::network::dns::{PUBLISHING, Question};
use crate::queue::Command;
use crate::report::{self, Sink};
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng + Clone, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// The outer port has this Ethernet address: a server can be asked.
    pub(super) fn begin_lease(&mut self, now: Instant, link: [u8; 6]) {
        self.lease = Some(Client::new(now, link, self.rng.clone()));
    }
}

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// A server said something.
    pub(super) fn take_lease(&mut self, now: Instant, octets: &[u8]) {
        if let Some(lease) = &mut self.lease {
            // What is not for us changes nothing.
            let _ = lease.handle_message(now, octets, |site| self.config.check_outside(site));
        }
    }

    /// Does what the client wants done; returns when it wants to be called.
    pub(super) async fn drain_lease(&mut self) -> Option<Instant> {
        loop {
            match self.lease.as_mut()?.poll_output() {
                Output::Transmit(server, octets) => {
                    let transport = Transport::Udp { port: CLIENT_PORT };
                    let question = Question { server, transport, octets: octets.into_iter().collect() };
                    self.queues.command(Command::Query { socket: PUBLISHING, question }).await;
                }
                Output::Close => self.queues.command(Command::CloseQuery(PUBLISHING)).await,
                Output::Event(event) => self.follow_lease(clock::now(), event).await,
                Output::Timeout(moment) => return moment,
            }
        }
    }

    async fn follow_lease(&mut self, now: Instant, event: Event) {
        match event {
            Event::Bound(site) => {
                let had_none = self.outside.like(site.address.address).is_none();
                // It was held against the configuration before it was asked for.
                let put = self.put(now, site).await;
                debug_assert!(put.is_ok());
                if had_none {
                    self.locate_all();
                    self.call_at_once();
                }
            }
            Event::Lost => self.lose(now, Prefix::DHCP.address).await,
            Event::Refused(address, reason) => {
                self.sink.report(now, &report::Event::LeaseRefused { address, reason });
            }
        }
    }

    /// The device has no address of this family for now.
    async fn lose(&mut self, now: Instant, like: IpAddr) {
        if let Some(old) = self.outside.lose(like) {
            self.queues.command(Command::Outside(self.outside.clone())).await;
            self.endpoint.lost(old);
            self.sink.report(now, &report::Event::Lost(old));
        }
    }
}
