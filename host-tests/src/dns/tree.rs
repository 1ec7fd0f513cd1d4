//! Zones from the root down, as a recursive server knows them: it follows aliases, expands wildcards, and
//! proves what is not there with NSEC records (RFC 4035 §3).

use domain::base::iana::Rcode;
use domain::base::name::ToName;
use domain::base::{Record, Rtype};
use domain::rdata::ZoneRecordData;
use ike_core::crypto::KeyKind;
use ike_core::discovery::dnssec::{Digest, Ds};

use crate::signed_zone::{DnsName, EXPIRATION, INCEPTION, Rr, SignedZone, ZoneKey, name, records};

/// What a message holds behind its question.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How it went.
    pub rcode: Rcode,
    /// The answer section.
    pub answer: Vec<Rr>,
    /// The authority section.
    pub authority: Vec<Rr>,
    /// The additional section, without OPT.
    pub additional: Vec<Rr>,
}

impl Reply {
    /// Nothing but how it went.
    pub fn empty(rcode: Rcode) -> Self {
        Self { rcode, answer: Vec::new(), authority: Vec::new(), additional: Vec::new() }
    }
}

/// Zones, parents before children.
pub struct Tree {
    zones: Vec<Planted>,
}

struct Planted {
    apex: DnsName,
    signed: Option<ZoneKey>,
    records: Vec<Rr>,
}

impl Tree {
    /// From the texts of zones without their SOA, NS and DNSSEC records: `(apex, how it is, text)`. Delegations
    /// are made by themselves.
    pub fn new(zones: &[(&str, Signing, &str)]) -> Self {
        Self::with_keys(zones, |n| ZoneKey::new(KeyKind::Ed25519, n as u8 + 1, 257))
    }

    /// The same with this key for the zone in each place.
    pub fn with_keys(zones: &[(&str, Signing, &str)], key: impl Fn(usize) -> ZoneKey) -> Self {
        Self::with_times(zones, key, (INCEPTION, EXPIRATION))
    }

    /// The same, signed from one moment to another, seconds since 1970.
    pub fn with_times(
        zones: &[(&str, Signing, &str)],
        key: impl Fn(usize) -> ZoneKey,
        times: (u32, u32),
    ) -> Self {
        let planted = zones.iter().enumerate().map(|(n, (apex, signing, text))| {
            let mut whole = format!("{apex} SOA ns.test. hostmaster.test. 1 3600 600 86400 60\n");
            whole += &format!("{apex} NS ns.test.\n{text}\n");
            for (m, (child, signing, _)) in zones.iter().enumerate() {
                let parent = zones.iter().filter(|(it, ..)| it != child && is_below(child, it));
                if parent.map(|(it, ..)| it).max_by_key(|it| it.len()) == Some(apex) {
                    whole += &format!("{child} NS ns.test.\n");
                    if *signing == Signing::Signed {
                        whole += &format!("{child} DS {}\n", ds_text(&key(m).ds(child)));
                    }
                }
            }
            match signing {
                Signing::Unsigned => Planted { apex: name(apex), signed: None, records: records(&whole) },
                Signing::Signed | Signing::Island => {
                    whole += &nsec_chain(apex, &whole);
                    let zone = SignedZone::with_times(&whole, key(n), times);
                    Planted { apex: name(apex), signed: Some(zone.key), records: zone.records }
                }
            }
        });
        Self { zones: planted.collect() }
    }

    /// The trust anchor.
    pub fn anchors(&self) -> Vec<Ds> {
        self.zones.iter().filter_map(|zone| zone.signed.as_ref()).take(1).map(|key| key.ds(".")).collect()
    }

    /// The key of a zone.
    pub fn key(&self, apex: &str) -> &ZoneKey {
        let zone = self.zones.iter().find(|zone| zone.apex == name(apex));
        zone.and_then(|zone| zone.signed.as_ref()).expect("a signed zone")
    }

    /// What a recursive server answers.
    pub fn answer(&self, asked: &DnsName, rtype: Rtype) -> Reply {
        let mut reply = Reply::empty(Rcode::NOERROR);
        let mut at = asked.clone();
        for _ in 0..20 {
            let zone = self.zone_of(&at, rtype);
            if zone.put(&mut reply.answer, &at, rtype, &at) {
                return reply;
            }
            if let Some(next) = zone.alias(&mut reply, &at) {
                at = next;
                continue;
            }
            let source = zone.wildcard_of(&at);
            if zone.is_absent(&at) && zone.put(&mut reply.answer, &source, rtype, &at) {
                zone.deny(&mut reply.authority, &[&at]);
                return reply;
            }
            zone.put(&mut reply.authority, &zone.apex, Rtype::SOA, &zone.apex);
            zone.deny(&mut reply.authority, &[&at, &source]);
            if zone.is_absent(&at) && zone.is_absent(&source) {
                reply.rcode = Rcode::NXDOMAIN;
            }
            return reply;
        }
        reply
    }

    fn zone_of(&self, at: &DnsName, rtype: Rtype) -> &Planted {
        let around = self.zones.iter().filter(|zone| at.ends_with(&zone.apex));
        let around = around.filter(|zone| rtype != Rtype::DS || zone.apex != *at || at.is_root());
        around.max_by_key(|zone| zone.apex.label_count()).expect("the root is around everything")
    }
}

