//! A proxy with everything around it in the test's hands.

extern crate std;

use std::boxed::Box;
use std::net::{IpAddr, SocketAddr};
use std::string::{String, ToString};
use std::vec::Vec;

use domain::base::Rtype;
use domain::base::iana::Rcode;
use domain::base::message::Message;
use esp_engine::selector::AddressRange;
use esp_engine::time::Instant;
use rand_core::{TryCryptoRng, TryRng};

use super::super::settings::{Demand, Pattern, Rule, Settings};
use super::super::{Client, Discarded, Found, Output, Progress, Proxy, Resources};
use super::{name, query};
use crate::crypto::PublicKey;
use crate::discovery::output::{Socket, Transport};
use crate::discovery::question::Ticket;
use crate::pad::{Gateway, PeerRecord, Presence, PublishedKey, Security};

/// A pure sequence; what it makes is not random, only different.
#[derive(Debug)]
pub struct Sequence(u64);

impl TryRng for Sequence {
    type Error = core::convert::Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.try_next_u64()? as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0)
    }
    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in octets.chunks_mut(8) {
            let next = self.try_next_u64()?.to_be_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Sequence {}

/// What the proxy said.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    Reply(Client, Vec<u8>),
    Query(Asked),
    Close(Socket),
    Lookup(Ticket, String),
    Found(Box<Found>),
    Forget(IpAddr),
}

/// A question to a server.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    pub socket: Socket,
    pub server: SocketAddr,
    pub transport: Transport,
    pub octets: Vec<u8>,
}

impl Asked {
    pub fn rtype(&self) -> Rtype {
        Message::from_slice(&self.octets).unwrap().sole_question().unwrap().qtype()
    }
}

pub const KEY: PublicKey = PublicKey::Ed25519([7; 32]);

pub fn v4(address: [u8; 4]) -> IpAddr {
    address.into()
}

pub fn client(host: u8) -> Client {
    Client::Datagram { remote: SocketAddr::new(v4([10, 1, 0, host]), 40_000), local: v4([10, 1, 0, 1]) }
}

/// Ours to choose: `.test` is captured, `.bank.test` has to be protected, `plain.test` is let be.
pub fn settings() -> Settings<'static> {
    const RULES: &[Rule<'static>] = &[
        Rule { names: Pattern("plain.test"), demand: Demand::Nothing },
        Rule { names: Pattern(".bank.test"), demand: Demand::Require },
        Rule { names: Pattern(".test"), demand: Demand::Try },
    ];
    let lan = AddressRange::prefix(v4([10, 1, 0, 0]), 16).unwrap();
    let peers = AddressRange::prefix(v4([192, 0, 2, 0]), 24).unwrap();
    let servers = [[198, 51, 100, 53], [198, 51, 100, 54]].map(|server| SocketAddr::new(v4(server), 53));
    let open = [(v4([0; 4]), 0), (IpAddr::from([0_u16; 8]), 0)];
    Settings {
        open: Box::leak(Box::new(open.map(|(any, length)| AddressRange::prefix(any, length).unwrap()))),
        servers: Box::leak(Box::new(servers)),
        clients: Box::leak(Box::new([lan])),
        inside: Box::leak(Box::new([lan])),
        reserved: Box::leak(Box::new([peers])),
        rules: RULES,
        private: &[Pattern(".corp.test")],
        ..Settings::DEFAULT
    }
}

pub struct Bench {
    pub proxy: Proxy<'static, Sequence>,
    pub now: u64,
    id: u16,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: Settings<'static>) -> Self {
        let resources = Box::leak(Box::new(Resources::<8, 16, 32>::new()));
        let proxy = Proxy::new(Box::leak(Box::new(settings)), resources, Sequence(1));
        Self { proxy, now: 10_000, id: 0 }
    }

    pub fn instant(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// A client asks; what follows.
    pub fn ask(&mut self, host: u8, of: &str, rtype: Rtype) -> Vec<Said> {
        self.id += 1;
        let octets = query(of, rtype, self.id);
        self.send(client(host), &octets).unwrap()
    }

    /// The ID of the last question.
    pub fn id(&self) -> u16 {
        self.id
    }

    pub fn send(&mut self, client: Client, octets: &[u8]) -> Result<Vec<Said>, Discarded> {
        self.proxy.handle_query(self.instant(), client, octets)?;
        Ok(self.drain())
    }

    /// A server answers with these records.
    pub fn answer(&mut self, asked: &Asked, records: &[Record<'_>]) -> Vec<Said> {
        self.answer_with(asked, &answer(&asked.octets, records)).unwrap()
    }

    pub fn answer_with(&mut self, asked: &Asked, octets: &[u8]) -> Result<Vec<Said>, Discarded> {
        self.proxy.handle_answer(self.instant(), asked.socket, asked.server, octets)?;
        Ok(self.drain())
    }

    pub fn record(&mut self, ticket: Ticket, record: &PeerRecord) -> Vec<Said> {
        self.proxy.handle_record(self.instant(), ticket, record);
        self.drain()
    }

    pub fn progress(&mut self, address: [u8; 4], progress: Progress) -> Vec<Said> {
        self.proxy.handle_progress(self.instant(), v4(address), progress);
        self.drain()
    }

    /// Time passes, the proxy being called when it wants to be.
    pub fn pass(&mut self, ms: u64) -> Vec<Said> {
        let end = self.now + ms;
        let mut said = Vec::new();
        while let Some(wake) = self.timeout().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            self.proxy.handle_timeout(self.instant());
            said.extend(self.drain());
        }
        self.now = end;
        said
    }

    pub fn timeout(&mut self) -> Option<u64> {
        match self.proxy.poll_output() {
            Output::Timeout(moment) => moment.map(Instant::as_millis),
            other => panic!("not drained: {other:?}"),
        }
    }

    pub fn drain(&mut self) -> Vec<Said> {
        let mut said = Vec::new();
        loop {
            assert!(said.len() < 1_000, "no end of it");
            said.push(match self.proxy.poll_output() {
                Output::Timeout(_) => return said,
                Output::Reply { client, octets } => Said::Reply(client, octets.to_vec()),
                Output::Query { socket, server, transport, octets } => {
                    Said::Query(Asked { socket, server, transport, octets: octets.to_vec() })
                }
                Output::Close(socket) => Said::Close(socket),
                Output::Lookup { ticket, name } => Said::Lookup(ticket, name.to_string()),
                Output::Found(found) => Said::Found(Box::new(found.clone())),
                Output::Forget(found) => Said::Forget(found.address),
            });
        }
    }

    /// A secure record with our key that holds for so many seconds.
    pub fn secure(&self, seconds: u64) -> PeerRecord {
        let key = PublishedKey::Whole { key: KEY, gateway: Gateway::Owner };
        PeerRecord {
            security: Security::Secure,
            presence: Presence::Present,
            keys: [key].into_iter().collect(),
            addresses: heapless::Vec::new(),
            is_wildcard: false,
            expires: Instant::from_millis(self.now + seconds * 1_000),
            signed_until: None,
        }
    }

    /// A client asks for the address of a name that has a key, up to the moment when an entry is found.
    pub fn find(&mut self, host: u8, of: &str, address: [u8; 4], ttl: u32, record: &PeerRecord) -> Vec<Said> {
        let asked = queries(&self.ask(host, of, Rtype::A));
        let mut said = self.answer(&asked[0], &[a(of, ttl, address)]);
        if let Some(key) = asked.get(1) {
            said.extend(self.answer(key, &[ipseckey(of, 600)]));
        }
        match lookups(&said).first() {
            Some((ticket, _)) => self.record(*ticket, record),
            None => said,
        }
    }
}

