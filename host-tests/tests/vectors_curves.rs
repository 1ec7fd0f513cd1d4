//! Known answers of the RFCs for key exchange, signatures and raw keys.

mod vectors_support;

use ike_core::crypto::software::{Software, SoftwareExchange};
use ike_core::crypto::{
    BadPrivateKey, BadPublicValue, BadSignature, Crypto, Group, KeyExchange, PrivateKey, PublicKey, Sha2,
    SignatureAlgorithm, Signer,
};
use ike_core::wire::spki;
use vectors_support::{array, hex};

const ECDSA_SHA256: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(Sha2::Sha256);

fn exchange(group: Group, secret: &str) -> SoftwareExchange {
    SoftwareExchange::new(group, &hex(secret)).unwrap()
}

/// Both ends of an exchange: secret and public value of each, and what they share.
fn agree(group: Group, i: &str, pub_i: &str, r: &str, pub_r: &str, shared: &str) {
    for (secret, public, peer) in [(i, pub_i, pub_r), (r, pub_r, pub_i)] {
        let exchange = exchange(group, secret);
        assert_eq!(exchange.group(), group);
        assert_eq!(exchange.public().as_slice(), hex(public));
        assert_eq!(exchange.public().len(), group.public_length());
        assert_eq!(exchange.agree(&hex(peer)).unwrap().octets(), hex(shared));
    }
}

/// RFC 5903 §8.1: the shared secret is x alone.
#[test]
fn p256_in_ike() {
    agree(
        Group::P256,
        "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
        "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180
         5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
        "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
        "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63
         56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    );
}

/// RFC 5903 §8.2.
#[test]
fn p384_in_ike() {
    agree(
        Group::P384,
        "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
        "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa
         9482ed1fc0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
        "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942e0308312916b8ed2960e4bd55a7448fc",
        "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571
         dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
        "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
    );
}

/// RFC 8031 Appendix A.
#[test]
fn curve25519_in_ike() {
    agree(
        Group::Curve25519,
        "751fb4308655b476b6789b7325f9ea8cddd16a58533ff6d9e60009464a5f9d94",
        "48d5ddd4061257ba166fa3f9bbdb74f1a4e81c089384fa77f790709f0dfbc766",
        "0a54645253290d60ddadd0e030bacd9e5501efdc220755a1e978f1b839a05688",
        "0be7c1f5aad87d7e448662673298a443478b859745179eaf564c79c0ef6eee25",
        "c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950",
    );
}

/// RFC 7748 §6.1, and the two points of §5.2, the second with its unused bit set.
#[test]
fn x25519() {
    agree(
        Group::Curve25519,
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    );
    for (scalar, u, expected) in [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ] {
        let shared = exchange(Group::Curve25519, scalar).agree(&hex(u)).unwrap();
        assert_eq!(shared.octets(), hex(expected));
    }
}

