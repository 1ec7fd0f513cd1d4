//! What every backend must keep, whatever its functions compute: the same test over each of them, by
//! hand through key exchange, key derivation, SK payload and AUTH of two ends.

use core::convert::Infallible;

use esp_engine::crypto::{Algorithm, Associated, Cipher, Forged};
use ike_core::auth::{
    AuthError, Expected, HashAlgorithms, Proof, SignatureHashes, SignedOctets, prove, verify,
};
use ike_core::crypto::software::Software;
use ike_core::crypto::toy::Toy;
use ike_core::crypto::{BadPublicValue, Crypto, Group, KeyExchange, KeyKind, Prf, PrivateKey, Signer};
use ike_core::ike_sa::keys::{IkeKeys, IkeSpis, Nonces, Role, Suite};
use ike_core::wire::code_point::IdType;
use ike_core::wire::id::IdView;

#[test]
fn software() {
    two_ends_agree(&Software);
    a_broken_icv_is_forged(&Software);
}

#[test]
fn toy() {
    two_ends_agree(&Toy::<false>);
    a_broken_icv_is_forged(&Toy::<false>);
}

/// With the lenient toy a fuzzer's octets pass as an SK payload.
#[test]
fn lenient_toy() {
    two_ends_agree(&Toy::<true>);
    let (cipher, _) = ciphers(&Toy::<true>, Algorithm::Aes256Gcm16);
    let mut text = *b"anything";
    assert_eq!(cipher.open(Associated::Message(b"header"), &[0; 8], &mut text, &[0; 16]), Ok(()));
    assert_eq!(text, *b"anything");
}

/// Counts; fills with what it counted, so that runs repeat.
struct Counter(u64);

impl rand_core::TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|count| count as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        octets.fill(self.0 as u8);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Counter {}

fn keys<C: Crypto>(crypto: &C, group: Group, cipher: Algorithm) -> [IkeKeys; 2] {
    let mut rng = Counter(0);
    let ends = [crypto.generate(group, &mut rng).unwrap(), crypto.generate(group, &mut rng).unwrap()];
    let public = ends.each_ref().map(|end| end.public());
    assert_ne!(public[0], public[1]);
    let [initiator, responder] = ends;
    for refused in [&[][..], &public[0][1..], &vec![0; group.public_length()]] {
        assert_eq!(initiator.clone().agree(refused).err(), Some(BadPublicValue));
    }
    let suite = Suite { prf: Prf::HmacSha256, cipher };
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = IkeSpis { initiator: 3, responder: 4 };
    [initiator.agree(&public[1]), responder.agree(&public[0])]
        .map(|secret| IkeKeys::initial(crypto, suite, &secret.unwrap(), nonces, spis))
}

fn ciphers<C: Crypto>(crypto: &C, algorithm: Algorithm) -> (C::Cipher, C::Cipher) {
    let [ours, theirs] = keys(crypto, Group::Curve25519, algorithm);
    let sending = C::Cipher::new(ours.cipher_keys(Role::Initiator).outbound).unwrap();
    let receiving = C::Cipher::new(theirs.cipher_keys(Role::Responder).inbound).unwrap();
    (sending, receiving)
}

fn two_ends_agree<C: Crypto>(crypto: &C) {
    for group in [Group::Modp2048, Group::P256, Group::P384, Group::Curve25519] {
        let [ours, theirs] = keys(crypto, group, Algorithm::ChaCha20Poly1305);
        assert_eq!(ours, theirs);
        assert_ne!(ours.sk_ei, ours.sk_er);
        assert_ne!(ours.sk_pi, ours.sk_pr);
        for kind in [KeyKind::Ed25519, KeyKind::EcdsaP256, KeyKind::EcdsaP384] {
            authenticate(crypto, kind, &ours);
        }
    }
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_confidential()) {
        let (sending, receiving) = ciphers(crypto, algorithm);
        let (mut iv, mut text, mut icv) = ([0; 16], *b"payloads of one\0", [0; 16]);
        let iv = &mut iv[..algorithm.iv_length()];
        sending.seal(7, Associated::Message(b"header"), iv, &mut text, &mut icv);
        assert_eq!(receiving.open(Associated::Message(b"header"), iv, &mut text, &icv), Ok(()));
        assert_eq!(text, *b"payloads of one\0");
    }
}

fn authenticate<C: Crypto>(crypto: &C, kind: KeyKind, keys: &IkeKeys) {
    let mut rng = Counter(10);
    let mut signer = || crypto.signer(&PrivateKey::generate(crypto, kind, &mut rng).unwrap()).unwrap();
    let (signer, other) = (signer(), signer().public_key());
    let public = signer.public_key();
    let hashes = SignatureHashes { ours: HashAlgorithms::ALL, peer: Some(HashAlgorithms::ALL) };
    let identity = IdView::new(IdType::FQDN, b"a.example").unwrap();
    let octets =
        |sk_p, message| SignedOctets::new(crypto, Prf::HmacSha256, sk_p, message, b"nonce", &identity);

    let auth = prove(crypto, Proof::Key(&signer), hashes, &octets(&keys.sk_pi, b"message")).unwrap();
    let judge = |peer, sk_p, message| {
        let expected = Expected::Key { peer, own: None };
        verify(crypto, expected, hashes, &octets(sk_p, message), auth.view())
    };
    assert_eq!(judge(&public, &keys.sk_pi, b"message"), Ok(()));
    assert_eq!(judge(&public, &keys.sk_pi, b"massage"), Err(AuthError::Mismatch));
    assert_eq!(judge(&public, &keys.sk_pr, b"message"), Err(AuthError::Mismatch));
    assert_eq!(judge(&other, &keys.sk_pi, b"message"), Err(AuthError::Mismatch));
}

fn a_broken_icv_is_forged<C: Crypto>(crypto: &C) {
    let (sending, receiving) = ciphers(crypto, Algorithm::Aes128Gcm16);
    let (mut iv, mut text, mut icv) = ([0; 8], *b"payloads", [0; 16]);
    sending.seal(7, Associated::Message(b"header"), &mut iv, &mut text, &mut icv);
    let open = |associated: &[u8], iv: &[u8], mut text: [u8; 8], icv: &[u8]| {
        receiving.open(Associated::Message(associated), iv, &mut text, icv)
    };
    assert_eq!(open(b"header", &iv, text, &icv), Ok(()));
    assert_eq!(open(b"hoader", &iv, text, &icv), Err(Forged));
    assert_eq!(open(b"header", &[9; 8], text, &icv), Err(Forged));
    assert_eq!(open(b"header", &iv, *b"paylaods", &icv), Err(Forged));
    icv[0] ^= 0x80;
    assert_eq!(open(b"header", &iv, text, &icv), Err(Forged));
}
