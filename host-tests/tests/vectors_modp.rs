//! Known answers for MODP-2048 (RFC 3526 §3), computed with Python's `pow(2, secret, p)` and
//! `pow(public, secret, p)`, and what no honest peer sends.

mod vectors_support;

use ike_core::crypto::software::SoftwareExchange;
use ike_core::crypto::{BadPublicValue, Group, KeyExchange};
use vectors_support::hex;

const P: &str =
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd
 ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed
 ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f
 83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b
 e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510
 15728e5a8aacaa68ffffffffffffffff";

fn exchange(secret: &str) -> SoftwareExchange {
    SoftwareExchange::new(Group::Modp2048, &hex(secret)).unwrap()
}

fn agree(secrets: [&str; 2], publics: [&str; 2], shared: &str) {
    for (own, peer) in [(0, 1), (1, 0)] {
        let exchange = exchange(secrets[own]);
        assert_eq!(exchange.group(), Group::Modp2048);
        assert_eq!(exchange.public().as_slice(), hex(publics[own]));
        assert_eq!(exchange.agree(&hex(publics[peer])).unwrap().octets(), hex(shared));
    }
}

const A: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf";
const PUBLIC_A: &str =
    "f0fee7626bcec4d1c5c1fb11b8058af4061c0e877d02ca7aedf42e33280eb58f4309a566a74456e01d97fdba45043cd6
 74315204b9b2409f26aeffd643010ec5e197ee67b24f0f046d1dce630794822cfe9360ed40c6975d5a2bb5892686cea6
 469fb9f92a52210564419dd6bfd3e023d33a4468e81b97f309c7df7be746d8660089738b09885dc100285952096132ca
 8d3e369525e588df9cfa4ee06280f7a9acf92bf180187afa6a9927b9d65f26adf2417a2e4cf3974bc5992dbd4997337b
 ec667f7b73c5b59fa03d6455070825c9f69c3f048e7051485e2c7edd1ef972219ec6c98c973f895982c4ad77784f8807
 ae75680ceeb8b1aafca61a1517b42ca7";

#[test]
fn two_ends_share_a_secret() {
    let b = "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f";
    let public_b =
        "eca848fde1b7e1fc889d39e931606c8d36ddbfaa2066246d871b9af0021c55afe7f0c3e33d6797e05f3525f18a0e94e4
     03cb9e99bf6717741f10d56fbc1909ab35980e912cf5301a233f6d964da24c4b13a1975401bcc721582950fb9716174e
     829e9e1c3fcf8d9a1b9c6de701e0c2aaea482c0cca06e012799cb7b4b3205e5c578b4b86acc144f0a0fce9e1e5337b1a
     c0b5354ee997d8a193b2a7b2fe147d7ff1bba5d5eec2e10f0364793fccd6d621f10cfbb6e5b5f08ad6bc369efb074960
     c7659882abe10ab3c97363a966af697366fcb2e6acb432aa9be97c5efee2d7984bbab535116ed0576e8413cb3534b01e
     68b7a9b8e7b61c0ffcc67cb9fbffaf7f";
    let shared =
        "c116ecae96f5aadb08f2ce9990919873eebb28a5b424da8a429671a720352e097d632e2c4f59727c3862760e56b2ba66
     6a961fc682b7cd5f3a66ab816e09323b2d1b5453a3b97b6c1a3cc8bed2c0983cc676367f22ffa085f02a06d186f7a556
     f075d0aba2dd21ffb13c842397a7d8ef828e59a0ef564ade38d00ac06979768158381fb4a02a0c66db36a3e977bcf378
     773c06fec4f9286fa532083018e12cbb1bdf57dbeac54bb303ed5a274dca4db5b53c239e556e68fa84d6f5ecb78bf0f4
     7da79e78ef6603c9623fc9b036d77751dfd690925ae2b5fdb67ff13443750e96dd799ff143ee9ceaea904afda85651d7
     15d6a5f3ca2e09f872f8aa774a29e7fb";
    agree([A, b], [PUBLIC_A, public_b], shared);
}

/// RFC 7296 §2.14: the secret is as long as the modulus, zeros in front.
#[test]
fn a_short_secret_is_padded() {
    let c = "f626051bc94422f26f4b774a2bca105e122df36a2f32f51bd7ee470daa620b0b";
    let public_c =
        "c404b7ccb76f9aac35ad21d6186e4763d71543209cdaa76c798542faf9650cd09616509ec899f011ec46587058b83929
     36da1fa9d3e0a65f456185573bb3356ef11a0c9d447e1cd1287b1d53ad8861d7738bd254b37b540adb5720b871b21a16
     3f33d4fa18e9efec73009d515b1ef808afa724897645d8022711e4bbfcaf7e5c9102fd4ef2001b842b294e98fd52bad1
     eda6fd1f555a38d6e2a9d10004a85c1239ad365ffc92ad3096efd942386e77c860025ffeb247b0bd24c4de82e0cf3789
     28e9a0be9c702fcfdb606457c314e51730ae498d276fcae3c54237b6d0c9efdac5c6d106b4ed8dc73f3c3da9f59f28cc
     f49f13bb6efabc870e95917d71e02c98";
    let shared =
        "0093e396502ec468b31951317b4d09a6c3659061ae9d27132ceb8524cc868238ffa17c37dfdfd46bcadaa957f2ec8871
     07a043b82e28bbc4e9ffa20cf5eee9782bda22b23de2b10326f312b6f0498f2c18059404927616f56e1dc738bce1ed95
     fa685fe6b39e31931078a705ec36faef597f108bba071a89d8657f9869e63d1a23a2aa388f1186243484b0d13c89591e
     9352074b2c80a554d8c73d8bd052666331dbffdc4e83b10a420d225812cf1084392f9b774052f1b39e7389ff2a3ffe5f
     b89ce7336c833d33aa9bb8f441dcbe9d880040754af6771b49fb081f9cf1d52485e8e61f15ba84fa0985539b776d8ee3
     81fe4fb85d395ee1d007ed972a06c56e";
    assert!(shared.starts_with("00"));
    agree([A, c], [PUBLIC_A, public_c], shared);
}

/// RFC 6989 §2.1: 1 < r < p - 1, in 256 octets (RFC 7296 §3.4).
#[test]
fn bad_public_values_are_refused() {
    let small = |r| format!("{r:0512x}");
    let near = |last: &str| format!("{}{last}", &P[..P.len() - 2]);
    let other_sizes = [String::new(), small(2)[2..].into(), format!("00{}", small(2))];
    let out_of_range = [small(0), small(1), near("fe"), P.into(), "ff".repeat(256)];
    for value in other_sizes.into_iter().chain(out_of_range) {
        assert_eq!(exchange(A).agree(&hex(&value)).err(), Some(BadPublicValue), "{value}");
    }
    for value in [small(2), near("fd")] {
        assert!(exchange(A).agree(&hex(&value)).is_ok());
    }
}

/// RFC 3526 §8: the exponent has at least 225 bits.
#[test]
fn a_small_exponent_is_no_secret() {
    let made = |octets: [u8; 32]| SoftwareExchange::new(Group::Modp2048, &octets).is_some();
    let mut octets = [0xff; 32];
    octets[..4].fill(0);
    assert!(!made(octets));
    octets[3] = 1;
    assert!(made(octets));
}
