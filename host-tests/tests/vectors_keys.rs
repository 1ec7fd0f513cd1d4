//! Known answers of the key derivation (RFC 7296 §2.13, §2.14, §2.17, §2.18), computed once with a
//! second implementation of HMAC: the RFCs print none.

mod vectors_support;

use esp_engine::crypto::{Algorithm, RawKey};
use ike_core::crypto::software::Software;
use ike_core::crypto::{Prf, SharedSecret};
use ike_core::ike_sa::keys::{ChildKeys, IkeKeys, IkeSpis, Nonces, Role, Suite};
use vectors_support::{array, hex};

const SPIS: IkeSpis = IkeSpis { initiator: 0x0001020304050607, responder: 0x08090a0b0c0d0e0f };

fn octets(from: u8) -> [u8; 32] {
    core::array::from_fn(|i| from + i as u8)
}

fn shared() -> SharedSecret {
    SharedSecret::new(array("c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950"))
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
