//! The demo: two routers on one cable, each the whole of `firmware`, and a BGP session between them
//! inside ESP. Only the cable is simulated. [`run`] tells what happens as it happens; it succeeds only
//! if counters, events and captured frames say that every scene took place.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use firmware::config::{PrivateKey, Start};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::cable::Cable;
use crate::capture::{self, Keys};
use crate::{executor, time};

pub mod against;
pub mod eavesdropper;
mod forge;
mod plan;
mod router;
mod scenes;
mod story;

use plan::{Plan, Trust};
use router::Router;
use story::Story;

/// How the demo is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lets time pass as it does outside.
    pub real_time: bool,
    /// Decides keys, ports and delays.
    pub seed: u64,
    /// One JSON object a line.
    pub json: bool,
    /// Where capture and key tables go.
    pub capture: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Self { real_time: false, seed: 1, json: false, capture: std::env::temp_dir().join("buttons-demo") }
    }
}

/// A scene that did not happen as it must.
#[derive(Debug)]
pub enum Failure {
    /// What was to be seen and was not.
    Scene(String),
    /// A program of others is missing, or did not do what it was asked.
    Peer(crate::peer::PeerError),
    /// The capture could not be written.
    Capture(PathBuf, io::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scene(what) => write!(f, "the demo failed: {what}"),
            Self::Peer(error) => write!(f, "{error}"),
            Self::Capture(folder, error) => {
                write!(f, "{}: {error}; name another folder with --capture", folder.display())
            }
        }
    }
}

impl std::error::Error for Failure {}

/// What a demo leaves behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Scenes that took place.
    pub scenes: usize,
    /// The files.
    pub written: capture::Written,
}

/// Runs every scene and writes the capture.
///
/// # Errors
/// The first scene that failed.
pub fn run(options: &Options, out: Box<dyn Write>) -> Result<Outcome, Failure> {
    if options.real_time {
        time::make_real()
    } else {
        time::make_virtual()
    }
    let story = Rc::new(Story::new(out, options.json));
    let mut random = ChaCha20Rng::seed_from_u64(options.seed);
    let (cable, keys) = (Cable::new(options.seed), Rc::new(RefCell::new(Keys::default())));

    let pinned = pair_of_neighbours(&mut random, &story, &keys);
    let impostor = impostor(&mut random, &story, &pinned);
    let cast = scenes::Cast::new(&cable, pinned, impostor);
    let mut scenes = perform(cast.tasks(), scenes::neighbours(&cast, &story))?;

    let written = capture::write(&options.capture, &cable.seen(), &keys.borrow())
        .map_err(|error| Failure::Capture(options.capture.clone(), error))?;

    let other_cable = Cable::new(options.seed);
    let strangers = pair_of_strangers(&mut random, &story);
    let strangers = scenes::Strangers::new(&other_cable, strangers);
    scenes += perform(strangers.tasks(), scenes::strangers(&strangers, &story))?;

    story.finish(scenes, &written, "bgp");
    Ok(Outcome { scenes, written })
}

fn perform(
    tasks: Vec<executor::Task<'_>>,
    scenes: impl Future<Output = Result<usize, String>>,
) -> Result<usize, Failure> {
    match executor::run(scenes, tasks) {
        Ok(result) => result.map_err(Failure::Scene),
        Err(executor::Stalled) => Err(Failure::Scene("nothing moves any more".into())),
    }
}

fn new_key(random: &mut ChaCha20Rng) -> PrivateKey {
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    PrivateKey::Ed25519(seed)
}

/// Two routers that have each other's key.
fn pair_of_neighbours(random: &mut ChaCha20Rng, story: &Rc<Story>, keys: &Rc<RefCell<Keys>>) -> [Router; 2] {
    let [key_a, key_b] = [new_key(random), new_key(random)];
    let (a, b) = (Plan::new("a", 1, key_a.clone()), Plan::new("b", 2, key_b.clone()));
    let a_trusts = Trust::Pinned { name: "b", number: 2, key: key_b, start: Start::OnTraffic };
    let b_trusts = Trust::Pinned { name: "a", number: 1, key: key_a, start: Start::Never };
    [
        Router::new(a.calls(2).trusts(a_trusts), random.next_u64(), story).with_keys(keys),
        Router::new(b.listens_to(1).trusts(b_trusts), random.next_u64(), story),
    ]
}

/// Somebody with b's name, a's real key, and a key of his own.
fn impostor(random: &mut ChaCha20Rng, story: &Rc<Story>, pinned: &[Router; 2]) -> Router {
    let [a, _] = pinned;
    let trusts = Trust::Pinned { name: "a", number: 1, key: a.key().clone(), start: Start::OnTraffic };
    let plan = Plan::new("x", 3, new_key(random)).called("b.example").calls(1).trusts(trusts);
    Router::new(plan, random.next_u64(), story)
}

/// Two routers that know nothing of each other.
fn pair_of_strangers(random: &mut ChaCha20Rng, story: &Rc<Story>) -> [Router; 2] {
    let (c, d) = (Plan::new("c", 4, new_key(random)), Plan::new("d", 5, new_key(random)));
    [
        Router::new(c.calls(5).trusts(Trust::Anyone), random.next_u64(), story),
        Router::new(d.listens_to(4).trusts(Trust::Anyone), random.next_u64(), story),
    ]
}