pub type Record<'a> = (&'a str, Rtype, u32, Vec<u8>);

pub fn a(of: &str, ttl: u32, address: [u8; 4]) -> Record<'_> {
    (of, Rtype::A, ttl, address.to_vec())
}

pub fn aaaa(of: &str, ttl: u32, last: u16) -> Record<'_> {
    (of, Rtype::AAAA, ttl, std::net::Ipv6Addr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]).octets().to_vec())
}

pub fn cname<'a>(of: &'a str, ttl: u32, target: &str) -> Record<'a> {
    (of, Rtype::CNAME, ttl, name(target).as_slice().to_vec())
}

pub fn ipseckey(of: &str, ttl: u32) -> Record<'_> {
    let mut rdata = std::vec![10, 0, 4];
    rdata.extend([7; 32]);
    (of, Rtype::IPSECKEY, ttl, rdata)
}

/// HTTPS with an address hint (RFC 9460 §7.3).
pub fn https<'a>(of: &'a str, target: &str, hint: [u8; 4]) -> Record<'a> {
    let mut rdata = std::vec![0, 1];
    if target == "." {
        rdata.push(0)
    } else {
        rdata.extend(name(target).as_slice())
    }
    rdata.extend([0, 4, 0, 4]);
    rdata.extend(hint);
    (of, Rtype::HTTPS, 300, rdata)
}

/// The answer to a question, names in full.
pub fn answer(question: &[u8], records: &[Record<'_>]) -> Vec<u8> {
    let end = question.len() - if question[11] == 1 { 11 } else { 0 };
    let mut octets = question[..end].to_vec();
    octets[2] |= 0x80;
    octets[3] |= 0x80;
    octets[7] = u8::try_from(records.len()).unwrap();
    octets[11] = 0;
    for (owner, rtype, ttl, rdata) in records {
        octets.extend(name(owner).as_slice());
        octets.extend(rtype.to_int().to_be_bytes());
        octets.extend([0, 1]);
        octets.extend(ttl.to_be_bytes());
        octets.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
        octets.extend(rdata);
    }
    octets
}

pub fn queries(said: &[Said]) -> Vec<Asked> {
    said.iter()
        .filter_map(|said| if let Said::Query(asked) = said { Some(asked.clone()) } else { None })
        .collect()
}

pub fn lookups(said: &[Said]) -> Vec<(Ticket, String)> {
    let lookup = |said: &Said| match said {
        Said::Lookup(ticket, name) => Some((*ticket, name.clone())),
        _ => None,
    };
    said.iter().filter_map(lookup).collect()
}

pub fn replies(said: &[Said]) -> Vec<Vec<u8>> {
    said.iter()
        .filter_map(|said| if let Said::Reply(_, octets) = said { Some(octets.clone()) } else { None })
        .collect()
}

pub fn founds(said: &[Said]) -> Vec<IpAddr> {
    said.iter()
        .filter_map(|said| if let Said::Found(found) = said { Some(found.address) } else { None })
        .collect()
}

pub fn rcode(reply: &[u8]) -> Rcode {
    Message::from_octets(reply).unwrap().header().rcode()
}

/// The TTLs of the answer section.
pub fn ttls(reply: &[u8]) -> Vec<u32> {
    let message = Message::from_octets(reply).unwrap();
    message.answer().unwrap().map(|record| record.unwrap().ttl().as_secs()).collect()
}
