//! Zones of the DNS, signed here, and answers put together from them as the RFCs' examples print them. Text
//! and canonical form are those of the `domain` crate, so that signer and validator have no code in common.

use domain::base::iana::{Class, SecurityAlgorithm};
use domain::base::message_builder::MessageBuilder;
use domain::base::name::FlattenInto;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, Name, Record, Rtype, StaticCompressor, ToName, Ttl};
use domain::rdata::dnssec::{ProtoRrsig, Timestamp};
use domain::rdata::{Dnskey, ZoneRecordData};
use domain::zonefile::inplace::{Entry, Zonefile};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, KeyKind, PrivateKey, PublicKey, Sha2, SignatureAlgorithm, Signer};
use ike_core::discovery::UnixTime;
use ike_core::discovery::dnssec::{Algorithm, Bogus, Digest, Ds, Validation, Work, Zone};

/// A name.
pub type DnsName = Name<Vec<u8>>;

/// A record.
pub type Rr = Record<DnsName, ZoneRecordData<Vec<u8>, DnsName>>;

/// When everything here is signed, and when it is looked at: in the middle.
pub const INCEPTION: u32 = 1_790_000_000;
/// Signatures expire.
pub const EXPIRATION: u32 = 1_800_000_000;
/// The time of day.
pub const NOW: UnixTime = UnixTime(1_795_000_000);

/// A name from its text.
pub fn name(text: &str) -> DnsName {
    text.parse().expect("a name")
}

/// A name as the resolver takes it.
pub fn owned(text: &str) -> ike_core::discovery::Name {
    name(text).try_to_name().expect("short enough")
}

/// Records from the text of a master file that names every owner; its lines may be indented.
pub fn records(text: &str) -> Vec<Rr> {
    let mut file = Zonefile::new();
    file.extend_from_slice(b"$TTL 3600\n");
    for line in text.lines() {
        file.extend_from_slice(line.trim_start().as_bytes());
        file.extend_from_slice(b"\n");
    }
    file.set_origin(Name::root_bytes());
    file.set_default_class(Class::IN);
    let entries = std::iter::from_fn(|| file.next_entry().expect("a master file"));
    entries
        .map(|entry| match entry {
            Entry::Record(record) => record.flatten_into(),
            Entry::Include { .. } => panic!("nothing is included"),
        })
        .collect()
}

/// A key that signs a zone.
pub struct ZoneKey {
    private: PrivateKey,
    algorithm: SignatureAlgorithm,
    record: Dnskey<Vec<u8>>,
}

impl ZoneKey {
    /// One of a kind, from a seed; flags as in the record, 256 or 257.
    pub fn new(kind: KeyKind, seed: u8, flags: u16) -> Self {
        let private = match kind {
            KeyKind::Ed25519 => PrivateKey::Ed25519([seed; 32]),
            KeyKind::EcdsaP256 => PrivateKey::EcdsaP256([seed; 32]),
            KeyKind::EcdsaP384 => PrivateKey::EcdsaP384([seed; 48]),
            KeyKind::Rsa => panic!("has no seed"),
        };
        Self::from_private(private, flags)
    }

    /// The same key as elsewhere.
    pub fn from_private(private: PrivateKey, flags: u16) -> Self {
        let (algorithm, number, public) = match Software.signer(&private).expect("a key").public_key() {
            PublicKey::Ed25519(octets) => (SignatureAlgorithm::Ed25519, 15, octets.to_vec()),
            PublicKey::EcdsaP256(octets) => (SignatureAlgorithm::Ecdsa(Sha2::Sha256), 13, octets.to_vec()),
            PublicKey::EcdsaP384(octets) => (SignatureAlgorithm::Ecdsa(Sha2::Sha384), 14, octets.to_vec()),
            PublicKey::Rsa(key) => {
                let exponent = key.exponent().to_be_bytes();
                (
                    SignatureAlgorithm::RsaPkcs1(Sha2::Sha256),
                    8,
                    [&[3][..], &exponent[1..], key.modulus()].concat(),
                )
            }
        };
        let record = Dnskey::new(flags, 3, SecurityAlgorithm::from_int(number), public).expect("short");
        Self { private, algorithm, record }
    }

