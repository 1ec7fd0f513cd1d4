//! Trust anchors: DS records of the root as `dig`, IANA and Debian's `dns-root-data` write them.

use std::path::Path;

use firmware::config::MAX_DS;

use super::value::octets;

/// The RDATA of each DS record in a file; comments begin with a semicolon.
pub fn read(path: &Path) -> Result<Vec<heapless::Vec<u8, MAX_DS>>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lines = text.lines().map(|line| line.split(';').next().unwrap_or_default().trim());
    let records: Option<Vec<_>> = lines.filter(|line| !line.is_empty()).map(record).collect();
    records.filter(|records| !records.is_empty()).ok_or_else(|| {
        "write the root's DS records, one a line, such as `. IN DS 20326 8 2 E06D44B8…`".to_owned()
    })
}

/// `. [TTL] [IN] DS TAG ALGORITHM DIGEST-TYPE DIGEST`.
fn record(line: &str) -> Option<heapless::Vec<u8, MAX_DS>> {
    let mut words = line.split_whitespace();
    if words.next() != Some(".") {
        return None;
    }
    words.find(|word| word.eq_ignore_ascii_case("DS"))?;
    let tag: u16 = words.next()?.parse().ok()?;
    let algorithm: u8 = words.next()?.parse().ok()?;
    let digest_type: u8 = words.next()?.parse().ok()?;
    let digest = octets(&words.collect::<String>())?;
    let front = tag.to_be_bytes().into_iter().chain([algorithm, digest_type]);
    let data: Vec<u8> = front.chain(digest).collect();
    heapless::Vec::from_slice(&data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4034 §5.3: the digest may be written in pieces.
    #[test]
    fn records_in_presentation_format() {
        let data = record(
            ". 172800 IN DS 20326 8 2 e06d44b80b8f1d39 a95c0b0d7c65d084 58e880409bbc6834 57104237c7f8ec8d",
        );
        let data = data.expect("a record");
        assert_eq!(data.len(), 36);
        assert_eq!(data[..4], [0x4F, 0x66, 8, 2]);
        for wrong in
            ["example. IN DS 1 8 2 00", ". IN DNSKEY 257 3 8 AwEAA", ". IN DS 1 8 2 xyz", ". IN DS 1"]
        {
            assert_eq!(record(wrong), None, "{wrong}");
        }
    }
}
