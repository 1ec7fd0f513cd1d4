//! The AUTH payload as a peer could send it: right, of another method, of another key, of another
//! exchange, and in encodings that only a lenient reader accepts (RFC 7296 §2.15, RFC 7427, RFC 8420).

mod vectors_support;

use ike_core::auth::{
    AuthData, AuthError, AuthMethod, Expected, HashAlgorithms, NotProven, Proof, SignatureHashes,
    SignedOctets, ecdsa_sig_value, prove, verify,
};
use ike_core::crypto::software::{Software, SoftwareSigner};
use ike_core::crypto::{Crypto, Prf, PrfOutput, PrivateKey, PublicKey, SignatureAlgorithm, Signer};
use ike_core::wire::auth::AuthView;
use ike_core::wire::code_point::IdType;
use ike_core::wire::id::IdView;
use vectors_support::hex;

const ECDSA_SHA256: &str = "0c 300a06082a8648ce3d040302";
const ED25519: &str = "07 300506032b6570";

const BOTH: HashAlgorithms = HashAlgorithms::ALL;
const ONLY_SHA2: HashAlgorithms = HashAlgorithms { identity: false, ..BOTH };
const ONLY_IDENTITY: HashAlgorithms = HashAlgorithms { identity: true, ..HashAlgorithms::NONE };
/// Both sent SIGNATURE_HASH_ALGORITHMS with all that there is.
const NEGOTIATED: SignatureHashes = SignatureHashes { ours: BOTH, peer: Some(BOTH) };
/// The peer did not send it.
const SILENT: SignatureHashes = SignatureHashes { ours: BOTH, peer: None };

/// One end of an IKE SA just before IKE_AUTH.
struct End {
    sk_p: PrfOutput,
    message: Vec<u8>,
    peer_nonce: Vec<u8>,
    name: &'static str,
}

impl End {
    fn initiator() -> Self {
        Self { sk_p: [1; 32].into(), message: vec![0x11; 300], peer_nonce: vec![0x22; 32], name: "a.example" }
    }

    fn responder() -> Self {
        Self { sk_p: [2; 32].into(), message: vec![0x33; 280], peer_nonce: vec![0x44; 32], name: "b.example" }
    }

    fn octets(&self) -> SignedOctets<'_> {
        let identity = IdView::new(IdType::FQDN, self.name.as_bytes()).unwrap();
        SignedOctets::new(&Software, Prf::HmacSha256, &self.sk_p, &self.message, &self.peer_nonce, &identity)
    }

    fn prove(&self, proof: Proof<'_, SoftwareSigner>, hashes: SignatureHashes) -> AuthData {
        prove(&Software, proof, hashes, &self.octets()).unwrap()
    }

    fn judge(
        &self,
        expected: Expected<'_>,
        hashes: SignatureHashes,
        auth: AuthView<'_>,
    ) -> Result<(), AuthError> {
        verify(&Software, expected, hashes, &self.octets(), auth)
    }
}

fn signer(key: PrivateKey) -> (SoftwareSigner, PublicKey) {
    let signer = Software.signer(&key).unwrap();
    let public = signer.public_key();
    (signer, public)
}

fn ed25519() -> (SoftwareSigner, PublicKey) {
    signer(PrivateKey::Ed25519([5; 32]))
}

fn ecdsa() -> (SoftwareSigner, PublicKey) {
    signer(PrivateKey::EcdsaP256([6; 32]))
}

fn key(peer: &PublicKey) -> Expected<'_> {
    Expected::Key { peer, own: None }
}

/// The proof and judgement of the same side, with data of one's own in between.
fn judge_data(peer: &PublicKey, hashes: SignatureHashes, method: AuthMethod, data: &[u8]) -> AuthError {
    End::initiator().judge(key(peer), hashes, AuthView { method, data }).unwrap_err()
}

