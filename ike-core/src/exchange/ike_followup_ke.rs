//! IKE_FOLLOWUP_KE (RFC 9370 §2.2.4): an additional key exchange behind CREATE_CHILD_SA, for a Child SA or for a
//! successor of the IKE SA. Nothing is made before it took place.
//!
//! ```text
//! I ─▶ R   CREATE_CHILD_SA   SK { SA Ni KEi(0) … }
//! R ─▶ I   CREATE_CHILD_SA   SK { SA Nr KEr(0) … N(ADDITIONAL_KEY_EXCHANGE)(link) }
//! I ─▶ R   IKE_FOLLOWUP_KE   SK { KEi(1) N(ADDITIONAL_KEY_EXCHANGE)(link) }
//! R ─▶ I   IKE_FOLLOWUP_KE   SK { KEr(1) }
//! ```
//!
//! The initiator holds what it has agreed on beside its request, as it does for CREATE_CHILD_SA. The responder
//! promises the SA ([`Followup`]): one for each IKE SA, for [`PATIENCE`]. Where both ends asked for the same,
//! the nonces have decided when CREATE_CHILD_SA is answered, and only the exchange that stays goes on.

use core::time::Duration;

use esp_engine::sa::Spi;

use crate::crypto::Crypto;
use crate::endpoint::Endpoint;
use crate::handshake::{Followup, Handshake, Link, Promised};
use crate::ike_sa::IkeSa;
use crate::wire::NoSpace;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::writer::Writer;

pub(crate) mod initiator;
pub(crate) mod responder;

/// How long a responder waits for it: the longest of the times that RFC 9370 §2.2.4 finds appropriate.
const PATIENCE: Duration = Duration::from_secs(20);

/// Appends the link, if there is one.
pub(crate) fn write_link(link: Option<Link>, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    link.map_or(Ok(()), |link| NotifyView::put(NotifyType::ADDITIONAL_KEY_EXCHANGE, &link, writer))
}

impl<C: Crypto, R> Endpoint<'_, C, R> {
    /// What the peer of this IKE SA was promised.
    fn followup(&self, sa: &IkeSa) -> Option<&Followup> {
        match self.handshakes.get(usize::from(sa.followup?))?.as_ref()? {
            Handshake::Followup(followup) => Some(followup),
            _ => None,
        }
    }

    /// Whether that is a successor of this Child SA.
    pub(crate) fn promises_successor_of(&self, sa: &IkeSa, of: Spi) -> bool {
        self.followup(sa).is_some_and(|f| matches!(f.promised, Promised::Child(_, old) if old == Some(of)))
    }

    /// Whether that is a successor of the IKE SA.
    pub(crate) fn promises_ike_sa(&self, sa: &IkeSa) -> bool {
        self.followup(sa).is_some_and(|followup| matches!(followup.promised, Promised::IkeSa { .. }))
    }
}
