//! The signatures that the RFCs of the algorithms print: RFC 5702 §6, RFC 6605 §6, RFC 8080 §6.1. The key set
//! that holds each key is signed by a key of ours.

use domain::base::iana::Class;
use domain::base::rdata::ComposeRecordData;
use domain::base::{Record, Rtype, Ttl};
use domain::rdata::ZoneRecordData;
use domain::utils::base64;
use host_tests::signed_zone::{Reply, Rr, ZoneKey, name, owned, records};
use ike_core::crypto::{KeyKind, PrivateKey};
use ike_core::discovery::UnixTime;
use ike_core::discovery::dnssec::{Bogus, Ds, Origin, Work, Zone};

/// A day's signature around a moment.
fn around(now: UnixTime) -> (u32, u32) {
    (now.0 as u32 - 43_200, now.0 as u32 + 43_200)
}

/// The zone `apex` with `keys` beside one that signs them.
fn zone(apex: &str, mut keys: Vec<Rr>, signer: &ZoneKey, ds: Ds, now: UnixTime) -> Result<Zone, Bogus> {
    let data = ZoneRecordData::Dnskey(signer.record().clone());
    keys.push(Record::new(name(apex), Class::IN, Ttl::from_secs(3600), data));
    let labels = owned(apex).label_count() as u8 - 1;
    keys.push(signer.sign(&keys, &name(apex), labels, around(now)));
    let reply = Reply { answer: keys, authority: Vec::new() };
    reply.judge_at(now, &mut Work::new(), |answer| Zone::from_ds(&owned(apex), &[ds], answer))
}

/// What a validator that knows `key` thinks of `set`, which ends with its signature.
fn judge(apex: &str, key: &str, set: &str, rtype: Rtype, now: UnixTime) -> Result<Origin, Bogus> {
    let signer = ZoneKey::new(KeyKind::Ed25519, 9, 257);
    let zone = zone(apex, records(key), &signer, signer.ds(apex), now).expect("our key is good");
    let answer = records(set);
    let owner = answer.first().expect("a record").owner().to_string();
    let reply = Reply { answer, authority: Vec::new() };
    let proved = reply.judge_at(now, &mut Work::new(), |answer| zone.verify(&owned(&owner), rtype, answer));
    proved.map(|proved| proved.what)
}

/// 2010-08-20.
const IN_2010: UnixTime = UnixTime(1_282_300_000);
/// 2015-08-10.
const IN_2015: UnixTime = UnixTime(1_439_200_000);

/// §6.2: RSA/SHA-512 with 1,024 bits.
#[test]
fn rfc5702_rsa_sha512() {
    let key = "example.net. DNSKEY 256 3 10 AwEAAdHoNTOW+et86KuJOWRDp1pndvwb6Y83nSVXXyLA3DLroROUkN6X0O6pnWnjJQujX\
        /AyhqFDxj13tOnD9u/1kTg7cV6rklMrZDtJCQ5PCl/D7QNPsgVsMu1J2Q8gpMpztNFLpPBz1bWXjDtaR7ZQBlZ3PFY12ZTSncorffcGmhOL";
    let set = "www.example.net. A 192.0.2.91
        www.example.net. RRSIG A 10 3 3600 20300101000000 20000101000000 3740 example.net. tsb4wnjRUDnB1BUi+t6TMTX\
        ThjVnG+eCkWqjvvjhzQL1d0YRoOe0CbxrVDYd0xDtsuJRaeUw1ep94PzEWzr0iGYgZBWm/zpq+9fOuagYJRfDqfReKBzMweOLDiNa8iP5\
        g9vMhpuv6OPlvpXwm9Sa9ZXIbNl1MBGk0fthPgxdDLw=";
    assert_eq!(judge("example.net.", key, set, Rtype::A, IN_2010), Ok(Origin::Exact));
    let altered = set.replace("192.0.2.91", "192.0.2.92");
    assert_eq!(judge("example.net.", key, &altered, Rtype::A, IN_2010), Err(Bogus::BadSignature));
    // The time is inside 1999 to 2030, and signatures of 30 years exist.
    assert_eq!(judge("example.net.", key, set, Rtype::A, UnixTime(1_893_456_001)), Err(Bogus::Expired));
}

/// §6.1: RSA/SHA-256, but with 512 bits: anybody can make such a signature.
#[test]
fn rfc5702_rsa_sha256_with_a_short_key() {
    let key = "example.net. DNSKEY 256 3 8 AwEAAcFcGsaxxdgiuuGmCkVImy4h99CqT7jwY3pexPGcnUFtR2Fh36BponcwtkZ4cAgtvd4Q\
        s8PkxUdp6p/DlUmObdk=";
    let set = "www.example.net. A 192.0.2.91
        www.example.net. RRSIG A 8 3 3600 20300101000000 20000101000000 9033 example.net. kRCOH6u7l0QGy9qpC9l1sLnc\
        JcOKFLJ7GhiUOibu4teYp5VE9RncriShZNz85mwlMgNEacFYK/lPtPiVYP4bwg==";
    assert_eq!(judge("example.net.", key, set, Rtype::A, IN_2010), Err(Bogus::BadSignature));
}

