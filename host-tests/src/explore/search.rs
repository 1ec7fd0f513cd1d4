//! Depth first through all states of a scenario; a violation is told by its shortest way.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::check::{self, Violation};
use super::hash::{self, Seen};
use super::ladder;
use super::scenario::Scenario;
use super::world::{Action, World};

/// What was explored.
#[derive(Default)]
pub struct Explored {
    /// States that differ.
    pub seen: Seen,
    /// Steps between them.
    pub steps: usize,
    /// States in which nothing more happens.
    pub ends: usize,
    /// Steps of the longest way.
    pub depth: usize,
}

/// A state with what may still happen in it.
struct Stop {
    world: World,
    actions: std::vec::IntoIter<Action>,
}

impl Stop {
    fn at(world: World) -> Self {
        let actions = world.actions().into_iter();
        Self { world, actions }
    }
}

/// States beyond which no shorter way is looked for.
const PATIENCE: usize = 3_000_000;

/// Explores all of it.
///
/// # Panics
/// When something does not hold, with the shortest ladder that leads there.
pub fn explore(scenario: &Scenario) -> Explored {
    let (way, violation) = match walk(scenario, usize::MAX) {
        Ok(explored) => return explored,
        Err(found) => found,
    };
    let words = scenario.words();
    println!("{violation}, after {} steps, {words}\n{}", way.len(), ladder::draw(scenario, &way));
    let (way, violation) = shortest(scenario, way.len()).unwrap_or((way, violation));
    panic!("{violation}\n{words}\n{}", ladder::draw(scenario, &way));
}

type Found = (Vec<Action>, Violation);

fn shortest(scenario: &Scenario, known: usize) -> Option<Found> {
    for limit in 1..known {
        match walk(scenario, limit) {
            Ok(explored) if explored.seen.len() < PATIENCE => {}
            Ok(_) => return None,
            Err(found) => return Some(found),
        }
    }
    None
}

/// Goes all ways of at most `limit` steps.
fn walk(scenario: &Scenario, limit: usize) -> Result<Explored, Found> {
    let before = World::new(scenario);
    let mut explored = Explored::default();
    let mut way: Vec<Action> = Vec::new();
    explored.seen.insert(hash::at(before.now, &before), 0);
    let mut stops = vec![Stop::at(before.clone())];
    while let Some(stop) = stops.last_mut() {
        let Some(action) = stop.actions.next() else {
            stops.pop();
            way.pop();
            continue;
        };
        let mut world = stop.world.clone();
        way.push(action);
        explored.steps += 1;
        let depth = u16::try_from(way.len()).unwrap_or(u16::MAX);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            world.act(action, &mut |_| {});
            let state = hash::at(world.now, &world);
            let is_new = match explored.seen.get_mut(&state) {
                // With a limit, a shorter way to a state leads farther than a longer one did.
                Some(before) if limit == usize::MAX || *before <= depth => false,
                Some(before) => {
                    *before = depth;
                    true
                }
                None => {
                    explored.seen.insert(state, depth);
                    true
                }
            };
            if !is_new {
                return Ok(false);
            }
            check::state(&world)?;
            if world.is_over() {
                explored.ends += 1;
                check::end(&world, scenario, &before)?;
            }
            Ok(true)
        }));
        let goes_on = match judged {
            Ok(Ok(is_new)) => is_new && way.len() < limit,
            Ok(Err(violation)) => return Err((way, violation)),
            Err(panic) => return Err((way, format!("panics: {}", words(panic.as_ref())))),
        };
        if goes_on {
            explored.depth = explored.depth.max(way.len());
            stops.push(Stop::at(world));
        } else {
            way.pop();
        }
    }
    Ok(explored)
}

fn words(panic: &dyn std::any::Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words")
}
