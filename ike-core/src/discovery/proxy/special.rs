//! Names that no server outside is asked about: special-use names (RFC 6761, 6762, 7686, 8375, 9476, 9462),
//! the reverse zones of private addresses (RFC 6303), and the name by which browsers learn that they should
//! not go around the resolver of the network.

use domain::base::Rtype;

use super::settings::Pattern;
use crate::discovery::Name;

/// What such a name is answered with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Special {
    /// NXDOMAIN.
    Nonexistent,
    /// The name is there, without records of the type.
    Empty,
    /// The loopback address.
    Loopback,
}

/// Each name, and all below it.
const NONEXISTENT: &[&str] = &[
    "local",
    "home.arpa",
    "onion",
    "invalid",
    "alt",
    "use-application-dns.net",
    "0.in-addr.arpa",
    "10.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "168.192.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];

/// `None` for an ordinary name.
pub(super) fn find(name: &Name, rtype: Rtype) -> Option<Special> {
    if is_at_or_below("localhost", name) {
        let address = matches!(rtype, Rtype::A | Rtype::AAAA);
        return Some(if address { Special::Loopback } else { Special::Empty });
    }
    if is_at_or_below("resolver.arpa", name) {
        return Some(Special::Empty);
    }
    // The parent's word on whether a zone is signed is there for the private names too (RFC 8375 §4).
    if rtype == Rtype::DS && name.label_count() <= 3 {
        return None;
    }
    let listed = NONEXISTENT.iter().any(|apex| is_at_or_below(apex, name));
    (listed || is_in_172_16(name) || is_loopback_v6(name)).then_some(Special::Nonexistent)
}

fn is_at_or_below(apex: &str, name: &Name) -> bool {
    let mut labels = name.iter().rev().skip(1);
    apex.rsplit('.').all(|wanted| {
        labels.next().is_some_and(|label| label.as_slice().eq_ignore_ascii_case(wanted.as_bytes()))
    })
}

/// 16.172.in-addr.arpa to 31.172.in-addr.arpa.
fn is_in_172_16(name: &Name) -> bool {
    let second = name.iter().rev().nth(4).and_then(|label| core::str::from_utf8(label.as_slice()).ok());
    is_at_or_below("172.in-addr.arpa", name)
        && second.and_then(|octet| octet.parse::<u8>().ok()).is_some_and(|octet| (16..32).contains(&octet))
}

/// The reverse names of :: and ::1.
fn is_loopback_v6(name: &Name) -> bool {
    let mut nibbles = name.iter().rev().skip(3);
    Pattern(".ip6.arpa").matches(name)
        && name.label_count() == 35
        && nibbles.by_ref().take(31).all(|nibble| nibble.as_slice() == b"0")
        && nibbles.next().is_some_and(|nibble| matches!(nibble.as_slice(), b"0" | b"1"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::name;
    use super::*;
    use crate::discovery::Name;

    fn of(text: &str) -> Option<Special> {
        find(&name(text), Rtype::A)
    }

    /// RFC 6761 §6.3, §6.4; RFC 6762 §22.1; RFC 7686 §2; RFC 8375 §4; RFC 9462 §6.4.
    #[test]
    fn special_use_names() {
        assert_eq!(of("localhost"), Some(Special::Loopback));
        assert_eq!(of("a.LOCALHOST"), Some(Special::Loopback));
        assert_eq!(find(&name("localhost"), Rtype::MX), Some(Special::Empty));
        assert_eq!(of("_dns.resolver.arpa"), Some(Special::Empty));
        for private in ["printer.local", "home.arpa", "x.home.arpa", "x.onion", "no.invalid"] {
            assert_eq!(of(private), Some(Special::Nonexistent), "{private}");
        }
        assert_eq!(of("use-application-dns.net"), Some(Special::Nonexistent));
        for ordinary in ["example.net", "local.example", "onion.test", "arpa", "notlocalhost"] {
            assert_eq!(of(ordinary), None, "{ordinary}");
        }
        assert_eq!(find(&name("home.arpa"), Rtype::DS), None);
    }

    /// RFC 6303 §4.
    #[test]
    fn reverse_zones_of_private_addresses() {
        let reverse = |address: &str| Name::reverse_from_addr(address.parse().unwrap()).unwrap();
        for private in ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "127.0.0.1", "169.254.1.1"]
        {
            assert_eq!(find(&reverse(private), Rtype::PTR), Some(Special::Nonexistent), "{private}");
        }
        for private in ["::1", "::", "fd00::1", "fe80::1", "2001:db8::1"] {
            assert_eq!(find(&reverse(private), Rtype::PTR), Some(Special::Nonexistent), "{private}");
        }
        for public in ["172.32.0.1", "172.15.0.1", "11.0.0.1", "2001:4860::1", "::2"] {
            assert_eq!(find(&reverse(public), Rtype::PTR), None, "{public}");
        }
    }
}
