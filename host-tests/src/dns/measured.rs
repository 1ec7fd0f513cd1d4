//! What look-ups are measured with, here and on bare metal: a root signed by RSA with 2,048 bits, a zone `test.` signed
//! by ECDSA P-256, and below it `peer.test.`, signed by a key of any kind, with two peers in it and an alias.
//!
//! The bare-metal image has the answers of a server in a file ([`recorded`]), and a server of its own that gives each the
//! ID and the letters of its question:
//! ```text
//! DS record of the root's key, 36 octets | length, 2 octets | answer | length | answer | …
//! ```

use std::cell::RefCell;
use std::rc::Rc;

use ike_core::crypto::{CrtNumbers, KeyKind, PrivateKey, RsaPrivateKey, RsaPublicKey};
use ike_core::discovery::dnssec::Digest;
use ike_core::discovery::outcome::Security;

use super::{Asked, Server, Signing, Tree, World};
use crate::signed_zone::ZoneKey;

/// The peer that is looked up first, and one more of its zone, which has no IPv6 address.
pub const PEERS: [&str; 2] = ["one.peer.test.", "two.peer.test."];

/// A name that leads by a CNAME and a DNAME record to the first peer, and one that is not there.
pub const FURTHER: [&str; 2] = ["alias.peer.test.", "nobody.peer.test."];

/// Signatures by zone, the root first: of keys and of the child's DS record, in the last one of keys and of three
/// RRsets.
pub const SIGNATURES: [usize; 3] = [2, 2, 4];

/// Modulus and the five numbers of RFC 8017 §3.2 of a key of the tests.
const RSA: &[u8; 896] = include_bytes!("../../../boards/qemu-mps2/src/rsa2048.bin");

/// A key of RSA with 2,048 bits that nobody uses but tests.
pub fn rsa() -> PrivateKey {
    let (modulus, numbers) = RSA.split_first_chunk::<256>().expect("a modulus");
    let ([prime1, prime2, exponent1, exponent2, coefficient], []) = numbers.as_chunks::<128>() else {
        unreachable!("five numbers");
    };
    let public = RsaPublicKey::new(modulus, &[1, 0, 1]).expect("a good modulus");
    let crt = CrtNumbers { prime1, prime2, exponent1, exponent2, coefficient };
    PrivateKey::Rsa(RsaPrivateKey::new(public, crt).expect("a good key"))
}

/// The kinds of keys of the zone in [`SIGNATURES`]' places, where the last one's is of this kind.
pub const fn kinds(last: KeyKind) -> [KeyKind; 3] {
    [KeyKind::Rsa, KeyKind::EcdsaP256, last]
}

/// The three zones.
pub fn tree(last: KeyKind) -> Rc<Tree> {
    let key = "GhuEwFlMIDHlzdvElFUqA3kXCkFqMvSPRCZcQvsFIqU=";
    let peers: String = PEERS
        .iter()
        .map(|peer| format!("{peer} IPSECKEY 10 0 4 . {key}\n{peer} A 192.0.2.1\n"))
        .chain([format!("{} AAAA 2001:db8::1\n", PEERS[0])])
        .chain([format!("{} CNAME one.far.peer.test.\nfar.peer.test. DNAME peer.test.\n", FURTHER[0])])
        .collect();
    let zones = [
        (".", Signing::Signed, ""),
        ("test.", Signing::Signed, ""),
        ("peer.test.", Signing::Signed, peers.as_str()),
    ];
    Rc::new(Tree::with_keys(&zones, |place| match kinds(last)[place] {
        KeyKind::Rsa => ZoneKey::from_private(rsa(), 257),
        kind => ZoneKey::new(kind, place as u8 + 1, 257),
    }))
}

/// A server that writes down what it answers.
pub fn recording(tree: &Rc<Tree>, tape: &Rc<RefCell<Vec<Vec<u8>>>>) -> Server {
    let (tree, tape) = (Rc::clone(tree), Rc::clone(tape));
    Box::new(move |asked: &Asked| {
        let octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
        tape.borrow_mut().push(octets.clone());
        asked.answered(octets)
    })
}

/// The file of answers with which all these names are found, each question once.
pub fn recorded(last: KeyKind) -> Vec<u8> {
    let (tree, tape) = (tree(last), Rc::default());
    let anchors = tree.anchors();
    let Digest::Sha256(digest) = anchors[0].digest else { unreachable!("as Tree makes them") };
    let mut file = anchors[0].key_tag.to_be_bytes().to_vec();
    file.extend([anchors[0].algorithm.number(), 2]);
    file.extend(digest);
    let mut world = World::new(vec![recording(&tree, &tape)], anchors);
    for peer in PEERS.into_iter().chain(FURTHER) {
        assert_eq!(world.peer(peer).security, Security::Secure);
    }
    let mut answers: Vec<Vec<u8>> = tape.take().into_iter().map(plain).collect();
    answers.sort();
    answers.dedup();
    for answer in answers {
        file.extend((answer.len() as u16).to_be_bytes());
        file.extend(answer);
    }
    file
}

/// An answer without what was the question's own: its ID, and the letters of its name.
fn plain(mut answer: Vec<u8>) -> Vec<u8> {
    answer[..2].fill(0);
    let name = answer[12..].iter().position(|octet| *octet == 0).expect("the root ends a name");
    answer[12..12 + name].make_ascii_lowercase();
    answer
}
