//! Golden cases: each file in `tests/cases` is a configuration, and next to it what is told of it.
//!
//! A line `#### NAME` begins another file, `#### set NAME=VALUE` sets a variable, and `#### readable PATH` lets others read
//! a file. `KEEPFAST_BLESS=1` writes what is told.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use keepfast_config::diagnostic::code::CODES;

use crate::desk::{Desk, FIRST};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut cases: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    cases.sort();
    cases
}

fn desk_of(text: &str) -> Desk {
    let mut desk = Desk::default();
    let (mut name, mut content) = (FIRST.to_owned(), String::new());
    for line in text.split_inclusive('\n') {
        let Some(what) = line.strip_prefix("#### ").map(str::trim_end) else {
            content.push_str(line);
            continue;
        };
        if let Some((key, value)) = what.strip_prefix("set ").and_then(|set| set.split_once('=')) {
            desk = desk.variable(key, value);
        } else if let Some(path) = what.strip_prefix("readable ") {
            desk.readable_by_others.insert(PathBuf::from(path));
        } else {
            desk = desk.file(&name, &content);
            (name, content) = (what.to_owned(), String::new());
        }
    }
    desk.file(&name, &content)
}

#[test]
fn each_case_is_told_as_it_is_expected() {
    let is_blessed = std::env::var_os("KEEPFAST_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let text = fs::read_to_string(&case).expect("a readable case");
        let told = desk_of(&text).told();
        let expected = case.with_extension("txt");
        if is_blessed {
            fs::write(&expected, &told).expect("a writable folder");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        if told != expected {
            wrong.push(format!("---- {}\n{told}\n---- expected\n{expected}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In no case, a secret that was written into the file is shown.
#[test]
fn no_secret_is_ever_shown() {
    for case in cases() {
        let text = fs::read_to_string(&case).expect("a readable case");
        let report = desk_of(&text).load().report;
        let told = format!(
            "{}{}{:?}",
            report.render(keepfast_config::diagnostic::render::Style::Coloured),
            report.to_json(),
            report.diagnostics()
        );
        for secret in ["correct", "horse", "battery", "12345"] {
            assert!(!told.contains(secret), "{}: {told}", case.display());
        }
    }
}

/// Codes that need more than files: other tests have them.
const ELSEWHERE: &[&str] = &["C001", "C002", "C004", "C005", "C018"];

#[test]
fn every_code_has_a_case() {
    let mut told = BTreeSet::new();
    for case in cases() {
        let report = desk_of(&fs::read_to_string(&case).expect("a readable case")).load().report;
        told.extend(report.diagnostics().all().iter().map(|found| found.code.to_string()));
    }
    let known: BTreeSet<String> = CODES.iter().map(|code| code.name.to_owned()).collect();
    let without: Vec<&String> = known.iter().filter(|code| !told.contains(*code)).collect();
    assert_eq!(without, ELSEWHERE, "codes without a case");
}

/// A file that nothing can be written into that would end its place in the text: a wrong name or a long line.
#[test]
fn what_is_told_has_bounded_lines() {
    for case in cases() {
        let told = desk_of(&fs::read_to_string(&case).expect("a readable case")).told();
        let longest = told.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(longest < 700, "{}: {longest}", case.display());
    }
}
