//! What makes a signature count, and what does not (RFC 4035 §5.3, RFC 6840, and the keys that CVE-2023-50387
//! is about).

use domain::base::iana::{Class, SecurityAlgorithm};
use domain::base::{Record, Rtype, Ttl};
use domain::rdata::{Dnskey, ZoneRecordData};
use host_tests::signed_zone::{
    EXPIRATION, INCEPTION, NOW, Reply, Rr, SignedZone, ZoneKey, name, owned, records,
};
use ike_core::crypto::KeyKind;
use ike_core::discovery::UnixTime;
use ike_core::discovery::dnssec::{Bogus, Delegation, MAX_VERIFICATIONS, Origin, Proved, Work, Zone};

const TEXT: &str = "
example.      SOA  ns.example. root.example. 1 3600 300 3600000 600
example.      NS   NS.Example.
ns.example.   A    192.0.2.1
www.example.  A    192.0.2.2
www.example.  A    192.0.2.3
www.example.  A    192.0.2.10
mail.example. MX   10 A.Mail.Example.
mail.example. MX   10 b.mail.example.
alias.example. CNAME www.example.
sub.example.  DNAME example.net.
";

const WWW: &str = "www.example.";
const TIMES: (u32, u32) = (INCEPTION, EXPIRATION);

fn verify(zone: &Zone, reply: &Reply, owner: &str, rtype: Rtype) -> Result<Proved<Origin>, Bogus> {
    reply.judge(|answer| zone.verify(&owned(owner), rtype, answer))
}

/// `www.example. A` with this in place of its signature.
fn signed_by(signed: &SignedZone, signature: impl FnOnce(&[Rr]) -> Rr) -> Result<Proved<Origin>, Bogus> {
    let mut reply = signed.reply(&["www.example. A"], &[]);
    reply.answer.retain(|record| record.rtype() != Rtype::RRSIG);
    reply.answer.push(signature(&reply.answer));
    verify(&signed.zone(), &reply, WWW, Rtype::A)
}

/// RFC 4035 §5.3.1: each rule, broken alone.
#[test]
fn a_signature_that_breaks_a_rule_is_not_usable() {
    let signed = SignedZone::new(TEXT);
    let key = &signed.key;
    let by =
        |signer: &str, labels, times| signed_by(&signed, |set| key.sign(set, &name(signer), labels, times));
    assert!(by("example.", 2, TIMES).is_ok());
    assert!(by("EXAMPLE.", 2, TIMES).is_ok());
    for signer in [".", "www.example.", "child.www.example.", "sibling.", "ample."] {
        assert_eq!(by(signer, 2, TIMES), Err(Bogus::NoSignature), "{signer}");
    }
    for labels in [3, 255] {
        assert_eq!(by("example.", labels, TIMES), Err(Bogus::BadSignature), "{labels}");
    }
    let now = NOW.0 as u32;
    for (inception, expiration, outcome) in [
        (INCEPTION, now - 1, Bogus::Expired),
        (now + 3_601, EXPIRATION, Bogus::NotYetValid),
        (EXPIRATION, INCEPTION, Bogus::BadSignature),
        (now - 1, (now - 1).wrapping_add(1 << 31), Bogus::BadSignature),
    ] {
        assert_eq!(by("example.", 2, (inception, expiration)), Err(outcome), "{inception} {expiration}");
    }
    assert_eq!(by("example.", 2, (now, now)).map(|proved| (proved.ttl, proved.until)), Ok((0, NOW)));
}

