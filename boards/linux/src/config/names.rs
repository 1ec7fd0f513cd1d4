//! `[dns]` and `[dns.capture]`: how names are looked up, for the device and for its clients.

use std::path::Path;

use firmware::config::capture::{Capture, NameRule};
use firmware::config::{MAX_IDENTITY, Resolver};
use ike_core::discovery::proxy::settings::{Demand, Settings};

use super::file::{CaptureTable, DnsTable, Text};
use super::{Fault, anchor, push, value};

pub fn build(table: &DnsTable, folder: &Path) -> Result<Resolver, Fault> {
    let mut resolver = Resolver {
        servers: Default::default(),
        anchors: Default::default(),
        believed: Default::default(),
        fingerprints: table.fingerprints,
        capture: table.capture.as_ref().map(build_capture).transpose()?,
    };
    for server in &table.servers {
        push(&mut resolver.servers, value::parse(server)?, server.span())?;
    }
    for server in &table.believe {
        push(&mut resolver.believed, value::parse(server)?, server.span())?;
    }
    if let Some(file) = &table.anchors {
        let anchors = anchor::read(&folder.join(file.get_ref()))
            .map_err(|error| (Some(file.span()), format!("{}: {error}", file.get_ref())))?;
        for anchor in anchors {
            push(&mut resolver.anchors, anchor, file.span())?;
        }
    }
    Ok(resolver)
}

fn build_capture(table: &CaptureTable) -> Result<Capture, Fault> {
    let default = Settings::DEFAULT;
    let mut capture = Capture {
        rules: Default::default(),
        private: Default::default(),
        bogus: table.bogus.map_or(default.bogus, |word| word.0),
        full: table.full.map_or(default.full, |word| word.0),
        max_ttl_s: table.max_ttl.unwrap_or(default.max_ttl),
        hold_ms: table.hold_ms.unwrap_or(1_500),
    };
    // What is let be and what is required are the exceptions.
    let rules =
        [(&table.block, Demand::Nothing), (&table.require, Demand::Require), (&table.allow, Demand::Try)];
    for (patterns, demand) in rules {
        for pattern in patterns {
            push(&mut capture.rules, NameRule { names: text(pattern)?, demand }, pattern.span())?;
        }
    }
    for pattern in &table.private {
        push(&mut capture.private, text(pattern)?, pattern.span())?;
    }
    Ok(capture)
}

/// A pattern of names.
fn text(pattern: &Text) -> Result<heapless::String<{ MAX_IDENTITY }>, Fault> {
    heapless::String::try_from(pattern.get_ref().as_str())
        .map_err(|_| (Some(pattern.span()), format!("write at most {} characters", MAX_IDENTITY)))
}
