//! A DNS server with a few records, signed from a root of its own down, for a day.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64ct::{Base64, Encoding};
use buttons::key;
use buttons::peer::Namespace;
use domain::base::{Message, Rtype};
use esp_engine::time::Instant;
use host_tests::dns::{Asked, Signing, Tree};
use host_tests::signed_zone::ZoneKey;
use ike_core::crypto::KeyKind;
use ike_core::discovery::dnssec::Ds;
use ike_core::discovery::ipseckey;
use ike_core::discovery::output::{Socket, Transport};

use crate::Fault;

/// A record.
pub enum Record {
    /// An IPv4 address.
    Address([u8; 4]),
    /// A key: its SubjectPublicKeyInfo.
    Key(Vec<u8>),
}

/// A running server; it ends with its namespace.
pub struct Server {
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    anchor: Ds,
}

impl Server {
    /// Starts it at 192.0.2.53 in `namespace`.
    pub fn start(namespace: &Namespace, records: &[(&str, Record)]) -> Result<Self, Fault> {
        let mut zone = String::new();
        for (name, record) in records {
            match record {
                Record::Address(address) => writeln!(zone, "{name}. A {}", Ipv4Addr::from(*address))?,
                Record::Key(spki) => {
                    let key = key::parse_spki(spki).ok_or("not a key")?;
                    let rdata = ipseckey::encode(10, &ipseckey::Gateway::None, &key);
                    let (head, key) = rdata.split_at_checked(3).ok_or("a short key")?;
                    let [precedence, gateway, algorithm] = *head else { return Err("a short key".into()) };
                    let key = Base64::encode_string(key);
                    writeln!(zone, "{name}. IPSECKEY {precedence} {gateway} {algorithm} . {key}")?;
                }
            }
        }
        let now = u32::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?;
        let zones = [(".", Signing::Signed, ""), ("test.", Signing::Signed, zone.as_str())];
        let key = |n: usize| ZoneKey::new(KeyKind::Ed25519, n as u8 + 1, 257);
        let zone = Arc::new(Tree::with_times(&zones, key, (now - 3_600, now + 86_400)));
        let anchor = zone.anchors().remove(0);
        let of_streams = zone.clone();
        let (listens, wait) = std::sync::mpsc::channel();
        drop(namespace.thread(move || {
            let Ok(listener) = TcpListener::bind("192.0.2.53:53") else { return };
            let _ = listens.send(());
            listener.incoming().flatten().for_each(|stream| drop(serve(&of_streams, stream)));
        })?);
        wait.recv().map_err(|_| "no DNS server by TCP")?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (heard, (ready, wait)) = (asked.clone(), std::sync::mpsc::channel());
        let thread = namespace.thread(move || {
            let Ok(socket) = UdpSocket::bind("192.0.2.53:53") else { return };
            let _ = ready.send(());
            let mut octets = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut octets) {
                if let Some((question, answer)) = answer(&zone, &octets[..length]) {
                    if let Ok(mut heard) = heard.lock() {
                        heard.push(question);
                    }
                    let _ = socket.send_to(&answer, from);
                }
            }
        })?;
        wait.recv().map_err(|_| "no DNS server")?;
        drop(thread);
        Ok(Self { asked, anchor })
    }

    /// The DS record of its root, as a line of a master file.
    pub fn anchor(&self) -> String {
        let data = self.anchor.data();
        let digest: String = data.iter().skip(4).map(|octet| format!("{octet:02x}")).collect();
        format!(". DS {} {} 2 {digest}\n", self.anchor.key_tag, self.anchor.algorithm.number())
    }

    /// How often the key of a name was asked for.
    pub fn keys_asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().map(|asked| asked.clone()).unwrap_or_default();
        asked.iter().filter(|(asked, rtype)| asked == name && *rtype == 45).count()
    }
}

/// One question on a connection (RFC 7766 §8).
fn serve(zone: &Tree, mut stream: TcpStream) -> std::io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut octets = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut octets)?;
    match answer(zone, &octets) {
        Some((_, answer)) => {
            let length = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes();
            stream.write_all(&[&length, &answer[..]].concat())
        }
        None => Ok(()),
    }
}

/// The answer to a question, and what it was.
fn answer(zone: &Tree, octets: &[u8]) -> Option<((String, u16), Vec<u8>)> {
    let asked = Asked {
        at: Instant::ZERO,
        socket: Socket(0),
        server: ([192, 0, 2, 53], 53).into(),
        transport: Transport::Tcp,
        octets: octets.to_vec(),
    };
    Message::from_slice(octets).ok()?.sole_question().ok()?;
    let (name, rtype) = (asked.name(), asked.rtype());
    let mut reply = zone.answer(&name, rtype);
    if !asked.message().opt().is_some_and(|opt| opt.dnssec_ok()) {
        reply.answer.retain(|record| record.rtype() != Rtype::RRSIG);
        reply.authority.retain(|record| record.rtype() == Rtype::SOA);
    }
    let answer = asked.reply(&reply);
    Some(((name.to_string().to_lowercase(), rtype.to_int()), answer))
}
