//! The validator, with signatures that always match, so that whatever a fuzzer writes into a zone is looked at.
//! The octets are a message as it stands, or a script of records of a small zone: RRsets with their
//! signatures, NSEC and NSEC3 records between a few names.
//!
//! What must hold, whatever is in a message: no panic; no more work than there is; what is proved is kept no
//! longer than a day, a denial no longer than three hours, and nothing beyond its signature; the same message
//! yields the same twice.

use std::sync::LazyLock;

use domain::base::{Message, Name, Rtype, ToName};
use domain::utils::base32;
use ike_core::crypto::Crypto;
use ike_core::crypto::toy::Toy;
use ike_core::discovery::UnixTime;
use ike_core::discovery::dnssec::{
    Algorithm, Bogus, Digest, Ds, MAX_VERIFICATIONS, Proved, Validation, Work, Zone,
};

use super::Script;

const NOW: UnixTime = UnixTime(1_795_000_000);
const BACKEND: Toy<true> = Toy;

/// The first is the apex; the last two are outside.
const NAMES: [&str; 10] = [
    "example.",
    "a.example.",
    "b.a.example.",
    "c.b.a.example.",
    "*.example.",
    "*.a.example.",
    "z.example.",
    "Z.z.example.",
    "example.net.",
    ".",
];

const TYPES: [Rtype; 12] = [
    Rtype::A,
    Rtype::NS,
    Rtype::SOA,
    Rtype::CNAME,
    Rtype::DNAME,
    Rtype::MX,
    Rtype::IPSECKEY,
    Rtype::DS,
    Rtype::DNSKEY,
    Rtype::NSEC,
    Rtype::NSEC3,
    Rtype::RRSIG,
];

/// Data of a DNSKEY record: RSA/SHA-256 with 1,024 bits.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| [&[1, 1, 3, 8, 3, 1, 0, 1][..], &[0xa5; 128]].concat());

static KEY_TAG: LazyLock<u16> = LazyLock::new(|| {
    let record = domain::rdata::Dnskey::new(257, 3, 8.into(), &KEY[4..]);
    record.expect("short").key_tag()
});

static KEYS: LazyLock<Zone> = LazyLock::new(|| {
    let octets = keys();
    let message = Message::from_slice(&octets).expect("a message");
    let mut work = Work::new();
    let zone = Zone::from_ds(&owned("example."), &[ds()], &mut validation(message, &mut work));
    zone.expect("its key is good")
});

/// The message with the keys of the zone.
pub fn keys() -> Vec<u8> {
    let mut records = Records::default();
    records.push(false, "example.", Rtype::DNSKEY, &KEY);
    records.sign(false, "example.", Rtype::DNSKEY, 1);
    records.message()
}

/// Judges a message in every way that there is.
pub fn run(octets: &[u8]) {
    proves(octets);
}

/// Whether it proves anything.
pub fn proves(octets: &[u8]) -> bool {
    let mut script = Script::new(octets);
    let (name, rtype) = (script.below(NAMES.len()), script.below(TYPES.len()));
    let octets = if script.flag() { compose(&mut script) } else { octets.get(3..).unwrap_or(&[]).to_vec() };
    let Ok(message) = Message::from_slice(&octets) else { return false };
    let (name, rtype) = (owned(NAMES[name]), TYPES[rtype]);
    let verified = judge(message, |answer| KEYS.verify(&name, rtype, answer), 86_400);
    let delegated = judge(message, |answer| KEYS.delegation(&name, answer), 86_400);
    let denied = judge(message, |answer| KEYS.denial(&name, rtype, answer), 3 * 3_600);
    let mut work = Work::new();
    let zone = Zone::from_ds(&name, &[ds()], &mut validation(message, &mut work));
    if let Ok(zone) = &zone {
        assert!(zone.expires().0 - NOW.0 <= 86_400, "keys are kept for a day");
        assert_eq!(zone.apex(), &name);
    }
    verified || delegated || denied || zone.is_ok()
}

