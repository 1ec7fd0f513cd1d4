//! NAT detection (RFC 7296 §2.23): each end says, hashed, which addresses it sees; where they differ a
//! NAT lies between. The claim may be false on purpose, to have ESP travel in UDP, and is then as good.
//! What follows from it is decided here: whether ESP travels in UDP, who reminds the NAT of the mapping,
//! and whether a peer that shows up elsewhere is followed.

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
    /// The peer is, or says so to have ESP travel in UDP.
    pub(crate) remote: bool,
    /// We say so ourselves, to have ESP travel in UDP.
    pub(crate) pretended: bool,
}

impl Nat {
    /// What the peer's notifications say about a message that took this path under these SPIs. Behind a
    /// NAT is whoever none of them matches; one of another length is none.
    pub(crate) fn detect<C: Crypto>(
        crypto: &C,
        payloads: &Payloads<'_>,
        spis: IkeSpis,
        path: &Path,
        pretended: bool,
    ) -> Self {
        let seen = |kind, address| {
            let digest = digest(crypto, spis, address);
            let mut claims = payloads.notifies().filter(|n| n.kind == kind).filter_map(|n| n.nat_detection());
            let first = claims.next();
            first.is_none_or(|claim| *claim == digest) || claims.any(|claim| *claim == digest)
        };
        Self {
            local: !seen(NotifyType::NAT_DETECTION_DESTINATION_IP, path.local),
            remote: !seen(NotifyType::NAT_DETECTION_SOURCE_IP, path.remote),
            pretended,
        }
    }

    /// Whether IKE and ESP move to port 4500.
    pub(crate) const fn wants_encapsulation(self) -> bool {
        self.local || self.remote || self.pretended
    }

    /// UDP around ESP on this path, if anybody is behind a NAT. There is none on port 500: an initiator
    /// that stays there has not seen the NAT.
    pub(crate) fn encapsulation(self, path: &Path) -> Option<Encapsulation> {
        let (local_port, remote_port) = (path.local.port(), path.remote.port());
        let wanted = self.wants_encapsulation() && local_port == ENCAPSULATED;
        wanted.then_some(Encapsulation { local_port, remote_port })
    }

    /// Where the peer is from now on. It was known on one path, and a message or packet came on another
    /// that proved genuine and new: an old one says nothing, for anybody can send it again from anywhere.
    ///
    /// Only a peer behind a NAT is followed, because its NAT may have forgotten it. Behind a NAT
    /// ourselves we do not follow, because whoever carries one packet from elsewhere would part us from
    /// the peer.
    pub(crate) fn follow(self, known: &Path, seen: &Path) -> Option<Path> {
        let may_move = self.remote && !self.local;
        let is_moved = seen.local == known.local && seen.remote != known.remote;
        (may_move && is_moved).then_some(*seen)
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
