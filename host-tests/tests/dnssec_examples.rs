//! The example responses of RFC 4035, Appendix B and RFC 5155, Appendix B, from their example zones, which are
//! signed anew: the RFCs' keys are of an algorithm that nobody should believe any more.

use domain::base::Rtype;
use host_tests::signed_zone::{Reply, SignedZone, owned};
use ike_core::discovery::dnssec::{Bogus, Delegation, Denial, Origin, Zone};

fn rfc4035() -> SignedZone {
    SignedZone::new(include_str!("../vectors/dnssec/rfc4035.zone"))
}

fn rfc5155() -> SignedZone {
    SignedZone::new(include_str!("../vectors/dnssec/rfc5155.zone"))
}

fn verify(zone: &Zone, reply: &Reply, owner: &str, rtype: Rtype) -> Result<Origin, Bogus> {
    reply.judge(|answer| zone.verify(&owned(owner), rtype, answer)).map(|proved| proved.what)
}

fn denial(zone: &Zone, reply: &Reply, name: &str, rtype: Rtype) -> Result<Denial, Bogus> {
    reply.judge(|answer| zone.denial(&owned(name), rtype, answer)).map(|proved| proved.what)
}

fn delegation(zone: &Zone, reply: &Reply, child: &str) -> Result<Delegation, Bogus> {
    reply.judge(|answer| zone.delegation(&owned(child), answer)).map(|proved| proved.what)
}

/// B.1: `x.w.example. MX` is answered.
#[test]
fn rfc4035_answer() {
    let signed = rfc4035();
    let (zone, reply) = (signed.zone(), signed.reply(&["x.w.example. MX"], &["example. NS"]));
    assert_eq!(verify(&zone, &reply, "x.w.example.", Rtype::MX), Ok(Origin::Exact));
    assert_eq!(verify(&zone, &reply, "X.w.Example.", Rtype::MX), Ok(Origin::Exact));
    assert_eq!(verify(&zone, &reply, "x.w.example.", Rtype::A), Err(Bogus::NoRecords));
}

/// B.2: `ml.example. A` does not exist, nor does a wildcard.
#[test]
fn rfc4035_name_error() {
    let signed = rfc4035();
    let zone = signed.zone();
    let reply = signed.reply(&[], &["example. SOA", "b.example. NSEC", "example. NSEC"]);
    assert_eq!(denial(&zone, &reply, "ml.example.", Rtype::A), Ok(Denial::NxDomain));
    assert_eq!(delegation(&zone, &reply, "ml.example."), Ok(Delegation::NxDomain));
    // Neither record alone is enough.
    for only in ["b.example. NSEC", "example. NSEC"] {
        let reply = signed.reply(&[], &["example. SOA", only]);
        assert_eq!(denial(&zone, &reply, "ml.example.", Rtype::A), Err(Bogus::NoProof));
    }
}

/// B.3: `ns1.example. MX` does not exist, but the name does.
#[test]
fn rfc4035_no_data_error() {
    let signed = rfc4035();
    let zone = signed.zone();
    let reply = signed.reply(&[], &["example. SOA", "ns1.example. NSEC"]);
    assert_eq!(denial(&zone, &reply, "ns1.example.", Rtype::MX), Ok(Denial::NoData));
    assert_eq!(denial(&zone, &reply, "ns1.example.", Rtype::A), Err(Bogus::NoProof));
    assert_eq!(delegation(&zone, &reply, "ns1.example."), Ok(Delegation::NoCut));
}

/// B.4: the referral to `a.example.` is signed, but its DS record has algorithm 5 and digest 1: as if there
/// were none (§5.2).
#[test]
fn rfc4035_referral_to_signed_zone() {
    let signed = rfc4035();
    let (zone, reply) = (signed.zone(), signed.reply(&["a.example. DS"], &[]));
    assert_eq!(delegation(&zone, &reply, "a.example."), Ok(Delegation::Insecure));
}

/// B.5: `b.example.` is delegated without DS record.
#[test]
fn rfc4035_referral_to_unsigned_zone() {
    let signed = rfc4035();
    let (zone, reply) = (signed.zone(), signed.reply(&[], &["b.example. NS", "b.example. NSEC"]));
    assert_eq!(delegation(&zone, &reply, "b.example."), Ok(Delegation::Insecure));
    assert_eq!(denial(&zone, &reply, "b.example.", Rtype::DS), Ok(Denial::NoData));
    // What the parent says of the child's own types is nothing (RFC 6840 §4.1).
    assert_eq!(denial(&zone, &reply, "b.example.", Rtype::MX), Err(Bogus::NoProof));
    assert_eq!(denial(&zone, &reply, "mc.b.example.", Rtype::MX), Err(Bogus::NoProof));
}

