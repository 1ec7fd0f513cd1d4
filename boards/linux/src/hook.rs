//! An operator's program that hears when a captured name gets protection, and when it loses it. It is run without a
//! shell, a few at once and none for long, and the device waits for none of them.
//!
//! ```text
//! PROGRAM protected|unprotected NAME ADDRESS FINGERPRINT TTL
//! ```
//! The fingerprint is SHA-256 of the SubjectPublicKeyInfo of the key that was proven, `-` where none was; the TTL is
//! in seconds.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use embassy_time::{Duration, Timer};
use firmware::report::{Capture, Captured, Event};

use crate::key::hex;

/// Programs that run at once.
const AT_ONCE: usize = 4;
/// Calls that wait for their turn; further ones are left out.
const WAITING: usize = 32;
/// How long a program may run.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// How often they are looked after.
const LOOK: Duration = Duration::from_millis(200);

/// The program and its calls.
pub struct Hook {
    program: Option<PathBuf>,
    calls: RefCell<Calls>,
}

#[derive(Default)]
struct Calls {
    waiting: VecDeque<[String; 5]>,
    running: Vec<Running>,
    told: Vec<String>,
}

struct Running {
    child: Child,
    of: String,
    since: Instant,
}

impl Hook {
    /// Nothing runs yet; without a program nothing ever does.
    pub fn new(program: Option<PathBuf>) -> Self {
        Self { program, calls: RefCell::default() }
    }

    /// Something happened; the program is run if it is to hear of it.
    pub fn hear(&self, event: &Event) {
        match event {
            Event::Capture(Capture::Protected(captured)) => self.call("protected", captured),
            Event::Capture(Capture::Unprotected(captured)) => self.call("unprotected", captured),
            _ => {}
        }
    }

    fn call(&self, what: &str, captured: &Captured) {
        let Captured { name, address, key, ttl_s } = captured;
        let calls = &mut *self.calls.borrow_mut();
        if self.program.is_none() {
            return;
        }
        if calls.waiting.len() >= WAITING {
            calls.told.push(format!("the hook is too slow: it is not told that {name} is {what}"));
            return;
        }
        let fingerprint = key.map_or("-".to_owned(), |key| hex(&key));
        let words = [what.to_owned(), name.to_string(), address.to_string(), fingerprint, ttl_s.to_string()];
        calls.waiting.push_back(words);
        self.start(calls);
    }

    fn start(&self, calls: &mut Calls) {
        let Some(program) = &self.program else { return };
        while calls.running.len() < AT_ONCE
            && let Some(words) = calls.waiting.pop_front()
        {
            let mut command = Command::new(program);
            command.args(&words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let [what, name, ..] = words;
            match command.spawn() {
                Ok(child) => {
                    calls.running.push(Running {
                        child,
                        of: format!("{name} {what}"),
                        since: Instant::now(),
                    });
                }
                Err(error) => calls.told.push(format!("the hook does not run: {error}")),
            }
        }
    }

    /// Looks after those that run, and begins those that wait: what there is to say about it. Waits for nothing.
    pub fn look(&self) -> Vec<String> {
        let calls = &mut *self.calls.borrow_mut();
        let Calls { running, told, .. } = calls;
        running.retain_mut(|running| match running.child.try_wait() {
            Ok(None) if running.since.elapsed() < PATIENCE => true,
            Ok(None) => {
                // Whether it could be ended shows when it is waited for.
                let _ = running.child.kill();
                let _ = running.child.wait();
                told.push(format!("the hook for {} took too long and was ended", running.of));
                false
            }
            Ok(Some(status)) if status.success() => false,
            Ok(Some(status)) => {
                told.push(format!("the hook for {}: {status}", running.of));
                false
            }
            Err(error) => {
                told.push(format!("the hook for {}: {error}", running.of));
                false
            }
        });
        self.start(calls);
        std::mem::take(&mut calls.told)
    }

    /// Whether nothing runs and nothing waits.
    pub fn is_idle(&self) -> bool {
        let calls = self.calls.borrow();
        calls.running.is_empty() && calls.waiting.is_empty()
    }

    /// Looks after them for ever.
    pub async fn serve(&self, warn: impl Fn(&str)) {
        if self.program.is_none() {
            return pending().await;
        }
        loop {
            Timer::after(LOOK).await;
            self.look().iter().for_each(|sentence| warn(sentence));
        }
    }
}
