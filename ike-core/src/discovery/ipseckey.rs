//! IPSECKEY records (RFC 4025), read and written: a precedence, a gateway, and a public key in the form that
//! DNSSEC has for it (RSA: RFC 3110 §2, ECDSA: RFC 6605 §4, EdDSA: RFC 8080 §3).
//!
//! RDATA: `precedence | gateway type | algorithm | gateway | key`, the key to the end. Nothing in a record
//! names a curve: its length decides. What a record says is believed no further than its signature goes.

use core::net::{Ipv4Addr, Ipv6Addr};

use domain::dep::octseq::Parser;

use super::{MAX_NAME, Name};
use crate::crypto::{MAX_MODULUS, PublicKey, RsaPublicKey, longer};
use crate::wire::reader::Reader;

/// Octets of the longest RDATA of a record with a key that can be held.
pub const MAX_RDATA: usize = 3 + MAX_NAME + longer(96, 1 + EXPONENT + MAX_MODULUS);

/// Octets of the longest exponent of an RSA key that can be held.
const EXPONENT: usize = 4;

/// Algorithms of keys (RFC 4025 §2.4; numbers 3 and 4: IANA's registry, RFC 8005 §9, RFC 9373).
mod algorithm {
    pub(super) const NONE: u8 = 0;
    pub(super) const RSA: u8 = 2;
    pub(super) const ECDSA: u8 = 3;
    pub(super) const EDDSA: u8 = 4;
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ipseckey {
    /// Lower ones are tried first (§2.2).
    pub precedence: u8,
    /// Through whom the name is reached (§2.5).
    pub gateway: Gateway,
    /// What it proves itself by.
    pub key: RecordKey,
}

/// Where packets for the name go (RFC 4025 §2.3, §2.5).
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is no heap to put a name on")]
pub enum Gateway {
    /// None is named: the name is its own.
    None,
    /// At this address.
    V4(Ipv4Addr),
    /// At this address.
    V6(Ipv6Addr),
    /// At the addresses of this name.
    Name(Name),
}

/// What stands in a record's key field.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(
    feature = "rsa",
    expect(clippy::large_enum_variant, reason = "there is no heap to put the larger one on")
)]
pub enum RecordKey {
    /// Nothing: the record only names a gateway (§2.4).
    Absent,
    /// A key that we can verify with.
    Public(PublicKey),
    /// An algorithm, a length or a size of key that we do not know. The gateway can be used, the key not.
    Unusable {
        /// The algorithm's number.
        algorithm: u8,
    },
}

/// Why a record cannot be used at all; the others of its RRset still can.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum BadRecord {
    /// It ends too early.
    Short,
    /// A gateway of unknown type, and so of unknown length (§2.3).
    GatewayType(u8),
    /// The gateway's name is compressed, too long or no name.
    GatewayName,
}

impl Ipseckey {
    /// Reads a record's RDATA.
    ///
    /// # Errors
    /// [`BadRecord`]; a key that we cannot use is none.
    pub fn parse(rdata: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = Reader(rdata);
        let &[precedence, gateway_type, algorithm] = reader.array().ok_or(BadRecord::Short)?;
        let gateway = match gateway_type {
            0 => Gateway::None,
            1 => Gateway::V4((*reader.array::<4>().ok_or(BadRecord::Short)?).into()),
            2 => Gateway::V6((*reader.array::<16>().ok_or(BadRecord::Short)?).into()),
            3 => Gateway::Name(take_name(&mut reader)?),
            other => return Err(BadRecord::GatewayType(other)),
        };
        Ok(Self { precedence, gateway, key: parse_key(algorithm, reader.0) })
    }
}

/// A name without compression (§2.5).
fn take_name(reader: &mut Reader<'_>) -> Result<Name, BadRecord> {
    let name =
        domain::base::Name::parse(&mut Parser::from_ref(reader.0)).map_err(|_| BadRecord::GatewayName)?;
    let octets = reader.octets(name.len()).ok_or(BadRecord::Short)?;
    let octets = heapless::Vec::from_slice(octets).map_err(|_| BadRecord::GatewayName)?;
    Name::from_octets(octets).map_err(|_| BadRecord::GatewayName)
}