/// B.6: `a.z.w.example. MX` comes from a wildcard; an NSEC record shows that nothing is closer.
#[test]
fn rfc4035_wildcard_expansion() {
    let signed = rfc4035();
    let zone = signed.zone();
    let answer = ["a.z.w.example. MX of *.w.example."];
    let reply = signed.reply(&answer, &["example. NS", "x.y.w.example. NSEC"]);
    assert_eq!(verify(&zone, &reply, "a.z.w.example.", Rtype::MX), Ok(Origin::Wildcard));
    for other in [&["example. NS"][..], &["example. NSEC"], &["x.w.example. NSEC"]] {
        let reply = signed.reply(&answer, other);
        assert_eq!(verify(&zone, &reply, "a.z.w.example.", Rtype::MX), Err(Bogus::NoProof));
    }
    // Where a closer name exists, the wildcard does not stand for it (RFC 4592 §3.3.1).
    let reply = signed.reply(&["x.y.w.example. MX of *.w.example."], &["x.w.example. NSEC"]);
    assert_eq!(verify(&zone, &reply, "x.y.w.example.", Rtype::MX), Err(Bogus::NoProof));
    let reply = signed.reply(&["b.y.w.example. MX of *.w.example."], &["x.w.example. NSEC"]);
    assert_eq!(verify(&zone, &reply, "b.y.w.example.", Rtype::MX), Err(Bogus::NoProof));
}

/// B.7: `a.z.w.example. AAAA` does not exist: the wildcard that stands for the name has no such record.
#[test]
fn rfc4035_wildcard_no_data_error() {
    let signed = rfc4035();
    let zone = signed.zone();
    let reply = signed.reply(&[], &["example. SOA", "x.y.w.example. NSEC", "*.w.example. NSEC"]);
    assert_eq!(denial(&zone, &reply, "a.z.w.example.", Rtype::AAAA), Ok(Denial::NoData));
    assert_eq!(denial(&zone, &reply, "a.z.w.example.", Rtype::MX), Err(Bogus::NoProof));
    assert_eq!(delegation(&zone, &reply, "z.w.example."), Ok(Delegation::NoCut));
}

/// B.8: the child's own servers have no DS records at its apex, and that says nothing.
#[test]
fn rfc4035_ds_child_zone_no_data_error() {
    let signed = rfc4035();
    let (zone, reply) = (signed.zone(), signed.reply(&[], &["example. SOA", "example. NSEC"]));
    assert_eq!(denial(&zone, &reply, "example.", Rtype::DS), Err(Bogus::NoProof));
    assert_eq!(delegation(&zone, &reply, "example."), Err(Bogus::NoProof));
}

/// RFC 4592 §2.2.2: `y.w.example.` exists because of what is below it.
#[test]
fn rfc4035_empty_non_terminal() {
    let signed = rfc4035();
    let (zone, reply) = (signed.zone(), signed.reply(&[], &["example. SOA", "x.w.example. NSEC"]));
    assert_eq!(denial(&zone, &reply, "y.w.example.", Rtype::A), Ok(Denial::NoData));
    assert_eq!(delegation(&zone, &reply, "y.w.example."), Ok(Delegation::NoCut));
    let reply = signed.reply(&[], &["example. SOA", "ns2.example. NSEC"]);
    assert_eq!(delegation(&zone, &reply, "w.example."), Ok(Delegation::NoCut));
}

/// B.1: `a.c.x.w.example. A` does not exist. The zone opts out, so something unsigned might (§9.2).
#[test]
fn rfc5155_name_error() {
    let signed = rfc5155();
    let zone = signed.zone();
    let proof = [
        "example. SOA",
        "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3",
        "b4um86eghhds6nea196smvmlo4ors995.example. NSEC3",
        "35mthgpgcu1qg68fab165klnsnk3dpvl.example. NSEC3",
    ];
    let reply = signed.reply(&[], &proof);
    assert_eq!(denial(&zone, &reply, "a.c.x.w.example.", Rtype::A), Ok(Denial::OptOut));
    // Without opt-out it is a secure denial, and takes each of the records.
    let signed =
        SignedZone::new(&include_str!("../vectors/dnssec/rfc5155.zone").replace("NSEC3 1 1", "NSEC3 1 0"));
    let zone = signed.zone();
    assert_eq!(denial(&zone, &signed.reply(&[], &proof), "a.c.x.w.example.", Rtype::A), Ok(Denial::NxDomain));
    for left_out in 1..4 {
        let mut rest = proof.to_vec();
        rest.remove(left_out);
        let reply = signed.reply(&[], &rest);
        assert_eq!(denial(&zone, &reply, "a.c.x.w.example.", Rtype::A), Err(Bogus::NoProof), "{left_out}");
    }
}

/// B.2: `ns1.example. MX` does not exist, but the name does.
#[test]
fn rfc5155_no_data_error() {
    let signed = rfc5155();
    let zone = signed.zone();
    let reply = signed.reply(&[], &["example. SOA", "2t7b4g4vsa5smi47k61mv5bv1a22bojr.example. NSEC3"]);
    assert_eq!(denial(&zone, &reply, "ns1.example.", Rtype::MX), Ok(Denial::NoData));
    assert_eq!(denial(&zone, &reply, "ns1.example.", Rtype::A), Err(Bogus::NoProof));
    assert_eq!(delegation(&zone, &reply, "ns1.example."), Ok(Delegation::NoCut));
}

