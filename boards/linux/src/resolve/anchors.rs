//! Trust anchors from a file: DS or DNSKEY records of the root, one a line, as servers and distributions
//! keep them (RFC 4034 §2.2, §5.3).

use base64ct::{Base64, Encoding};
use ike_core::discovery::dnssec::{Algorithm, Digest, Ds, Unusable};
use sha2::{Digest as _, Sha256};

/// Why a file has no trust anchors.
#[derive(Debug)]
pub enum BadAnchor {
    /// It cannot be read.
    File(std::io::Error),
    /// A line that is no record of the root.
    Line(usize),
    /// It has none that can be used.
    None,
}

impl std::fmt::Display for BadAnchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}"),
            Self::Line(number) => write!(
                f,
                "line {number} is no trust anchor: write `. IN DS TAG ALGORITHM DIGEST-TYPE DIGEST` or \
                 `. IN DNSKEY 257 3 ALGORITHM KEY`"
            ),
            Self::None => f.write_str("no DS or DNSKEY record of the root that can be used is in it"),
        }
    }
}

/// All that can be used; those of unknown algorithms and digests are passed over.
///
/// # Errors
/// [`BadAnchor`].
pub fn parse(text: &str) -> Result<Vec<Ds>, BadAnchor> {
    let mut anchors = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(';').next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().filter(|word| !["(", ")"].contains(word)).collect();
        if words.is_empty() {
            continue;
        }
        anchors.extend(parse_record(&words).ok_or(BadAnchor::Line(number))?);
    }
    if anchors.is_empty() { Err(BadAnchor::None) } else { Ok(anchors) }
}

/// `None` for what is no such record, nothing within for one that cannot be used.
fn parse_record(words: &[&str]) -> Option<Option<Ds>> {
    let (owner, rest) = words.split_first()?;
    let at = rest.iter().position(|word| ["DS", "DNSKEY"].contains(word)).filter(|at| *at <= 2)?;
    let (kind, data) = rest.get(at..)?.split_first()?;
    let [first, second, third, rest @ ..] = data else {
        return None;
    };
    if *owner != "." {
        return None;
    }
    match *kind {
        "DS" => {
            let (tag, algorithm, digest_type) =
                (first.parse::<u16>().ok()?, second.parse().ok()?, third.parse().ok()?);
            let [high, low] = tag.to_be_bytes();
            let digest = unhex(&rest.concat())?;
            match Ds::read(&[&[high, low, algorithm, digest_type], digest.as_slice()].concat()) {
                Ok(ds) => Some(Some(ds)),
                Err(Unusable::NotSupported) => Some(None),
                Err(Unusable::Malformed) => None,
            }
        }
        _ => {
            let (flags, protocol, algorithm) =
                (first.parse::<u16>().ok()?, second.parse().ok()?, third.parse().ok()?);
            let [high, low] = flags.to_be_bytes();
            let key = Base64::decode_vec(&rest.concat()).ok()?;
            let rdata = [&[high, low, protocol, algorithm], key.as_slice()].concat();
            Some(Algorithm::from_number(algorithm).map(|algorithm| Ds {
                key_tag: key_tag(&rdata),
                algorithm,
                digest: Digest::Sha256(
                    Sha256::new().chain_update([0]).chain_update(&rdata).finalize().into(),
                ),
            }))
        }
    }
}

/// RFC 4034 Appendix B.
fn key_tag(rdata: &[u8]) -> u16 {
    let sum = rdata.chunks(2).fold(0_u32, |sum, pair| {
        let high = pair.first().copied().unwrap_or(0);
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([high, low]))
    });
    (sum + (sum >> 16 & 0xFFFF)) as u16
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use ike_core::discovery::dnssec::ROOT;

    use super::*;

    /// The root's keys as IANA publishes them: their DS records are those that are built in.
    #[test]
    fn the_anchors_of_the_root() {
        let text = "; trust anchors\n\
            . IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n\
            .   172800  IN  DNSKEY  257 3 8 ( AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3\
            +/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8\
            PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6\
            H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qihylGa8subX2Nn\
            6UwNR1AkUTV74bU= ) ; KSK 20326\n";
        assert_eq!(parse(text).unwrap(), [ROOT[0], ROOT[0]]);
    }

    /// A mistake is named by its line.
    #[test]
    fn what_is_no_anchor() {
        assert!(matches!(parse("\nexample. IN DS 1 8 2 00\n"), Err(BadAnchor::Line(2))));
        assert!(matches!(parse(". IN DS 1 8 2 0g\n"), Err(BadAnchor::Line(1))));
        assert!(matches!(parse(". IN DS 1 8 1 00\n"), Err(BadAnchor::None)));
        assert!(matches!(parse("; nothing\n"), Err(BadAnchor::None)));
    }
}