/// RFC 4035 §5.3.1: one good signature is enough, whatever stands beside it (RFC 6840 §5.4), and a signature
/// that covers another type covers nothing here.
#[test]
fn one_good_signature_is_enough() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let mut reply = signed.reply(&["www.example. A"], &[]);
    let good = reply.answer.pop().expect("a signature");
    let old = signed.key.sign(&reply.answer, &name("example."), 2, (INCEPTION, INCEPTION + 1));
    let other = ZoneKey::new(KeyKind::EcdsaP256, 8, 256).sign(&reply.answer, &name("example."), 2, TIMES);
    let mx = signed.set("mail.example. MX").pop().expect("a signature");
    let mx = Record::new(name(WWW), Class::IN, Ttl::from_secs(3600), mx.into_data());
    reply.answer.extend([old, mx, other]);
    assert_eq!(verify(&zone, &reply, WWW, Rtype::A), Err(Bogus::NoKey));
    reply.answer.push(good);
    assert_eq!(verify(&zone, &reply, WWW, Rtype::A).map(|proved| proved.what), Ok(Origin::Exact));
    assert_eq!(verify(&zone, &reply, WWW, Rtype::RRSIG), Err(Bogus::NoSignature));
}

/// RFC 4034 §6: neither case nor order nor repetition nor compression of what arrives changes what was
/// signed; anything else does.
#[test]
fn canonical_form_is_what_is_signed() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let mut reply = signed.reply(&["www.example. A"], &[]);
    reply.answer.rotate_left(2);
    reply.answer.push(reply.answer[2].clone());
    assert!(verify(&zone, &reply, WWW, Rtype::A).is_ok());
    for (owner, rtype) in
        [("example.", Rtype::NS), ("mail.example.", Rtype::MX), ("sub.example.", Rtype::DNAME)]
    {
        let what = format!("{owner} {rtype}");
        let reply = signed.reply(&[&what], &[]);
        assert!(verify(&zone, &reply, owner, rtype).is_ok(), "{what}");
        let mut longer = reply.clone();
        longer.answer.extend(records(&format!("{owner} NS www.example.\n{owner} MX 10 www.example.")));
        longer.answer.extend(records(&format!("{owner} DNAME www.example.")));
        assert_eq!(verify(&zone, &longer, owner, rtype), Err(Bogus::BadSignature), "{what}");
    }
    let mut shorter = signed.reply(&["www.example. A"], &[]);
    shorter.answer.remove(0);
    assert_eq!(verify(&zone, &shorter, WWW, Rtype::A), Err(Bogus::BadSignature));
    shorter.answer.retain(|record| record.rtype() == Rtype::A);
    assert_eq!(verify(&zone, &shorter, WWW, Rtype::A), Err(Bogus::NoSignature));
}

/// RFC 4034 §6.2 (3): names in the data of these types are lower case and uncompressed.
#[test]
fn names_in_the_old_types_are_in_lower_case() {
    let data = [
        "SOA Ns.Example. Root.Example. 1 3600 300 3600000 600",
        "PTR Www.Example.",
        "MINFO A.Example. B.Example.",
        "RP A.Example. B.Example.",
        "SRV 1 2 500 Www.Example.",
        r#"NAPTR 100 50 "s" "Z3950+I2L" "!^A.*$!B!" Www.Example."#,
        "CNAME Www.Example.",
    ];
    for data in data {
        let rtype = data.split(' ').next().expect("a type");
        let signed = SignedZone::new(&format!("example. NS ns.example.\nold.example. {data}"));
        let reply = signed.reply(&[&format!("old.example. {rtype}")], &[]);
        let verified = verify(&signed.zone(), &reply, "old.example.", rtype.parse().expect("a type"));
        assert!(verified.is_ok(), "{data}: {verified:?}");
    }
}

/// RFC 4034 §6.2 (4): the names in NSEC stay as they are (RFC 6840 §5.1), and IPSECKEY was never on the list.
#[test]
fn only_the_old_types_are_in_lower_case() {
    let key = "AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==";
    let text =
        format!("{TEXT}www.example. NSEC A.Example. A\nwww.example. IPSECKEY 10 3 2 Gate.Example. {key}");
    let signed = SignedZone::new(&text);
    for what in ["NSEC", "IPSECKEY"] {
        let reply = signed.reply(&[&format!("www.example. {what}")], &[]);
        assert!(verify(&signed.zone(), &reply, WWW, what.parse().expect("a type")).is_ok(), "{what}");
    }
}