    /// Its record.
    pub fn record(&self) -> &Dnskey<Vec<u8>> {
        &self.record
    }

    /// Its DS record in the parent of `apex`.
    pub fn ds(&self, apex: &str) -> Ds {
        let mut digested = Vec::new();
        name(apex).compose_canonical(&mut digested).expect("room");
        self.record.compose_rdata(&mut digested).expect("room");
        Ds {
            key_tag: self.record.key_tag(),
            algorithm: Algorithm::from_number(self.record.algorithm().to_int()).expect("supported"),
            digest: Digest::Sha256(Software.sha256(&[&digested])),
        }
    }

    /// Signs an RRset with these fields; `labels` may be another number than its owner's.
    pub fn sign(&self, set: &[Rr], signer: &DnsName, labels: u8, times: (u32, u32)) -> Rr {
        let first = set.first().expect("a record");
        let owner = first.owner();
        let fields = ProtoRrsig::new(
            first.rtype(),
            self.record.algorithm(),
            labels,
            first.ttl(),
            Timestamp::from(times.1),
            Timestamp::from(times.0),
            self.record.key_tag(),
            signer.clone(),
        );
        let mut signed = Vec::new();
        fields.compose_canonical(&mut signed).expect("room");
        let mut data: Vec<Vec<u8>> = set.iter().map(canonical_data).collect();
        data.sort();
        data.dedup();
        for data in data {
            owner.compose_canonical(&mut signed).expect("room");
            signed.extend(first.rtype().to_int().to_be_bytes());
            signed.extend([0, 1]);
            signed.extend(first.ttl().as_secs().to_be_bytes());
            signed.extend((data.len() as u16).to_be_bytes());
            signed.extend(data);
        }
        let signer = Software.signer(&self.private).expect("a key");
        let signature = signer.sign(self.algorithm, &[&signed]).expect("signs").to_vec();
        let fields = fields.into_rrsig(signature).expect("short");
        Record::new(owner.clone(), Class::IN, first.ttl(), ZoneRecordData::Rrsig(fields))
    }
}

fn canonical_data(record: &Rr) -> Vec<u8> {
    let mut data = Vec::new();
    record.data().compose_canonical_rdata(&mut data).expect("room");
    data
}

/// A zone with one key that signs everything.
pub struct SignedZone {
    /// Its name.
    pub apex: String,
    /// Its key.
    pub key: ZoneKey,
    /// Everything in it, signatures too.
    pub records: Vec<Rr>,
}

impl SignedZone {
    /// From the text of a master file, whose first owner is the apex, with all NSEC or NSEC3 records in it.
    /// What is below a delegation is not signed, nor its NS records (RFC 4035 §2.2).
    pub fn new(text: &str) -> Self {
        Self::with_key(text, ZoneKey::new(KeyKind::Ed25519, 7, 257))
    }

    /// Signed by this key.
    pub fn with_key(text: &str, key: ZoneKey) -> Self {
        Self::with_times(text, key, (INCEPTION, EXPIRATION))
    }

    /// Signed from one moment to another, seconds since 1970.
    pub fn with_times(text: &str, key: ZoneKey, times: (u32, u32)) -> Self {
        let mut plain = records(text);
        let apex = plain.first().expect("a record").owner().clone();
        let data = ZoneRecordData::Dnskey(key.record.clone());
        plain.push(Record::new(apex.clone(), Class::IN, Ttl::from_secs(3600), data));
        let is_cut = |name: &DnsName| {
            *name != apex && plain.iter().any(|rr| rr.owner() == name && rr.rtype() == Rtype::NS)
        };
        let mut sets: Vec<Vec<Rr>> = Vec::new();
        for record in &plain {
            let fits =
                |set: &&mut Vec<Rr>| set[0].owner() == record.owner() && set[0].rtype() == record.rtype();
            match sets.iter_mut().find(fits) {
                Some(set) => set.push(record.clone()),
                None => sets.push(vec![record.clone()]),
            }
        }
        let mut all = plain.clone();
        for set in &sets {
            let owner = set[0].owner();
            let is_below = owner.iter_suffixes().skip(1).any(|name| is_cut(&name.to_name()));
            let is_of_parent = matches!(set[0].rtype(), Rtype::DS | Rtype::NSEC | Rtype::NSEC3);
            if !is_below && (is_of_parent || !is_cut(owner)) {
                all.push(key.sign(set, &apex, owner.rrsig_label_count(), times));
            }
        }
        Self { apex: apex.fmt_with_dot().to_string(), key, records: all }
    }

