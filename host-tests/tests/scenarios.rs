//! Other people's regression tests and our own list of attacks, held against this project: every row of
//! the tables in `host-tests/scenarios` names the tests that show it, or says why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The last cell of a row that no test answers begins with this.
const EXCEPTION: &str = "not here:";

/// One row of a table.
struct Row {
    name: String,
    answer: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a workspace").to_owned()
}

fn rows(table: &str) -> Vec<Row> {
    let path = root().join("host-tests/scenarios").join(table);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|---");
    text.lines()
        .filter(is_row)
        .map(cells)
        .filter(|cells| cells.first().is_some_and(|name| name != "name"))
        .map(|cells| match cells.as_slice() {
            [name, _meaning, answer] => Row { name: name.clone(), answer: answer.clone() },
            _ => panic!("{table}: not three cells: {cells:?}"),
        })
        .collect()
}

/// `file::function` of each test in the workspace, and `interop/file::function` of what cases of the
/// interoperability tests do.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in
        ["host-tests/tests", "host-tests/src", "esp-engine", "ike-core/src", "firmware/src", "boards/linux"]
    {
        collect(&root().join(folder), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            let file = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            if folder.iter().any(|part| part == "interop") {
                let functions = lines.iter().filter_map(|line| {
                    line.trim_start_matches("pub ").strip_prefix("fn ")?.split('(').next()
                });
                found.extend(functions.map(|name| format!("interop/{file}::{name}")));
                continue;
            }
            let marked = lines.iter().enumerate().filter(|(_, line)| **line == "#[test]");
            for (at, _) in marked {
                let function =
                    lines.iter().skip(at).find_map(|line| line.strip_prefix("fn ")).expect("a function");
                let name = function.split('(').next().expect("a name");
                found.insert(format!("{file}::{name}"));
            }
        }
    }
}

fn check(table: &str) {
    let tests = tests();
    let mut names = BTreeMap::new();
    let mut wrong = Vec::new();
    for Row { name, answer } in rows(table) {
        if names.insert(name.clone(), ()).is_some() {
            wrong.push(format!("{name}: twice"));
        }
        if answer.strip_prefix(EXCEPTION).is_some_and(|reason| !reason.trim().is_empty()) {
            continue;
        }
        let cited: Vec<&str> = answer.split('`').skip(1).step_by(2).collect();
        if cited.is_empty() {
            wrong.push(format!("{name}: neither a test nor a reason"));
        }
        wrong.extend(
            cited.iter().filter(|test| !tests.contains(**test)).map(|test| format!("{name}: no test {test}")),
        );
    }
    let exceptions = rows(table).iter().filter(|row| row.answer.starts_with(EXCEPTION)).count();
    println!("{table}: {} rows, {exceptions} of them without a test for a reason", names.len());
    assert!(wrong.is_empty(), "{table}:\n{}", wrong.join("\n"));
}

/// strongSwan's exchange tests by their names.
#[test]
fn strongswan() {
    check("strongswan.md");
}

/// libreswan's scenarios about IKE by their names.
#[test]
fn libreswan() {
    check("libreswan.md");
}

/// What an attacker may send, and what must happen.
#[test]
fn hostile() {
    check("hostile.md");
}

/// libreswan's scenarios about DNS, NULL authentication and strangers by their names.
#[test]
fn names() {
    check("names.md");
}
