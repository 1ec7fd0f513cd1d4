//! `buttons key dns`: a public key as the records that publish it (RFC 4025), or their fingerprints, in the words of the
//! server that will serve them, and how long an answer with them will be.

use std::net::IpAddr;
use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use ike_core::discovery::ipseckey::{self, Gateway};
use ike_core::discovery::{Name, tlsa};
use serde_json::json;

use super::{KeyError, fingerprint, hex, parse_spki, read};

mod record;

pub(super) use record::fields;
use record::gateway_text;
pub use record::{Data, Record, Server, signature_octets};

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
    /// Of several records, lower numbers are tried first [default: 10].
    #[arg(long, value_name = "NUMBER")]
    precedence: Option<u8>,
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
    #[arg(long, value_name = "SERVER", default_value = "zone", value_delimiter = ',')]
    r#as: Vec<As>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  buttons key dns b.example.net
  buttons key dns b.example.net --key b.pub --ttl 300 --as tinydns
  buttons key dns b.example.net --reverse 192.0.2.2 --gateway 192.0.2.1
  buttons key dns b.example.net --as fingerprint,dnsmasq";

/// Precedence of a record, unless something else is said.
const PRECEDENCE: u8 = 10;

/// What is said of a record.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum As {
    /// Whose words it is written in.
    Server(Server),
    /// That it holds the fingerprint only.
    Fingerprint,
}

impl ValueEnum for As {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Server(Server::Zone),
            Self::Server(Server::Generic),
            Self::Server(Server::Tinydns),
            Self::Server(Server::Dnsmasq),
            Self::Fingerprint,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Server(server) => server.to_possible_value(),
            Self::Fingerprint => Some(
                PossibleValue::new("fingerprint").help("The key's fingerprint only, also fingerprint,SERVER"),
            ),
        }
    }
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
        let data = self.data(&spki)?;
        let reverse = self.reverse.iter().map(|address| ike_core::discovery::question::reverse(*address));
        let records = [self.name.clone()].into_iter().chain(reverse).map(|name| {
            let owner = match data {
                Data::Key { .. } => name,
                Data::Fingerprint(_) => {
                    tlsa::owner(&name).ok_or("this name is too long: shorten it by ten letters")?
                }
            };
            Ok(Record { owner, ttl: self.ttl, data: data.clone() })
        });
        let records: Vec<_> = records.collect::<Result<_, String>>()?;
        if self.json {
            let all: Vec<_> = records.iter().map(|record| self.describe(record)).collect();
            return serde_json::to_string_pretty(&all).map(|text| text + "\n").map_err(|e| e.to_string());
        }
        Ok(records.iter().map(|record| self.comment(record) + &record.spell(self.server()) + "\n").collect())
    }

    fn data(&self, spki: &[u8]) -> Result<Data, String> {
        let key = parse_spki(spki).ok_or_else(|| KeyError::NotPublic.to_string())?;
        if !self.r#as.contains(&As::Fingerprint) {
            let gateway = self.gateway.clone().unwrap_or(Gateway::None);
            return Ok(Data::Key { precedence: self.precedence.unwrap_or(PRECEDENCE), gateway, key });
        }
        match (&self.gateway, self.precedence) {
            (None, None) => Ok(Data::Fingerprint(fingerprint(spki))),
            _ => {
                Err("a fingerprint has neither gateway nor precedence: leave out --gateway and --precedence"
                    .into())
            }
        }
    }

    /// The last one that is named.
    fn server(&self) -> Server {
        let named = self.r#as.iter().rev().find_map(|word| match word {
            As::Server(server) => Some(*server),
            As::Fingerprint => None,
        });
        named.unwrap_or(Server::Zone)
    }

    /// The octets of an answer: not signed, and signed as [`SIGNATURES`] says.
    fn sizes(&self, record: &Record) -> [usize; 3] {
        // The signer's name is not compressed (RFC 4034 §3.1.7).
        let zone = match &self.zone {
            Some(zone) if record.owner.ends_with(zone) => zone.len(),
            _ => record.owner.iter_suffixes().nth(record.data.labels()).map_or(1, |zone| zone.len()),
        };
        let [curve, rsa] = SIGNATURES.map(|octets| record.answer_octets() + signature_octets(zone, octets));
        [record.answer_octets(), curve, rsa]
    }

    fn comment(&self, record: &Record) -> String {
        let [bare, curve, rsa] = self.sizes(record);
        let mark = if matches!(self.server(), Server::Tinydns | Server::Dnsmasq) { '#' } else { ';' };
        let sizes = format!(
            "{mark} An answer has about {bare} octets; {curve} in a zone signed by ECDSA P-256 or\n\
             {mark} Ed25519, {rsa} in one signed by RSA of 2,048 bits.\n"
        );
        match record.data {
            Data::Key { .. } => sizes,
            Data::Fingerprint(_) => {
                sizes
                    + &format!(
                        "{mark} A convention of Buttons: devices with fingerprints = true under [dns] look at\n\
                         {mark} it, where the zone proves that the name has no IPSECKEY record.\n"
                    )
            }
        }
    }

    fn describe(&self, record: &Record) -> serde_json::Value {
        let [bare, curve, rsa] = self.sizes(record);
        let mut told = json!({
            "owner": record.owner.fmt_with_dot().to_string(),
            "ttl": record.ttl,
            "type": record.data.rtype().0,
            "rdata": hex(&record.rdata()),
            "answer_octets": { "unsigned": bare, "signed_ecdsa_p256_or_ed25519": curve, "signed_rsa2048": rsa },
        });
        match &record.data {
            Data::Key { precedence, gateway, key } => {
                let (algorithm, key) = ipseckey::encode_key(key);
                told["precedence"] = json!(precedence);
                told["gateway"] = json!(gateway_text(gateway).1);
                told["algorithm"] = json!(algorithm);
                told["key"] = json!(Base64::encode_string(&key));
            }
            Data::Fingerprint(fingerprint) => told["fingerprint"] = json!(hex(fingerprint)),
        }
        told
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

    #[test]
    fn what_is_no_host_name_is_told_with_an_example() {
        for text in ["", ".", "a..b", "b example", "ü.example", &"a".repeat(64), "b;c"] {
            assert!(host_name(text).unwrap_err().contains("b.example.net"), "{text}");
        }
    }
}
