//! RSA signatures against a second implementation, and those that nobody honest makes (RFC 8017 §8,
//! RFC 8247 §4.1).

mod rsa_support;

use ike_core::crypto::software::Software;
use ike_core::crypto::{
    BadPrivateKey, BadSignature, Crypto, PrivateKey, PublicKey, Sha2, SignatureAlgorithm, Signer,
    SigningFailed,
};
use ike_core::wire::{Malformed, rsa_public_key, spki};
use rand_core::SeedableRng;
use rsa::pkcs8::EncodePublicKey;
use rsa::sha2::{Digest, Sha256, Sha384, Sha512};
use rsa::{BoxedUint, Pkcs1v15Sign, Pss};
use rsa_support::*;

const ALL: [&str; 5] = [RSA_2048_A, RSA_2048_B, RSA_2064, RSA_3072, RSA_4096];
const HASHES: [Sha2; 3] = [Sha2::Sha256, Sha2::Sha384, Sha2::Sha512];
const MESSAGE: [&[u8]; 3] = [b"message", b"nonce", b"identity"];

fn public(pem: &str) -> PublicKey {
    PublicKey::Rsa(*private(pem).public_key())
}

fn digest(hash: Sha2) -> Vec<u8> {
    let message = MESSAGE.concat();
    match hash {
        Sha2::Sha256 => Sha256::digest(message).to_vec(),
        Sha2::Sha384 => Sha384::digest(message).to_vec(),
        Sha2::Sha512 => Sha512::digest(message).to_vec(),
    }
}

fn v1_5(hash: Sha2) -> Pkcs1v15Sign {
    match hash {
        Sha2::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
        Sha2::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
        Sha2::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
    }
}

fn verify(key: &PublicKey, algorithm: SignatureAlgorithm, signature: &[u8]) -> Result<(), BadSignature> {
    Software.verify(key, algorithm, &MESSAGE, signature)
}

/// What we sign holds there, in every size, also in one between two widths.
#[test]
fn our_signatures_convince_the_other_implementation() {
    for pem in ALL {
        let (signer, theirs) = (Software.signer(&key(pem)).unwrap(), oracle(pem));
        for hash in HASHES {
            let signature = signer.sign(SignatureAlgorithm::RsaPkcs1(hash), &MESSAGE).unwrap();
            theirs.as_public_key().verify(v1_5(hash), &digest(hash), &signature).unwrap();
            let signature = signer.sign(SignatureAlgorithm::RsaPss(hash), &MESSAGE).unwrap();
            assert_eq!(signature.len(), private(pem).public_key().modulus().len());
            let verdict = match hash {
                Sha2::Sha256 => {
                    theirs.as_public_key().verify(Pss::<Sha256>::new(), &digest(hash), &signature)
                }
                Sha2::Sha384 => {
                    theirs.as_public_key().verify(Pss::<Sha384>::new(), &digest(hash), &signature)
                }
                Sha2::Sha512 => {
                    theirs.as_public_key().verify(Pss::<Sha512>::new(), &digest(hash), &signature)
                }
            };
            verdict.unwrap();
            assert_eq!(signer.sign(SignatureAlgorithm::RsaPss(hash), &MESSAGE), Ok(signature));
        }
    }
}

/// What they sign holds here, with the right hash only.
#[test]
fn the_other_implementations_signatures_convince_us() {
    for pem in ALL {
        let (public, theirs) = (public(pem), oracle(pem));
        for hash in HASHES {
            let signature = theirs.sign(v1_5(hash), &digest(hash)).unwrap();
            for other in HASHES {
                let expected = if other == hash { Ok(()) } else { Err(BadSignature) };
                assert_eq!(verify(&public, SignatureAlgorithm::RsaPkcs1(other), &signature), expected);
                assert_eq!(verify(&public, SignatureAlgorithm::RsaPss(other), &signature), Err(BadSignature));
            }
            let altered =
                Software.verify(&public, SignatureAlgorithm::RsaPkcs1(hash), &[b"message"], &signature);
            assert_eq!(altered, Err(BadSignature));
        }
    }
}

/// RFC 8017 §9.1.2, RFC 7427 §3: only the salt length that the AlgorithmIdentifier names.
#[test]
fn pss_takes_one_length_of_salt() {
    let (public, theirs) = (public(RSA_2048_A), oracle(RSA_2048_A));
    let mut rng = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
    for (salt, expected) in
        [(32, Ok(())), (0, Err(BadSignature)), (20, Err(BadSignature)), (31, Err(BadSignature))]
    {
        let scheme = Pss::<Sha256>::new_with_salt(salt);
        let signature = theirs.sign_with_rng(&mut rng, scheme, &digest(Sha2::Sha256)).unwrap();
        assert_eq!(verify(&public, SignatureAlgorithm::RsaPss(Sha2::Sha256), &signature), expected, "{salt}");
    }
}

