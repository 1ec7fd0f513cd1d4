//! How long signed answers are: each kind of key in a zone signed by each algorithm, asked with DO
//! (RFC 4035 §3.2.1), beside what `buttons key dns` says.

use std::net::UdpSocket;
use std::time::Duration;

use buttons::key::dns::{Data, Record, Server as Form, host_name, signature_octets};
use buttons::key::{self, Kind};
use ike_core::crypto::PublicKey;
use ike_core::discovery::ipseckey::Gateway;
use ike_core::discovery::{Name, tlsa};
use libtest_mimic::Failed;

use crate::server::{Brand, Server};

const KINDS: [Kind; 5] = [Kind::Ed25519, Kind::P256, Kind::P384, Kind::Rsa2048, Kind::Rsa4096];

/// Knot's names of algorithms, and octets of their signatures.
const ALGORITHMS: [(&str, usize); 4] =
    [("ed25519", 64), ("ecdsap256sha256", 64), ("ecdsap384sha384", 96), ("rsasha256", 256)];

/// An Ed25519 key in a zone signed on a curve of 256 bits is no longer than this.
const LIMIT: usize = 230;

pub fn measure() -> Result<(), Failed> {
    let mut records = Vec::new();
    for kind in KINDS {
        let spki = key::public(&key::generate(kind)?).ok_or("no key")?;
        let owner = host_name(&format!("{kind:?}.example.net").to_lowercase())?;
        let key = key::parse_spki(&spki).ok_or("no key")?;
        records.push(Record {
            owner,
            ttl: 3600,
            data: Data::Key { precedence: 10, gateway: Gateway::None, key },
        });
    }
    let print = key::fingerprint(&key::public(&key::generate(Kind::Ed25519)?).ok_or("no key")?);
    let owner = tlsa::owner(&host_name("ed25519.example.net")?).ok_or("too long")?;
    records.push(Record { owner, ttl: 3600, data: Data::Fingerprint(print) });
    let text: String = records.iter().map(|record| record.spell(Form::Zone) + "\n").collect();
    println!("octets of an answer   Ed25519    P-256    P-384  RSA-2048  RSA-4096  fingerprint");
    for (algorithm, signature) in ALGORITHMS {
        let mut server = Server::new(Brand::Knot)?;
        let config = format!(
            "policy:\n  - id: p\n    algorithm: {algorithm}\n    single-type-signing: on\n\
             zone:\n  - domain: example.net\n    file: example.net.zone\n    dnssec-signing: on\n    dnssec-policy: p\n"
        );
        server.configure(&config)?;
        server.add_records(&text)?;
        server.start()?;
        let mut line = format!("{algorithm:<20}");
        for record in &records {
            let rtype = if matches!(record.data, Data::Fingerprint(_)) { 52 } else { 45 };
            let octets = ask(&server, &record.owner, rtype)?;
            line += &format!("{octets:>10}");
            let zone = host_name("example.net")?.len();
            let estimate = record.answer_octets() + signature_octets(zone, signature);
            if octets != estimate {
                let owner = &record.owner;
                return Err(format!("{algorithm}, {owner}: {octets} octets, {estimate} were told").into());
            }
            if is_short(record) && signature == 64 && octets > LIMIT {
                return Err(format!("{algorithm}: {octets} octets").into());
            }
        }
        println!("{line}");
    }
    Ok(())
}

/// An Ed25519 key, or the fingerprint of any.
fn is_short(record: &Record) -> bool {
    matches!(record.data, Data::Fingerprint(_) | Data::Key { key: PublicKey::Ed25519(_), .. })
}

/// Octets of the answer in a datagram.
fn ask(server: &Server, name: &Name, rtype: u8) -> Result<usize, Failed> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server.address)?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    // One question, one OPT record: 4,096 octets, DO.
    let header = [7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let opt = [0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 0];
    socket.send(&[&header, name.as_slice(), &[0, rtype, 0, 1], &opt].concat())?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer)?;
    // An answer, not clipped, of a record and its signature.
    if answer[2] & 2 != 0 || answer[3] & 15 != 0 || answer[6..8] != [0, 2] {
        return Err(format!("{name}: {:?}", &answer[..12]).into());
    }
    Ok(length)
}
