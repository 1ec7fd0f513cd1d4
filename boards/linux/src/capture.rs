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
    /// What SK payloads are sealed with.
    pub algorithm: Algorithm,
    /// SK_ei: key, then salt.
    pub initiator_key: Vec<u8>,
    /// SK_er: key, then salt.
    pub responder_key: Vec<u8>,
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
    pub algorithm: Algorithm,
    /// Key, then salt.
    pub key: Vec<u8>,
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
            algorithm: ike.algorithm,
            initiator_key: ike.initiator.octets().to_vec(),
            responder_key: ike.responder.octets().to_vec(),
        }),
        Event::ChildKeys(child) => {
            let esp = |source, destination, spi: Spi, key: &RawKey| EspKey {
                source,
                destination,
                spi: spi.get(),
                algorithm: key.algorithm(),
                key: key.octets().to_vec(),
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
        if let Some(bits) = aes_bits(k.algorithm) {
            let (i, r) = (hex(&k.initiator_spi), hex(&k.responder_spi));
            let (ei, er) = (hex(&k.initiator_key), hex(&k.responder_key));
            let _ = writeln!(
                table,
                r#"{i},{r},{ei},{er},"AES-GCM-{bits} with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]""#
            );
        }
        table
    })
}

/// The lines of `esp_sa`; what tshark 4.0 cannot decrypt is left out.
fn esp_table(keys: &[EspKey]) -> String {
    keys.iter().fold(String::new(), |mut table, k| {
        if aes_bits(k.algorithm).is_some() {
            let family = if k.source.is_ipv4() { "IPv4" } else { "IPv6" };
            let EspKey { source, destination, spi, .. } = k;
            let key = hex(&k.key);
            let _ = writeln!(
                table,
                r#""{family}","{source}","{destination}","0x{spi:08x}","AES-GCM with 16 octet ICV [RFC4106]","0x{key}","NULL","""#
            );
        }
        table
    })
}

fn aes_bits(algorithm: Algorithm) -> Option<u16> {
    match algorithm {
        Algorithm::Aes128Gcm16 => Some(128),
        Algorithm::Aes256Gcm16 => Some(256),
        Algorithm::ChaCha20Poly1305 => None,
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
        let esp = |algorithm| EspKey {
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            spi: 0xc0ff_ee01,
            algorithm,
            key: vec![0xab; 20],
        };
        let table = esp_table(&[esp(Algorithm::Aes128Gcm16), esp(Algorithm::ChaCha20Poly1305)]);
        assert_eq!(
            table,
            format!(
                "\"IPv4\",\"192.0.2.1\",\"192.0.2.2\",\"0xc0ffee01\",\"AES-GCM with 16 octet ICV [RFC4106]\",\"0x{}\",\"NULL\",\"\"\n",
                "ab".repeat(20)
            )
        );
        let ike = ike_table(&[IkeKeys {
            initiator_spi: [1; 8],
            responder_spi: [2; 8],
            algorithm: Algorithm::Aes256Gcm16,
            initiator_key: vec![3; 2],
            responder_key: vec![4; 2],
        }]);
        assert_eq!(
            ike,
            "0101010101010101,0202020202020202,0303,0404,\"AES-GCM-256 with 16 octet ICV [RFC5282]\",,,\"NONE [RFC4306]\"\n"
        );
    }
}
