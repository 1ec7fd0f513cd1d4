//! What is asked about a peer.

use core::net::IpAddr;

use domain::base::Rtype;

use super::Name;

pub use crate::names::Ticket;

/// A question of ours, which may take several to the servers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Question {
    /// A peer that is known by name: A, AAAA and IPSECKEY.
    Peer(Name),
    /// A peer that is known by address: IPSECKEY of its reverse name.
    Reverse(IpAddr),
    /// Records of one type.
    Records {
        /// Whose.
        name: Name,
        /// Which.
        rtype: Rtype,
    },
}

impl Question {
    /// The name that it begins with.
    pub fn name(&self) -> Name {
        match self {
            Self::Peer(name) | Self::Records { name, .. } => name.clone(),
            Self::Reverse(address) => reverse(*address),
        }
    }

    /// Whether it is about fingerprints of keys, and not about keys or addresses.
    pub fn is_about_fingerprints(&self) -> bool {
        matches!(self, Self::Records { rtype: Rtype::TLSA, .. })
    }

    /// The types that are asked for, what matters most first.
    pub fn types(&self) -> &[Rtype] {
        match self {
            Self::Peer(_) => &[Rtype::IPSECKEY, Rtype::A, Rtype::AAAA],
            Self::Reverse(_) => &[Rtype::IPSECKEY],
            Self::Records { rtype, .. } => core::slice::from_ref(rtype),
        }
    }
}

/// The name under in-addr.arpa (RFC 1035 §3.5) or ip6.arpa (RFC 3596 §2.5).
pub fn reverse(address: IpAddr) -> Name {
    // The longest has 74 octets.
    let mut name = Name::reverse_from_addr(address).unwrap_or_else(|_| super::root());
    name.make_canonical();
    name
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// RFC 1035 §3.5, RFC 3596 §2.5.
    #[test]
    fn reverse_names() {
        let of = |address: &str| std::format!("{}", reverse(address.parse().unwrap()));
        assert_eq!(of("192.0.2.38"), "38.2.0.192.in-addr.arpa");
        assert_eq!(
            of("2001:db8::2:1"),
            "1.0.0.0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
