//! Identities (RFC 7296 §3.5): as they are configured, as they come out of an ID payload, and kept.
//! DNS names compare without regard to case and to one trailing dot; what is no DNS name equals none.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::MAX_IDENTITY;

/// ID types (RFC 7296 §3.5, RFC 7619 §2.2).
mod kind {
    pub(super) const IPV4: u8 = 1;
    pub(super) const FQDN: u8 = 2;
    pub(super) const EMAIL: u8 = 3;
    pub(super) const IPV6: u8 = 5;
    pub(super) const KEY_ID: u8 = 11;
    pub(super) const NULL: u8 = 13;
}

/// Who somebody says that it is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Identity<'a> {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN.
    Fqdn(&'a str),
    /// ID_RFC822_ADDR.
    Email(&'a str),
    /// ID_KEY_ID.
    KeyId(&'a [u8]),
    /// ID_NULL (RFC 7619).
    Null,
    /// Another kind, or one of the above with a value that is none.
    Other {
        /// The ID type.
        kind: u8,
        /// Its value.
        data: &'a [u8],
    },
}

impl<'a> Identity<'a> {
    /// What an ID payload with this type and this data asserts.
    pub fn from_wire(kind: u8, data: &'a [u8]) -> Self {
        let known = match kind {
            kind::IPV4 => <[u8; 4]>::try_from(data).ok().map(|o| Self::Address(Ipv4Addr::from(o).into())),
            kind::IPV6 => <[u8; 16]>::try_from(data).ok().map(|o| Self::Address(Ipv6Addr::from(o).into())),
            kind::FQDN => core::str::from_utf8(data).ok().filter(|n| is_name(n)).map(Self::Fqdn),
            kind::EMAIL => core::str::from_utf8(data).ok().filter(|n| is_email(n)).map(Self::Email),
            kind::KEY_ID if !data.is_empty() => Some(Self::KeyId(data)),
            kind::NULL if data.is_empty() => Some(Self::Null),
            _ => None,
        };
        known.unwrap_or(Self::Other { kind, data })
    }

    /// The ID type.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Address(IpAddr::V4(_)) => kind::IPV4,
            Self::Address(IpAddr::V6(_)) => kind::IPV6,
            Self::Fqdn(_) => kind::FQDN,
            Self::Email(_) => kind::EMAIL,
            Self::KeyId(_) => kind::KEY_ID,
            Self::Null => kind::NULL,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// Whether it can be sent, and means what it says.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Fqdn(name) => is_name(name) && name.len() <= MAX_IDENTITY,
            Self::Email(name) => is_email(name) && name.len() <= MAX_IDENTITY,
            Self::KeyId(id) => !id.is_empty() && id.len() <= MAX_IDENTITY,
            Self::Address(_) | Self::Null => true,
            Self::Other { data, .. } => data.len() <= MAX_IDENTITY,
        }
    }

    /// Whether both name the same peer. What is no name of its kind names nobody.
    pub fn is_same(&self, other: &Identity<'_>) -> bool {
        match (self, other) {
            (Self::Address(a), Identity::Address(b)) => a == b,
            (Self::Fqdn(a), Identity::Fqdn(b)) => {
                is_name(a) && is_name(b) && without_dot(a).eq_ignore_ascii_case(without_dot(b))
            }
            (Self::Email(a), Identity::Email(b)) => is_email(a) && a.eq_ignore_ascii_case(b),
            (Self::KeyId(a), Identity::KeyId(b)) => a == b,
            (Self::Null, Identity::Null) => true,
            _ => false,
        }
    }

    /// A copy that stands on its own; `None` when it is longer than [`MAX_IDENTITY`].
    pub fn to_owned(&self) -> Option<OwnedIdentity> {
        let data = match self {
            Self::Address(IpAddr::V4(address)) => heapless::Vec::from_slice(&address.octets()),
            Self::Address(IpAddr::V6(address)) => heapless::Vec::from_slice(&address.octets()),
            Self::Fqdn(name) | Self::Email(name) => heapless::Vec::from_slice(name.as_bytes()),
            Self::KeyId(data) | Self::Other { data, .. } => heapless::Vec::from_slice(data),
            Self::Null => Ok(heapless::Vec::new()),
        };
        Some(OwnedIdentity { kind: self.kind(), data: data.ok()? })
    }
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Fqdn(name) | Self::Email(name) => f.write_str(name),
            Self::KeyId(data) => write_hex(f, "key-id:", data),
            Self::Null => f.write_str("nobody"),
            Self::Other { kind, data } => {
                write!(f, "type {kind}")?;
                write_hex(f, ":", data)
            }
        }
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, prefix: &str, data: &[u8]) -> fmt::Result {
    f.write_str(prefix)?;
    data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// An identity that was kept: type and data as they stand in an ID payload.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OwnedIdentity {
    kind: u8,
    data: heapless::Vec<u8, MAX_IDENTITY>,
}

