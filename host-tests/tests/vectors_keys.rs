//! Known answers of the key derivation (RFC 7296 §2.13, §2.14, §2.17, §2.18), computed once with a
//! second implementation of HMAC: the RFCs print none.

mod vectors_support;

use esp_engine::crypto::{Algorithm, RawKey};
use ike_core::auth::{HashAlgorithms, IntAuth, Proof, SignatureHashes, SignedOctets, prove};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Crypto, Prf, PrfOutput, SharedSecret};
use ike_core::ike_sa::keys::{ChildKeys, IkeKeys, IkeSpis, Nonces, Role, Secrets, Suite};
use ike_core::wire::code_point::{ExchangeType, IdType, PayloadType};
use ike_core::wire::encrypted::Clear;
use ike_core::wire::header::{Flags, Header, IkeSpi};
use ike_core::wire::id::IdView;
use vectors_support::{array, hex};

const SPIS: IkeSpis = IkeSpis { initiator: 0x0001020304050607, responder: 0x08090a0b0c0d0e0f };

fn octets(from: u8) -> [u8; 32] {
    core::array::from_fn(|i| from + i as u8)
}

fn shared() -> SharedSecret {
    SharedSecret::new(array::<32>("c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950"))
}

fn raw(algorithm: Algorithm, text: &str) -> RawKey {
    RawKey::new(algorithm, &hex(text)).unwrap()
}

fn initial(cipher: Algorithm) -> IkeKeys {
    let (ni, nr) = (octets(0), octets(0x20));
    let suite = Suite { prf: Prf::HmacSha256, cipher };
    IkeKeys::initial(&Software, suite, &shared(), Nonces { initiator: &ni, responder: &nr }, SPIS)
}

#[test]
fn first_ike_sa_and_first_child_sa() {
    let cipher = Algorithm::ChaCha20Poly1305;
    let keys = initial(cipher);
    assert_eq!(keys.sk_d.octets(), hex("a3f8e57c13576c499b1b222693f30ff79a865d063a5fba002584e116ca1e1226"));
    assert_eq!(
        keys.sk_ei,
        raw(cipher, "f72bfc39733c571a197f1107ec4e357295085088473cf099108a396d5f1dec5e fe4aaf6e")
    );
    assert_eq!(
        keys.sk_er,
        raw(cipher, "1f0158aeab11c242756ce5b8460c80d208e4164c8313378f8f469427ebd50f8d d836e05d")
    );
    assert_eq!(keys.sk_pi.octets(), hex("a078b3ce3c09c696c7d60ab0ef29e9897660d8654921f3168bb07d5a0129e01f"));
    assert_eq!(keys.sk_pr.octets(), hex("6467e7ffa3723d3f93830f72792c8ab70f67c5fa4d747c07deb8a49e1d4ecef1"));

    let (ni, nr) = (octets(0), octets(0x20));
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let child = ChildKeys::new(&Software, Prf::HmacSha256, &keys.sk_d, cipher, None, nonces);
    let from_initiator =
        raw(cipher, "168fed8548ba2077f6252671ca2a2be82111617cbf37ebe64d3669712329dd5a d5f304f0");
    let from_responder =
        raw(cipher, "d3371d7ca0ec074eeb23077d8f4ba487ac0924df836df75cc1c0044e6082e03e 7e550adb");
    assert_eq!(child.from_initiator, from_initiator);
    assert_eq!(child.from_responder, from_responder);

    let ours = child.clone().pair(Role::Initiator);
    assert_eq!((ours.outbound, ours.inbound), (from_initiator.clone(), from_responder.clone()));
    let ours = child.pair(Role::Responder);
    assert_eq!((ours.outbound, ours.inbound), (from_responder, from_initiator));
}

/// RFC 7296 §2.14, §2.17: an IKE SA's integrity keys come before its encryption keys, a Child SA's behind
/// each encryption key.
#[test]
fn keys_of_a_cipher_with_its_own_mac() {
    let cipher = Algorithm::Aes128CbcHmacSha256;
    let keys = initial(cipher);
    let (ei, ai) = (
        "ebd50f8dd836e05da078b3ce3c09c696",
        "f72bfc39733c571a197f1107ec4e357295085088473cf099108a396d5f1dec5e",
    );
    let (er, ar) = (
        "c7d60ab0ef29e9897660d8654921f316",
        "fe4aaf6e1f0158aeab11c242756ce5b8460c80d208e4164c8313378f8f469427",
    );
    assert_eq!(keys.sk_ei.parts(), (&*hex(ei), &*hex(ai)));
    assert_eq!(keys.sk_er.parts(), (&*hex(er), &*hex(ar)));
    assert_eq!(keys.sk_pr.octets(), hex("deb8a49e1d4ecef15e6dd3cc1f2f84eebce4a30fbad54841cb9b977cfa6eef69"));
    let (ni, nr) = (octets(0), octets(0x20));
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let child = ChildKeys::new(&Software, Prf::HmacSha256, &keys.sk_d, cipher, None, nonces);
    let from_initiator = "168fed8548ba2077f6252671ca2a2be8 \
                          2111617cbf37ebe64d3669712329dd5ad5f304f0d3371d7ca0ec074eeb23077d";
    let from_responder = "8f4ba487ac0924df836df75cc1c0044e \
                          6082e03e7e550adb1a13c8699b46639ad2916f946202fca2efb7f3671cd4feb9";
    assert_eq!(child.from_initiator, raw(cipher, from_initiator));
    assert_eq!(child.from_responder, raw(cipher, from_responder));
}