/// RFC 8017 §5.2.2: a number between 1 and n - 1, as long as n; 0 and 1 are their own powers. Refused
/// before anything is raised (CVE-2017-11185).
#[test]
fn signatures_out_of_range_are_refused() {
    for pem in [RSA_2048_A, RSA_4096] {
        let public = public(pem);
        let PublicKey::Rsa(key) = &public else { unreachable!() };
        let modulus = key.modulus();
        let (mut one, mut above) = (vec![0; modulus.len()], modulus.to_vec());
        *one.last_mut().unwrap() = 1;
        *above.last_mut().unwrap() += 1;
        let good = oracle(pem).sign(v1_5(Sha2::Sha256), &digest(Sha2::Sha256)).unwrap();
        assert_eq!(verify(&public, SignatureAlgorithm::RsaPkcs1(Sha2::Sha256), &good), Ok(()));
        for bad in [
            vec![],
            vec![0; modulus.len()],
            one,
            modulus.to_vec(),
            above,
            vec![0xff; modulus.len()],
            good[1..].to_vec(),
            [&[0], &good[..]].concat(),
            [&good[..], &[0]].concat(),
            vec![0x55; 4096],
        ] {
            for algorithm in
                [SignatureAlgorithm::RsaPkcs1(Sha2::Sha256), SignatureAlgorithm::RsaPss(Sha2::Sha256)]
            {
                assert_eq!(verify(&public, algorithm, &bad), Err(BadSignature), "{} octets", bad.len());
            }
        }
    }
}

/// Signs a block that is no encoding, which takes the private key.
fn raw(block: &[u8]) -> Vec<u8> {
    let number = BoxedUint::from_be_slice(block, 2048).unwrap();
    let none = None::<&mut rand_chacha::ChaCha20Rng>;
    let signed = rsa::hazmat::rsa_decrypt(none, &oracle(RSA_2048_A), &number).unwrap();
    let octets = signed.to_be_bytes();
    octets[octets.len() - 256..].to_vec()
}

