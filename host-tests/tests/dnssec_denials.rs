//! Proofs that prove nothing (RFC 6840 §4, RFC 5155 §8), and messages that are none (RFC 1035 §4.1).

use domain::base::iana::Class;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, Record, Rtype, Ttl};
use domain::rdata::ZoneRecordData;
use host_tests::signed_zone::{
    EXPIRATION, INCEPTION, NOW, Reply, Rr, SignedZone, ZoneKey, name, owned, records,
};
use ike_core::crypto::KeyKind;
use ike_core::crypto::software::Software;
use ike_core::discovery::dnssec::{
    Bogus, Delegation, Denial, MAX_VERIFICATIONS, Origin, Validation, Work, Zone,
};

/// A zone with a delegation that is not signed, a DNAME and a wildcard.
const TEXT: &str = "
example.       SOA   ns.example. root.example. 1 3600 300 3600000 600
example.       NS    ns.example.
example.       NSEC  *.example. SOA NS DNSKEY RRSIG NSEC
*.example.     TXT   wild
*.example.     NSEC  child.example. TXT RRSIG NSEC
child.example. NS    ns.child.example.
child.example. NSEC  ns.example. NS RRSIG NSEC
ns.example.    A     192.0.2.1
ns.example.    NSEC  tree.example. A RRSIG NSEC
tree.example.  DNAME example.net.
tree.example.  NSEC  example. DNAME RRSIG NSEC
";

fn denial(zone: &Zone, reply: &Reply, name: &str, rtype: Rtype) -> Result<Denial, Bogus> {
    reply.judge(|answer| zone.denial(&owned(name), rtype, answer)).map(|proved| proved.what)
}

fn delegation(zone: &Zone, reply: &Reply, child: &str) -> Result<Delegation, Bogus> {
    reply.judge(|answer| zone.delegation(&owned(child), answer)).map(|proved| proved.what)
}

/// RFC 6840 §4.1: neither the parent's record of a delegation nor one with a DNAME says what is below.
#[test]
fn nothing_is_proved_below_a_delegation_or_a_dname() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let reply = signed.reply(&[], &["child.example. NSEC", "example. NSEC", "tree.example. NSEC"]);
    for below in ["a.child.example.", "a.tree.example.", "a.b.tree.example."] {
        assert_eq!(denial(&zone, &reply, below, Rtype::A), Err(Bogus::NoProof), "{below}");
        assert_eq!(delegation(&zone, &reply, below), Err(Bogus::NoProof), "{below}");
    }
    assert_eq!(delegation(&zone, &reply, "child.example."), Ok(Delegation::Insecure));
    assert_eq!(denial(&zone, &reply, "child.example.", Rtype::A), Err(Bogus::NoProof));
    assert_eq!(denial(&zone, &reply, "tree.example.", Rtype::A), Ok(Denial::NoData));
}

/// RFC 6840 §4.4: without the NS bit nothing is delegated.
#[test]
fn an_insecure_delegation_is_a_delegation() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let reply = signed.reply(&[], &["ns.example. NSEC"]);
    assert_eq!(delegation(&zone, &reply, "ns.example."), Ok(Delegation::NoCut));
    // Between names there is none either, but whether a wildcard is there has to be known.
    assert_eq!(delegation(&zone, &reply, "q.example."), Err(Bogus::NoProof));
    let reply = signed.reply(&[], &["ns.example. NSEC", "*.example. NSEC"]);
    assert_eq!(delegation(&zone, &reply, "q.example."), Ok(Delegation::NoCut));
    assert_eq!(denial(&zone, &reply, "q.example.", Rtype::A), Ok(Denial::NoData));
    assert_eq!(denial(&zone, &reply, "q.example.", Rtype::TXT), Err(Bogus::NoProof));
}