/// Whether it proves anything in this way.
fn judge<T: PartialEq + core::fmt::Debug>(
    message: &Message<[u8]>,
    judge: impl Fn(&mut Validation<'_, Toy<true>>) -> Result<Proved<T>, Bogus>,
    longest: u32,
) -> bool {
    let mut work = Work::new();
    let judged = judge(&mut validation(message, &mut work));
    if let Ok(Proved { ttl, until, .. }) = &judged {
        assert!(work.verifications_left() < MAX_VERIFICATIONS, "something was verified");
        assert!(*ttl <= longest && NOW.0 + u64::from(*ttl) <= until.0, "{judged:?}");
    }
    assert_eq!(judge(&mut validation(message, &mut Work::new())), judged, "it is a function");
    judged.is_ok()
}

fn validation<'v>(message: &'v Message<[u8]>, work: &'v mut Work) -> Validation<'v, Toy<true>> {
    Validation::new(message, NOW, &BACKEND, work)
}

fn ds() -> Ds {
    let apex = b"\x07example\x00";
    let digest = Digest::Sha256(BACKEND.sha256(&[apex, &KEY]));
    Ds { key_tag: *KEY_TAG, algorithm: Algorithm::RsaSha256, digest }
}

fn owned(text: &str) -> ike_core::discovery::Name {
    wire(text).try_to_name().expect("short")
}

fn wire(text: &str) -> Name<Vec<u8>> {
    text.parse().expect("a name")
}

/// A message made of records that a script names.
fn compose(script: &mut Script<'_>) -> Vec<u8> {
    let mut records = Records::default();
    while let Some(act) = script.more() {
        let is_authority = act & 1 == 1;
        let owner = NAMES[script.below(NAMES.len())];
        match act >> 1 & 3 {
            0 => {
                let rtype = TYPES[script.below(TYPES.len())];
                let length = script.below(40);
                records.push(is_authority, owner, rtype, script.octets(length));
            }
            1 => {
                let covered = TYPES[script.below(TYPES.len())];
                let labels = script.octet() & 7;
                records.sign(is_authority, owner, covered, labels);
            }
            2 => {
                let next = wire(NAMES[script.below(NAMES.len())]);
                let data = [next.as_slice(), &types(script)].concat();
                records.push(is_authority, owner, Rtype::NSEC, &data);
                records.sign(is_authority, owner, Rtype::NSEC, labels(owner));
            }
            _ => records.push_nsec3(is_authority, owner, script),
        }
    }
    records.message()
}

/// A bitmap of some types, or one that is none.
fn types(script: &mut Script<'_>) -> Vec<u8> {
    match script.octet() {
        0 => Vec::new(),
        255 => script.octets(4).to_vec(),
        _ => {
            let (first, last) = (script.number(), script.octet());
            let [first, second] = first.to_be_bytes();
            vec![0, 7, first, second, 0, 0, 0, last, 0]
        }
    }
}

fn labels(owner: &str) -> u8 {
    wire(owner).rrsig_label_count()
}

/// Records of a message that is being made.
#[derive(Default)]
struct Records {
    counts: [u16; 2],
    sections: [Vec<u8>; 2],
}

impl Records {
    fn push(&mut self, is_authority: bool, owner: &str, rtype: Rtype, data: &[u8]) {
        self.push_at(is_authority, wire(owner).as_slice(), rtype, data);
    }

    fn push_at(&mut self, is_authority: bool, owner: &[u8], rtype: Rtype, data: &[u8]) {
        let section = &mut self.sections[usize::from(is_authority)];
        self.counts[usize::from(is_authority)] += 1;
        section.extend(owner);
        section.extend(rtype.to_int().to_be_bytes());
        section.extend([0, 1, 0, 0, 14, 16]);
        section.extend((data.len() as u16).to_be_bytes());
        section.extend(data);
    }

    /// A signature, good for a day before and after now.
    fn sign(&mut self, is_authority: bool, owner: &str, covered: Rtype, labels: u8) {
        self.sign_at(is_authority, wire(owner).as_slice(), covered, labels);
    }

    fn sign_at(&mut self, is_authority: bool, owner: &[u8], covered: Rtype, labels: u8) {
        let now = NOW.0 as u32;
        let data = [
            &covered.to_int().to_be_bytes()[..],
            &[8, labels, 0, 0, 14, 16],
            &(now + 86_400).to_be_bytes(),
            &(now - 86_400).to_be_bytes(),
            &KEY_TAG.to_be_bytes(),
            b"\x07example\x00",
            &[7; 128],
        ];
        self.push_at(is_authority, owner, Rtype::RRSIG, &data.concat());
    }

    /// From the hash of the owner, or just before it, to that of another name, or just behind it.
    fn push_nsec3(&mut self, is_authority: bool, owner: &str, script: &mut Script<'_>) {
        let next = NAMES[script.below(NAMES.len())];
        let (offset, flags, iterations) = (script.octet(), script.octet() >> 7, script.octet() & 63);
        let hash = |name: &str, off: u8| {
            let name = wire(name).to_canonical_name::<Vec<u8>>();
            let mut hash = BACKEND.sha1(&[name.as_slice()]);
            for _ in 0..iterations {
                hash = BACKEND.sha1(&[&hash]);
            }
            hash[19] = hash[19].wrapping_add(off & 3).wrapping_sub(off >> 2 & 3);
            hash
        };
        let label = base32::encode_string_hex(&hash(owner, offset & 15));
        let owner = [&[32], label.as_bytes(), b"\x07example\x00"].concat();
        let data = [&[1, flags, 0, iterations, 0, 20][..], &hash(next, offset >> 4), &types(script)];
        self.push_at(is_authority, &owner, Rtype::NSEC3, &data.concat());
        self.sign_at(is_authority, &owner, Rtype::NSEC3, 2);
    }

    fn message(&self) -> Vec<u8> {
        let [answers, authorities] = self.counts.map(u16::to_be_bytes);
        let header = [&[0, 0, 0x84, 0, 0, 0][..], &answers, &authorities, &[0, 0]].concat();
        [&header[..], &self.sections[0], &self.sections[1]].concat()
    }
}