const P256: &str = "example.net. DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MA\
    nLr+Wi9xMWyQLc8NAA==";

/// §6.1: ECDSA on P-256.
#[test]
fn rfc6605_p256() {
    let set = "www.example.net. A 192.0.2.1
        www.example.net. RRSIG A 13 3 3600 20100909100439 20100812100439 55648 example.net. qx6wLYqmh+l9oCKTN6qIc+\
        bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==";
    assert_eq!(judge("example.net.", P256, set, Rtype::A, IN_2010), Ok(Origin::Exact));
    let altered = set.replace("192.0.2.1", "192.0.2.2");
    assert_eq!(judge("example.net.", P256, &altered, Rtype::A, IN_2010), Err(Bogus::BadSignature));
}

const P384: &str = "example.net. DNSKEY 257 3 14 xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ\
    6K8X1DRSEkrbYQ+OB+v8/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40";

/// §6.2: ECDSA on P-384.
#[test]
fn rfc6605_p384() {
    let set = "www.example.net. A 192.0.2.1
        www.example.net. RRSIG A 14 3 3600 20100909102025 20100812102025 10771 example.net. /L5hDKIvGDyI1fcARX3z65\
        qrmPsVz73QD1Mr5CEqOiLP95hxQouuroGCeZOvzFaxsT8Glr74hbavRKayJNuydCuzWTSSPdz7wnqXL5bdcJzusdnI0RSMROxxwGipWcJm";
    assert_eq!(judge("example.net.", P384, set, Rtype::A, IN_2010), Ok(Origin::Exact));
    let altered = set.replace("192.0.2.1", "192.0.2.2");
    assert_eq!(judge("example.net.", P384, &altered, Rtype::A, IN_2010), Err(Bogus::BadSignature));
}

/// §6.1 and its DS records: both keys. What is printed was made with three labels, and the owner has two.
#[test]
fn rfc8080_ed25519() {
    for (key, tag, labels, signature, outcome) in [
        (
            "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
            3613,
            2,
            "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
            Ok(Origin::Exact),
        ),
        (
            "zPnZ/QwEe7S8C5SPz2OfS5RR40ATk2/rYnE9xHIEijs=",
            35217,
            2,
            "zXQ0bkYgQTEFyfLyi9QoiY6D8ZdYo4wyUhVioYZXFdT410QPRITQSqJSnzQoSm5poJ7gD7AQR0O7KuI5k2pcBg==",
            Ok(Origin::Exact),
        ),
        (
            "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
            3613,
            3,
            "Edk+IB9KNNWg0HAjm7FazXyrd5m3Rk8zNZbvNpAcM+eysqcUOMIjWoevFkjH5GaMWeG96GUVZu6ECKOQmemHDg==",
            Err(Bogus::BadSignature),
        ),
    ] {
        let key = format!("example.com. DNSKEY 257 3 15 {key}");
        let set = format!(
            "example.com. MX 10 mail.example.com.
            example.com. RRSIG MX 15 {labels} 3600 1440021600 1438207200 {tag} example.com. {signature}"
        );
        assert_eq!(judge("example.com.", &key, &set, Rtype::MX, IN_2015), outcome, "{tag} {labels}");
    }
}

fn private<const N: usize>(base64: &str) -> [u8; N] {
    base64::decode::<Vec<u8>>(base64).expect("base64").try_into().expect("as long as its kind")
}

/// RFC 6605 §6, RFC 8080 §6.1: the DS records name the keys that the RFCs print, and sign with here.
#[test]
fn ds_records_name_their_keys() {
    for (apex, key, ds, now) in [
        (
            "example.net.",
            PrivateKey::EcdsaP256(private("GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=")),
            "55648 13 2 b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
            IN_2010,
        ),
        (
            "example.net.",
            PrivateKey::EcdsaP384(private(
                "WURgWHCcYIYUPWgeLmiPY2DJJk02vgrmTfitxgqcL4vwW7BOrbawVmVe0d9V94SR",
            )),
            "10771 14 4 72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0563a9b5f4d288405c3008a946df983d6",
            IN_2010,
        ),
        (
            "example.com.",
            PrivateKey::Ed25519(private("ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=")),
            "3613 15 2 3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
            IN_2015,
        ),
    ] {
        let read = |ds: &str| {
            let record = &records(&format!("{apex} DS {ds}"))[0];
            let mut data = Vec::new();
            record.data().compose_rdata(&mut data).expect("room");
            Ds::read(&data).expect("supported")
        };
        let signer = ZoneKey::from_private(key, 257);
        assert!(zone(apex, Vec::new(), &signer, read(ds), now).is_ok(), "{ds}");
        let mut other = ds.to_owned();
        other.replace_range(ds.len() - 1.., if ds.ends_with('0') { "1" } else { "0" });
        let refused = zone(apex, Vec::new(), &signer, read(&other), now);
        assert_eq!(refused.err(), Some(Bogus::NoDnskeyForDs), "{ds}");
    }
}
