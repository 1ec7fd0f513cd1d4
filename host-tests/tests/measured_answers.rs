//! The answers that `boards/qemu-mps2` measures look-ups with are those of the zones that are measured here too.
//! `BUTTONS_RECORD=1` writes them anew.

use std::path::Path;

use host_tests::dns::measured;
use ike_core::crypto::KeyKind;

#[test]
fn the_recorded_answers_are_those_of_the_zones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../boards/qemu-mps2/src/answers");
    for (name, kind) in
        [("ed25519.bin", KeyKind::Ed25519), ("p256.bin", KeyKind::EcdsaP256), ("rsa.bin", KeyKind::Rsa)]
    {
        let (path, answers) = (folder.join(name), measured::recorded(kind));
        if std::env::var_os("BUTTONS_RECORD").is_some() {
            std::fs::write(&path, &answers).unwrap();
        }
        assert!(
            std::fs::read(&path).is_ok_and(|recorded| recorded == answers),
            "{} is of old",
            path.display()
        );
    }
}