/// B.2.1: `y.w.example. A`: an empty non-terminal has a record of its own.
#[test]
fn rfc5155_empty_non_terminal() {
    let signed = rfc5155();
    let zone = signed.zone();
    let reply = signed.reply(&[], &["example. SOA", "ji6neoaepv8b5o6k4ev33abha8ht9fgc.example. NSEC3"]);
    assert_eq!(denial(&zone, &reply, "y.w.example.", Rtype::A), Ok(Denial::NoData));
    assert_eq!(delegation(&zone, &reply, "y.w.example."), Ok(Delegation::NoCut));
}

/// B.3: `c.example.` is delegated under opt-out.
#[test]
fn rfc5155_referral_to_opt_out_unsigned_zone() {
    let signed = rfc5155();
    let zone = signed.zone();
    let proof = [
        "35mthgpgcu1qg68fab165klnsnk3dpvl.example. NSEC3",
        "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3",
    ];
    assert_eq!(delegation(&zone, &signed.reply(&[], &proof), "c.example."), Ok(Delegation::Insecure));
    for alone in proof {
        assert_eq!(delegation(&zone, &signed.reply(&[], &[alone]), "c.example."), Err(Bogus::NoProof));
    }
}

/// B.4: `a.z.w.example. MX` comes from a wildcard. The next closer name to its parent is `z.w.example.`; the
/// zone opts out, so an unsigned name might be closer (§9.2).
#[test]
fn rfc5155_wildcard_expansion() {
    let signed = rfc5155();
    let answer = ["a.z.w.example. MX of *.w.example."];
    let proof = ["q04jkcevqvmu85r014c7dkba38o0ji5r.example. NSEC3"];
    let reply = signed.reply(&answer, &proof);
    assert_eq!(verify(&signed.zone(), &reply, "a.z.w.example.", Rtype::MX), Ok(Origin::WildcardOptOut));
    let reply = signed.reply(&answer, &["0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3"]);
    assert_eq!(verify(&signed.zone(), &reply, "a.z.w.example.", Rtype::MX), Err(Bogus::NoProof));
    let signed =
        SignedZone::new(&include_str!("../vectors/dnssec/rfc5155.zone").replace("NSEC3 1 1", "NSEC3 1 0"));
    let reply = signed.reply(&answer, &proof);
    assert_eq!(verify(&signed.zone(), &reply, "a.z.w.example.", Rtype::MX), Ok(Origin::Wildcard));
}

/// B.5: `a.z.w.example. AAAA`: the wildcard has no such record. Without opt-out, as otherwise the name might
/// exist unsigned.
#[test]
fn rfc5155_wildcard_no_data_error() {
    let proof = [
        "example. SOA",
        "k8udemvp1j2f7eg6jebps17vp3n8i58h.example. NSEC3",
        "q04jkcevqvmu85r014c7dkba38o0ji5r.example. NSEC3",
        "r53bq7cc2uvmubfu5ocmm6pers9tk9en.example. NSEC3",
    ];
    let signed = rfc5155();
    let reply = signed.reply(&[], &proof);
    assert_eq!(denial(&signed.zone(), &reply, "a.z.w.example.", Rtype::AAAA), Ok(Denial::OptOut));
    let signed =
        SignedZone::new(&include_str!("../vectors/dnssec/rfc5155.zone").replace("NSEC3 1 1", "NSEC3 1 0"));
    let (zone, reply) = (signed.zone(), signed.reply(&[], &proof));
    assert_eq!(denial(&zone, &reply, "a.z.w.example.", Rtype::AAAA), Ok(Denial::NoData));
    assert_eq!(denial(&zone, &reply, "a.z.w.example.", Rtype::MX), Err(Bogus::NoProof));
}

/// B.6: the child's own servers have no DS records at its apex, and that says nothing.
#[test]
fn rfc5155_ds_child_zone_no_data_error() {
    let signed = rfc5155();
    let reply = signed.reply(&[], &["example. SOA", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example. NSEC3"]);
    assert_eq!(denial(&signed.zone(), &reply, "example.", Rtype::DS), Err(Bogus::NoProof));
}

/// Appendix A: the hash of each name of the example zone finds its record.
#[test]
fn rfc5155_hashes_of_names() {
    let signed = rfc5155();
    let zone = signed.zone();
    for (name, hash) in [
        ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
        ("ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi"),
        ("ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
        ("ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r"),
        ("w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h"),
        ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
        ("x.w.example.", "b4um86eghhds6nea196smvmlo4ors995"),
        ("y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc"),
        ("x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s"),
        ("XX.Example.", "t644ebqk9bibcna874givr6joj62mlhv"),
        ("2t7b4g4vsa5smi47k61mv5bv1a22bojr.example.", "kohar7mbb8dc2ce8a9qvl8hon4k53uhi"),
    ] {
        let reply = signed.reply(&[], &["example. SOA", &format!("{hash}.example. NSEC3")]);
        assert_eq!(denial(&zone, &reply, name, Rtype::IPSECKEY), Ok(Denial::NoData), "{name}");
    }
}