/// RFC 4035 §5.3.3: the least of all bounds, and a day.
#[test]
fn nothing_is_kept_for_longer_than_its_signature_allows() {
    let signed = SignedZone::new(&format!("{TEXT}old.example. 999999 A 192.0.2.9"));
    let zone = signed.zone();
    let ttl = |reply: &Reply, owner: &str| verify(&zone, reply, owner, Rtype::A).map(|proved| proved.ttl);
    let mut reply = signed.reply(&["www.example. A"], &[]);
    assert_eq!(ttl(&reply, WWW), Ok(3_600));
    reply.answer[1].set_ttl(Ttl::from_secs(7));
    assert_eq!(ttl(&reply, WWW), Ok(7));
    reply.answer.iter_mut().for_each(|record| record.set_ttl(Ttl::from_secs(50_000)));
    assert_eq!(ttl(&reply, WWW), Ok(3_600));
    assert_eq!(ttl(&signed.reply(&["old.example. A"], &[]), "old.example."), Ok(86_400));
    let soon =
        signed_by(&signed, |set| signed.key.sign(set, &name("example."), 2, (INCEPTION, NOW.0 as u32 + 99)));
    assert_eq!(soon.map(|proved| (proved.ttl, proved.until)), Ok((99, UnixTime(NOW.0 + 99))));
    assert_eq!(zone.expires(), UnixTime(NOW.0 + 3_600));
}

/// What is at or above the apex of another zone is not this zone's to sign.
#[test]
fn a_zone_signs_nothing_outside_of_itself() {
    let signed = SignedZone::new(TEXT);
    let stranger = records("www.example.net. A 192.0.2.66");
    let signature = signed.key.sign(&stranger, &name("example."), 3, TIMES);
    let reply = Reply { answer: [stranger, vec![signature]].concat(), authority: Vec::new() };
    assert_eq!(verify(&signed.zone(), &reply, "www.example.net.", Rtype::A), Err(Bogus::NoSignature));
}

/// A CNAME at a name, or a DNAME above it, shows that no zone begins there.
#[test]
fn what_is_redirected_is_not_delegated() {
    let signed = SignedZone::new(TEXT);
    let zone = signed.zone();
    let delegation = |reply: &Reply, child: &str| {
        reply.judge(|answer| zone.delegation(&owned(child), answer)).map(|proved| proved.what)
    };
    let alias = signed.reply(&["alias.example. CNAME"], &[]);
    assert_eq!(delegation(&alias, "alias.example."), Ok(Delegation::NoCut));
    assert_eq!(delegation(&alias, "a.alias.example."), Err(Bogus::NoProof));
    let tree = signed.reply(&["sub.example. DNAME"], &[]);
    assert_eq!(delegation(&tree, "a.b.sub.example."), Ok(Delegation::NoCut));
    assert_eq!(delegation(&tree, "sub.example."), Err(Bogus::NoProof));
    let mut unsigned = alias;
    unsigned.answer.pop();
    assert_eq!(delegation(&unsigned, "alias.example."), Err(Bogus::NoSignature));
}

