//! The records that publish a key, in the words of servers (RFC 4025 §3.1, RFC 6698 §2.2, RFC 3597 §5).

use std::fmt::Write as _;

use base64ct::{Base64, Encoding};
use ike_core::crypto::PublicKey;
use ike_core::discovery::ipseckey::{self, Gateway};
use ike_core::discovery::{Name, tlsa};

use crate::key::hex;

/// Whose words a record is written in.
#[derive(Copy, Clone, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Server {
    /// A line of a zone file: bind, knot, nsd, powerdns.
    #[value(aliases = ["bind", "knot", "nsd", "powerdns"])]
    Zone,
    /// A line of a zone file, for who does not know IPSECKEY.
    Generic,
    /// A line of tinydns-data.
    Tinydns,
    /// A line of dnsmasq.conf.
    Dnsmasq,
}

/// A record that publishes a key.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name that has it.
    pub owner: Name,
    /// Seconds for which it may be remembered.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a command makes few of them")]
pub enum Data {
    /// The key, in an IPSECKEY record.
    Key {
        /// Its place among others.
        precedence: u8,
        /// Through whom the name is reached.
        gateway: Gateway,
        /// What the name proves itself by.
        key: PublicKey,
    },
    /// The key's fingerprint, in a TLSA record.
    Fingerprint([u8; 32]),
}

impl Data {
    /// From its class on, as zone files have it (RFC 4025 §3.1, RFC 6698 §2.2).
    fn fields(&self) -> String {
        match self {
            Self::Key { precedence, gateway, key } => fields(*precedence, gateway, key),
            Self::Fingerprint(fingerprint) => format!("IN TLSA 3 1 1 {}", hex(fingerprint)),
        }
    }

    /// Name and number of the record's type.
    pub(super) const fn rtype(&self) -> (&'static str, u16) {
        match self {
            Self::Key { .. } => ("IPSECKEY", 45),
            Self::Fingerprint(_) => ("TLSA", 52),
        }
    }

    /// Labels of the owner that lie below the zone, if that is the name above the peer's.
    pub(super) const fn labels(&self) -> usize {
        match self {
            Self::Key { .. } => 1,
            Self::Fingerprint(_) => 3,
        }
    }
}

impl Record {
    /// As it travels.
    pub fn rdata(&self) -> Vec<u8> {
        match &self.data {
            Data::Key { precedence, gateway, key } => ipseckey::encode(*precedence, gateway, key).to_vec(),
            Data::Fingerprint(fingerprint) => tlsa::encode(fingerprint).to_vec(),
        }
    }

    /// The record in a server's words, without a newline.
    pub fn spell(&self, server: Server) -> String {
        let (owner, ttl, rdata) = (self.owner.fmt_with_dot(), self.ttl, self.rdata());
        let (_, rtype) = self.data.rtype();
        match server {
            Server::Zone => format!("{owner} {ttl} {}", self.data.fields()),
            Server::Generic => format!("{owner} {ttl} IN TYPE{rtype} \\# {} {}", rdata.len(), hex(&rdata)),
            Server::Dnsmasq => format!("dns-rr={},{rtype},{}", self.owner, hex(&rdata)),
            Server::Tinydns => {
                let mut line = format!(":{}:{rtype}:", self.owner);
                for octet in rdata {
                    // Colons and backslashes mean something there.
                    let _ = match octet {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => write!(line, "{}", char::from(octet)),
                        _ => write!(line, "\\{octet:03o}"),
                    };
                }
                line + &format!(":{ttl}")
            }
        }
    }

    /// Octets of an answer with this record alone, not signed: header, question, record with a compressed
    /// owner (RFC 1035 §4.1), OPT (RFC 6891 §6.1.2).
    pub fn answer_octets(&self) -> usize {
        12 + (self.owner.len() + 4) + (2 + 10 + self.rdata().len()) + 11
    }
}

/// Octets that a signature adds to an answer: RRSIG with a compressed owner (RFC 4034 §3.1).
pub fn signature_octets(zone: usize, signature: usize) -> usize {
    2 + 10 + 18 + zone + signature
}

