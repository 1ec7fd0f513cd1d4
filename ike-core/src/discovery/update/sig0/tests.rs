//! Updates that nsupdate of BIND 9.18 signed with keys of three kinds (`dnssec-keygen -T KEY -n HOST`), and what nobody
//! may take for the signer's.

extern crate std;

use std::vec::Vec;

use super::super::MAX_UPDATE;
use super::*;
use crate::crypto::software::Software;
use crate::crypto::{PrivateKey, RsaPublicKey};

/// An update of `b.example.net`, signed by its Ed25519 key.
const ED25519: &str = "\
    00c028000001000000020001076578616d706c65036e657400000600010162c00c000100ff000000000000c01d000100\
    0100000e100004c000020200001800ff00000000006100000f00000000006b08e2e56b08e08db5690162076578616d70\
    6c65036e65740058e5a9680c0836476e78edcc51e6ddbaa860fb452e751de2c6f8762d2e3ebd6c3065d67309c9e23af1\
    b70f901a9ec925858e2fd7d4facd28af1af19f757d5b0c";
/// Likewise, by a P-256 key.
const P256: &str = "\
    9a9028000001000000020001076578616d706c65036e657400000600010162c00c000100ff000000000000c01d000100\
    0100000e100004c000020200001800ff00000000006100000d00000000006b08e2e06b08e0884bae0162076578616d70\
    6c65036e6574007a17946d11451645a6303faf5a3470976ccac9e947e0b074ae2e3702199c0d0eba9a117ee32e0145ad\
    09ccaded4635d8c90bea7483c90e87561121d773c38404";
/// Likewise, by an RSA key.
const RSA: &str = "\
    a25428000001000000020001076578616d706c65036e657400000600010162c00c000100ff000000000000c01d000100\
    0100000e100004c000020200001800ff00000000012100000800000000006b08e2db6b08e0838dd10162076578616d70\
    6c65036e65740073c09a2813cea6f1eddfa89f62eb3057b894e4d346c6515e637c5cbb6eb42673b2a88c8c8150ebd10b\
    42c5e0a98c0cf05ae2d2a261dbcebfd41b6259def873c7c57cd2fa6e13583f05e1412f5dc6ad6dccfbb8e205f7d11ef9\
    d1947494866469f6bc837cd6dc156649f56f2b4d243ebd046e4b35f847bb40e4df2a394feab1c85e7aae22591ef163d1\
    cc4ee6ed55a7545da21fc99bb5a00fe850fa53b7d74d1fc60a1e9a434892f94a056cb5e67ce85b9c74298aa42f0191fc\
    cd98d62a2482a91e0352ceb4c32a455e305200cb52a94263271398eca2fc82e76c04cfc3903070d9ae4cc836cfa6e497\
    8d0b83a6a487109f5f6c71d244f0d0f881b60489ae18a6";
const PRIVATE: &str = "\
    4e1929b5e1e6a1efd989f29b23f70ed1f81c734b7125351a0cea0035daaa351b";
const P256_KEY: &str = "\
    b050f9f66537643444c9c54f54f00a6cbadec90bbbb53491f2c31192227aa59c3a9fa54f864664d32a34d00f87256058\
    73ca751909294e22b1fe8a05ab91544a";
const MODULUS: &str = "\
    a9ab03e163111eaa4ca5411d702578f1c87de6a73129a4be12cda221af7910669f868a8ee55375482a9f1bedefb05ff8\
    c15b1a2669fff982d8568a37ccc491d48d88c6ab1cd06f7d54b0e1334314895cf4819d6150531d571a82cf0b2b550d61\
    167dcad5f774eb9cfcb1666aa1352a0c038407d2a5a8d58f4e78b93578ab9b4b63a569f6746f4c2c25eda5960e085d5a\
    4a76239df53ae0bc095c4584674b90504250ac87a37209c4cf2777a140702cfdcecddb0c23326600e14d0b360dc2fb25\
    889c1d0681cc7b93cce17ba034704fd420f34f56b18cb7c846b46e9ddf6f48727862a3746aee8e13b41a2d68a2357f42\
    bccebf866c5e05eb10cf491636d5aae9";

/// Octets of the update without its SIG record.
const BARE: usize = 59;
/// When the first was signed.
const TIME: UnixTime = UnixTime(0x6b08_e08d);