/// What a CREATE_CHILD_SA exchange brings: another secret, nonces of other lengths.
fn create_child_sa() -> (SharedSecret, Vec<u8>, Vec<u8>) {
    let secret = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de";
    (SharedSecret::new(array::<32>(secret)), (0x40..0x50).collect(), (0x60..0x90).collect())
}

/// RFC 7296 §2.18: SKEYSEED from the old SK_d, the rest from new nonces and new SPIs.
#[test]
fn rekeyed_ike_sa() {
    let old = initial(Algorithm::ChaCha20Poly1305);
    let (secret, ni, nr) = create_child_sa();
    let cipher = Algorithm::Aes128Gcm16;
    let keys = IkeKeys::rekeyed(
        &Software,
        Prf::HmacSha256,
        &old.sk_d,
        Suite { prf: Prf::HmacSha256, cipher },
        Secrets::only(&secret),
        Nonces { initiator: &ni, responder: &nr },
        IkeSpis { initiator: 0x1011121314151617, responder: 0x18191a1b1c1d1e1f },
    );
    assert_eq!(keys.sk_d.octets(), hex("e4a6f07d2cee0ec7904961f8c7ef8b1ee48f8720b59ceb2111f7852ca11142d9"));
    assert_eq!(keys.sk_ei, raw(cipher, "49d2bfbccb52e4bd1bc8bbbf9acc07d08fe1f486"));
    assert_eq!(keys.sk_er, raw(cipher, "53b1470d061c47558320658a25d9b3a656581048"));
    assert_eq!(keys.sk_pi.octets(), hex("ba55bc2a8470839bddc197b8e7cb740afaf3f3ae2d7be1f8e23a58523097618b"));
    assert_eq!(keys.sk_pr.octets(), hex("7b634978554348bd47f5e9ffa0dcc7b543ff17143fc92389e75a3be4522eb0bd"));
    let ours = keys.cipher_keys(Role::Initiator);
    assert_eq!((ours.outbound, ours.inbound), (&keys.sk_ei, &keys.sk_er));
    let ours = keys.cipher_keys(Role::Responder);
    assert_eq!((ours.outbound, ours.inbound), (&keys.sk_er, &keys.sk_ei));
}

/// RFC 7296 §2.18: SKEYSEED comes of the old SA's PRF, all keys of the new one's, each as long as it
/// prefers.
#[test]
fn rekeyed_ike_sa_with_another_prf() {
    let cipher = Algorithm::Aes128Gcm16;
    let (ni, nr) = (octets(0), octets(0x20));
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let suite = Suite { prf: Prf::HmacSha384, cipher };
    let old = IkeKeys::initial(&Software, suite, &shared(), nonces, SPIS);
    let sk_d =
        "8380152621619f71197e6ec4d24141e582fe76134a51850c0ca0bf35fab70c0fd17b9f96de3bcba281e128625a38d801";
    assert_eq!(old.sk_d.octets(), hex(sk_d));
    assert_eq!(old.sk_ei, raw(cipher, "11bf3af2d132c33253ccada6145a0f39af658991"));

    let (secret, ni, nr) = create_child_sa();
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let spis = IkeSpis { initiator: 0x1011121314151617, responder: 0x18191a1b1c1d1e1f };
    let suite = Suite { prf: Prf::HmacSha512, cipher };
    let new =
        IkeKeys::rekeyed(&Software, Prf::HmacSha384, &old.sk_d, suite, Secrets::only(&secret), nonces, spis);
    let sk_d = "8ec30f28e9f993afb477adcbb87af7738ef9629ab3e6a1a2f148b0899d9d4b00 \
                da1cdc3b5ab6b5fe292584f74e385461a754e45fea28b64f00a2b1000d486671";
    assert_eq!(new.sk_d.octets(), hex(sk_d));
    assert_eq!(new.sk_ei, raw(cipher, "f00a51964f8ea40acb1f3ccdd6dd7fb6e53250dc"));
    let sk_pr = "7b956aaa518c1c6fcbddd66b06831bcc395bd3e195783e379a17e2bfbb6f0247 \
                 5cf20ac81de75e3287137dd2c83480c4447cb727c7f28f601835df20a545418c";
    assert_eq!(new.sk_pr.octets(), hex(sk_pr));
    let child = ChildKeys::new(&Software, Prf::HmacSha512, &new.sk_d, cipher, None, nonces);
    assert_eq!(child.from_initiator, raw(cipher, "abf36ee4fbb8178812aa1c3c6e088ac2016b8ff0"));
    assert_eq!(child.from_responder, raw(cipher, "508edd70b5359cda1a7eec710c789bdc7f9874f9"));
}