#[test]
fn every_proof_convinces_who_expects_it() {
    let end = End::initiator();
    for (signer, public) in [ed25519(), ecdsa()] {
        let auth = end.prove(Proof::Key(&signer), NEGOTIATED);
        assert_eq!(auth.method, AuthMethod::DIGITAL_SIGNATURE);
        assert_eq!(end.judge(key(&public), NEGOTIATED, auth.view()), Ok(()));
    }
    let (signer, public) = ecdsa();
    let auth = end.prove(Proof::Key(&signer), SILENT);
    assert_eq!((auth.method, auth.data.len()), (AuthMethod::ECDSA_P256, 64));
    assert_eq!(end.judge(key(&public), SILENT, auth.view()), Ok(()));

    let auth = end.prove(Proof::SharedKey(b"secret"), NEGOTIATED);
    assert_eq!(auth.method, AuthMethod::SHARED_KEY);
    assert_eq!(end.judge(Expected::SharedKey(b"secret"), NEGOTIATED, auth.view()), Ok(()));

    let auth = end.prove(Proof::Null, NEGOTIATED);
    assert_eq!(auth.method, AuthMethod::NULL);
    assert_eq!(end.judge(Expected::Null, NEGOTIATED, auth.view()), Ok(()));
}

/// RFC 7296 §2.15, RFC 7619 §2.1: the octets in their order, put together here a second time.
#[test]
fn macs_are_over_message_nonce_and_identity() {
    let end = End::initiator();
    let prf = |key: &[u8], data: &[u8]| Software.prf(Prf::HmacSha256, key, &[data]).octets().to_vec();
    let identity = prf(end.sk_p.octets(), b"\x02\0\0\0a.example");
    let octets = [&end.message[..], &end.peer_nonce, &identity].concat();
    for (proof, secret) in [(Proof::SharedKey(b"secret"), &b"secret"[..]), (Proof::Null, end.sk_p.octets())] {
        let expected = prf(&prf(secret, b"Key Pad for IKEv2"), &octets);
        assert_eq!(end.prove(proof, NEGOTIATED).data.as_slice(), expected);
    }
    let (signer, public) = ed25519();
    let auth = end.prove(Proof::Key(&signer), NEGOTIATED);
    let (blob, signature) = auth.data.split_at(8);
    assert_eq!(blob, hex(ED25519));
    assert_eq!(Software.verify(&public, SignatureAlgorithm::Ed25519, &[&octets], signature), Ok(()));
}

/// RFC 7296 §2.15: whatever is part of the octets, changing it breaks the proof; a retry after a cookie
/// is such a change of the message, and RESERVED of the identity counts too.
#[test]
fn octets_of_another_exchange() {
    let proofs = |end: &End| {
        [
            end.prove(Proof::Key(&ed25519().0), NEGOTIATED),
            end.prove(Proof::SharedKey(b"secret"), NEGOTIATED),
            end.prove(Proof::Null, NEGOTIATED),
        ]
    };
    let end = End::initiator();
    let mut before_the_cookie = End::initiator();
    before_the_cookie.message.drain(28..60);
    let mut other_nonce = End::initiator();
    other_nonce.peer_nonce[31] ^= 1;
    let other_name = End { name: "a.exampla", ..End::initiator() };
    let other_keys = End { sk_p: [9; 32].into(), ..End::initiator() };
    let public = ed25519().1;
    for other in [before_the_cookie, other_nonce, other_name, other_keys] {
        let [signature, mac, null] = proofs(&other);
        let judge = |expected, auth: &AuthData| end.judge(expected, NEGOTIATED, auth.view());
        assert_eq!(judge(key(&public), &signature), Err(AuthError::Mismatch));
        assert_eq!(judge(Expected::SharedKey(b"secret"), &mac), Err(AuthError::Mismatch));
        assert_eq!(judge(Expected::Null, &null), Err(AuthError::Mismatch));
    }

    let body = b"\x02\0\0\x01a.example";
    let reserved = IdView::parse(ike_core::wire::code_point::PayloadType::IDI, body).unwrap();
    let octets =
        SignedOctets::new(&Software, Prf::HmacSha256, &end.sk_p, &end.message, &end.peer_nonce, &reserved);
    let auth = prove(&Software, Proof::Null, NEGOTIATED, &octets).unwrap();
    assert_eq!(end.judge(Expected::Null, NEGOTIATED, auth.view()), Err(AuthError::Mismatch));
}

