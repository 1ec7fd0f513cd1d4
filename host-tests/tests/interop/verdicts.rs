//! What we think of signed zones, and what unbound thinks: a tree of some hundred zones, signed by ldns and
//! damaged in every way that there is a word for, served by BIND. Our resolver asks unbound with checking
//! disabled and validates by itself; unbound is asked for its own verdict. Where the two differ, the
//! difference has a reason, or it is a bug.
//!
//! | part | what |
//! |---|---|
//! | `zones` | what is in the zones, how they are signed, what is done to them, what is asked |
//! | `signing` | keys and signatures by ldns |
//! | `servers` | BIND and unbound on ports of their own |
//! | `ask` | one question to either |

mod ask;
mod servers;
mod signing;
mod zones;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use buttons::peer::PeerError;
use libtest_mimic::Trial;

use self::ask::Found;
use self::zones::{Case, Damage, Denial, QUESTIONS, Question};
use crate::ground::Folder;
use crate::{Absent, Fault, needing};

/// How far an answer is to be believed.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    Secure,
    Insecure,
    Bogus,
    /// There is no answer that could be judged.
    None,
}

pub fn trials() -> Vec<Trial> {
    vec![needing("verdicts on damaged zones are unbound's", programs, run)]
}

fn programs() -> Result<(), Absent> {
    for (program, package) in [
        ("named", "bind9"),
        ("unbound", "unbound"),
        ("ldns-keygen", "ldnsutils"),
        ("ldns-signzone", "ldnsutils"),
        ("ldns-key2ds", "ldnsutils"),
    ] {
        let found = Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            return Err(PeerError::Missing { program, package }.into());
        }
    }
    Ok(())
}

fn run() -> Result<(), Fault> {
    let cases = zones::cases();
    let folder = Folder::new()?;
    let tree = signing::Tree::make(&folder, &cases)?;
    let servers = servers::Servers::start(&folder, &tree)?;
    let (mut agreed, mut explained, mut unexplained) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    let mut undamaged = Vec::new();
    for case in &cases {
        let ours = ask::ours(servers.recursive, &tree.anchor, case)?;
        let verdicts: Vec<Verdict> = ours.iter().map(|found| found.verdict).collect();
        for (question, Found { verdict, why }) in QUESTIONS.into_iter().zip(ours) {
            let theirs = ask::theirs(servers.recursive, case, question)?;
            if verdict == theirs {
                *agreed.entry(verdict).or_insert(0) += 1;
            } else if let Some(reason) = why_different(case, question, verdict, theirs) {
                *explained.entry(reason).or_insert(0) += 1;
            } else {
                unexplained.push(format!("{case} {question}: we {verdict:?} ({why}), unbound {theirs:?}"));
            }
        }
        if case.damage == Damage::Nothing {
            undamaged = verdicts;
        } else if case.denial == Denial::Nsec && verdicts == undamaged && !case.damage.is_harmless() {
            unexplained.push(format!("{case}: the damage shows nowhere"));
        }
    }
    println!("{} zones, {} questions to each", cases.len(), QUESTIONS.len());
    println!("the same verdict: {agreed:?}");
    explained.iter().for_each(|(why, count)| println!("{count:5} times another: {why}"));
    if unexplained.is_empty() { Ok(()) } else { Err(unexplained.join("\n").into()) }
}

/// Why the two verdicts may differ.
fn why_different(case: &Case, question: Question, ours: Verdict, theirs: Verdict) -> Option<&'static str> {
    if (ours, theirs) == (Verdict::None, Verdict::Bogus) {
        return Some("BIND serves no such answer, which unbound's RCODE does not tell from a bogus one");
    }
    let is_denied = question.is_denied();
    match (case.damage, ours, theirs) {
        (Damage::DsSha1Only, Verdict::Insecure, Verdict::Secure) => {
            Some("unbound takes a SHA-1 digest of a key, we do not")
        }
        (Damage::ManyBadSignatures, Verdict::Bogus, Verdict::Secure) => {
            Some("we try four signatures of a message, unbound some more")
        }
        (Damage::SoaUnsigned, _, Verdict::Bogus) if is_denied => {
            Some("unbound wants the SOA record of a denial signed; it can only shorten how long we keep it")
        }
        _ => match case.denial {
            Denial::Nsec3 { iterations: 51..=150, .. } if is_denied && ours == Verdict::Bogus => {
                Some("we compute 50 iterations of NSEC3, unbound 150")
            }
            Denial::Nsec3 { iterations: 151.., .. } if is_denied && theirs == Verdict::Insecure => {
                Some("beyond its iterations of NSEC3 unbound takes a zone for unsigned, we for bogus")
            }
            _ => None,
        },
    }
}