/// RFC 7296 §2.17: the secret of a second key exchange comes before the nonces.
#[test]
fn later_child_sa_with_and_without_key_exchange() {
    let sk_d = initial(Algorithm::ChaCha20Poly1305).sk_d;
    let (secret, ni, nr) = create_child_sa();
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let cipher = Algorithm::Aes128Gcm16;
    for (secrets, from_initiator, from_responder) in [
        (
            Some(Secrets::only(&secret)),
            "02ab8919d129b3f68444dd69f33c16c869348b79",
            "6b1f0c32640340238f9ab246b7f1e9e95a8a50f5",
        ),
        (None, "7c23bc036cb4fefbd6d9938641626aca62f58a54", "928f5cc902dfbb6bb21020d865d4f184c894c2a7"),
    ] {
        let child = ChildKeys::new(&Software, Prf::HmacSha256, &sk_d, cipher, secrets, nonces);
        assert_eq!(child.from_initiator, raw(cipher, from_initiator));
        assert_eq!(child.from_responder, raw(cipher, from_responder));
    }
}

/// RFC 7296 §2.10: nonces of 256 octets, which as the key of the PRF are eight blocks long.
#[test]
fn longest_nonces() {
    let suite = Suite { prf: Prf::HmacSha256, cipher: Algorithm::ChaCha20Poly1305 };
    let nonces = Nonces { initiator: &[0xa5; 256], responder: &[0x5a; 256] };
    let keys = IkeKeys::initial(&Software, suite, &shared(), nonces, SPIS);
    assert_eq!(keys.sk_d.octets(), hex("02386ce9ae979bd6e99beb80c0b239c3f7a51ff9d89608da6a8cd617918fc16d"));
}

/// RFC 9370 §2.2.2, RFC 9242 §3.3.2: the keys after an additional key exchange, what its two messages leave
/// for AUTH, and an AUTH with it. From `vectors/additional_key_exchange.py`.
#[test]
fn additional_key_exchange() {
    let cipher = Algorithm::ChaCha20Poly1305;
    let first = initial(cipher);
    let (ni, nr) = (octets(0), octets(0x20));
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let secret: [u8; 32] = array("d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de");
    let (secret, suite) = (SharedSecret::new(secret), Suite { prf: Prf::HmacSha256, cipher });
    let secrets = Secrets::only(&secret);
    let second = IkeKeys::rekeyed(&Software, suite.prf, &first.sk_d, suite, secrets, nonces, SPIS);
    assert_eq!(second.sk_d.octets(), hex("2213781fe2888b11608e738a1720817606bf3d2ca8937ddc8b0b455164303232"));
    assert_eq!(
        second.sk_ei,
        raw(cipher, "caffcc3a0cd7528696b18ca1bcf2b764642d5ded6fb30b04fe921e5d5ec66529 0ba359c6")
    );
    assert_eq!(
        second.sk_er,
        raw(cipher, "2118b7c1c5c604c8058610b4eaf738b7d5f57244de20a076d7f0bed0113f8741 fb5cc417")
    );
    assert_eq!(
        second.sk_pi.octets(),
        hex("4652524f11c86893b8471f7f2d54f1dd7f522fe8408241d0f5f84a4b951b3c89")
    );
    assert_eq!(
        second.sk_pr.octets(),
        hex("68e1746be89a0fb83025e2cad68e3863bfb2c2e1fd4ca5a2725b28552550c533")
    );

    let header = |initiator| Header {
        initiator_spi: IkeSpi(SPIS.initiator),
        responder_spi: IkeSpi(SPIS.responder),
        next_payload: PayloadType::SKF,
        exchange: ExchangeType::IKE_INTERMEDIATE,
        flags: Flags { initiator, response: !initiator },
        message_id: 1,
    };
    let ke = |modulus: usize, length: usize| {
        let value: Vec<u8> = (0..length).map(|i| (i % modulus) as u8).collect();
        let start = [0, 0, ((length + 8) >> 8) as u8, (length + 8) as u8, 0, 36, 0, 0];
        [&start[..], &value].concat()
    };
    let int_auth = |sk_p: &PrfOutput, initiator, text: &[u8]| {
        let clear = Clear::new(&header(initiator).octets(77), (PayloadType::KE, 0), text);
        Software.prf(suite.prf, sk_p.octets(), &[&clear.head, clear.text])
    };
    let initiator = int_auth(&first.sk_pi, true, &ke(251, 1184));
    let responder = int_auth(&first.sk_pr, false, &ke(241, 1088));
    assert_eq!(initiator.octets(), hex("d02d5865520bcbb8e47fbb1c7b48ccbfe240ca9f7845c6c13fdeaf9ca3854417"));
    assert_eq!(responder.octets(), hex("b227ea2ee65163ba8b1b093a41d3ee1de71a44f247da867cf414da25ef64ea6e"));

    let identity = IdView::new(IdType::FQDN, b"a.example").unwrap();
    let message = b"the request of IKE_SA_INIT";
    let octets = SignedOctets::new(&Software, suite.prf, &second.sk_pi, message, &nr, &identity)
        .with(IntAuth { initiator: &initiator, responder: &responder, message_id: [0, 0, 0, 2] });
    let hashes = SignatureHashes { ours: HashAlgorithms::ALL, peer: None };
    let auth = prove(&Software, Proof::SharedKey(b"secret"), hashes, &octets).unwrap();
    assert_eq!(auth.data[..], hex("4a97de7cc2f82e671780a4fa37bb5e9287b73288feba4f6e0615f0558f077a75"));
}