    /// An RRset and its signatures: `"a.example. NS"`; or as a wildcard's expansion: `"a.z.w.example. MX of
    /// *.w.example."`.
    pub fn set(&self, what: &str) -> Vec<Rr> {
        let words: Vec<&str> = what.split_whitespace().collect();
        let (owner, rtype, source) = match words[..] {
            [owner, rtype] => (owner, rtype, owner),
            [owner, rtype, "of", source] => (owner, rtype, source),
            _ => panic!("{what}"),
        };
        let (owner, rtype, source) = (name(owner), rtype.parse::<Rtype>().expect("a type"), name(source));
        let belongs = |record: &&Rr| {
            let covered = match record.data() {
                ZoneRecordData::Rrsig(rrsig) => rrsig.type_covered(),
                _ => record.rtype(),
            };
            *record.owner() == source && covered == rtype
        };
        let set: Vec<Rr> = self
            .records
            .iter()
            .filter(belongs)
            .map(|rr| Record::new(owner.clone(), Class::IN, rr.ttl(), rr.data().clone()))
            .collect();
        assert!(!set.is_empty(), "{what} is not in the zone");
        set
    }

    /// An answer with these RRsets in its answer and authority section, each with its signatures.
    pub fn reply(&self, answer: &[&str], authority: &[&str]) -> Reply {
        let sets = |all: &[&str]| all.iter().flat_map(|what| self.set(what)).collect();
        Reply { answer: sets(answer), authority: sets(authority) }
    }

    /// Its authenticated keys.
    pub fn zone(&self) -> Zone {
        let reply = self.reply(&[&format!("{} DNSKEY", self.apex)], &[]);
        let zone =
            reply.judge(|answer| Zone::from_ds(&owned(&self.apex), &[self.key.ds(&self.apex)], answer));
        zone.expect("its keys are good")
    }
}

/// An answer that may be changed before it is looked at.
#[derive(Clone)]
pub struct Reply {
    /// Its answer section.
    pub answer: Vec<Rr>,
    /// Its authority section.
    pub authority: Vec<Rr>,
}

impl Reply {
    /// As it is sent, with compressed names.
    pub fn octets(&self) -> Vec<u8> {
        let builder = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).expect("room");
        let mut answer = builder.answer();
        self.answer.iter().for_each(|record| answer.push(record).expect("room"));
        let mut authority = answer.authority();
        self.authority.iter().for_each(|record| authority.push(record).expect("room"));
        authority.finish().into_target()
    }

    /// Looks at it now, with all the work that there is.
    pub fn judge<T>(
        &self,
        judge: impl FnOnce(&mut Validation<'_, Software>) -> Result<T, Bogus>,
    ) -> Result<T, Bogus> {
        self.judge_at(NOW, &mut Work::new(), judge)
    }

    /// Looks at it at a time, with what is left of the work.
    pub fn judge_at<T>(
        &self,
        now: UnixTime,
        work: &mut Work,
        judge: impl FnOnce(&mut Validation<'_, Software>) -> Result<T, Bogus>,
    ) -> Result<T, Bogus> {
        let octets = self.octets();
        let message = Message::from_slice(&octets).expect("long enough");
        judge(&mut Validation::new(message, now, &Software, work))
    }
}