/// RFC 4035 §5.2, RFC 6840 §5.2: DS records that say nothing to us do not count, unless all are such.
#[test]
fn a_delegation_is_secure_by_what_is_supported() {
    let sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let sha1 = "00112233445566778899aabbccddeeff00112233";
    let zone = |ds: &[String]| {
        let lines: Vec<String> = ds.iter().map(|ds| format!("cut.example. DS {ds}")).collect();
        let signed = SignedZone::new(&format!("{TEXT}cut.example. NS ns.example.\n{}", lines.join("\n")));
        let reply = signed.reply(&["cut.example. DS"], &[]);
        let zone = signed.zone();
        reply.judge(|answer| zone.delegation(&owned("cut.example."), answer)).map(|proved| proved.what)
    };
    let good = format!("1 15 2 {sha256}");
    let of = |number: usize| match zone(&vec![good.clone(); number]) {
        Ok(Delegation::Secure(set)) => set.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(of(1), 1);
    let unsupported = [format!("1 15 1 {sha1}"), format!("1 5 2 {sha256}"), format!("1 16 2 {sha256}")];
    for only in &unsupported {
        assert_eq!(zone(std::slice::from_ref(only)), Ok(Delegation::Insecure), "{only}");
    }
    let all = [&unsupported[..], std::slice::from_ref(&good)].concat();
    assert!(matches!(zone(&all), Ok(Delegation::Secure(set)) if set.len() == 1));
    let many: Vec<String> = (0..9).map(|tag| format!("{tag} 15 2 {sha256}")).collect();
    assert!(matches!(zone(&many), Ok(Delegation::Secure(set)) if set.len() == 4));
    // One whose form is wrong makes nothing insecure.
    assert_eq!(zone(&[format!("1 15 2 {sha1}")]), Err(Bogus::Malformed));
}

/// RFC 4034 §2.1, RFC 5011 §2.1: a key set is good only by a usable key that a DS record names.
#[test]
fn keys_are_good_by_a_key_that_the_parent_names() {
    let apex = name("example.");
    let set = |keys: &[&ZoneKey], signers: &[&ZoneKey]| {
        let records: Vec<Rr> = keys
            .iter()
            .map(|key| {
                let data = ZoneRecordData::Dnskey(key.record().clone());
                Record::new(apex.clone(), Class::IN, Ttl::from_secs(60), data)
            })
            .collect();
        let signatures: Vec<Rr> = signers.iter().map(|key| key.sign(&records, &apex, 1, TIMES)).collect();
        Reply { answer: [records, signatures].concat(), authority: Vec::new() }
    };
    let judge = |reply: &Reply, ds: &ZoneKey| {
        reply.judge(|answer| Zone::from_ds(&owned("Example."), &[ds.ds("example.")], answer)).err()
    };
    let (ksk, zsk) = (ZoneKey::new(KeyKind::Ed25519, 1, 257), ZoneKey::new(KeyKind::EcdsaP384, 2, 256));
    assert_eq!(judge(&set(&[&ksk, &zsk], &[&ksk]), &ksk), None);
    assert_eq!(judge(&set(&[&ksk, &zsk], &[&zsk, &ksk]), &ksk), None);
    assert_eq!(judge(&set(&[&ksk, &zsk], &[&zsk]), &zsk), None, "the SEP flag is not looked at");
    assert_eq!(judge(&set(&[&ksk, &zsk], &[&zsk]), &ksk), Some(Bogus::NoKey));
    assert_eq!(judge(&set(&[&zsk], &[&zsk]), &ksk), Some(Bogus::NoDnskeyForDs));
    for flags in [0x0181, 0x0001] {
        let unusable = ZoneKey::new(KeyKind::Ed25519, 3, flags);
        assert_eq!(judge(&set(&[&unusable], &[&unusable]), &unusable), Some(Bogus::NoDnskeyForDs));
    }
}

/// A key of Ed25519's size whose tag is the same for every `number` (RFC 4034 Appendix B adds words up).
fn colliding(number: u16) -> Dnskey<Vec<u8>> {
    let mut key = vec![0; 32];
    key[0..2].copy_from_slice(&number.to_be_bytes());
    key[2..4].copy_from_slice(&(u16::MAX - number).to_be_bytes());
    Dnskey::new(256, 3, SecurityAlgorithm::ED25519, key).expect("short")
}

/// CVE-2023-50387: keys and signatures that all fit each other by tag cost four verifications, not their
/// product; with 100 of each not one.
#[test]
fn key_tags_that_collide_cost_little() {
    let apex = name("example.");
    let signer = ZoneKey::new(KeyKind::Ed25519, 1, 257);
    let own = |data: ZoneRecordData<_, _>| Record::new(apex.clone(), Class::IN, Ttl::from_secs(60), data);
    let signature_with = |set: &[Rr], key: &Dnskey<Vec<u8>>, junk: u8| {
        let ZoneRecordData::Rrsig(fields) = signer.sign(set, &apex, 1, TIMES).into_data() else { panic!() };
        let fields = domain::rdata::Rrsig::new(
            fields.type_covered(),
            fields.algorithm(),
            fields.labels(),
            fields.original_ttl(),
            fields.expiration(),
            fields.inception(),
            key.key_tag(),
            apex.clone(),
            vec![junk; 64],
        );
        own(ZoneRecordData::Rrsig(fields.expect("short")))
    };
    let attack = |keys: u16, signatures: u8| {
        let mut set: Vec<Rr> = vec![own(ZoneRecordData::Dnskey(signer.record().clone()))];
        set.extend((1..keys).map(|number| own(ZoneRecordData::Dnskey(colliding(number)))));
        let genuine = signer.sign(&set, &apex, 1, TIMES);
        let junk: Vec<Rr> = (0..signatures).map(|junk| signature_with(&set, &colliding(0), junk)).collect();
        (Reply { answer: [&set[..], &[genuine]].concat(), authority: Vec::new() }, junk)
    };
    assert_eq!(colliding(1).key_tag(), colliding(500).key_tag());

    // Of 100 keys none is looked at.
    let mut work = Work::new();
    let (reply, _) = attack(100, 0);
    let judged = reply.judge_at(NOW, &mut work, |answer| {
        Zone::from_ds(&owned("example."), &[signer.ds("example.")], answer)
    });
    assert_eq!((judged, work.verifications_left()), (Err(Bogus::TooMuchWork), MAX_VERIFICATIONS));

    // 12 keys are good, and 11 of them have one tag, as 100 signatures over some data have.
    let (reply, junk) = attack(12, 100);
    let zone = reply.judge(|answer| Zone::from_ds(&owned("example."), &[signer.ds("example.")], answer));
    let zone = zone.expect("the key set is good");
    for (signatures, cost) in [(1, 2), (4, 4), (100, 4)] {
        let data = records("example. A 192.0.2.1");
        let junk = junk.iter().take(signatures).map(|junk| {
            let ZoneRecordData::Rrsig(fields) = junk.data() else { panic!() };
            let fields = domain::rdata::Rrsig::new(
                Rtype::A,
                fields.algorithm(),
                1,
                fields.original_ttl(),
                fields.expiration(),
                fields.inception(),
                fields.key_tag(),
                apex.clone(),
                fields.signature().clone(),
            );
            own(ZoneRecordData::Rrsig(fields.expect("short")))
        });
        let reply = Reply { answer: data.into_iter().chain(junk).collect(), authority: Vec::new() };
        let mut work = Work::new();
        let judged =
            reply.judge_at(NOW, &mut work, |answer| zone.verify(&owned("example."), Rtype::A, answer));
        let bogus = if cost == 2 { Bogus::BadSignature } else { Bogus::TooMuchWork };
        assert_eq!(judged.err(), Some(bogus));
        assert_eq!(MAX_VERIFICATIONS - work.verifications_left(), cost, "{signatures} signatures");
    }
}

/// A resolution has a budget over all its messages.
#[test]
fn verifications_of_a_resolution_are_counted() {
    let signed = SignedZone::new(TEXT);
    let (zone, reply) = (signed.zone(), signed.reply(&["www.example. A"], &[]));
    let mut work = Work::new();
    let mut judge = || reply.judge_at(NOW, &mut work, |answer| zone.verify(&owned(WWW), Rtype::A, answer));
    for _ in 0..MAX_VERIFICATIONS {
        assert!(judge().is_ok());
    }
    assert_eq!(judge(), Err(Bogus::TooMuchWork));
}

/// An RRset of more records than are looked at, and a message of more.
#[test]
fn records_are_counted() {
    let many = |number: usize| {
        let lines: Vec<String> =
            (0..number).map(|last| format!("www.example. A 198.51.100.{last}")).collect();
        let signed = SignedZone::new(&format!("example. NS ns.example.\n{}", lines.join("\n")));
        verify(&signed.zone(), &signed.reply(&["www.example. A"], &[]), WWW, Rtype::A).err()
    };
    assert_eq!(many(40), None);
    assert_eq!(many(41), Some(Bogus::TooMuchWork));
    assert_eq!(many(200), Some(Bogus::TooMuchWork));
}
