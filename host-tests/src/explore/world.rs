//! Everything there is: both ends, what is on its way between them, and what may still happen.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use esp_engine::selector::{Ports, Selectors};
use esp_engine::spd::PolicyId;
use esp_engine::time::Instant;
use ike_core::output::Event;

use super::check;
use super::end::{End, Message, Standing, Who, report};
use super::hash;
use super::lot::Lot;
use super::scenario::{EACH, FIRST, Procedure, SECOND, Scenario, config};
use crate::parties::{A, B, PEER};

/// Timers that lie farther ahead belong to SAs at rest.
const REST: Duration = Duration::from_secs(3_600);

/// What may happen next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// An end begins what it is to begin, by its place in [`World::pending`].
    Begin(usize),
    /// A message arrives, by its place in [`World::wire`].
    Deliver(usize),
    /// It is lost.
    Lose(usize),
    /// It arrives, and will once more.
    Double(usize),
    /// Time goes on to the next timer.
    Wait,
}

/// What happens in detail, for the ladder.
pub enum Told<'t> {
    /// An action begins.
    Acts(&'t World, Action),
    /// An end reports something.
    Reports(Who, &'t Event),
    /// An end sends something.
    Sends(&'t Message),
    /// An end does not take what arrives.
    Drops(Who, &'static str),
}

/// Everything.
#[derive(Clone)]
pub struct World {
    /// The present moment.
    pub now: Instant,
    /// A and B.
    pub ends: [End; 2],
    /// What is on its way, in the order in which it was sent.
    pub wire: Vec<Message>,
    /// What is to be begun.
    pub pending: Vec<(Who, Procedure)>,
    /// Something was begun that ends what traffic needs.
    pub ending: bool,
    /// SAs stood at the beginning.
    pub stood: bool,
    faults: u8,
    haste: u8,
    /// Messages that were lost or doubled and may come again, so that they are not spoiled twice.
    spoiled: Vec<Message>,
}

impl World {
    /// As it is when a scenario begins.
    pub fn new(scenario: &Scenario) -> Self {
        let told = |who, at_first| config(who, scenario, at_first);
        let end = |who| End::new(who, told(who, true), Lot::new(scenario.order, who == Who::A));
        let mut world = Self {
            now: Instant::from_millis(1_000_000),
            ends: [end(Who::A), end(Who::B)],
            wire: Vec::new(),
            pending: Vec::new(),
            ending: false,
            stood: scenario.stands(),
            faults: 0,
            haste: 0,
            spoiled: Vec::new(),
        };
        if scenario.stands() {
            world.come_up(Procedure::Initiate);
            if scenario.second_stands {
                world.come_up(Procedure::CreateChild);
            }
        }
        Who::BOTH.into_iter().zip(&mut world.ends).for_each(|(who, end)| end.reconfigure(told(who, false)));
        world.pending.clone_from(&scenario.begun);
        world.faults = scenario.faults;
        world.haste = scenario.haste;
        world
    }

    /// A begins, nothing goes wrong, and then for a while nothing happens.
    fn come_up(&mut self, procedure: Procedure) {
        self.pending.push((Who::A, procedure));
        self.act(Action::Begin(0), &mut |_| {});
        self.come_to_rest(&mut |_| {});
        self.now = self.now + REST;
    }

    /// Whatever is under way takes its course, without faults.
    pub fn come_to_rest(&mut self, told: &mut dyn FnMut(Told<'_>)) {
        loop {
            let action = if self.wire.is_empty() { Action::Wait } else { Action::Deliver(0) };
            if action == Action::Wait && self.is_at_rest() {
                return;
            }
            self.act(action, told);
        }
    }

    /// One end.
    pub fn end(&self, who: Who) -> &End {
        let [a, b] = &self.ends;
        if who == Who::A { a } else { b }
    }

    fn timeout(&self) -> Option<Instant> {
        self.ends.iter().filter_map(|end| end.timeout).min()
    }

    /// Nothing is on its way and nothing but old age will change that.
    pub fn is_at_rest(&self) -> bool {
        self.wire.is_empty() && self.timeout().is_none_or(|at| at.since(self.now) > REST)
    }

    /// Nothing is to be begun any more either.
    pub fn is_over(&self) -> bool {
        self.is_at_rest() && self.pending.is_empty()
    }

    /// All that may happen next.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions: Vec<Action> = (0..self.pending.len()).map(Action::Begin).collect();
        for (index, message) in self.wire.iter().enumerate() {
            if self.wire[..index].contains(message) {
                continue;
            }
            actions.push(Action::Deliver(index));
            if self.faults > 0 && !self.spoiled.iter().any(|spoiled| spoiled.is_same(message)) {
                actions.extend([Action::Lose(index), Action::Double(index)]);
            }
        }
        if !self.is_at_rest() && (self.wire.is_empty() || (self.haste > 0 && self.timeout().is_some())) {
            actions.push(Action::Wait);
        }
        actions
    }

    /// Lets something happen.
    pub fn act(&mut self, action: Action, told: &mut dyn FnMut(Told<'_>)) {
        told(Told::Acts(self, action));
        match action {
            Action::Begin(index) => {
                let (who, procedure) = self.pending.remove(index);
                self.ending |= procedure.is_end();
                let now = self.now;
                let current = self.end(who).sends_on(now, &check::packet(who));
                self.input(who, told, |endpoint| match procedure {
                    // Nobody calls a stranger but for a packet.
                    Procedure::Initiate => endpoint
                        .initiate(now, PEER)
                        .or_else(|_| endpoint.acquire(now, PolicyId(0), packet(who, FIRST)))
                        .expect("begins"),
                    Procedure::RekeyIkeSa => endpoint.rekey_ike_sas(now, PEER),
                    Procedure::DeleteIkeSa => endpoint.close(now, PEER),
                    Procedure::CreateChild => {
                        let _ = endpoint.acquire(now, PolicyId(1), packet(who, SECOND));
                    }
                    Procedure::RekeyChild | Procedure::DeleteChild => {
                        if let Some(spi) = current {
                            endpoint.handle_sa_report(now, report(spi, procedure.is_end()));
                        }
                    }
                });
            }
            Action::Deliver(index) => {
                let message = self.wire.remove(index);
                self.deliver(&message, told);
            }
            Action::Lose(index) => {
                let message = self.wire.remove(index);
                self.spoil(&message);
            }
            Action::Double(index) => {
                let message = self.wire[index].clone();
                self.spoil(&message);
                self.wire[index].echo = true;
                self.deliver(&message, told);
            }
            Action::Wait => self.wait(told),
        }
        self.forget_spoiled();
    }

    fn spoil(&mut self, message: &Message) {
        if self.faults != EACH {
            self.faults -= 1;
        }
        self.spoiled.push(message.clone());
    }

    /// What does not come again is not to be told from what was never spoiled.
    fn forget_spoiled(&mut self) {
        let mut spoiled = std::mem::take(&mut self.spoiled);
        spoiled.retain(|message| {
            let is_there = self.wire.iter().any(|other| other.is_same(message));
            is_there || self.end(message.to.other()).keeps(&message.octets)
        });
        self.spoiled = spoiled;
    }

    fn wait(&mut self, told: &mut dyn FnMut(Told<'_>)) {
        if !self.wire.is_empty() {
            self.haste = self.haste.saturating_sub(1);
        }
        let Some(at) = self.timeout() else { return };
        self.now = self.now.max(at);
        let (now, first) = (self.now, self.end(Who::A).timeout == Some(at));
        let who = if first { Who::A } else { Who::B };
        self.input(who, told, |endpoint| endpoint.handle_timeout(now));
    }

    fn deliver(&mut self, message: &Message, told: &mut dyn FnMut(Told<'_>)) {
        let now = self.now;
        let mut dropped = None;
        self.input(message.to, told, |endpoint| {
            let mut octets = message.octets.to_vec();
            dropped = endpoint.handle_datagram(now, message.path, &mut octets).err();
        });
        if let Some(reason) = dropped {
            told(Told::Drops(message.to, reason.words()));
        }
    }

    fn input(&mut self, who: Who, told: &mut dyn FnMut(Told<'_>), input: impl FnOnce(&mut Standing<'_>)) {
        let [a, b] = &mut self.ends;
        let end = if who == Who::A { a } else { b };
        let before = self.wire.len();
        end.act(self.now, &mut self.wire, &mut |event| told(Told::Reports(who, event)), input);
        self.wire[before..].iter().for_each(|message| told(Told::Sends(message)));
    }
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ends.hash(state);
        // In which order messages were sent makes no difference to what may happen.
        let sum = |hashes: &mut dyn Iterator<Item = u64>| hashes.fold(0, u64::wrapping_add);
        sum(&mut self.wire.iter().map(|message| hash::at(self.now, message))).hash(state);
        let name = |message: &Message| hash::at(self.now, &(message.to, &message.octets));
        sum(&mut self.spoiled.iter().map(name)).hash(state);
        self.pending.hash(state);
        (self.ending, self.faults, self.haste).hash(state);
    }
}

/// The packet that asks for an SA of the policy for this port.
fn packet(from: Who, port: u16) -> Selectors {
    let (source, destination) = if from == Who::A { (A, B) } else { (B, A) };
    let ports = Ports::Known { source: port, destination: port };
    Selectors { source, destination, protocol: 17, ports }
}