/// A proof sent back to who made it: the other end's octets differ, even if both have one key or secret.
#[test]
fn a_reflected_proof_does_not_hold() {
    let (ours, theirs) = (End::initiator(), End::responder());
    let (signer, public) = ed25519();
    let auth = ours.prove(Proof::Key(&signer), NEGOTIATED);
    assert_eq!(theirs.judge(key(&public), NEGOTIATED, auth.view()), Err(AuthError::Mismatch));
    let auth = ours.prove(Proof::SharedKey(b"secret"), NEGOTIATED);
    let judged = theirs.judge(Expected::SharedKey(b"secret"), NEGOTIATED, auth.view());
    assert_eq!(judged, Err(AuthError::Mismatch));
    let auth = ours.prove(Proof::Null, NEGOTIATED);
    assert_eq!(theirs.judge(Expected::Null, NEGOTIATED, auth.view()), Err(AuthError::Mismatch));
}

#[test]
fn our_own_key_is_nobody_elses() {
    let end = End::responder();
    let (signer, public) = ed25519();
    let auth = end.prove(Proof::Key(&signer), NEGOTIATED);
    let own = Expected::Key { peer: &public, own: Some(&public) };
    assert_eq!(end.judge(own, NEGOTIATED, auth.view()), Err(AuthError::OwnKey));
    let other = ecdsa().1;
    let own = Expected::Key { peer: &public, own: Some(&other) };
    assert_eq!(end.judge(own, NEGOTIATED, auth.view()), Ok(()));
}

#[test]
fn another_key_or_secret() {
    let end = End::initiator();
    let other = signer(PrivateKey::Ed25519([7; 32])).1;
    let auth = end.prove(Proof::Key(&ed25519().0), NEGOTIATED);
    assert_eq!(end.judge(key(&other), NEGOTIATED, auth.view()), Err(AuthError::Mismatch));
    let auth = end.prove(Proof::SharedKey(b"secret"), NEGOTIATED);
    for secret in [&b"secre"[..], b"secrets", b"", b"Secret"] {
        let judged = end.judge(Expected::SharedKey(secret), NEGOTIATED, auth.view());
        assert_eq!(judged, Err(AuthError::Mismatch));
    }
}

/// The entry says how a peer authenticates, never the peer.
#[test]
fn a_method_that_is_not_expected() {
    let end = End::initiator();
    let (signer, public) = ecdsa();
    let right = [
        end.prove(Proof::Key(&signer), NEGOTIATED),
        end.prove(Proof::SharedKey(b"secret"), NEGOTIATED),
        end.prove(Proof::Null, NEGOTIATED),
    ];
    for (i, expected) in
        [key(&public), Expected::SharedKey(b"secret"), Expected::Null].into_iter().enumerate()
    {
        for (j, auth) in right.iter().enumerate() {
            let judged = end.judge(expected, NEGOTIATED, auth.view());
            assert_eq!(judged, if i == j { Ok(()) } else { Err(AuthError::MethodNotAllowed) });
        }
        for method in (0..=255).map(AuthMethod).filter(|method| right.iter().all(|r| r.method != *method)) {
            let judged = end.judge(expected, NEGOTIATED, AuthView { method, data: &right[0].data });
            assert_eq!(judged, Err(AuthError::MethodNotAllowed), "{method:?}");
        }
    }
}