impl OwnedIdentity {
    /// What it asserts.
    pub fn view(&self) -> Identity<'_> {
        Identity::from_wire(self.kind, &self.data)
    }

    /// The ID type.
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Its value as it is on the wire.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl fmt::Display for OwnedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

/// Whether `name` is a DNS name whose end is `suffix`, which begins with a dot.
pub(super) fn ends_in(name: &str, suffix: &str) -> bool {
    let (name, suffix) = (without_dot(name).as_bytes(), without_dot(suffix).as_bytes());
    let Some(front) = name.len().checked_sub(suffix.len()).filter(|front| *front > 0) else {
        return false;
    };
    name.get(front..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        && suffix.first() == Some(&b'.')
        && core::str::from_utf8(name).is_ok_and(is_name)
}

fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Letters, digits, hyphens and underscores in labels of 1 to 63, at most 253 in all.
fn is_name(name: &str) -> bool {
    let name = without_dot(name);
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
}

fn is_email(address: &str) -> bool {
    address.split_once('@').is_some_and(|(user, domain)| {
        !user.is_empty() && user.bytes().all(|o| o.is_ascii_graphic()) && is_name(domain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7296 §3.5: an address identity has the length of its family's addresses, else it is none.
    #[test]
    fn address_of_wrong_length_is_no_address() {
        assert_eq!(
            Identity::from_wire(1, &[192, 0, 2, 1]),
            Identity::Address(Ipv4Addr::new(192, 0, 2, 1).into())
        );
        for data in [&[192, 0, 2][..], &[192, 0, 2, 1, 0]] {
            assert_eq!(Identity::from_wire(1, data), Identity::Other { kind: 1, data });
        }
    }

    /// RFC 7619 §2.2: ID_NULL has no data.
    #[test]
    fn null_identity_with_data_is_another() {
        assert_eq!(Identity::from_wire(13, &[]), Identity::Null);
        assert_eq!(Identity::from_wire(13, &[0]), Identity::Other { kind: 13, data: &[0] });
    }

    /// What was kept is what was said.
    #[test]
    fn kept_identity_is_the_same() {
        for identity in [
            Identity::Fqdn("a.example"),
            Identity::Email("a@b.example"),
            Identity::KeyId(b"\x01\x02"),
            Identity::Address(Ipv6Addr::LOCALHOST.into()),
            Identity::Null,
        ] {
            let kept = identity.to_owned().expect("short");
            assert_eq!(kept.view(), identity);
            assert!(kept.view().is_same(&identity));
        }
    }

    /// An identity that cannot be kept is refused, not cut.
    #[test]
    fn long_identity_is_refused() {
        assert!(Identity::KeyId(&[1; MAX_IDENTITY]).to_owned().is_some());
        assert!(Identity::KeyId(&[1; MAX_IDENTITY + 1]).to_owned().is_none());
    }
}
