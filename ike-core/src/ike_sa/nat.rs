//! NAT detection (RFC 7296 §2.23): each end says, hashed, which addresses it sees; where they differ a
//! NAT lies between. The claim may be false on purpose, to have ESP travel in UDP, and is then as good.

use core::net::{IpAddr, SocketAddr};

use esp_engine::sa::Encapsulation;

use crate::crypto::Crypto;
use crate::ike_sa::keys::IkeSpis;
use crate::output::Path;
use crate::wire::NoSpace;
use crate::wire::notify::{NotifyType, NotifyView};
use crate::wire::payloads::Payloads;
use crate::wire::writer::Writer;

/// The port of IKE and ESP in UDP; messages on it begin with the non-ESP marker.
pub(crate) const ENCAPSULATED: u16 = 4500;

/// Who is behind a NAT.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Nat {
    /// We are, so the NAT wants to be reminded.
    pub(crate) local: bool,
    /// The peer is.
    pub(crate) remote: bool,
}

impl Nat {
    /// What the peer's notifications say about a message that took this path under these SPIs.
    pub(crate) fn detect<C: Crypto>(crypto: &C, payloads: &Payloads<'_>, spis: IkeSpis, path: &Path) -> Self {
        let seen = |kind, address| {
            let digest = digest(crypto, spis, address);
            let mut claims = payloads.notifies().filter(|n| n.kind == kind).filter_map(|n| n.nat_detection());
            let first = claims.next();
            first.is_none_or(|claim| *claim == digest) || claims.any(|claim| *claim == digest)
        };
        Self {
            local: !seen(NotifyType::NAT_DETECTION_DESTINATION_IP, path.local),
            remote: !seen(NotifyType::NAT_DETECTION_SOURCE_IP, path.remote),
        }
    }

    /// UDP around ESP on this path, if anybody is behind a NAT.
    pub(crate) fn encapsulation(self, path: &Path) -> Option<Encapsulation> {
        let (local_port, remote_port) = (path.local.port(), path.remote.port());
        (self.local || self.remote).then_some(Encapsulation { local_port, remote_port })
    }
}

/// Appends both notifications for a message that takes this path. `pretend` spoils the source's, so
/// that the peer takes us to be behind a NAT.
pub(crate) fn write<C: Crypto>(
    crypto: &C,
    spis: IkeSpis,
    path: &Path,
    pretend: bool,
    writer: &mut Writer<'_>,
) -> Result<(), NoSpace> {
    let source = if pretend { [0; 20] } else { digest(crypto, spis, path.local) };
    NotifyView::new(NotifyType::NAT_DETECTION_SOURCE_IP, &source).write(writer)?;
    let destination = digest(crypto, spis, path.remote);
    NotifyView::new(NotifyType::NAT_DETECTION_DESTINATION_IP, &destination).write(writer)
}

/// SHA-1(SPIi | SPIr | address | port).
fn digest<C: Crypto>(crypto: &C, spis: IkeSpis, address: SocketAddr) -> [u8; 20] {
    let (initiator, responder) = (spis.initiator.to_be_bytes(), spis.responder.to_be_bytes());
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(ip) => crypto.sha1(&[&initiator, &responder, &ip.octets(), &port]),
        IpAddr::V6(ip) => crypto.sha1(&[&initiator, &responder, &ip.octets(), &port]),
    }
}