/// How a zone is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Signing {
    /// Signed, and its parent says so.
    Signed,
    /// Signed without a DS record at its parent.
    Island,
    /// Not signed.
    Unsigned,
}

impl Planted {
    /// Puts the RRset of `source` with its signatures in, under the name of `owner`.
    fn put(&self, into: &mut Vec<Rr>, source: &DnsName, rtype: Rtype, owner: &DnsName) -> bool {
        let belongs = |record: &&Rr| {
            let covered = match record.data() {
                ZoneRecordData::Rrsig(rrsig) => rrsig.type_covered(),
                _ => record.rtype(),
            };
            record.owner() == source && covered == rtype
        };
        let before = into.len();
        into.extend(
            self.records.iter().filter(belongs).map(|record| {
                Record::new(owner.clone(), record.class(), record.ttl(), record.data().clone())
            }),
        );
        into.len() > before
    }

    /// Where an alias at the name, or a redirection above it, leads.
    fn alias(&self, reply: &mut Reply, at: &DnsName) -> Option<DnsName> {
        let before = reply.answer.len();
        self.put(&mut reply.answer, at, Rtype::CNAME, at);
        let target = reply.answer[before..].iter().find_map(|record| match record.data() {
            ZoneRecordData::Cname(cname) => Some(cname.cname().clone()),
            _ => None,
        });
        target.or_else(|| {
            let above = at.iter_suffixes().skip(1).map(|it| it.to_name::<Vec<u8>>());
            above.take_while(|it| it.ends_with(&self.apex)).find_map(|owner| {
                let before = reply.answer.len();
                self.put(&mut reply.answer, &owner, Rtype::DNAME, &owner);
                reply.answer[before..].iter().find_map(|record| match record.data() {
                    ZoneRecordData::Dname(dname) => {
                        let front = &at.as_slice()[..at.len() - owner.len()];
                        DnsName::from_octets([front, dname.dname().as_slice()].concat()).ok()
                    }
                    _ => None,
                })
            })
        })
    }

    /// Nothing is at the name nor below it.
    fn is_absent(&self, at: &DnsName) -> bool {
        !self.records.iter().any(|record| record.owner().ends_with(at))
    }

    /// The wildcard of the closest encloser.
    fn wildcard_of(&self, at: &DnsName) -> DnsName {
        let above = at.iter_suffixes().skip(1).map(|it| it.to_name::<Vec<u8>>());
        let encloser = above.clone().find(|it| !self.is_absent(it)).unwrap_or_else(|| self.apex.clone());
        DnsName::from_octets([b"\x01*", encloser.as_slice()].concat()).expect("short enough")
    }

    /// The NSEC records at or in front of these names.
    fn deny(&self, into: &mut Vec<Rr>, names: &[&DnsName]) {
        let mut owners: Vec<&DnsName> = Vec::new();
        for name in names {
            let nsecs = self.records.iter().filter(|record| record.rtype() == Rtype::NSEC);
            let before = nsecs.map(Record::owner).filter(|owner| owner.name_cmp(name).is_le());
            owners.extend(before.max_by(|one, other| one.name_cmp(other)));
        }
        owners.dedup();
        for owner in owners {
            self.put(into, owner, Rtype::NSEC, owner);
        }
    }
}

fn is_below(child: &str, parent: &str) -> bool {
    name(child).ends_with(&name(parent))
}

fn ds_text(ds: &Ds) -> String {
    let (number, digest) = match &ds.digest {
        Digest::Sha256(digest) => (2, digest.as_slice()),
        Digest::Sha384(digest) => (4, digest.as_slice()),
    };
    let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{} {} {number} {hex}", ds.key_tag, ds.algorithm.number())
}

/// NSEC records for all names of a zone that are not below a cut, in canonical order (RFC 4034 §4, §6.1).
fn nsec_chain(apex: &str, text: &str) -> String {
    let (apex, all) = (name(apex), records(text));
    let is_cut = |owner: &DnsName| {
        *owner != apex && all.iter().any(|rr| rr.owner() == owner && rr.rtype() == Rtype::NS)
    };
    let mut owners: Vec<DnsName> = all.iter().map(|record| record.owner().clone()).collect();
    owners.retain(|owner| !owner.iter_suffixes().skip(1).any(|above| is_cut(&above.to_name())));
    owners.sort_by(|one, other| one.name_cmp(other));
    owners.dedup();
    let next = owners.iter().cycle().skip(1);
    let lines = owners.iter().zip(next).map(|(owner, next)| {
        let of_owner = all.iter().filter(|record| record.owner() == owner);
        let mut types: Vec<String> = of_owner.map(|record| record.rtype().to_string()).collect();
        types.extend(["RRSIG".into(), "NSEC".into()]);
        types.extend((*owner == apex).then(|| "DNSKEY".into()));
        types.dedup();
        format!("{} NSEC {} {}\n", owner.fmt_with_dot(), next.fmt_with_dot(), types.join(" "))
    });
    lines.collect()
}
