//! `buttons key dns`: a public key as the records that publish it (RFC 4025), in the words of the server
//! that will serve them, and how long an answer with them will be.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use ike_core::crypto::PublicKey;
use ike_core::discovery::Name;
use ike_core::discovery::ipseckey::{self, Gateway};
use serde_json::json;

use super::{KeyError, hex, parse_spki, read};

/// What `buttons key dns` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The name that peers will look up.
    #[arg(value_parser = host_name)]
    name: Name,
    /// A private or public key.
    #[arg(long, value_name = "FILE", default_value = "own.pem")]
    key: PathBuf,
    /// An address or a name that NAME is reached through [default: itself].
    #[arg(long, value_parser = gateway)]
    gateway: Option<Gateway>,
    /// Of several records, those with a lower number are tried first.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    precedence: u8,
    /// Seconds for which resolvers may remember the record.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u32,
    /// The record also for this address, in the reverse tree.
    #[arg(long, value_name = "ADDRESS")]
    reverse: Vec<IpAddr>,
    /// The zone, for sizes of signed answers [default: the name above NAME].
    #[arg(long, value_parser = host_name)]
    zone: Option<Name>,
    /// How the server wants it.
    #[arg(long, value_name = "SERVER", default_value = "zone")]
    r#as: Server,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  buttons key dns b.example.net
  buttons key dns b.example.net --key b.pub --ttl 300 --as tinydns
  buttons key dns b.example.net --reverse 192.0.2.2 --gateway 192.0.2.1";

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
    /// Its place among others.
    pub precedence: u8,
    /// Through whom the name is reached.
    pub gateway: Gateway,
    /// What the name proves itself by.
    pub key: PublicKey,
}

/// Octets of signatures with which zones are signed: ECDSA P-256 and Ed25519, RSA of 2,048 bits.
const SIGNATURES: [usize; 2] = [64, 256];