/// RFC 6840 §4.3: where a CNAME stands there are no other types, and that is no denial.
#[test]
fn a_cname_is_no_denial() {
    let signed = SignedZone::new(
        "example. NS ns.example.\nalias.example. CNAME b.example.
        alias.example. NSEC b.example. CNAME RRSIG NSEC",
    );
    let reply = signed.reply(&[], &["alias.example. NSEC"]);
    assert_eq!(denial(&signed.zone(), &reply, "alias.example.", Rtype::A), Err(Bogus::NoProof));
}

/// CVE-2017-15105: an NSEC record that a wildcard yields stands where its signer never put it.
#[test]
fn an_expanded_nsec_record_proves_nothing() {
    let signed = SignedZone::new(TEXT);
    let expanded = ["ns.example. NSEC of *.example.", "example. NSEC"];
    let reply = signed.reply(&[], &expanded);
    assert_eq!(denial(&signed.zone(), &reply, "ns.example.", Rtype::A), Err(Bogus::NoProof));
    assert_eq!(denial(&signed.zone(), &reply, "zz.example.", Rtype::A), Err(Bogus::NoProof));
}

/// RFC 4035 §5.4: proofs are of the zone itself, and good.
#[test]
fn proofs_are_signed_by_the_zone() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let good = signed.reply(&[], &["ns.example. NSEC"]);
    assert_eq!(denial(&zone, &good, "ns.example.", Rtype::MX), Ok(Denial::NoData));
    let set: Vec<Rr> =
        signed.set("ns.example. NSEC").into_iter().filter(|rr| rr.rtype() == Rtype::NSEC).collect();
    let with = |signature: Option<Rr>| {
        let reply = Reply { answer: Vec::new(), authority: set.iter().cloned().chain(signature).collect() };
        denial(&zone, &reply, "ns.example.", Rtype::MX)
    };
    let times = (INCEPTION, EXPIRATION);
    assert_eq!(with(None), Err(Bogus::NoSignature));
    assert_eq!(with(Some(signed.key.sign(&set, &name("ns.example."), 2, times))), Err(Bogus::NoSignature));
    let other = ZoneKey::new(KeyKind::Ed25519, 5, 256);
    assert_eq!(with(Some(other.sign(&set, &name("example."), 2, times))), Err(Bogus::NoKey));
    let old = signed.key.sign(&set, &name("example."), 2, (INCEPTION, NOW.0 as u32 - 1));
    assert_eq!(with(Some(old)), Err(Bogus::Expired));
    // Another zone's records do not disturb.
    let mut mixed = good;
    let foreign =
        SignedZone::new("example.net. NS ns.example.net.\nexample.net. NSEC a.example.net. NS NSEC");
    mixed.authority.splice(0..0, foreign.set("example.net. NSEC"));
    assert_eq!(denial(&zone, &mixed, "ns.example.", Rtype::MX), Ok(Denial::NoData));
}

/// RFC 2308 §5, RFC 8198 §5.4: a denial is kept no longer than SOA, its MINIMUM and the proof.
#[test]
fn denials_are_kept_for_a_short_time() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let ttl = |proof: &[&str]| {
        let reply = signed.reply(&[], proof);
        reply.judge(|answer| zone.denial(&owned("ns.example."), Rtype::MX, answer)).map(|proved| proved.ttl)
    };
    assert_eq!(ttl(&["ns.example. NSEC"]), Ok(3_600));
    assert_eq!(ttl(&["example. SOA", "ns.example. NSEC"]), Ok(600));
}

/// A zone in which `q.example.` lies between the only two hashes, with these parameters.
fn nsec3_zone(parameters: &str) -> SignedZone {
    SignedZone::new(&format!(
        "example. NS ns.example.
        00000000000000000000000000000000.example. NSEC3 {parameters} VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV NS
        VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV.example. NSEC3 {parameters} 00000000000000000000000000000000 NS"
    ))
}

fn both(signed: &SignedZone) -> Reply {
    let proof = [
        "00000000000000000000000000000000.example. NSEC3",
        "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV.example. NSEC3",
    ];
    signed.reply(&[], &proof)
}