fn parse_key(algorithm: u8, key: &[u8]) -> RecordKey {
    let public = match (algorithm, key.len()) {
        (algorithm::NONE, _) | (_, 0) => return RecordKey::Absent,
        (algorithm::EDDSA, 32) => key.try_into().ok().map(PublicKey::Ed25519),
        (algorithm::ECDSA, 64) => key.try_into().ok().map(PublicKey::EcdsaP256),
        (algorithm::ECDSA, 96) => key.try_into().ok().map(PublicKey::EcdsaP384),
        (algorithm::RSA, _) => parse_rsa(key).map(PublicKey::Rsa),
        _ => None,
    };
    public.map_or(RecordKey::Unusable { algorithm }, RecordKey::Public)
}

/// Length of the exponent in one octet, or in two behind a zero; exponent; modulus, neither of them with zeros in
/// front (RFC 3110 §2): each key has one spelling, so that two records with the same key are the same.
fn parse_rsa(key: &[u8]) -> Option<RsaPublicKey> {
    let mut reader = Reader(key);
    let length = match reader.u8()? {
        0 => usize::from(reader.u16()?),
        length => usize::from(length),
    };
    let (exponent, modulus) = (reader.octets(length)?, reader.0);
    if exponent.first() == Some(&0) || modulus.first() == Some(&0) {
        return None;
    }
    RsaPublicKey::new(modulus, exponent)
}

/// The RDATA of a record.
pub fn encode(precedence: u8, gateway: &Gateway, key: &PublicKey) -> heapless::Vec<u8, MAX_RDATA> {
    let (v4, v6);
    let (gateway_type, gateway): (u8, &[u8]) = match gateway {
        Gateway::None => (0, &[]),
        Gateway::V4(address) => {
            v4 = address.octets();
            (1, &v4)
        }
        Gateway::V6(address) => {
            v6 = address.octets();
            (2, &v6)
        }
        Gateway::Name(name) => (3, name.as_slice()),
    };
    let (algorithm, key) = encode_key(key);
    [precedence, gateway_type, algorithm].into_iter().chain(gateway.iter().copied()).chain(key).collect()
}

