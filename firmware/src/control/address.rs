//! The device is put elsewhere on its outer port while it runs.
//!
//! ```text
//! check ─▶ Network: stack, routes, policies ─▶ key management: SAs move or begin anew ─▶ our name in DNS
//! ```
//! Network comes first, so that whatever the others send leaves from where the device is.

use esp_engine::time::Instant;
use ike_core::config::Local;
use ike_core::crypto::Crypto;
use rand_core::TryCryptoRng;

use super::Control;
use crate::config::Site;
use crate::config::check::Fault;
use crate::queue::Command;
use crate::report::{Event, Sink};
use crate::storage::Storage;

impl<C: Crypto, R: TryCryptoRng, S: Sink, M: Storage> Control<'_, C, R, S, M> {
    /// The device is there from now on.
    ///
    /// # Errors
    /// [`Fault`]: why it cannot be, and nothing changed.
    pub(super) async fn put(&mut self, now: Instant, site: Site) -> Result<(), Fault> {
        self.config.check_outside(&site)?;
        if self.outside.sites().any(|known| known == site) {
            return Ok(());
        }
        let address = site.address.address;
        let old = self.outside.put(site)?;
        self.queues.command(Command::Outside(self.outside.clone())).await;
        self.sink.report(now, &Event::Moved { old, site });
        self.endpoint.moved(now, old, Local { interface: 0, address });
        if let Some(captor) = &mut self.captor {
            captor.readdress(&self.outside);
        }
        if let Some(publishing) = &mut self.publishing {
            publishing.readdress(now, &self.outside);
        }
        Ok(())
    }
}
