//! Into datagrams of which size our messages go (RFC 7383 §2.5.1). The search for what the path carries is
//! coarse and downward: the configured size, and when that stays unanswered, the smallest (§2.5.2).

use core::net::SocketAddr;

use crate::resources::MESSAGE;

/// The IP datagrams that go nearly everywhere (RFC 7383 §2.5.1).
const SMALLEST: u16 = 576;

/// How our messages are fragmented.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Fragmentation {
    /// Not at all: one of us does not speak it.
    #[default]
    Off,
    /// Into IP datagrams of at most this many octets.
    Into(u16),
}

impl Fragmentation {
    /// The smallest datagrams, where there are any.
    pub(crate) const fn narrowed(self) -> Self {
        match self {
            Self::Into(size) if size > SMALLEST => Self::Into(SMALLEST),
            other => other,
        }
    }

    /// Octets of an IKE message that one datagram to this address carries; the non-ESP marker is always
    /// reckoned with, so that a message may leave by either port.
    pub(crate) fn room(self, remote: SocketAddr) -> usize {
        const UDP_AND_MARKER: usize = 8 + 4;
        let ip = if remote.is_ipv4() { 20 } else { 40 };
        match self {
            Self::Off => MESSAGE,
            Self::Into(size) => usize::from(size).saturating_sub(UDP_AND_MARKER + ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use esp_engine::crypto::Algorithm;

    use super::*;
    use crate::wire::encrypted::capacity;

    /// RFC 7383 Appendix B, corrected by the four octets by which the header of SKF is longer than SK's, and
    /// by the marker.
    #[test]
    fn contents_of_a_fragment() {
        let v4 = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 500);
        let v6 = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 500);
        let content = |size, to| capacity(Fragmentation::Into(size).room(to), Algorithm::Aes128Gcm16);
        assert_eq!((content(576, v4), content(1280, v4)), (483, 1187));
        assert_eq!((content(576, v6), content(1280, v6)), (463, 1167));
    }

    /// RFC 7383 §2.5.2: the search goes downward, and ends.
    #[test]
    fn the_search_goes_downward() {
        assert_eq!(Fragmentation::Into(1280).narrowed(), Fragmentation::Into(576));
        for last in [Fragmentation::Into(576), Fragmentation::Into(300), Fragmentation::Off] {
            assert_eq!(last.narrowed(), last);
        }
    }
}
