//! What an answer, or whoever asks, may cost at most.

use super::*;

/// H16: loops, long chains and names that grow too long end after eight aliases.
#[test]
fn aliases_without_end() {
    let tree = tree();
    let long = "b".repeat(60);
    let too_long = format!("{long}.{long}.grow.peer.test.");
    for name in ["loop.peer.test.", "c0.peer.test.", &too_long] {
        let mut world = world(vec![honest(&tree)]);
        let outcome = world.peer(name);
        assert_eq!(outcome.security, Security::Bogus(Bogus::TooMuchWork), "{name}");
        assert!(world.asked.len() <= 40, "{}", world.asked.len());
    }
    let mut world = world(vec![honest(&tree)]);
    assert_eq!(world.peer("c42.peer.test.").security, Security::Secure);
}

/// H10: of a large RRset the first four by their precedence.
#[test]
fn many_keys() {
    let tree = tree();
    let mut world = world(vec![honest(&tree)]);
    let outcome = world.peer("many.peer.test.");
    assert_eq!(outcome.keys().map(|key| key.precedence).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((outcome.security, outcome.left_out), (Security::Secure, 36));
    assert!(world.asked.iter().any(|it| !it.is_datagram()), "over 1,232 octets");
}

/// RFC 7873, RFC 5452: no more than twenty queries a second leave, whoever asks for them.
#[test]
fn twenty_queries_a_second() {
    let tree = tree();
    let mut world = world(vec![honest(&tree)]);
    for n in 0..20 {
        world.peer(&format!("n{n}.peer.test."));
    }
    let first = world.asked.iter().filter(|it| it.at.as_millis() < 1000).count();
    assert!(first <= 20, "{first}");
    assert!(world.asked.len() >= 60);
}