/// RFC 9370 §2.2.4: the secret of IKE_FOLLOWUP_KE stands behind the nonces. From
/// `vectors/followup_key_exchange.py`.
#[test]
fn additional_key_exchange_behind_create_child_sa() {
    let cipher = Algorithm::ChaCha20Poly1305;
    let sk_d = PrfOutput::from(octets(0x60));
    let (first, second) = (SharedSecret::new(octets(0x20)), SharedSecret::new(octets(0x40)));
    let secrets = Secrets { first: &first, additional: Some(&second) };
    let (ni, nr) = (octets(0x80), octets(0xA0));
    let nonces = Nonces { initiator: &ni, responder: &nr };
    let suite = Suite { prf: Prf::HmacSha256, cipher };
    let keys = IkeKeys::rekeyed(&Software, suite.prf, &sk_d, suite, secrets, nonces, SPIS);
    assert_eq!(keys.sk_d.octets(), hex("a573cf68f59dbb30a0f31a515ca50492eec887038b73c910fb0b41160ae004bf"));
    assert_eq!(
        keys.sk_ei,
        raw(cipher, "de720dcdc2cfb342242482e53b41952d3cbd64331109c11b3e95baee7890e1c4 d301a642")
    );
    assert_eq!(
        keys.sk_er,
        raw(cipher, "df2a9a7f1dc2b4760a70f566caf2f854012a0dda372cf5ab5a1a1c5e2da8be4e 1ea2301b")
    );
    assert_eq!(keys.sk_pi.octets(), hex("233cae151099c02aad5b5b83b9dc121a91ac1f2979687a3a7a9c9336a3c3a5e6"));
    assert_eq!(keys.sk_pr.octets(), hex("b6ecaec8e248d6ad319d95443d57473ccda2542a7d66c7291a83ff7771876b54"));
    let child = ChildKeys::new(&Software, suite.prf, &sk_d, cipher, Some(secrets), nonces);
    assert_eq!(
        child.from_initiator,
        raw(cipher, "7cf82206c15e6da608e1a2d1548ddbc9b55a07d23fce4c7fca2be51e312e17cf 9c3a4d19")
    );
    assert_eq!(
        child.from_responder,
        raw(cipher, "82f2a7255e5d43b2bd1a16e9bd00368fc0bf61d78e66b5c3115777171d51dc64 64e983cb")
    );
}

/// RFC 8784 §3: the key goes into SK_d, SK_pi and SK_pr, and leaves those of the SK payload as they were. From
/// `vectors/postquantum_preshared_key.py`.
#[test]
fn postquantum_preshared_key() {
    let first = initial(Algorithm::ChaCha20Poly1305);
    let ppk = b"a post-quantum preshared key of more than 64 octets, one block of the hash";
    let keys = first.with_ppk(&Software, Prf::HmacSha256, ppk);
    assert_eq!(keys.sk_d.octets(), hex("ec0d4aeeefe20e14800c248d08280bda5a82f29352794a4fb7c7b475107c2e3e"));
    assert_eq!(keys.sk_pi.octets(), hex("d70911dd04c723d913e8664b87e5588d0cee73b181abdd23e3dba77f8d2c2960"));
    assert_eq!(keys.sk_pr.octets(), hex("3e60f28ade2afcbc76b9b6bfaacccd86b475c8d71ccbd60fd71121b1148e1b88"));
    assert_eq!((keys.sk_ei, keys.sk_er), (first.sk_ei, first.sk_er));
}
