//! What Network tells: datagrams, what packets showed, answers of servers, questions of clients, counters.

use esp_engine::sa::SaReport;
use ike_core::crypto::Crypto;
use ike_core::discovery::output::Socket;
use rand_core::TryCryptoRng;

use super::Control;
use crate::clock;
use crate::dhcp::SERVER_PORT;
use crate::management::Response;
use crate::network::dns::{OWN_SOCKETS, PUBLISHING, TIME};
use crate::queue::{DnsReport, Notice, Report};
use crate::report::{Event, Message, Sink};
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng + Clone, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// A report of Network; the answer to an operator who waited for the counters.
    pub(super) fn take(&mut self, report: Report) -> Option<Response> {
        let now = clock::now();
        match report {
            Report::Datagram { path, mut datagram } => {
                let message = Message::of(path, &datagram);
                let event = match (self.endpoint.handle_datagram(now, path, &mut datagram), message) {
                    (Ok(()), Some(message)) => Event::Received(path, message),
                    (Ok(()), None) => return None,
                    (Err(reason), _) => Event::Discarded(path, reason),
                };
                self.sink.report(now, &event);
            }
            Report::Notice(Notice::Acquire { policy, packet }) => {
                self.sink.report(now, &Event::Acquire { policy, packet });
                let begun = self.endpoint.acquire(now, policy, packet);
                self.begun(now, self.peer_of_policy(policy), Some(packet.destination), begun);
            }
            Report::Notice(Notice::Sa(news)) => {
                self.sink.report(now, &Event::Sa(news));
                self.endpoint.handle_sa_report(now, news);
            }
            Report::Notice(Notice::NotInstalled { spi, reason }) => {
                self.sink.report(now, &Event::NotInstalled(spi, reason));
                self.endpoint.handle_sa_report(now, SaReport::HardExpired(spi));
            }
            Report::Dns { socket: TIME, news } => self.take_time(now, news),
            Report::Link(link) => self.begin_lease(now, link),
            Report::Dns { socket: PUBLISHING, news: DnsReport::Datagram { server, octets } }
                if server.port() == SERVER_PORT =>
            {
                self.take_lease(now, &octets);
            }
            Report::Dns { socket: PUBLISHING, news } => {
                if let Some(publishing) = &mut self.publishing {
                    publishing.take(now, news);
                }
            }
            Report::Dns { socket, news } => match socket.0.checked_sub(OWN_SOCKETS) {
                None => {
                    if let Some(directory) = &mut self.directory {
                        directory.take(now, socket, news);
                    }
                }
                Some(number) => {
                    if let Some(captor) = &mut self.captor {
                        captor.take(now, Socket(number), news);
                    }
                }
            },
            Report::Asked { client, octets } => {
                if let Some(captor) = &mut self.captor {
                    captor.asked(now, client, &octets);
                }
            }
            Report::Gone(connection) => {
                if let Some(captor) = &mut self.captor {
                    captor.gone(now, connection);
                }
            }
            Report::Counted(counters) => {
                self.sink.report(now, &Event::Counted(counters.clone()));
                if core::mem::take(&mut self.status_wanted) {
                    return Some(Response::Status(self.status(now, &counters)));
                }
            }
        }
        None
    }
}