/// RFC 7748 §5.2, a thousand iterations.
#[test]
fn x25519_iterated() {
    let (mut k, mut u) = ([0; 32], [0; 32]);
    (k[0], u[0]) = (9, 9);
    for round in 1..=1000 {
        let shared = SoftwareExchange::new(Group::Curve25519, &k).unwrap().agree(&u).unwrap();
        (u, k) = (k, shared.octets().try_into().unwrap());
        if round == 1 {
            assert_eq!(k, array("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
        }
    }
    assert_eq!(k, array("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

/// RFC 6989 §2.3, RFC 8031 §3.2: what no honest peer sends.
#[test]
fn bad_public_values() {
    let secret = "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433";
    let p = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
    let x = "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180";
    let y = "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3";
    let zero = "00".repeat(32);
    for (what, value) in [
        ("off the curve", format!("{y}{x}")),
        ("zero", format!("{zero}{zero}")),
        ("x = p", format!("{p}{y}")),
        ("only x", x.to_string()),
        ("with the octet of its form", format!("04{x}{y}")),
        ("longer", format!("{x}{y}00")),
        ("nothing", String::new()),
    ] {
        let refused = exchange(Group::P256, secret).agree(&hex(&value));
        assert_eq!(refused.err(), Some(BadPublicValue), "{what}");
    }
    assert!(exchange(Group::P256, secret).agree(&hex(&format!("{x}{y}"))).is_ok());

    // Every point whose order divides 8, of the curve and of its twist, in every encoding.
    for value in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        for top_bit in [0, 0x80] {
            let mut value = hex(value);
            value[31] |= top_bit;
            let refused = exchange(Group::Curve25519, secret).agree(&value);
            assert_eq!(refused.err(), Some(BadPublicValue), "{value:02x?}");
        }
    }
    for length in [0, 31, 33, 64] {
        let refused = exchange(Group::Curve25519, secret).agree(&vec![9; length]);
        assert_eq!(refused.err(), Some(BadPublicValue));
    }
}

/// RFC 8032 §7.1, tests 1, 2, 3 and SHA(abc).
#[test]
fn ed25519() {
    for (secret, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589
             09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ] {
        let signer = Software.signer(&PrivateKey::Ed25519(array(secret))).unwrap();
        let key = signer.public_key();
        assert_eq!(key, PublicKey::Ed25519(array(public)));
        assert_eq!(
            signer.sign(SignatureAlgorithm::Ed25519, &[&hex(message)]).unwrap().as_slice(),
            hex(signature)
        );
        // One octet a piece: what counts is the concatenation.
        let message = hex(message);
        let pieces: Vec<&[u8]> = message.chunks(1).collect();
        assert_eq!(signer.sign(SignatureAlgorithm::Ed25519, &pieces).unwrap().as_slice(), hex(signature));
        let verify =
            |pieces: &[&[u8]]| Software.verify(&key, SignatureAlgorithm::Ed25519, pieces, &hex(signature));
        assert_eq!(verify(&pieces), Ok(()));
        let other = verify(&[&message, &[0]]);
        assert_eq!(other, Err(BadSignature));
    }
}

/// RFC 8032 §5.1.7: S below the order. Beyond it, a key of small order would accept any message.
#[test]
fn ed25519_is_strict() {
    let signer = Software.signer(&PrivateKey::Ed25519([1; 32])).unwrap();
    let signature = signer.sign(SignatureAlgorithm::Ed25519, &[b"message"]).unwrap();
    let signature: [u8; 64] = signature[..].try_into().unwrap();
    let verify = |key, signature: [u8; 64]| {
        Software.verify(&key, SignatureAlgorithm::Ed25519, &[b"message"], &signature)
    };
    assert_eq!(verify(signer.public_key(), signature), Ok(()));

    // S + L is congruent to S.
    let order: [u8; 32] = array("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut large = signature;
    let mut carry = 0;
    for (octet, add) in large[32..].iter_mut().zip(order) {
        let sum = u16::from(*octet) + u16::from(add) + carry;
        (*octet, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    assert_eq!(verify(signer.public_key(), large), Err(BadSignature));

    // R is the neutral point and S zero: holds for the neutral point as a key, whatever the message.
    let mut trivial = [0; 64];
    trivial[0] = 1;
    for small in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        // Not canonical: y = p + 1, the neutral point once more.
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // x = 0 with its sign set.
        "0100000000000000000000000000000000000000000000000000000000000080",
    ] {
        assert_eq!(verify(PublicKey::Ed25519(array(small)), trivial), Err(BadSignature), "{small}");
    }
    assert_eq!(verify(signer.public_key(), [0; 64]), Err(BadSignature));
}

/// RFC 6979 Appendix A.2.5: the same message is signed in the same way.
#[test]
fn ecdsa_p256_deterministic() {
    let secret = array("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let signer = Software.signer(&PrivateKey::EcdsaP256(secret)).unwrap();
    let key = signer.public_key();
    assert_eq!(
        key,
        PublicKey::EcdsaP256(array(
            "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6
             7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
        ))
    );
    for (message, signature) in [
        (
            "sample",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716
             f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            "test",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367
             019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ] {
        let (first, second) = message.as_bytes().split_at(3);
        assert_eq!(signer.sign(ECDSA_SHA256, &[first, second]).unwrap().as_slice(), hex(signature));
        assert_eq!(Software.verify(&key, ECDSA_SHA256, &[first, second], &hex(signature)), Ok(()));
        assert_eq!(Software.verify(&key, ECDSA_SHA256, &[first], &hex(signature)), Err(BadSignature));
    }
}

/// RFC 4754 §8.1.
#[test]
fn ecdsa_p256_in_ike() {
    let key = PublicKey::EcdsaP256(array(
        "2442a5cc0ecd015fa3ca31dc8e2bbc70bf42d60cbca20085e0822cb04235e970
         6fc98bd7e50211a4a27102fa3549df79ebcb4bf246b80945cddfe7d509bbfd7d",
    ));
    let secret = array("dc51d3866a15bacde33d96f992fca99da7e6ef0934e7097559c27f1614c88a7f");
    let signer = Software.signer(&PrivateKey::EcdsaP256(secret)).unwrap();
    assert_eq!(signer.public_key(), key);
    let signature = hex("cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c
         86fa3bb4e26cad5bf90b7f81899256ce7594bb1ea0c89212748bff3b3d5b0315");
    assert_eq!(Software.verify(&key, ECDSA_SHA256, &[b"abc"], &signature), Ok(()));
    assert_eq!(Software.verify(&key, ECDSA_SHA256, &[b"abd"], &signature), Err(BadSignature));
}

/// RFC 6605 §6.1: DNSSEC has the same signatures, r and s side by side.
#[test]
fn ecdsa_p256_in_dnssec() {
    let key = PublicKey::EcdsaP256(array(
        "1a88c88615d437fbb8bf9e1942a1929f28562706ae6c2bd399e7b1bfb6d1e9e7
         5b92b4aa42917ae1c61b701ef035c3fe7be3009cbafe5a2f71316c902dcf0d00",
    ));
    let data = hex("00010d0300000e104c88b1374c63c737d960076578616d706c65036e657400
         03777777076578616d706c65036e6574000001000100000e100004c0000201");
    let signature = hex("ab1eb02d8aa687e97da0229337aa8873e6f0eb26be289f28333d183f5d3b7a95
         c0c869adfb748daee3c5286eed6682c12e5533186baced9c26c167a9ebae950b");
    assert_eq!(Software.verify(&key, ECDSA_SHA256, &[&data], &signature), Ok(()));
}

/// SEC 1 §3.2.1: 1 ≤ d < n.
#[test]
fn private_keys_out_of_range() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for octets in [[0; 32], [0xff; 32], array(order)] {
        let refused = Software.signer(&PrivateKey::EcdsaP256(octets));
        assert_eq!(refused.err(), Some(BadPrivateKey));
        assert!(SoftwareExchange::new(Group::P256, &octets).is_none());
    }
}

/// RFC 7670 Appendix A.1, RFC 8410 §10.1: the fingerprint is over the whole SubjectPublicKeyInfo.
#[test]
fn raw_keys_and_their_fingerprints() {
    for (der, fingerprint) in [
        (
            "3059301306072a8648ce3d020106082a8648ce3d03010703420004
             cb28e0999b9c7715fd0a80d8e47a77079716cbbf917dd72e97566ea1c066957c
             2b57c0235fb7489768d058ff4911c20fdbe71e3699d91339afbb903ee17255dc",
            "e9ba871a830473c63a6bbd89b74fd2385c8619d0b2ace5d8d62c2503feaf3dcc",
        ),
        (
            "302a300506032b6570032100 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1",
            "a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f",
        ),
    ] {
        let key = spki::parse(&hex(der)).unwrap();
        assert_eq!(spki::encode(&key).as_slice(), hex(der));
        assert_eq!(key.fingerprint(&Software).0, array(fingerprint));
    }
}