/// RFC 7427 §3: with the notification from both sides method 14 is a MUST; without it nobody may use it.
#[test]
fn the_notification_decides_between_methods_9_and_14() {
    let end = End::initiator();
    let (signer, public) = ecdsa();
    let old = end.prove(Proof::Key(&signer), SILENT);
    let new = end.prove(Proof::Key(&signer), NEGOTIATED);
    let judge = |hashes, auth: &AuthData| end.judge(key(&public), hashes, auth.view());
    assert_eq!(judge(NEGOTIATED, &old), Err(AuthError::MethodNotAllowed));
    assert_eq!(judge(SILENT, &new), Err(AuthError::MethodNotAllowed));

    // Method 9 is ECDSA, whatever the octets are.
    let (signer, public) = ed25519();
    let signature = &end.prove(Proof::Key(&signer), NEGOTIATED).data[8..];
    assert_eq!(judge_data(&public, SILENT, AuthMethod::ECDSA_P256, signature), AuthError::MethodNotAllowed);
}

/// RFC 7427 §4, RFC 8420 §2: a hash that was not listed is not used, by neither side.
#[test]
fn a_hash_that_was_not_listed() {
    let end = End::initiator();
    for ((signer, public), without) in [(ed25519(), ONLY_SHA2), (ecdsa(), ONLY_IDENTITY)] {
        let peer_lacks = SignatureHashes { ours: BOTH, peer: Some(without) };
        let refused = prove(&Software, Proof::Key(&signer), peer_lacks, &end.octets());
        assert_eq!(refused, Err(NotProven::NoCommonAlgorithm));

        let we_lack = SignatureHashes { ours: without, peer: Some(BOTH) };
        let auth = end.prove(Proof::Key(&signer), NEGOTIATED);
        assert_eq!(end.judge(key(&public), we_lack, auth.view()), Err(AuthError::HashNotListed));
    }
    let refused = prove(&Software, Proof::Key(&ed25519().0), SILENT, &end.octets());
    assert_eq!(refused, Err(NotProven::NoCommonAlgorithm));
}

/// RFC 7427 §3: the AlgorithmIdentifier is one of those that we know, in every octet.
#[test]
fn algorithm_identifiers() {
    let end = End::initiator();
    let (signer, public) = ecdsa();
    let auth = end.prove(Proof::Key(&signer), NEGOTIATED);
    let value = &auth.data[13..];
    assert_eq!(&auth.data[..13], hex(ECDSA_SHA256));
    let judge = |blob: &str| {
        judge_data(&public, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, &[&hex(blob), value].concat())
    };
    for blob in [
        "00",
        "09 300706052b0e03021a",             // SHA-1
        "0b 300906072a8648ce3d0401",         // ecdsa-with-SHA1
        "0c 300a06082a8648ce3d040301",       // ecdsa-with-SHA224
        "0e 300c06082a8648ce3d0403020500",   // NULL parameters
        "0d 30810a06082a8648ce3d040302",     // length in long form
        "0f 300d06092a864886f70d0101050500", // sha1WithRSAEncryption
        "07 300506032b6571",                 // Ed448
    ] {
        assert_eq!(judge(blob), AuthError::UnknownAlgorithm, "{blob}");
    }
    for blob in [ED25519, "0f 300d06092a864886f70d01010b0500"] {
        assert_eq!(judge(blob), AuthError::WrongKind);
    }
    // Another hash, which ECDSA may use, is another signature.
    assert_eq!(judge("0c 300a06082a8648ce3d040303"), AuthError::Mismatch);
    for data in [&[][..], &[255], &[12, 0x30], &hex("ff 300a06082a8648ce3d040302")] {
        let error = judge_data(&public, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, data);
        assert_eq!(error, AuthError::Malformed, "{data:02x?}");
    }

    // The other way round: a key of Ed25519, a blob of ECDSA.
    let data = [hex(ECDSA_SHA256), vec![0; 64]].concat();
    let error = judge_data(&ed25519().1, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, &data);
    assert_eq!(error, AuthError::WrongKind);
}

