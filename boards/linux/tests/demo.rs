//! The demo, in this process: every scene takes place, whatever the seed, and a run repeats itself.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use buttons::demo::{self, Options, Outcome};

#[derive(Clone, Default)]
struct Paper(Rc<RefCell<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(octets)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What was told, what came of it, and the capture.
fn told(name: &str, seed: u64, json: bool) -> (String, Outcome, Vec<u8>) {
    let folder = Folder(std::env::temp_dir().join(format!("buttons-demo-{name}-{}", std::process::id())));
    let paper = Paper::default();
    let options = Options { seed, json, capture: folder.0.clone(), real_time: false };
    let outcome = demo::run(&options, Box::new(paper.clone()));
    let text = String::from_utf8(paper.0.take()).unwrap();
    let outcome = outcome.unwrap_or_else(|failure| panic!("{failure}\n{text}"));
    let capture = std::fs::read(&outcome.written.capture).unwrap();
    (text.replace(&*folder.0.to_string_lossy(), "FOLDER"), outcome, capture)
}

#[test]
fn every_scene_takes_place_whatever_the_seed() {
    for seed in 0..12 {
        let (_, outcome, _) = told("seeds", seed, false);
        assert_eq!(outcome.scenes, 9);
    }
}

#[test]
fn the_same_seed_tells_the_same_story_byte_for_byte() {
    let (first, second, other) = (told("once", 7, false), told("once", 7, false), told("once", 8, false));
    assert_eq!((&first.0, &first.2), (&second.0, &second.2));
    assert_ne!(first.2, other.2);
}

#[test]
fn the_story_reads_well() {
    let (text, ..) = told("story", 1, false);
    let long: Vec<&str> =
        text.lines().filter(|l| l.chars().count() > 80 && !l.contains("WIRESHARK_CONFIG_DIR")).collect();
    assert_eq!(long, Vec::<&str>::new());
    assert!(text.lines().count() < 100, "short enough to be read");
    let mut rest = text.as_str();
    for sentence in [
        "a packet to 192.0.2.2 waits",
        "a  sends IKE_SA_INIT request",
        "b  sends IKE_SA_INIT response",
        "a  sends IKE_AUTH request",
        "peer says a.example, proves it by an Ed25519 signature",
        "its level: pinned key",
        "b  sends IKE_AUTH response",
        "IKE SA: AES-GCM-128, HMAC-SHA2-256, Curve25519",
        "Child SA: ESP transport mode, AES-GCM-128",
        "BGP with AS 64502 is up; learned 198.51.102.0/24",
        "no octet of TCP or BGP in clear",
        "a TCP RST in b's name: a drops it, ClearWherePolicyProtects",
        "b's last ESP packet once more: a drops it, Replayed",
        "b's next one with one bit flipped: a drops it, Forged",
        "a SYN to b's port 179 in clear: b drops it, NoPolicy",
        "x  is refused: AUTHENTICATION_FAILED",
        "ESP packets passed, none in clear",
        "its level: any key (BTNS): not authenticated",
        "All 9 scenes took place",
    ] {
        let Some(at) = rest.find(sentence) else { panic!("no \"{sentence}\" in its place:\n{text}") };
        rest = &rest[at..];
    }
}

#[test]
fn json_is_one_object_a_line_and_says_what_was_proven() {
    let (text, ..) = told("json", 1, true);
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let with = |name: &str| objects.iter().filter(|object| object.get(name).is_some()).count();
    assert_eq!(with("at_ms"), objects.len());
    assert_eq!((with("scene"), with("tshark")), (6, 1));
    assert!(with("proven") >= 6);
}
