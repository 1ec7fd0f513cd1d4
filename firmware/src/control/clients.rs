//! What the capturing resolver wants of Network, of the directory and of key management.

use esp_engine::sa::SaReport;
use ike_core::crypto::Crypto;
use rand_core::TryCryptoRng;

use super::Control;
use super::capture::{Change, Step};
use crate::clock;
use crate::queue::Command;
use crate::report::{Event, Sink};
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// What the capturing resolver wants done.
    pub(super) async fn carry_out(&mut self, step: Step) {
        let now = clock::now();
        let command = match step {
            Step::Change(Change::Policy(policy, remote)) => Command::Policy { policy, remote },
            Step::Query(socket, question) => Command::Query { socket, question },
            Step::CloseQuery(socket) => Command::CloseQuery(socket),
            Step::Reply(client, octets, more) => Command::Reply { client, octets, more },
            Step::Lookup(ticket, name) => {
                // As many as the proxy has names.
                let _ = self.lookups.push((ticket, name));
                return;
            }
            Step::Change(Change::Acquire(policy, packet)) => {
                let begun = self.endpoint.acquire(now, policy, packet);
                if begun.is_err()
                    && let Some(captor) = &mut self.captor
                {
                    captor.failed_for(now, policy);
                }
                return self.begun(now, None, Some(packet.destination), begun);
            }
            Step::Change(Change::End(policy)) => {
                while let Some(child) = self.endpoint.protection(policy, None) {
                    self.endpoint.handle_sa_report(now, SaReport::HardExpired(child.inbound));
                }
                return;
            }
            Step::Change(Change::Report(news)) => return self.sink.report(now, &Event::Capture(news)),
            Step::Wait(_) => return,
        };
        self.queues.command(command).await;
    }

    /// Hands the keys that clients' names need to the directory, as it has room.
    pub(super) fn ask_for_keys(&mut self) {
        let now = clock::now();
        let Some(directory) = &mut self.directory else { return };
        while let Some((ticket, name)) = self.lookups.first() {
            if !directory.ask_for_key(now, *ticket, name) {
                return;
            }
            self.lookups.remove(0);
        }
    }
}