/// RFC 4754 §7 against RFC 7427 §3: side by side in method 9, DER in method 14, never the other.
#[test]
fn encodings_do_not_mix() {
    let end = End::initiator();
    let (signer, public) = ecdsa();
    let side_by_side = end.prove(Proof::Key(&signer), SILENT).data;
    let der = end.prove(Proof::Key(&signer), NEGOTIATED).data[13..].to_vec();
    assert_eq!(ecdsa_sig_value::decode(&der, 32).as_ref().map(|s| &s[..]), Some(&side_by_side[..]));

    assert_eq!(judge_data(&public, SILENT, AuthMethod::ECDSA_P256, &der), AuthError::Malformed);
    let data = [hex(ECDSA_SHA256), side_by_side.to_vec()].concat();
    let error = judge_data(&public, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, &data);
    assert_eq!(error, AuthError::Malformed);
}

#[test]
fn signatures_that_are_none() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let (zero, one) = ("00".repeat(32), format!("{}01", "00".repeat(31)));
    let max = "ff".repeat(32);
    let public = ecdsa().1;
    for (r, s) in [
        (&zero, &zero),
        (&zero, &one),
        (&one, &zero),
        (&one, &one),
        (&order.to_string(), &one),
        (&one, &order.to_string()),
        (&order.to_string(), &order.to_string()),
        (&max, &max),
    ] {
        let signature: [u8; 64] = hex(&format!("{r}{s}")).try_into().unwrap();
        let error = judge_data(&public, SILENT, AuthMethod::ECDSA_P256, &signature);
        assert_eq!(error, AuthError::Mismatch, "{r} {s}");
        let data = [&hex(ECDSA_SHA256)[..], &ecdsa_sig_value::encode(&signature)].concat();
        let error = judge_data(&public, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, &data);
        assert_eq!(error, AuthError::Mismatch, "{r} {s}");
    }
    for length in [0, 1, 63, 65, 96, 128, 132] {
        let octets = vec![1; length];
        let error = judge_data(&public, SILENT, AuthMethod::ECDSA_P256, &octets);
        assert_eq!(error, AuthError::Malformed, "{length}");
        let data = [hex(ED25519), octets].concat();
        let error = judge_data(&ed25519().1, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, &data);
        assert_eq!(error, AuthError::Malformed, "{length}");
    }
    let data = [hex(ED25519), vec![0; 64]].concat();
    let error = judge_data(&ed25519().1, NEGOTIATED, AuthMethod::DIGITAL_SIGNATURE, &data);
    assert_eq!(error, AuthError::Mismatch);
}

/// A MAC cut short, drawn out or left out is not a MAC.
#[test]
fn macs_of_the_wrong_length() {
    let end = End::initiator();
    let right = end.prove(Proof::SharedKey(b"secret"), NEGOTIATED).data;
    let longer = [&right[..], &[0]].concat();
    for data in [&right[..31], &right[..16], &[], &longer] {
        let auth = AuthView { method: AuthMethod::SHARED_KEY, data };
        let judged = end.judge(Expected::SharedKey(b"secret"), NEGOTIATED, auth);
        assert_eq!(judged, Err(AuthError::Mismatch));
    }
}

/// Every bit of a proof counts.
#[test]
fn one_bit_off() {
    let end = End::initiator();
    let (ed_signer, ed_public) = ed25519();
    let (ec_signer, ec_public) = ecdsa();
    for (proof, expected, hashes) in [
        (Proof::Key(&ed_signer), key(&ed_public), NEGOTIATED),
        (Proof::Key(&ec_signer), key(&ec_public), SILENT),
        (Proof::SharedKey(b"secret"), Expected::SharedKey(b"secret"), NEGOTIATED),
    ] {
        let right = end.prove(proof, hashes);
        for octet in 0..right.data.len() {
            let mut wrong = right.clone();
            wrong.data[octet] ^= 1 << (octet % 8);
            assert!(end.judge(expected, hashes, wrong.view()).is_err(), "octet {octet}");
        }
        assert_eq!(end.judge(expected, hashes, right.view()), Ok(()));
    }
}
