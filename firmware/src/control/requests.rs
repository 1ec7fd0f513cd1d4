//! What an operator asks for.

use esp_engine::time::Instant;
use ike_core::crypto::Crypto;
use ike_core::discovery::UnixTime;
use ike_core::output::{Phase, SaStatus};
use ike_core::pad::PeerId;
use rand_core::TryCryptoRng;

use super::{Control, reason};
use crate::clock;
use crate::config::Site;
use crate::config::check::Fault;
use crate::management::{Request, Response, Words};
use crate::queue::Command;
use crate::report::Sink;
use crate::storage::Storage;

/// What is wanted of one peer.
enum Order {
    Start,
    RekeyIkeSa,
    Close,
}

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// Carries out an operator's request; `None` when the answer has to wait for Network.
    pub(super) async fn serve(&mut self, request: Request) -> Option<Response> {
        let now = clock::now();
        let (order, name) = match request {
            Request::Status => {
                self.status_wanted = true;
                self.queues.command(Command::Count).await;
                return None;
            }
            Request::SetClock(time) => {
                let later = || Words::try_from("it is certainly later than that").unwrap_or_default();
                let is_set = self.set_time(now, UnixTime(time));
                return Some(if is_set { Response::Done } else { Response::Refused(later()) });
            }
            Request::Put(site) => return Some(self.put_by_operator(now, site).await),
            Request::Shutdown => {
                self.peers.iter_mut().for_each(|state| state.call = None);
                self.endpoint.shutdown(now);
                return Some(Response::Done);
            }
            Request::Why(subject) => {
                return Some(self.explain(now, &subject).map_or(Response::NoSuchPeer, Response::Why));
            }
            Request::Remembered => return Some(self.all_remembered()),
            Request::Forget(of) => return Some(self.forget(now, &of).await),
            Request::Accept { of, fingerprint } => return Some(self.accept(now, &of, fingerprint).await),
            Request::Start(name) => (Order::Start, name),
            Request::RekeyIkeSa(name) => (Order::RekeyIkeSa, name),
            Request::Close(name) => (Order::Close, name),
        };
        let Some(peer) = self.config.peer_id(&name) else { return Some(Response::NoSuchPeer) };
        let state = self.peers.get_mut(usize::from(peer.0))?;
        Some(match order {
            Order::Start => match self.endpoint.rekey(now, peer) {
                Ok(()) => Response::Done,
                Err(reason) => Response::Refused(reason::not_begun(reason)),
            },
            Order::RekeyIkeSa if !self.endpoint.status().any(|sa| stands(&sa, peer)) => {
                Response::Refused(Words::try_from("no IKE SA with this peer stands").unwrap_or_default())
            }
            Order::RekeyIkeSa => {
                self.endpoint.rekey_ike_sas(now, peer);
                Response::Done
            }
            Order::Close => {
                state.call = None;
                self.endpoint.close(now, peer);
                Response::Done
            }
        })
    }
}

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// Where the operator says no way out, the configured one stays if it leads out of the new network.
    async fn put_by_operator(&mut self, now: Instant, site: Site) -> Response {
        let gateway = site.gateway.or_else(|| self.config.default_route(site.address));
        let is_given = self.config.has_dhcp() && site.address.address.is_ipv4();
        let put = if is_given { Err(Fault::FromDhcp) } else { self.put(now, Site { gateway, ..site }).await };
        match put {
            Ok(()) => Response::Done,
            Err(fault) => Response::Refused(Words::try_from(fault.advice()).unwrap_or_default()),
        }
    }
}

/// Whether both ends are authenticated, and the other one is `peer`.
fn stands(sa: &SaStatus, peer: PeerId) -> bool {
    sa.peer == Some(peer) && sa.phase == Phase::Established
}
