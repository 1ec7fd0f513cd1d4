//! RSA in the AUTH payload: methods 1 and 14, AlgorithmIdentifiers, and what confuses them (RFC 7427,
//! RFC 7296 §3.8, RFC 8247 §3).

mod rsa_support;
mod vectors_support;

use ike_core::auth::{
    AuthData, AuthError, AuthMethod, Expected, HashAlgorithms, NotProven, Proof, SignatureHashes,
    SignedOctets, prove, verify,
};
use ike_core::crypto::software::{Software, SoftwareSigner};
use ike_core::crypto::{Crypto, Prf, PrfOutput, PrivateKey, PublicKey, Sha2, SignatureAlgorithm, Signer};
use ike_core::wire::auth::AuthView;
use ike_core::wire::code_point::IdType;
use ike_core::wire::id::IdView;
use rsa::Pkcs1v15Sign;
use rsa::sha2::Digest;
use rsa_support::*;
use vectors_support::hex;

/// RFC 7427 Appendix A.4.3, in front of it its length.
const PSS_SHA256: &str = "48 3046 06092a864886f70d01010a 3039 a00f300d06096086480165030402010500
    a11c301a06092a864886f70d010108300d06096086480165030402010500 a203020120 a303020101";
/// The same without the trailer's default value, as DER wants it (X.690 §11.5), and libreswan and strongSwan
/// write it.
const PSS_SHA256_DER: &str = "43 3041 06092a864886f70d01010a 3034 a00f300d06096086480165030402010500
    a11c301a06092a864886f70d010108300d06096086480165030402010500 a203020120";
/// RFC 7427 Appendix A.1.2.
const PKCS1_SHA256: &str = "0f 300d06092a864886f70d01010b0500";

const ALL: HashAlgorithms = HashAlgorithms::ALL;
const NEGOTIATED: SignatureHashes = SignatureHashes { ours: ALL, peer: Some(ALL) };
const SILENT: SignatureHashes = SignatureHashes { ours: ALL, peer: None };