/// RFC 9276 §3.2: more iterations than are computed make a denial bogus, and no hash is computed: with a
/// longest salt not even what is allowed is affordable.
#[test]
fn iterations_are_bounded() {
    let judge = |parameters: &str| {
        let signed = nsec3_zone(parameters);
        denial(&signed.zone(), &both(&signed), "a.q.example.", Rtype::A)
    };
    let salt = "ab".repeat(255);
    assert_eq!(judge("1 0 50 -"), Err(Bogus::NoProof));
    assert_eq!(judge(&format!("1 0 0 {salt}")), Err(Bogus::NoProof));
    assert_eq!(judge(&format!("1 0 50 {salt}")), Err(Bogus::TooMuchWork));
    assert_eq!(judge("1 0 51 -"), Err(Bogus::Iterations));
    assert_eq!(judge("1 0 65535 -"), Err(Bogus::Iterations));
}

/// RFC 5155 §8.1, §8.2: unknown hashes and flags are ignored; a wildcard's next closer name under opt-out is
/// proved to be unsigned, not to be absent.
#[test]
fn unknown_parameters_are_ignored() {
    for (parameters, outcome) in [
        ("1 0 0 -", Ok(Origin::Wildcard)),
        ("1 1 0 -", Ok(Origin::WildcardOptOut)),
        ("1 2 0 -", Err(Bogus::NoProof)),
        ("1 254 0 -", Err(Bogus::NoProof)),
        ("2 0 0 -", Err(Bogus::NoProof)),
        ("0 0 0 -", Err(Bogus::NoProof)),
    ] {
        let signed = nsec3_zone(parameters);
        let set = records("*.example. A 192.0.2.1");
        let signature = signed.key.sign(&set, &name("example."), 1, (INCEPTION, EXPIRATION));
        let expand = |rr: Rr| Record::new(name("q.example."), Class::IN, Ttl::from_secs(60), rr.into_data());
        let mut reply = both(&signed);
        reply.answer = set.into_iter().chain([signature]).map(expand).collect();
        let zone = signed.zone();
        let judged = reply.judge(|answer| zone.verify(&owned("q.example."), Rtype::A, answer));
        assert_eq!(judged.map(|proved| proved.what), outcome, "{parameters}");
    }
}

/// RFC 5155 §3.2, RFC 4034 §4.1: data without form makes its record unusable, though it is signed.
#[test]
fn malformed_proofs_are_not_used() {
    let signed = SignedZone::new("example. NS ns.example.");
    let hash = [7; 20];
    let nsec3 = |data: &[&[u8]]| ("00000000000000000000000000000000.example.", Rtype::NSEC3, data.concat());
    let nsec = |types: &[u8]| ("a.example.", Rtype::NSEC, [b"\x01z\x07example\x00", types].concat());
    for (owner, rtype, data) in [
        nsec3(&[&[1, 0, 0, 0, 0, 19], &hash[..19]]),
        nsec3(&[&[1, 0, 0, 0, 0, 21], &hash, &[0]]),
        nsec3(&[&[1, 0, 0, 0, 255, 20], &hash]),
        nsec3(&[&[1, 0, 0, 0, 0, 20], &hash, &[0, 0]]),
        nsec3(&[&[1, 0, 0]]),
        ("a.b.example.", Rtype::NSEC3, [&[1, 0, 0, 0, 0, 20], &hash[..]].concat()),
        (
            "toolong000000000000000000000000000.example.",
            Rtype::NSEC3,
            [&[1, 0, 0, 0, 0, 20], &hash[..]].concat(),
        ),
        (
            "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz.example.",
            Rtype::NSEC3,
            [&[1, 0, 0, 0, 0, 20], &hash[..]].concat(),
        ),
        nsec(&[0, 1, 1, 0, 1, 1]),
        nsec(&[0, 33, 1]),
        nsec(&[0, 0]),
        nsec(&[0]),
        ("a.example.", Rtype::NSEC, b"\xc0\x0c\x00\x01\x01".to_vec()),
        ("a.example.", Rtype::NSEC, b"\x05exa".to_vec()),
    ] {
        let unknown = UnknownRecordData::from_octets(rtype, data).expect("short");
        let record: Rr =
            Record::new(name(owner), Class::IN, Ttl::from_secs(60), ZoneRecordData::Unknown(unknown));
        let labels = owned(owner).label_count() as u8 - 1;
        let signature = signed.key.sign(
            std::slice::from_ref(&record),
            &name("example."),
            labels,
            (INCEPTION, EXPIRATION),
        );
        let reply = Reply { answer: Vec::new(), authority: vec![record, signature] };
        let judged = denial(&signed.zone(), &reply, "a.example.", Rtype::A);
        assert_eq!(judged, Err(Bogus::NoProof), "{owner} {rtype}");
    }
}

