//! Trust anchors from a file: DS or DNSKEY records of the root, one a line, as servers and distributions
//! keep them (RFC 4034 §2.2, §5.3).

use base64ct::{Base64, Encoding};
use ike_core::discovery::dnssec::{Ds, Unusable};
use sha2::{Digest as _, Sha256};

use crate::config::value::octets;

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
    let anchors: Vec<_> = records(text)?.iter().filter_map(|data| Ds::read(data).ok()).collect();
    if anchors.is_empty() { Err(BadAnchor::None) } else { Ok(anchors) }
}

/// The data of each as a DS record.
///
/// # Errors
/// [`BadAnchor`].
pub fn records(text: &str) -> Result<Vec<Vec<u8>>, BadAnchor> {
    let mut records = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split(';').next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().filter(|word| !["(", ")"].contains(word)).collect();
        if words.is_empty() {
            continue;
        }
        let data = record(&words).filter(|data| Ds::read(data) != Err(Unusable::Malformed));
        records.push(data.ok_or(BadAnchor::Line(number))?);
    }
    if records.is_empty() { Err(BadAnchor::None) } else { Ok(records) }
}

/// `. [TTL] [IN] DS TAG ALGORITHM DIGEST-TYPE DIGEST`, or the DS record of a `DNSKEY FLAGS PROTOCOL ALGORITHM KEY`.
fn record(words: &[&str]) -> Option<Vec<u8>> {
    let (owner, rest) = words.split_first()?;
    let is = |word: &str, kind: &str| word.eq_ignore_ascii_case(kind);
    let at = rest.iter().position(|word| is(word, "DS") || is(word, "DNSKEY")).filter(|at| *at <= 2)?;
    let (kind, data) = rest.get(at..)?.split_first()?;
    let [number, second, third, rest @ ..] = data else {
        return None;
    };
    let ([high, low], second, third) =
        (number.parse::<u16>().ok()?.to_be_bytes(), second.parse().ok()?, third.parse().ok()?);
    if *owner != "." {
        return None;
    }
    if is(kind, "DS") {
        return Some([&[high, low, second, third], octets(&rest.concat())?.as_slice()].concat());
    }
    let key = [&[high, low, second, third], Base64::decode_vec(&rest.concat()).ok()?.as_slice()].concat();
    let digest = Sha256::new().chain_update([0]).chain_update(&key).finalize();
    Some([&key_tag(&key).to_be_bytes()[..], &[third, 2], &digest].concat())
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