impl Arguments {
    /// What there is to publish.
    ///
    /// # Errors
    /// What is wrong with the key, in words.
    pub fn print(&self) -> Result<String, String> {
        let spki = read(&self.key).map_err(|error| format!("{}: {error}", self.key.display()))?;
        let key = parse_spki(&spki).ok_or_else(|| KeyError::NotPublic.to_string())?;
        let gateway = self.gateway.clone().unwrap_or(Gateway::None);
        let owners = self.reverse.iter().filter_map(|address| {
            let mut owner: Name = Name::reverse_from_addr(*address).ok()?;
            owner.make_canonical();
            Some(owner)
        });
        let records: Vec<_> = [self.name.clone()]
            .into_iter()
            .chain(owners)
            .map(|owner| Record {
                owner,
                ttl: self.ttl,
                precedence: self.precedence,
                gateway: gateway.clone(),
                key,
            })
            .collect();
        if self.json {
            let all: Vec<_> = records.iter().map(|record| self.describe(record)).collect();
            return serde_json::to_string_pretty(&all).map(|text| text + "\n").map_err(|e| e.to_string());
        }
        Ok(records.iter().map(|record| self.comment(record) + &record.spell(self.r#as) + "\n").collect())
    }

    /// The octets of an answer: not signed, and signed as [`SIGNATURES`] says.
    fn sizes(&self, record: &Record) -> [usize; 3] {
        // The signer's name is not compressed (RFC 4034 §3.1.7).
        let zone = match &self.zone {
            Some(zone) if record.owner.ends_with(zone) => zone.len(),
            _ => record.owner.len() - record.owner.first().compose_len() as usize,
        };
        let [curve, rsa] = SIGNATURES.map(|octets| record.answer_octets() + signature_octets(zone, octets));
        [record.answer_octets(), curve, rsa]
    }

    fn comment(&self, record: &Record) -> String {
        let [bare, curve, rsa] = self.sizes(record);
        let mark = if matches!(self.r#as, Server::Tinydns | Server::Dnsmasq) { '#' } else { ';' };
        format!(
            "{mark} An answer has about {bare} octets; {curve} in a zone signed by ECDSA P-256 or\n\
             {mark} Ed25519, {rsa} in one signed by RSA of 2,048 bits.\n"
        )
    }

    fn describe(&self, record: &Record) -> serde_json::Value {
        let [bare, curve, rsa] = self.sizes(record);
        let (algorithm, key) = ipseckey::encode_key(&record.key);
        json!({
            "owner": record.owner.fmt_with_dot().to_string(),
            "ttl": record.ttl,
            "precedence": record.precedence,
            "gateway": gateway_text(&record.gateway).1,
            "algorithm": algorithm,
            "key": Base64::encode_string(&key),
            "rdata": hex(&record.rdata()),
            "answer_octets": { "unsigned": bare, "signed_ecdsa_p256_or_ed25519": curve, "signed_rsa2048": rsa },
        })
    }
}

impl Record {
    /// As it travels.
    pub fn rdata(&self) -> Vec<u8> {
        ipseckey::encode(self.precedence, &self.gateway, &self.key).to_vec()
    }

    /// The record in a server's words, without a newline.
    pub fn spell(&self, server: Server) -> String {
        let (owner, ttl, rdata) = (self.owner.fmt_with_dot(), self.ttl, self.rdata());
        match server {
            Server::Zone => format!("{owner} {ttl} {}", fields(self.precedence, &self.gateway, &self.key)),
            Server::Generic => format!("{owner} {ttl} IN TYPE45 \\# {} {}", rdata.len(), hex(&rdata)),
            Server::Dnsmasq => format!("dns-rr={},45,{}", self.owner, hex(&rdata)),
            Server::Tinydns => {
                let mut line = format!(":{}:45:", self.owner);
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

/// A record from its class on, as zone files have it (RFC 4025 §3.1).
pub(super) fn fields(precedence: u8, gateway: &Gateway, key: &PublicKey) -> String {
    let (gateway_type, gateway) = gateway_text(gateway);
    let (algorithm, key) = ipseckey::encode_key(key);
    let key = Base64::encode_string(&key);
    format!("IN IPSECKEY {precedence} {gateway_type} {algorithm} {gateway} {key}")
}

fn gateway_text(gateway: &Gateway) -> (u8, String) {
    match gateway {
        Gateway::None => (0, ".".into()),
        Gateway::V4(address) => (1, address.to_string()),
        Gateway::V6(address) => (2, address.to_string()),
        Gateway::Name(name) => (3, name.fmt_with_dot().to_string()),
    }
}

/// A name of letters, digits, hyphens and underscores, with or without the last dot.
///
/// # Errors
/// What is wrong with it, in words.
pub fn host_name(text: &str) -> Result<Name, String> {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    if !text.bytes().all(plain) || !text.contains(|c: char| c.is_ascii_alphanumeric()) {
        return Err("a host name has letters, digits, hyphens and dots: b.example.net".into());
    }
    text.parse().map_err(|error| format!("{error}: a host name is one such as b.example.net"))
}

/// An address or a name.
///
/// # Errors
/// What it should have been, in words.
pub fn gateway(text: &str) -> Result<Gateway, String> {
    match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(Gateway::V4(address)),
        Ok(IpAddr::V6(address)) => Ok(Gateway::V6(address)),
        Err(_) => host_name(text).map(Gateway::Name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(gateway: &str) -> Record {
        let key = "dd64d7814be99f54650979e6f348066362d9fc4ad450466d677dc80e2f327e13";
        let (pairs, []) = key.as_bytes().as_chunks::<2>() else { panic!() };
        let octet = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let key: Vec<u8> = pairs.iter().map(octet).collect();
        Record {
            owner: host_name("b.example.net").unwrap(),
            ttl: 300,
            precedence: 10,
            gateway: if gateway.is_empty() { Gateway::None } else { super::gateway(gateway).unwrap() },
            key: PublicKey::Ed25519(key.try_into().unwrap()),
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

    #[test]
    fn what_is_no_host_name_is_told_with_an_example() {
        for text in ["", ".", "a..b", "b example", "ü.example", &"a".repeat(64), "b;c"] {
            assert!(host_name(text).unwrap_err().contains("b.example.net"), "{text}");
        }
    }
}
