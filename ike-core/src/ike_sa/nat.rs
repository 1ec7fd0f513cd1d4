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

/// Both notifications for a message that takes one path.
pub(crate) struct Detection {
    source: [u8; 20],
    destination: [u8; 20],
}

impl Detection {
    /// `pretend` spoils the source's, so that the peer takes us to be behind a NAT.
    pub(crate) fn new<C: Crypto>(crypto: &C, spis: IkeSpis, path: &Path, pretend: bool) -> Self {
        let source = if pretend { [0; 20] } else { digest(crypto, spis, path.local) };
        Self { source, destination: digest(crypto, spis, path.remote) }
    }

    /// Appends both.
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
        NotifyView::put(NotifyType::NAT_DETECTION_SOURCE_IP, &self.source, writer)?;
        NotifyView::put(NotifyType::NAT_DETECTION_DESTINATION_IP, &self.destination, writer)
    }
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

#[cfg(test)]
#[cfg(feature = "software")]
mod tests {
    use super::*;
    use crate::crypto::software::Software;
    use crate::wire::code_point::{ExchangeType, PayloadType};
    use crate::wire::header::{Flags, Header, IkeSpi, Message};

    const SPIS: IkeSpis = IkeSpis { initiator: 1, responder: 0 };

    fn path(local: &str, remote: &str) -> Path {
        Path { interface: 0, local: local.parse().expect("an end"), remote: remote.parse().expect("an end") }
    }

    /// What these notifications say about a message that came from 192.0.2.2 to 192.0.2.1.
    fn detected(notifications: &[(NotifyType, &[u8])]) -> Option<Nat> {
        let mut room = [0; 2048];
        let header = Header {
            initiator_spi: IkeSpi(1),
            responder_spi: IkeSpi::ZERO,
            next_payload: PayloadType::NONE,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags { initiator: true, response: false },
            message_id: 0,
        };
        let mut writer = Writer::new(&mut room, &header).expect("room");
        for (kind, data) in notifications {
            NotifyView::new(*kind, data).write(&mut writer).expect("room");
        }
        let message = Message::parse(writer.finish().expect("room")).expect("a message");
        let payloads = message.payloads().ok()?;
        Some(Nat::detect(&Software, &payloads, SPIS, &path("192.0.2.1:500", "192.0.2.2:500"), false))
    }

    const SOURCE: NotifyType = NotifyType::NAT_DETECTION_SOURCE_IP;
    const DESTINATION: NotifyType = NotifyType::NAT_DETECTION_DESTINATION_IP;

    fn nat(local: bool, remote: bool) -> Option<Nat> {
        Some(Nat { local, remote, pretended: false })
    }

    /// RFC 7296 §2.23: behind a NAT is whoever no digest of the right kind matches; a sender that does
    /// not know its address may send several of its own.
    #[test]
    fn digests_tell_who_is_behind_a_nat() {
        let sent = Detection::new(&Software, SPIS, &path("192.0.2.2:500", "192.0.2.1:500"), false);
        let (source, destination) = ((SOURCE, &sent.source[..]), (DESTINATION, &sent.destination[..]));
        let (other_source, other_destination) = ((SOURCE, &[7; 20][..]), (DESTINATION, &[7; 20][..]));
        assert_eq!(detected(&[source, destination]), nat(false, false));
        assert_eq!(detected(&[other_source, destination]), nat(false, true));
        assert_eq!(detected(&[source, other_destination]), nat(true, false));
        assert_eq!(detected(&[other_source, other_destination]), nat(true, true));
        assert_eq!(detected(&[other_source, source, destination]), nat(false, false));
        assert_eq!(detected(&[]), nat(false, false), "a peer without NAT traversal");
    }

    /// RFC 7296 §2.23: a digest has 20 octets; what has not is ignored, and there is an end to their
    /// number.
    #[test]
    fn malformed_digests_say_nothing() {
        for length in [0, 19, 21] {
            let odd = &[7; 21][..length];
            assert_eq!(detected(&[(SOURCE, odd), (DESTINATION, odd)]), nat(false, false));
        }
        assert_eq!(detected(&[(SOURCE, &[7; 20][..]); 40]), None);
    }

    /// RFC 7296 §2.23: "UDP encapsulation MUST NOT be done on port 500".
    #[test]
    fn nothing_is_wrapped_on_port_500() {
        let behind = Nat { remote: true, ..Nat::default() };
        assert_eq!(behind.encapsulation(&path("192.0.2.1:500", "192.0.2.2:500")), None);
        let udp = Encapsulation { local_port: 4500, remote_port: 61_000 };
        assert_eq!(behind.encapsulation(&path("192.0.2.1:4500", "192.0.2.2:61000")), Some(udp));
        assert_eq!(Nat::default().encapsulation(&path("192.0.2.1:4500", "192.0.2.2:4500")), None);
    }
}