/// More proofs than any answer needs are not looked at.
#[test]
fn proofs_are_counted() {
    let lines: Vec<String> = (0..9).map(|n| format!("n{n}.example. NSEC n{}.example. A", n + 1)).collect();
    let signed = SignedZone::new(&format!("example. NS ns.example.\n{}", lines.join("\n")));
    let proof: Vec<String> = (0..9).map(|n| format!("n{n}.example. NSEC")).collect();
    let proof: Vec<&str> = proof.iter().map(String::as_str).collect();
    let judge = |proof: &[&str]| denial(&signed.zone(), &signed.reply(&[], proof), "n0.example.", Rtype::MX);
    assert_eq!(judge(&proof[..8]), Ok(Denial::NoData));
    assert_eq!(judge(&proof), Err(Bogus::TooMuchWork));
}

/// RFC 1035 §4.1.4, §2.3.4: pointers that lead nowhere, labels and names that are none, counts that lie.
#[test]
fn what_is_no_message_is_malformed() {
    let signed = SignedZone::new("example. NS ns.example.");
    let zone = signed.zone();
    let judge = |octets: &[u8]| {
        let message = Message::from_slice(octets).expect("a header");
        let mut work = Work::new();
        let mut answer = Validation::new(message, NOW, &Software, &mut work);
        let verified = zone.verify(&owned("example."), Rtype::NS, &mut answer).err();
        let delegated = zone.delegation(&owned("a.example."), &mut answer).err();
        let denied = zone.denial(&owned("a.example."), Rtype::A, &mut answer).err();
        assert_eq!(work.verifications_left(), MAX_VERIFICATIONS);
        assert!(denied.is_some(), "{octets:?}");
        [verified, delegated]
    };
    let header = |answers: u8| [0, 0, 0x84, 0, 0, 0, 0, answers, 0, 0, 0, 0];
    let malformed = [Some(Bogus::Malformed); 2];
    let record = [0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
    let chain: Vec<u8> = (12_u8..112).step_by(2).flat_map(|at| [0xc0, at + 2]).collect();
    for owner in [
        &[0xc0, 12][..],
        &[0xc0, 14],
        &[0xc0, 0xff],
        &[0xff, 0xff],
        &[1, b'a', 0xc0, 12],
        &[0x41, 0],
        &[0x80, 0],
        &[64; 66],
        &[1; 256],
        &chain,
    ] {
        let octets = [&header(1)[..], owner, &record].concat();
        assert_eq!(judge(&octets), malformed, "{owner:?}");
    }
    assert_eq!(judge(&header(1)), malformed);
    for cut in 1..record.len() {
        let octets = [&header(1)[..], &[0], &record[..cut]].concat();
        assert_eq!(judge(&octets), malformed, "{cut}");
    }
    let longer = [&header(1)[..], &[0], &record[..8], &[0, 5], &record[10..]].concat();
    assert_eq!(judge(&longer), malformed);
    let mut lying = header(1);
    (lying[6], lying[7]) = (0xff, 0xff);
    assert_eq!(judge(&lying), [Some(Bogus::TooMuchWork); 2]);
    let nothing = [Some(Bogus::NoRecords), Some(Bogus::NoProof)];
    assert_eq!(judge(&header(0)), nothing);
}
