//! What the eavesdropper keeps: a pcapng file, and beside it the two tables with which Wireshark and
//! tshark decrypt it. Keys leave the program only this way, and only because the demo asks for it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use esp_engine::crypto::{Algorithm, RawKey};
use esp_engine::sa::Spi;
use firmware::report::Event;

use crate::cable::{Origin, Seen};
use crate::key::hex;

/// Keys of one IKE SA, for `ikev2_decryption_table`.
#[derive(Clone, Debug)]
pub struct IkeKeys {
    /// The initiator's SPI.
    pub initiator_spi: [u8; 8],
    /// The responder's SPI.
    pub responder_spi: [u8; 8],
    /// SK_ei with its salt, or with SK_ai.
    pub initiator_key: RawKey,
    /// SK_er with its salt, or with SK_ar.
    pub responder_key: RawKey,
}

/// Key of one direction of a Child SA, for `esp_sa`.
#[derive(Clone, Debug)]
pub struct EspKey {
    /// Outer source address.
    pub source: IpAddr,
    /// Outer destination address.
    pub destination: IpAddr,
    /// SPI on the wire.
    pub spi: u32,
    /// What packets are sealed with.
    pub key: RawKey,
}

/// All keys of a capture.
#[derive(Clone, Default, Debug)]
pub struct Keys {
    /// IKE SAs.
    pub ike: Vec<IkeKeys>,
    /// Child SAs, one entry a direction.
    pub esp: Vec<EspKey>,
}

/// Keeps the keys that an event carries.
pub fn keep_keys(keys: &mut Keys, event: &Event) {
    match event {
        Event::IkeKeys(ike) => keys.ike.push(IkeKeys {
            initiator_spi: ike.spis.initiator.to_be_bytes(),
            responder_spi: ike.spis.responder.to_be_bytes(),
            initiator_key: ike.initiator.clone(),
            responder_key: ike.responder.clone(),
        }),
        Event::ChildKeys(child) => {
            let esp = |source, destination, spi: Spi, key: &RawKey| EspKey {
                source,
                destination,
                spi: spi.get(),
                key: key.clone(),
            };
            keys.esp.push(esp(child.remote, child.local, child.inbound, &child.keys.inbound));
            keys.esp.push(esp(child.local, child.remote, child.outbound, &child.keys.outbound));
        }
        _ => {}
    }
}

/// Where the files are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The frames.
    pub capture: PathBuf,
    /// Wireshark's configuration folder with the tables.
    pub tables: PathBuf,
}

impl Written {
    /// The command that shows what is inside ESP of this protocol, by tshark's name.
    pub fn tshark(&self, protocol: &str) -> String {
        format!(
            "WIRESHARK_CONFIG_DIR={} tshark -r {} -o esp.enable_encryption_decode:TRUE -Y {protocol}",
            self.tables.display(),
            self.capture.display()
        )
    }
}

/// Writes `demo.pcapng` and `wireshark/` into `folder`, which is made if need be.
///
/// # Errors
/// Whatever the file system says.
pub fn write(folder: &Path, frames: &[Seen], keys: &Keys) -> io::Result<Written> {
    let written = Written { capture: folder.join("demo.pcapng"), tables: folder.join("wireshark") };
    fs::create_dir_all(&written.tables)?;
    fs::write(&written.capture, pcapng(frames))?;
    fs::write(written.tables.join("ikev2_decryption_table"), ike_table(&keys.ike))?;
    fs::write(written.tables.join("esp_sa"), esp_table(&keys.esp))?;
    Ok(written)
}