/// An IPSECKEY record from its class on, as zone files have it (RFC 4025 §3.1).
pub(in crate::key) fn fields(precedence: u8, gateway: &Gateway, key: &PublicKey) -> String {
    let (gateway_type, gateway) = gateway_text(gateway);
    let (algorithm, key) = ipseckey::encode_key(key);
    let key = Base64::encode_string(&key);
    format!("IN IPSECKEY {precedence} {gateway_type} {algorithm} {gateway} {key}")
}

pub(super) fn gateway_text(gateway: &Gateway) -> (u8, String) {
    match gateway {
        Gateway::None => (0, ".".into()),
        Gateway::V4(address) => (1, address.to_string()),
        Gateway::V6(address) => (2, address.to_string()),
        Gateway::Name(name) => (3, name.fmt_with_dot().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{gateway, host_name};
    use super::*;

    fn record(gateway: &str) -> Record {
        let key = "dd64d7814be99f54650979e6f348066362d9fc4ad450466d677dc80e2f327e13";
        let (pairs, []) = key.as_bytes().as_chunks::<2>() else { panic!() };
        let octet = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let key: Vec<u8> = pairs.iter().map(octet).collect();
        Record {
            owner: host_name("b.example.net").unwrap(),
            ttl: 300,
            data: Data::Key {
                precedence: 10,
                gateway: if gateway.is_empty() {
                    Gateway::None
                } else {
                    super::super::gateway(gateway).unwrap()
                },
                key: PublicKey::Ed25519(key.try_into().unwrap()),
            },
        }
    }

    #[test]
    fn a_record_in_each_servers_words() {
        let expected = [
            (
                Server::Zone,
                "b.example.net. 300 IN IPSECKEY 10 0 4 . 3WTXgUvpn1RlCXnm80gGY2LZ/ErUUEZtZ33IDi8yfhM=",
            ),
            (
                Server::Generic,
                "b.example.net. 300 IN TYPE45 \\# 35 \
                 0a0004dd64d7814be99f54650979e6f348066362d9fc4ad450466d677dc80e2f327e13",
            ),
            (
                Server::Dnsmasq,
                "dns-rr=b.example.net,45,\
                 0a0004dd64d7814be99f54650979e6f348066362d9fc4ad450466d677dc80e2f327e13",
            ),
            (
                Server::Tinydns,
                ":b.example.net:45:\\012\\000\\004\\335d\\327\\201K\\351\\237Te\\011y\\346\\363H\\006cb\
                 \\331\\374J\\324PFmg\\175\\310\\016\\0572\\176\\023:300",
            ),
        ];
        for (server, line) in expected {
            assert_eq!(record("").spell(server), line);
        }
    }

    /// RFC 6698 §2.2.
    #[test]
    fn a_fingerprint_in_each_servers_words() {
        let owner = tlsa::owner(&host_name("b.example.net").unwrap()).unwrap();
        let record = Record { owner, ttl: 300, data: Data::Fingerprint([0xAB; 32]) };
        let hex = "ab".repeat(32);
        let octal = "\\253".repeat(32);
        for (server, line) in [
            (Server::Zone, format!("_500._udp.b.example.net. 300 IN TLSA 3 1 1 {hex}")),
            (Server::Generic, format!("_500._udp.b.example.net. 300 IN TYPE52 \\# 35 030101{hex}")),
            (Server::Dnsmasq, format!("dns-rr=_500._udp.b.example.net,52,030101{hex}")),
            (Server::Tinydns, format!(":_500._udp.b.example.net:52:\\003\\001\\001{octal}:300")),
        ] {
            assert_eq!(record.spell(server), line);
        }
    }

    #[test]
    fn a_gateway_is_an_address_or_a_name() {
        for (gateway, fields) in [
            ("192.0.2.38", "IN IPSECKEY 10 1 4 192.0.2.38 "),
            ("2001:db8::1", "IN IPSECKEY 10 2 4 2001:db8::1 "),
            ("gw.example.net", "IN IPSECKEY 10 3 4 gw.example.net. "),
        ] {
            assert!(record(gateway).spell(Server::Zone).contains(fields));
        }
        assert!(gateway("gate way").unwrap_err().contains("b.example.net"));
    }
}