/// The number of a key's algorithm, and the key as it stands in a record.
pub fn encode_key(key: &PublicKey) -> (u8, heapless::Vec<u8, { longer(96, 1 + EXPONENT + MAX_MODULUS) }>) {
    match key {
        PublicKey::Ed25519(key) => (algorithm::EDDSA, key.iter().copied().collect()),
        PublicKey::EcdsaP256(key) => (algorithm::ECDSA, key.iter().copied().collect()),
        PublicKey::EcdsaP384(key) => (algorithm::ECDSA, key.iter().copied().collect()),
        PublicKey::Rsa(key) => {
            let exponent = key.exponent().to_be_bytes();
            let zeros = exponent.iter().take_while(|octet| **octet == 0).count();
            let length = (EXPONENT - zeros) as u8;
            let exponent = exponent.into_iter().skip(zeros);
            let octets = [length].into_iter().chain(exponent).chain(key.modulus().iter().copied());
            (algorithm::RSA, octets.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    /// The key of RFC 4025 §3.2: its exponent is 3 and its modulus has 256 bits, so nobody should use it.
    const WEAK: &str = "010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801";
    const ED25519: &str = "dd64d7814be99f54650979e6f348066362d9fc4ad450466d677dc80e2f327e13";

    fn octets(hex: &str) -> Vec<u8> {
        let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { panic!("{hex}") };
        pairs.iter().map(|p| u8::from_str_radix(core::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
    }

    fn parse(start: &str, key: &str) -> Result<Ipseckey, BadRecord> {
        Ipseckey::parse(&[octets(start), octets(key)].concat())
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn ed25519() -> PublicKey {
        PublicKey::Ed25519(octets(ED25519).try_into().unwrap())
    }

    #[test]
    fn the_examples_of_rfc_4025_section_3_2() {
        let gateways = [
            ("0a0102c0000226", Gateway::V4([192, 0, 2, 38].into())),
            ("0a0002", Gateway::None),
            ("0a0102c0000203", Gateway::V4([192, 0, 2, 3].into())),
            (
                "0a0302096d7967617465776179076578616d706c6503636f6d00",
                Gateway::Name(name("mygateway.example.com.")),
            ),
            (
                "0a020220010db8000080020000000020000001",
                Gateway::V6("2001:db8:0:8002::2000:1".parse().unwrap()),
            ),
        ];
        for (start, gateway) in gateways {
            let key = RecordKey::Unusable { algorithm: 2 };
            assert_eq!(parse(start, WEAK), Ok(Ipseckey { precedence: 10, gateway, key }));
        }
    }

    #[test]
    fn the_examples_of_rfc_9373_are_read_and_written() {
        let gateways = [
            ("0a0004", Gateway::None),
            ("0a03040767617465776179076578616d706c6503636f6d00", Gateway::Name(name("gateway.example.com."))),
        ];
        for (start, gateway) in gateways {
            let wire = [octets(start), octets(ED25519)].concat();
            assert_eq!(encode(10, &gateway, &ed25519()).as_slice(), wire);
            let record = Ipseckey { precedence: 10, gateway, key: RecordKey::Public(ed25519()) };
            assert_eq!(parse(start, ED25519), Ok(record));
        }
    }

    #[test]
    fn keys_of_every_kind_come_back_and_their_length_is_their_curve() {
        let rsa = RsaPublicKey::new(&[0xff; 256], &[1, 0, 1]).unwrap();
        let keys = [
            (PublicKey::EcdsaP256([7; 64]), 3, 64),
            (PublicKey::EcdsaP384([7; 96]), 3, 96),
            (PublicKey::Rsa(rsa), 2, 1 + 3 + 256),
            (ed25519(), 4, 32),
        ];
        for (key, algorithm, length) in keys {
            let gateway = Gateway::V4([192, 0, 2, 1].into());
            let rdata = encode(1, &gateway, &key);
            assert_eq!((rdata[2], rdata.len()), (algorithm, 3 + 4 + length));
            let read = Ipseckey::parse(&rdata).unwrap();
            assert_eq!(read, Ipseckey { precedence: 1, gateway, key: RecordKey::Public(key) });
        }
    }

    #[test]
    fn a_key_that_we_do_not_know_leaves_its_gateway() {
        let gateway = Gateway::V4([192, 0, 2, 38].into());
        for (algorithm, length) in [(1, 40), (2, 4), (3, 65), (4, 57), (200, 32)] {
            let rdata = [&[9, 1, algorithm, 192, 0, 2, 38][..], &[1; 100][..length]].concat();
            let read = Ipseckey::parse(&rdata).unwrap();
            assert_eq!((read.gateway, read.key), (gateway.clone(), RecordKey::Unusable { algorithm }));
        }
        // RFC 3110 §2: an exponent of zero octets' length is announced in two octets more.
        let long = [&[9, 0, 2, 0, 0, 3, 1, 0, 1][..], &[0xff; 256]].concat();
        assert!(matches!(Ipseckey::parse(&long).unwrap().key, RecordKey::Public(PublicKey::Rsa(_))));
    }

    /// RFC 3110 §2: zeros in front are prohibited in exponent and modulus.
    #[test]
    fn an_rsa_key_has_one_spelling() {
        let is_key = |exponent: &[u8], modulus: &[u8]| {
            let rdata = [&[9, 0, 2, exponent.len() as u8], exponent, modulus].concat();
            matches!(Ipseckey::parse(&rdata).unwrap().key, RecordKey::Public(_))
        };
        let modulus = [0xff; 256];
        assert!(is_key(&[1, 0, 1], &modulus));
        assert!(!is_key(&[0, 1, 0, 1], &modulus));
        assert!(!is_key(&[1, 0, 1], &[&[0], &modulus[..]].concat()));
        assert!(!is_key(&[0], &modulus) && !is_key(&[], &modulus));
    }

    #[test]
    fn a_record_may_hold_no_key_at_all() {
        for rdata in ["000000", "0a0004"] {
            assert_eq!(parse(rdata, "").unwrap().key, RecordKey::Absent, "{rdata}");
        }
    }

    #[test]
    fn what_is_no_record_is_told() {
        assert_eq!(parse("0a00", ""), Err(BadRecord::Short));
        assert_eq!(parse("0a0104c00002", ""), Err(BadRecord::Short));
        assert_eq!(parse("0a0204c0000226", ""), Err(BadRecord::Short));
        // Of a gateway of unknown type nobody knows where it ends (§2.3).
        assert_eq!(parse("0a0404", ED25519), Err(BadRecord::GatewayType(4)));
        // Compressed (§2.5), cut short, and longer than a name may be.
        for gateway in ["0a0304c00c", "0a0304076761", "0a030403616263"] {
            assert_eq!(parse(gateway, ""), Err(BadRecord::GatewayName), "{gateway}");
        }
        let long = [&[10, 3, 4][..], &[1, b'a'].repeat(130), &[0; 33]].concat();
        assert_eq!(Ipseckey::parse(&long), Err(BadRecord::GatewayName));
    }
}
