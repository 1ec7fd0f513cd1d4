//! What the demo prints: a line when something happens, with the time and who it happened to; or the
//! same as JSON, one object a line.

use std::cell::RefCell;
use std::io::Write;

use firmware::report::Event;

use crate::capture::Written;
use crate::{time, words};

/// The narrator.
pub struct Story {
    out: RefCell<Box<dyn Write>>,
    json: bool,
}

impl Story {
    /// A narrator who writes to `out`.
    pub fn new(out: Box<dyn Write>, json: bool) -> Self {
        Self { out: RefCell::new(out), json }
    }

    /// A heading.
    pub fn scene(&self, title: &str) {
        if self.json {
            self.object(&[("scene", title)]);
        } else {
            self.line(&format!("\n{title}"));
        }
    }

    /// Something happened to `who`.
    pub fn say(&self, who: &str, text: &str) {
        if self.json {
            self.object(&[("who", who), ("what", text)]);
        } else {
            let seconds = time::now_micros() / 1000;
            self.line(&format!("{:>4}.{:03} s  {who}  {text}", seconds / 1000, seconds % 1000));
        }
    }

    /// What was seen to be true, after it was checked.
    pub fn proven(&self, text: &str) {
        if self.json {
            self.object(&[("proven", text)]);
        } else {
            self.line(&format!("         ✓  {text}"));
        }
    }

    /// Where the files are, and how to read them.
    pub fn finish(&self, scenes: usize, written: &Written, protocol: &str) {
        let tshark = written.tshark(protocol);
        if self.json {
            let (capture, tables) = (written.capture.to_string_lossy(), written.tables.to_string_lossy());
            self.object(&[("capture", &capture), ("tables", &tables), ("tshark", &tshark)]);
            return;
        }
        self.line(&format!("\nAll {scenes} scenes took place. The capture of the first cable is in"));
        self.line(&format!("{}; with its keys beside it, tshark reads it:", written.capture.display()));
        self.line(&format!("  {tshark}"));
    }

    fn line(&self, text: &str) {
        // Whoever closed the pipe does not want the rest; the exit status still counts.
        let _ = writeln!(self.out.borrow_mut(), "{text}");
    }

    fn object(&self, fields: &[(&str, &str)]) {
        let mut object = serde_json::Map::new();
        object.insert("at_ms".into(), (time::now_micros() / 1000).into());
        for (name, value) in fields {
            object.insert((*name).into(), (*value).into());
        }
        self.line(&serde_json::Value::Object(object).to_string());
    }

    /// What a router reported.
    pub fn event(&self, who: &str, event: &Event) {
        words::of(event).iter().for_each(|sentence| self.say(who, sentence));
    }
}