fn octets(hex: &str) -> Vec<u8> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { panic!("{hex}") };
    pairs.iter().map(|p| u8::from_str_radix(core::str::from_utf8(p).unwrap(), 16).unwrap()).collect()
}

fn signer() -> Name {
    "b.example.net".parse().unwrap()
}

fn private() -> PrivateKey {
    PrivateKey::Ed25519(octets(PRIVATE).try_into().unwrap())
}

fn key() -> PublicKey {
    Software.signer(&private()).unwrap().public_key()
}

fn judge(message: &[u8]) -> Result<(), Discarded> {
    verify(&Software, (&signer(), &key()), message, TIME)
}

#[test]
fn signatures_of_another_program_are_good() {
    let p256 = PublicKey::EcdsaP256(octets(P256_KEY).try_into().unwrap());
    let rsa = PublicKey::Rsa(RsaPublicKey::new(&octets(MODULUS), &[1, 0, 1]).unwrap());
    for (key, message) in [(key(), ED25519), (p256, P256), (rsa, RSA)] {
        let told = verify(&Software, (&signer(), &key), &octets(message), TIME);
        assert_eq!(told, Ok(()), "{:?}", key.kind());
    }
}

/// Ed25519 leaves nothing to chance: the same octets come out.
#[test]
fn what_we_sign_is_what_another_program_signs() {
    let whole = octets(ED25519);
    let mut message: heapless::Vec<u8, MAX_UPDATE> = whole[..BARE].iter().copied().collect();
    message[11] = 0;
    let bare = message.clone();
    let validity = Validity { inception: TIME, expiration: UnixTime(0x6b08_e2e5) };
    let key = Software.signer(&private()).unwrap();
    sign(&key, &signer(), validity, &mut message).unwrap();
    assert_eq!(message.as_slice(), whole);

    let mut short: heapless::Vec<u8, 160> = bare.iter().copied().collect();
    assert_eq!(sign(&key, &signer(), validity, &mut short), Err(NotSigned::TooLong));
    assert_eq!(short.as_slice(), bare.as_slice());
    let mut none = heapless::Vec::<u8, MAX_UPDATE>::new();
    assert_eq!(sign(&key, &signer(), validity, &mut none), Err(NotSigned::Malformed));
}

#[test]
fn the_key_record_is_the_one_that_dnssec_keygen_writes() {
    let expected = octets("0200030f00d5a9b8e0f09c09d02a3a9daedd05f7ac7a6742abf2ea478f95a4c64adaa007");
    assert_eq!(key_record(&key()).as_slice(), expected);
}

#[test]
fn no_bit_may_change() {
    let whole = octets(ED25519);
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // The name of the signer is the same in capitals, and signed as it is written.
        assert!(judge(&changed).is_err(), "bit {bit}");
    }
}

/// RFC 2931 §3.1: the record is the last of all.
#[test]
fn what_is_not_signed_by_the_last_record_is_not_signed() {
    let whole = octets(ED25519);
    let mut bare = whole[..BARE].to_vec();
    bare[11] = 0;
    assert_eq!(judge(&bare), Err(Discarded::Unsigned { rcode: 0 }));
    let mut twice = [&whole[..], &whole[BARE..]].concat();
    twice[11] = 2;
    assert_eq!(judge(&twice), Err(Discarded::Misplaced));
    for length in 0..whole.len() {
        assert!(judge(&whole[..length]).is_err(), "{length} octets");
    }
}

#[test]
fn another_signer_or_key_is_told() {
    let other: Name = "a.example.net".parse().unwrap();
    let told = |of: (&Name, &PublicKey)| verify(&Software, of, &octets(ED25519), TIME);
    assert_eq!(told((&other, &key())), Err(Discarded::OtherKey));
    assert_eq!(told((&signer(), &PublicKey::Ed25519([7; 32]))), Err(Discarded::OtherKey));
}

/// RFC 2931 §3.2, in serial arithmetic.
#[test]
fn a_signature_has_its_time() {
    let whole = octets(ED25519);
    let at = |time: u64| verify(&Software, (&signer(), &key()), &whole, UnixTime(time));
    let (inception, expiration) = (0x6b08_e08d, 0x6b08_e2e5);
    assert_eq!([inception, expiration].map(at), [Ok(()); 2]);
    assert_eq!([0, inception - 1, expiration + 1, u64::MAX].map(at), [Err(Discarded::Stale); 4]);
}
