//! IKE_FOLLOWUP_KE as initiator: the request. What its answer brings is the business of what is made
//! ([`create_child_sa`](crate::exchange::create_child_sa)).

use esp_engine::time::Instant;
use rand_core::TryCryptoRng;

use crate::crypto::{Crypto, Group};
use crate::endpoint::Endpoint;
use crate::exchange;
use crate::exchange::create_child_sa::initiator::write_exchange;
use crate::handshake::Handshake;
use crate::ike_sa::IkeSa;
use crate::ike_sa::window::Purpose;
use crate::resources::{BufferId, free_slot};
use crate::wire::code_point::ExchangeType;
use crate::wire::notify::NotifyView;

/// Sends the request with the peer's link, as it came; `made` says what is kept with our key exchange. `None`
/// when that is not possible.
pub(crate) fn begin<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    group: Group,
    link: &NotifyView<'_>,
    now: Instant,
    kept: impl FnOnce(C::KeyExchange) -> Handshake<C>,
) -> Option<()> {
    let index = free_slot(endpoint.handshakes).and_then(|index| u8::try_from(index).ok())?;
    let (exchange, message) = write(endpoint, sa, group, link)?;
    *endpoint.handshakes.get_mut(usize::from(index))? = Some(kept(exchange));
    exchange::send_request(endpoint, sa, message, Purpose::CreateChild(index), now);
    Some(())
}

/// Our key exchange, and the request that it goes out in.
#[inline(never)]
fn write<C: Crypto, R: TryCryptoRng>(
    endpoint: &mut Endpoint<'_, C, R>,
    sa: &mut IkeSa,
    group: Group,
    link: &NotifyView<'_>,
) -> Option<(C::KeyExchange, BufferId)> {
    let id = sa.window.next_request()?;
    let exchange = endpoint.crypto.generate(group, &mut endpoint.random).ok()?;
    let header = sa.header(ExchangeType::IKE_FOLLOWUP_KE, false, id);
    let message = exchange::seal(endpoint, sa, &header, |writer| {
        write_exchange(Some(&exchange), writer)?;
        NotifyView::put(link.kind, link.data, writer)
    })?;
    Some((exchange, message))
}
