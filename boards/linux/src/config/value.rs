//! Single values: text made into addresses, prefixes, names, ports.

use std::net::{IpAddr, SocketAddr};

use firmware::config::{Identity, Ports, Prefix};
use toml::Spanned;

use super::Fault;
use super::file::{PortsText, ProtocolText, Text};

/// What text can be made into.
pub trait Value: Sized {
    /// What the text should have been, after "is not".
    const WHAT: &'static str;

    fn from_text(text: &str) -> Option<Self>;
}

/// Makes text into a value, or says what it should have been.
pub fn parse<T: Value>(text: &Text) -> Result<T, Fault> {
    T::from_text(text.get_ref()).ok_or_else(|| super::fault::<T>(text))
}

impl Value for IpAddr {
    const WHAT: &'static str = "an address: write one such as 192.0.2.1 or 2001:db8::1";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for SocketAddr {
    const WHAT: &'static str = "a server: write an address such as 192.0.2.53, or 192.0.2.53:5353";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().or_else(|| Some(Self::new(text.parse().ok()?, 53)))
    }
}

/// A server's address, with this port where none is written.
pub fn server(text: &Text, port: u16) -> Result<SocketAddr, Fault> {
    match text.get_ref().parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, port)),
        Err(_) => parse(text),
    }
}

impl Value for Prefix {
    const WHAT: &'static str = "an address with a prefix length: write one such as 192.0.2.0/24";

    fn from_text(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        Some(Self { address: address.parse().ok()?, length: length.parse().ok()? })
    }
}

impl<const N: usize> Value for heapless::String<N> {
    const WHAT: &'static str = "a name of at most 32 octets";

    fn from_text(text: &str) -> Option<Self> {
        text.try_into().ok()
    }
}

impl Value for Identity {
    const WHAT: &'static str =
        "an identity: write a host name, an address, or key-id: and hexadecimal digits, of at most 64 octets";

    fn from_text(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("key-id:") {
            return Some(Self::KeyId(heapless::Vec::from_slice(&octets(digits)?).ok()?));
        }
        match text.parse() {
            Ok(address) => Some(Self::Address(address)),
            Err(_) => Some(Self::Fqdn(text.try_into().ok()?)),
        }
    }
}

/// SHA-256 of a key, as `buttons key fingerprint` prints it.
pub fn fingerprint(text: &Text) -> Result<[u8; 32], Fault> {
    octets(text.get_ref()).and_then(|sum| sum.try_into().ok()).ok_or((
        Some(text.span()),
        "a fingerprint has 64 hexadecimal digits, as `buttons key fingerprint` prints them".to_owned(),
    ))
}

/// A port or a range of them.
pub fn ports(text: &Spanned<PortsText>) -> Result<Ports, Fault> {
    let ports = match text.get_ref() {
        PortsText::One(port) => Some(Ports::single(*port)),
        PortsText::Range(range) => range.split_once('-').and_then(|(first, last)| {
            Some(Ports { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? })
        }),
    };
    ports.ok_or((Some(text.span()), "not a range of ports: write one such as \"1024-2047\"".to_owned()))
}

/// A protocol's number.
pub fn protocol(text: &Spanned<ProtocolText>) -> Result<u8, Fault> {
    match text.get_ref() {
        ProtocolText::Number(number) => Ok(*number),
        ProtocolText::Name(name) => match name.as_str() {
            "tcp" => Ok(6),
            "udp" => Ok(17),
            "icmp" => Ok(1),
            "icmpv6" => Ok(58),
            _ => Err((
                Some(text.span()),
                format!("no protocol is called \"{name}\" here: write tcp, udp, icmp, icmpv6 or its number"),
            )),
        },
    }
}

pub fn octets(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|c| !matches!(c, b':' | b' ')).collect();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
