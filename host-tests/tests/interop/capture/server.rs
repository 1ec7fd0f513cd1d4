//! A DNS server with a few records, which says of all of them that it validated them (the AD bit).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

use buttons::key;
use buttons::peer::Namespace;
use ike_core::discovery::ipseckey;

use crate::Fault;

/// A record.
pub enum Record {
    /// An IPv4 address.
    Address([u8; 4]),
    /// A key: its SubjectPublicKeyInfo.
    Key(Vec<u8>),
}

/// Names with the type and data of a record.
type Zone = Vec<(String, u16, Vec<u8>)>;

/// A running server; it ends with its namespace.
pub struct Server {
    asked: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Server {
    /// Starts it at 192.0.2.53 in `namespace`.
    pub fn start(namespace: &Namespace, records: &[(&str, Record)]) -> Result<Self, Fault> {
        let mut zone = Zone::new();
        for (name, record) in records {
            let (rtype, rdata) = match record {
                Record::Address(address) => (1, address.to_vec()),
                Record::Key(spki) => {
                    let key = key::parse_spki(spki).ok_or("not a key")?;
                    (45, ipseckey::encode(10, &ipseckey::Gateway::None, &key).to_vec())
                }
            };
            zone.push(((*name).into(), rtype, rdata));
        }
        let zone = Arc::new(zone);
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
        Ok(Self { asked })
    }

    /// How often the key of a name was asked for.
    pub fn keys_asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().map(|asked| asked.clone()).unwrap_or_default();
        asked.iter().filter(|(asked, rtype)| asked == name && *rtype == 45).count()
    }
}

/// One question on a connection (RFC 7766 §8).
fn serve(zone: &Zone, mut stream: TcpStream) -> std::io::Result<()> {
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

/// The answer to a question, and what it was (RFC 1035 §4, RFC 4035 §3.2.3).
fn answer(zone: &Zone, octets: &[u8]) -> Option<((String, u16), Vec<u8>)> {
    let (mut name, mut at) = (String::new(), 12);
    while let Some(length @ 1..) = octets.get(at).copied().map(usize::from) {
        name += &String::from_utf8_lossy(octets.get(at + 1..at + 1 + length)?).to_lowercase();
        name.push('.');
        at += 1 + length;
    }
    let name = name.trim_end_matches('.').to_owned();
    let rtype = u16::from_be_bytes(*octets.get(at + 1..at + 3)?.first_chunk()?);
    let found: Vec<_> = zone.iter().filter(|(owner, kind, _)| *owner == name && *kind == rtype).collect();
    let header = [0x81, 0xA0, 0, 1, 0, u8::try_from(found.len()).ok()?, 0, 0, 0, 0];
    let mut message = [octets.get(..2)?, &header, octets.get(12..at + 5)?].concat();
    for (_, kind, rdata) in found {
        message.extend([0xC0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 1, 44]);
        message.extend(u16::try_from(rdata.len()).ok()?.to_be_bytes());
        message.extend(rdata);
    }
    Some(((name, rtype), message))
}
