//! A way through a scenario, drawn as a ladder.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ike_core::wire::code_point::PayloadType;
use ike_core::wire::encrypted::{Encrypted, without_padding};
use ike_core::wire::header::{Header, Message as View};
use ike_core::wire::notify::NotifyView;

use super::end::{Message, Who};
use super::scenario::Scenario;
use super::world::{Action, Told, World};
use crate::forge;
use crate::pair::describe;

/// Draws it; a step that panics is the last.
pub fn draw(scenario: &Scenario, way: &[Action]) -> String {
    let mut world = World::new(scenario);
    let began = world.now;
    let mut ladder = String::new();
    for action in way {
        let acts = |told: Told<'_>| {
            let _ = match told {
                Told::Acts(world, action) => {
                    let at = world.now.since(began).as_millis();
                    writeln!(ladder, "{at:>7}  {}", title(world, action))
                }
                Told::Reports(who, event) => writeln!(ladder, "           {who:?} {}", describe(event)),
                Told::Sends(message) => {
                    writeln!(ladder, "           {:?} sends {}", message.to.other(), words(message))
                }
                Told::Drops(who, why) => writeln!(ladder, "           {who:?} drops it: {why}"),
            };
        };
        let mut acts = acts;
        if catch_unwind(AssertUnwindSafe(|| world.act(*action, &mut acts))).is_err() {
            break;
        }
    }
    ladder
}

fn title(world: &World, action: Action) -> String {
    let arrow = |message: &Message| if message.to == Who::B { "A ─▶ B" } else { "A ◀─ B" };
    let line = |index: usize, fate: &str| {
        let message = &world.wire[index];
        let again = if message.echo { " again" } else { "" };
        format!("{}{again}{fate}  {}", arrow(message), words(message))
    };
    match action {
        Action::Begin(index) => {
            let (who, procedure) = world.pending[index];
            format!("{who:?} begins: {procedure:?}")
        }
        Action::Deliver(index) => line(index, ""),
        Action::Lose(index) => line(index, " LOST"),
        Action::Double(index) => line(index, " (first of two)"),
        Action::Wait => "a timer fires".into(),
    }
}

/// A message in words: exchange, number, payloads.
pub fn words(message: &Message) -> String {
    let Ok(view) = View::parse(&message.octets) else {
        return format!("{} octets", message.octets.len());
    };
    let kind = if view.header.flags.response { "response" } else { "request" };
    format!(
        "{:?} {kind} {} {{{} }}",
        view.header.exchange,
        view.header.message_id,
        payloads(&message.octets).unwrap_or_default()
    )
}

/// The toy cipher leaves text as it is.
fn payloads(octets: &[u8]) -> Option<String> {
    let view = View::parse(octets).ok()?;
    let mut copy = octets.to_vec();
    let (first, text) = match Encrypted::find(&view).ok()? {
        Some(encrypted) => {
            let parts = encrypted.parts(&mut copy, ike_core::config::Suite::FAST_SOFTWARE.ike).ok()?;
            (encrypted.first, without_padding(parts.text).ok()?.to_vec())
        }
        None => (view.header.next_payload, octets.get(Header::LENGTH..)?.to_vec()),
    };
    let mut words = String::new();
    for payload in forge::split(first, &text) {
        let _ = match NotifyView::parse(&payload.body) {
            Ok(notify) if payload.kind == PayloadType::NOTIFY => write!(words, " N({:?})", notify.kind),
            _ => write!(words, " {:?}", payload.kind),
        };
    }
    Some(words)
}