/// The lines of `ikev2_decryption_table`; what tshark 4.0 cannot decrypt is left out.
fn ike_table(keys: &[IkeKeys]) -> String {
    keys.iter().fold(String::new(), |mut table, k| {
        if let Some(Spelling { ike_cipher: Some(cipher), ike_integrity, .. }) =
            spelling(k.initiator_key.algorithm())
        {
            let (i, r) = (hex(&k.initiator_spi), hex(&k.responder_spi));
            let ((ei, ai), (er, ar)) = (k.initiator_key.parts(), k.responder_key.parts());
            let [ei, ai, er, ar] = [ei, ai, er, ar].map(hex);
            let _ = writeln!(table, r#"{i},{r},{ei},{er},"{cipher}",{ai},{ar},"{ike_integrity}""#);
        }
        table
    })
}

/// The lines of `esp_sa`; what tshark 4.0 cannot decrypt is left out.
fn esp_table(keys: &[EspKey]) -> String {
    keys.iter().fold(String::new(), |mut table, k| {
        if let Some(Spelling { esp_cipher, esp_integrity, .. }) = spelling(k.key.algorithm()) {
            let family = if k.source.is_ipv4() { "IPv4" } else { "IPv6" };
            let EspKey { source, destination, spi, key } = k;
            let (encryption, integrity) = key.parts();
            let prefixed = |key: &[u8]| if key.is_empty() { String::new() } else { format!("0x{}", hex(key)) };
            let (encryption, integrity) = (prefixed(encryption), prefixed(integrity));
            let _ = writeln!(
                table,
                r#""{family}","{source}","{destination}","0x{spi:08x}","{esp_cipher}","{encryption}","{esp_integrity}","{integrity}""#
            );
        }
        table
    })
}

/// What tshark calls an algorithm.
struct Spelling {
    /// None for what only ESP has.
    ike_cipher: Option<&'static str>,
    ike_integrity: &'static str,
    esp_cipher: &'static str,
    esp_integrity: &'static str,
}

/// `None` for what tshark 4.0 cannot decrypt.
fn spelling(algorithm: Algorithm) -> Option<Spelling> {
    let gcm = |ike_cipher| Spelling {
        ike_cipher: Some(ike_cipher),
        ike_integrity: "NONE [RFC4306]",
        esp_cipher: "AES-GCM with 16 octet ICV [RFC4106]",
        esp_integrity: "NULL",
    };
    let hmac = |ike_cipher, esp_cipher| Spelling {
        ike_cipher,
        ike_integrity: "HMAC_SHA2_256_128 [RFC4868]",
        esp_cipher,
        esp_integrity: "HMAC-SHA-256-128 [RFC4868]",
    };
    match algorithm {
        Algorithm::Aes128Gcm16 => Some(gcm("AES-GCM-128 with 16 octet ICV [RFC5282]")),
        Algorithm::Aes256Gcm16 => Some(gcm("AES-GCM-256 with 16 octet ICV [RFC5282]")),
        Algorithm::Aes128CbcHmacSha256 => Some(hmac(Some("AES-CBC-128 [RFC3602]"), "AES-CBC [RFC3602]")),
        Algorithm::Aes256CbcHmacSha256 => Some(hmac(Some("AES-CBC-256 [RFC3602]"), "AES-CBC [RFC3602]")),
        Algorithm::NullHmacSha256 => Some(hmac(None, "NULL")),
        Algorithm::ChaCha20Poly1305 | Algorithm::Aes128Gmac | Algorithm::Aes256Gmac => None,
    }
}

/// The frames as a pcapng file (draft-ietf-opsawg-pcapng §4); frames that were not simply sent and
/// received carry a comment.
fn pcapng(frames: &[Seen]) -> Vec<u8> {
    let mut file = Vec::new();
    // Section header: byte order, version 1.0, length unknown.
    let mut section = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    section.extend([1, 0, 0, 0]);
    section.extend([0xff; 8]);
    push_block(&mut file, 0x0A0D_0D0A, &section);
    // Interface: Ethernet, no limit on captured octets; times are microseconds by default.
    push_block(&mut file, 1, &[1, 0, 0, 0, 0, 0, 0, 0]);
    for frame in frames {
        push_block(&mut file, 6, &enhanced_packet(frame));
    }
    file
}

fn enhanced_packet(frame: &Seen) -> Vec<u8> {
    let length = u32::try_from(frame.octets.len()).unwrap_or(u32::MAX);
    let time = frame.micros.to_be_bytes();
    let (high, low) = time.split_at(4);
    let mut body = vec![0; 4];
    body.extend(high.iter().rev());
    body.extend(low.iter().rev());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    push_padded(&mut body, &frame.octets);
    let comment = match (frame.origin, frame.blocked) {
        (Origin::Attacker, _) => "put on the cable by the attacker",
        (Origin::End(_), true) => "cut out: did not arrive",
        (Origin::End(_), false) => return body,
    };
    body.extend([1, 0]);
    body.extend(u16::try_from(comment.len()).unwrap_or(0).to_le_bytes());
    push_padded(&mut body, comment.as_bytes());
    body.extend([0; 4]);
    body
}

fn push_block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX);
    file.extend(kind.to_le_bytes());
    file.extend(length.to_le_bytes());
    file.extend(body);
    file.extend(length.to_le_bytes());
}

fn push_padded(to: &mut Vec<u8>, octets: &[u8]) {
    to.extend(octets);
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_and_say_their_length_twice() {
        let frame = |octets: &[u8], origin, blocked| Seen {
            micros: 1 << 33,
            origin,
            octets: octets.to_vec(),
            blocked,
        };
        let file = pcapng(&[
            frame(&[1; 61], Origin::End(0), false),
            frame(&[2; 60], Origin::Attacker, false),
            frame(&[3; 1514], Origin::End(1), true),
        ]);
        let (mut rest, mut kinds) = (file.as_slice(), Vec::new());
        while let [k0, k1, k2, k3, l0, l1, l2, l3, ..] = *rest {
            let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            let (block, behind) = rest.split_at(length);
            assert_eq!(length % 4, 0);
            assert_eq!(block[length - 4..], [l0, l1, l2, l3]);
            kinds.push(u32::from_le_bytes([k0, k1, k2, k3]));
            rest = behind;
        }
        assert_eq!(kinds, [0x0A0D_0D0A, 1, 6, 6, 6]);
        assert!(rest.is_empty());
    }

    #[test]
    fn tables_hold_what_tshark_can_decrypt_and_nothing_else() {
        let key = |algorithm: Algorithm, octet| {
            RawKey::derive(algorithm, |key| {
                let integrity = algorithm.encryption_key_length();
                key.fill(octet);
                key.get_mut(integrity..).unwrap_or_default().fill(octet + 1);
            })
        };
        let esp = |algorithm| EspKey {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            spi: 0xc0ff_ee01,
            key: key(algorithm, 0xab),
        };
        let ike = |algorithm| IkeKeys {
            initiator_spi: [1; 8],
            responder_spi: [2; 8],
            initiator_key: key(algorithm, 3),
            responder_key: key(algorithm, 5),
        };
        let (esp, ike) = (Algorithm::ALL.map(esp), Algorithm::ALL.map(ike));
        insta::assert_snapshot!(esp_table(&esp) + "\n" + &ike_table(&ike));
    }
}