fn with_octets<T>(f: impl FnOnce(&SignedOctets<'_>) -> T) -> T {
    let sk_p = PrfOutput::from([1; 32]);
    let identity = IdView::new(IdType::FQDN, b"a.example").unwrap();
    f(&SignedOctets::new(&Software, Prf::HmacSha256, &sk_p, &[0x11; 300], &[0x22; 32], &identity))
}

/// The octets themselves.
fn octets() -> Vec<u8> {
    let identity = Software.prf(Prf::HmacSha256, &[1; 32], &[b"\x02\0\0\0a.example"]);
    [&[0x11; 300][..], &[0x22; 32], identity.octets()].concat()
}

fn signer(pem: &str) -> (SoftwareSigner, PublicKey) {
    let signer = Software.signer(&key(pem)).unwrap();
    let public = signer.public_key();
    (signer, public)
}

fn proof(signer: &SoftwareSigner, hashes: SignatureHashes) -> AuthData {
    with_octets(|octets| prove(&Software, Proof::Key(signer), hashes, octets)).unwrap()
}

fn judge(peer: &PublicKey, hashes: SignatureHashes, auth: AuthView<'_>) -> Result<(), AuthError> {
    with_octets(|octets| verify(&Software, Expected::Key { peer, own: None }, hashes, octets, auth))
}

fn judge_data(peer: &PublicKey, hashes: SignatureHashes, method: u8, data: &[u8]) -> Result<(), AuthError> {
    judge(peer, hashes, AuthView { method: AuthMethod(method), data })
}

/// RFC 8247 §3.2: with method 14 RSA signs by PSS; without SIGNATURE_HASH_ALGORITHMS by method 1.
#[test]
fn rsa_proves_by_pss_or_by_method_1() {
    for pem in [RSA_2048_A, RSA_2064, RSA_4096] {
        let (signer, public) = signer(pem);
        let auth = proof(&signer, NEGOTIATED);
        assert_eq!(auth.method, AuthMethod::DIGITAL_SIGNATURE);
        let signature = auth.data.strip_prefix(&*hex(PSS_SHA256_DER)).expect("PSS in DER");
        assert_eq!(judge(&public, NEGOTIATED, auth.view()), Ok(()));
        let spelt_out = [&hex(PSS_SHA256)[..], signature].concat();
        assert_eq!(judge_data(&public, NEGOTIATED, 14, &spelt_out), Ok(()));
        let auth = proof(&signer, SILENT);
        assert_eq!(auth.method, AuthMethod::RSA_DIGITAL_SIGNATURE);
        assert_eq!(judge(&public, SILENT, auth.view()), Ok(()));
    }
}

/// RFC 7427 §4: a peer without SHA-256 gets what it has; one without any of ours gets nothing.
#[test]
fn the_hash_is_the_peers() {
    let (signer, public) = signer(RSA_2048_A);
    let none = HashAlgorithms::NONE;
    for (peer, salt) in [
        (HashAlgorithms { sha2_384: true, ..none }, 0x30),
        (HashAlgorithms { sha2_512: true, ..none }, 0x40),
        (HashAlgorithms { sha2_256: false, ..ALL }, 0x30),
    ] {
        let hashes = SignatureHashes { ours: ALL, peer: Some(peer) };
        let auth = proof(&signer, hashes);
        assert_eq!(auth.data[67], salt);
        assert_eq!(judge(&public, hashes, auth.view()), Ok(()));
    }
    let hashes = SignatureHashes { ours: ALL, peer: Some(HashAlgorithms { identity: true, ..none }) };
    let refused = with_octets(|octets| prove(&Software, Proof::Key(&signer), hashes, octets));
    assert_eq!(refused, Err(NotProven::NoCommonAlgorithm));
    let without = SignatureHashes { ours: HashAlgorithms { sha2_256: false, ..ALL }, peer: Some(ALL) };
    let auth = proof(&signer, NEGOTIATED);
    assert_eq!(judge(&public, without, auth.view()), Err(AuthError::HashNotListed));
}

/// RFC 8247 §3.1, RFC 7427 §3: method 1 takes SHA-2 in the signature, not SHA-1, and never from somebody
/// who sent SIGNATURE_HASH_ALGORITHMS; the same signatures are right under their AlgorithmIdentifiers.
#[test]
fn pkcs1_signatures_by_method_1_and_14() {
    let (theirs, public, octets) = (oracle(RSA_2048_A), signer(RSA_2048_A).1, octets());
    let sign = |scheme, digest: &[u8]| theirs.sign(scheme, digest).unwrap();
    let sha256 = sign(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &rsa::sha2::Sha256::digest(&octets));
    let sha384 = sign(Pkcs1v15Sign::new::<rsa::sha2::Sha384>(), &rsa::sha2::Sha384::digest(&octets));
    let sha512 = sign(Pkcs1v15Sign::new::<rsa::sha2::Sha512>(), &rsa::sha2::Sha512::digest(&octets));
    for (last, signature) in [(0x0b, &sha256), (0x0c, &sha384), (0x0d, &sha512)] {
        assert_eq!(judge_data(&public, SILENT, 1, signature), Ok(()));
        assert_eq!(judge_data(&public, NEGOTIATED, 1, signature), Err(AuthError::MethodNotAllowed));
        let mut identifier = hex(PKCS1_SHA256);
        identifier[13] = last;
        let data = [&identifier[..], signature].concat();
        assert_eq!(judge_data(&public, NEGOTIATED, 14, &data), Ok(()));
        assert_eq!(judge_data(&public, SILENT, 14, &data), Err(AuthError::MethodNotAllowed));
        identifier[13] = if last == 0x0b { 0x0c } else { 0x0b };
        let other = [&identifier[..], signature].concat();
        assert_eq!(judge_data(&public, NEGOTIATED, 14, &other), Err(AuthError::Mismatch));
        let pss = [&hex(PSS_SHA256)[..], signature].concat();
        assert_eq!(judge_data(&public, NEGOTIATED, 14, &pss), Err(AuthError::Mismatch));
    }
    // DigestInfo of SHA-1 in front of what would be its digest.
    let sha1 = [hex("3021300906052b0e03021a05000414"), Software.sha1(&[&octets]).to_vec()].concat();
    let sha1 = sign(Pkcs1v15Sign::new_unprefixed(), &sha1);
    assert_eq!(judge_data(&public, SILENT, 1, &sha1), Err(AuthError::Mismatch));
}

/// RFC 7427 §3, RFC 8247 §3.2: parameters of PSS that mean another salt, hash, mask or trailer, and those
/// that are left out and mean SHA-1 (CVE-2021-41990, CVE-2018-6459).
#[test]
fn other_parameters_of_pss_are_refused() {
    let (signer, public) = signer(RSA_2048_A);
    let auth = proof(&signer, NEGOTIATED);
    let (right, signature) = auth.data.split_at(68);
    let judge = |identifier: &[u8]| judge_data(&public, NEGOTIATED, 14, &[identifier, signature].concat());
    for right in [right, &hex(PSS_SHA256)] {
        assert_eq!(judge(right), Ok(()));
        for at in 1..right.len() {
            let mut wrong = right.to_vec();
            wrong[at] ^= 1;
            assert_eq!(judge(&wrong), Err(AuthError::UnknownAlgorithm), "octet {at}");
        }
    }
    for identifier in [
        "0d 300b06092a864886f70d01010a",
        "0f 300d06092a864886f70d01010a3000",
        "0f 300d06092a864886f70d01010a0500",
        // Salt of 20, of 2^31.
        "48 304606092a864886f70d01010a3039a00f300d06096086480165030402010500
         a11c301a06092a864886f70d010108300d06096086480165030402010500a203020114a303020101",
        "4b 304906092a864886f70d01010a303ca00f300d06096086480165030402010500
         a11c301a06092a864886f70d010108300d06096086480165030402010500a206020480000000a303020101",
    ] {
        assert_eq!(judge(&hex(identifier)), Err(AuthError::UnknownAlgorithm), "{identifier}");
    }
    // A length that cuts the identifier, and one that swallows the signature.
    for length in [0, 1, 66, 68, 255] {
        let mut wrong = right.to_vec();
        wrong[0] = length;
        assert!(judge(&wrong).is_err(), "{length}");
    }
}

/// A method or an identifier of another kind of key proves nothing.
#[test]
fn kinds_are_not_confused() {
    let (rsa_signer, rsa_public) = signer(RSA_2048_A);
    let ecdsa = Software.signer(&PrivateKey::EcdsaP256([6; 32])).unwrap();
    let p384 = Software.signer(&PrivateKey::EcdsaP384([6; 48])).unwrap();
    let by_ecdsa = proof(&ecdsa, SILENT).data;
    let by_rsa = proof(&rsa_signer, SILENT).data;
    for (public, method, data) in [
        (&rsa_public, 9, &by_rsa),
        (&rsa_public, 10, &by_rsa),
        (&rsa_public, 2, &by_rsa),
        (&ecdsa.public_key(), 1, &by_ecdsa),
        (&ecdsa.public_key(), 10, &by_ecdsa),
        (&p384.public_key(), 9, &by_ecdsa),
        (&p384.public_key(), 11, &by_ecdsa),
    ] {
        let error = judge_data(public, SILENT, method, data);
        assert_eq!(error, Err(AuthError::MethodNotAllowed), "{:?} {method}", public.kind());
    }
    for identifier in ["07 300506032b6570", "0c 300a06082a8648ce3d040302"] {
        let data = [&hex(identifier)[..], &by_rsa].concat();
        assert_eq!(judge_data(&rsa_public, NEGOTIATED, 14, &data), Err(AuthError::WrongKind));
    }
    for identifier in [PSS_SHA256, PKCS1_SHA256] {
        let data = [&hex(identifier)[..], &by_ecdsa].concat();
        assert_eq!(judge_data(&ecdsa.public_key(), NEGOTIATED, 14, &data), Err(AuthError::WrongKind));
    }
}

/// RFC 4754 §7: P-384 by method 10 with SHA-384, side by side; by method 14 in DER.
#[test]
fn p384_by_method_10_and_14() {
    let signer = Software.signer(&PrivateKey::EcdsaP384([6; 48])).unwrap();
    let public = signer.public_key();
    let old = proof(&signer, SILENT);
    assert_eq!((old.method, old.data.len()), (AuthMethod::ECDSA_P384, 96));
    assert_eq!(judge(&public, SILENT, old.view()), Ok(()));
    let new = proof(&signer, NEGOTIATED);
    assert_eq!(new.method, AuthMethod::DIGITAL_SIGNATURE);
    assert_eq!(new.data[..13], hex("0c 300a06082a8648ce3d040303"));
    assert_eq!(judge(&public, NEGOTIATED, new.view()), Ok(()));
    assert_eq!(judge_data(&public, SILENT, 10, &new.data[13..]), Err(AuthError::Malformed));
    let sha256 = signer.sign(SignatureAlgorithm::Ecdsa(Sha2::Sha256), &[&octets()]).unwrap();
    assert_eq!(judge_data(&public, SILENT, 10, &sha256), Err(AuthError::Mismatch));
}

/// Data that is no signature in length, whatever the method.
#[test]
fn data_of_the_wrong_length() {
    let (signer, public) = signer(RSA_2048_A);
    let right = proof(&signer, SILENT).data;
    for data in [&[][..], &right[1..], &right[..255], &[&right[..], &[0]].concat(), &[0x55; 600]] {
        assert!(judge_data(&public, SILENT, 1, data).is_err(), "{}", data.len());
        let data = [&hex(PSS_SHA256)[..], data].concat();
        assert!(judge_data(&public, NEGOTIATED, 14, &data).is_err());
    }
}