/// RFC 8017 §9.2: one encoding is right. Each of these was accepted by somebody who parsed instead of
/// comparing (CVE-2018-16151, CVE-2018-16152, CVE-2006-4339).
#[test]
fn padding_that_only_a_lenient_reader_accepts() {
    let digest = digest(Sha2::Sha256);
    let oid: &[u8] = &[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let info = |algorithm: &[u8], digest: &[u8]| {
        let hash = [&[0x04, digest.len() as u8], digest].concat();
        let algorithm = [&[0x30, algorithm.len() as u8], algorithm].concat();
        [&[0x30, (algorithm.len() + hash.len()) as u8], &algorithm[..], &hash].concat()
    };
    let padded = |front: &[u8], fill: u8, info: &[u8], behind: &[u8]| {
        let fill = vec![fill; 256 - front.len() - 1 - info.len() - behind.len()];
        [front, &fill, &[0], info, behind].concat()
    };
    let null = info(&[oid, &[5, 0]].concat(), &digest);
    let judge = |block: Vec<u8>| {
        verify(&public(RSA_2048_A), SignatureAlgorithm::RsaPkcs1(Sha2::Sha256), &raw(&block))
    };
    assert_eq!(judge(padded(&[0, 1], 0xff, &null, &[])), Ok(()));

    let short = [&[0, 1][..], &[0xff; 8], &[0], &null].concat();
    let behind = vec![0x11; 256 - short.len()];
    let mut hole = padded(&[0, 1], 0xff, &null, &[]);
    hole[100] = 0xfe;
    let mut long_oid = oid.to_vec();
    long_oid[1] = 0x0a;
    long_oid.push(0);
    for (what, block) in [
        ("octets behind the hash", padded(&[0, 1], 0xff, &null, &[0])),
        ("short padding, the rest behind", [short, behind].concat()),
        ("no parameters", padded(&[0, 1], 0xff, &info(oid, &digest), &[])),
        ("parameters that are no NULL", padded(&[0, 1], 0xff, &info(&[oid, &[4, 0]].concat(), &digest), &[])),
        ("parameters with content", padded(&[0, 1], 0xff, &info(&[oid, &[5, 1, 0]].concat(), &digest), &[])),
        ("a longer OID", padded(&[0, 1], 0xff, &info(&[&long_oid[..], &[5, 0]].concat(), &digest), &[])),
        ("a shorter hash", padded(&[0, 1], 0xff, &info(&[oid, &[5, 0]].concat(), &digest[..20]), &[])),
        ("no DigestInfo", padded(&[0, 1], 0xff, &digest, &[])),
        ("block type 0", padded(&[0, 0], 0, &null, &[])),
        ("block type 2", padded(&[0, 2], 0xff, &null, &[])),
        ("a hole in the padding", hole),
    ] {
        assert_eq!(judge(block), Err(BadSignature), "{what}");
    }
}

/// A key signs by the algorithms of its kind.
#[test]
fn algorithms_of_other_kinds() {
    let signer = Software.signer(&key(RSA_2048_A)).unwrap();
    let signature = signer.sign(SignatureAlgorithm::RsaPss(Sha2::Sha256), &MESSAGE).unwrap();
    for algorithm in [SignatureAlgorithm::Ed25519, SignatureAlgorithm::Ecdsa(Sha2::Sha256)] {
        assert_eq!(signer.sign(algorithm, &MESSAGE), Err(SigningFailed));
        assert_eq!(verify(&signer.public_key(), algorithm, &signature), Err(BadSignature));
    }
    for other in [PrivateKey::Ed25519([1; 32]), PrivateKey::EcdsaP256([1; 32])] {
        let other = Software.signer(&other).unwrap();
        assert_eq!(other.sign(SignatureAlgorithm::RsaPss(Sha2::Sha256), &MESSAGE), Err(SigningFailed));
        let verdict = verify(&other.public_key(), SignatureAlgorithm::RsaPss(Sha2::Sha256), &signature);
        assert_eq!(verdict, Err(BadSignature));
    }
}

/// A private key whose numbers do not belong together would make signatures that give its primes away.
#[test]
fn a_damaged_private_key_is_refused() {
    for n in 0..5 {
        let damaged = with_numbers(RSA_2048_A, |numbers| numbers[n][100] ^= 4);
        assert_eq!(Software.signer(&PrivateKey::Rsa(damaged)).err(), Some(BadPrivateKey), "number {n}");
        let zero = with_numbers(RSA_2048_A, |numbers| numbers[n].fill(0));
        assert_eq!(Software.signer(&PrivateKey::Rsa(zero)).err(), Some(BadPrivateKey), "number {n}");
    }
    let swapped = with_numbers(RSA_2048_A, |numbers| numbers.swap(2, 3));
    assert_eq!(Software.signer(&PrivateKey::Rsa(swapped)).err(), Some(BadPrivateKey));
}

/// RFC 3279 §2.3.1, RFC 8017 Appendix A.1.1: the octets that others write are those that we write.
#[test]
fn raw_keys_are_written_and_read() {
    for pem in ALL {
        let theirs = oracle(pem).as_public_key().to_public_key_der().unwrap();
        let PublicKey::Rsa(key) = public(pem) else { unreachable!() };
        assert_eq!(spki::encode(&public(pem)).as_slice(), theirs.as_bytes());
        assert_eq!(spki::parse(theirs.as_bytes()), Ok(public(pem)));
        let bare = rsa_public_key::encode(&key);
        assert_eq!(rsa_public_key::parse(&bare), Ok(key));
        assert!(theirs.as_bytes().ends_with(&bare));
        for length in 0..theirs.as_bytes().len() {
            assert_eq!(spki::parse(&theirs.as_bytes()[..length]), Err(Malformed::UnknownKey));
        }
        for length in 0..bare.len() {
            assert_eq!(rsa_public_key::parse(&bare[..length]), Err(Malformed::Der));
        }
        assert_eq!(spki::parse(&[theirs.as_bytes(), &[0]].concat()), Err(Malformed::UnknownKey));
        assert_eq!(rsa_public_key::parse(&[&bare[..], &[0]].concat()), Err(Malformed::Der));
    }
}

/// RFC 8247 §4.1: numbers that are no key, other parameters, unused bits or lengths in BER.
#[test]
fn raw_keys_that_are_none() {
    let der = spki::encode(&public(RSA_2048_A));
    let with = |place: usize, octet: u8| {
        let mut other = der.clone();
        other[place] = octet;
        other
    };
    assert_eq!(der[..4], [0x30, 0x82, 1, 0x22]);
    for (what, place, octet) in [
        ("indefinite length", 1, 0x80),
        ("RSASSA-PSS as the key's algorithm", 16, 0x0a),
        ("parameters that are no NULL", 17, 0x04),
        ("unused bits", 23, 1),
        ("a negative modulus", 32, 0x80),
        ("an even modulus", 288, der[288] & 0xfe),
        ("an even exponent", 293, 0),
    ] {
        assert_eq!(spki::parse(&with(place, octet)), Err(Malformed::UnknownKey), "{what}");
    }
}
