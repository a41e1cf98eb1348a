//! The documentation of all keys and codes, as `docs/config.md` has it.

use std::fmt::Write;

use crate::diagnostic::code::CODES;
use crate::schema::{Alternative, Key, Shape, TableShape, tables_below, text};

/// Examples of a value, in one cell.
const EXAMPLES: usize = 2;
/// What stands before the keys.
const INTRODUCTION: &str = include_str!("introduction.md");

/// The whole document, for files whose top is this table.
#[must_use]
pub fn document(root: &'static TableShape) -> String {
    let mut out = INTRODUCTION.to_owned();
    let tables = tables_below(root);
    for table in &tables {
        // Writing into a string doesn't fail.
        let _ = writeln!(out, "\n### {}\n\n{}\n", heading(table, root), text(table.about));
        let places = places(table, root);
        if !places.is_empty() {
            let _ = writeln!(out, "Where: {}.\n", places.join(", "));
        }
        keys(table, &mut out);
    }
    out.push_str("\n## Codes\n\nA code is never used again for something else. `config check` ends with an error if there is one, and \
                  not if there are warnings alone.\n\n| code | is | meaning |\n|---|---|---|\n");
    for code in CODES {
        let (title, explanation) = (cell(code.title), cell(code.explanation));
        let _ = writeln!(out, "| {} | {} | **{title}.** {explanation} |", code.name, code.severity);
    }
    out
}

fn heading(table: &TableShape, root: &TableShape) -> String {
    if table.name == root.name { "A file".to_owned() } else { table.name.to_owned() }
}

fn anchor(table: &TableShape) -> String {
    table.name.to_lowercase()
}

/// The keys that take a table, by the tables that they are in.
fn places(table: &TableShape, root: &'static TableShape) -> Vec<String> {
    let mut found = Vec::new();
    for above in tables_below(root) {
        let here = above.keys.iter().filter(|key| takes(&(key.shape)(), table));
        let prefix = if above.name == root.name {
            String::new()
        } else {
            format!("[{}](#{}) ", above.name, anchor(above))
        };
        found.extend(here.map(|key| format!("{prefix}`{}`", key.name)));
        if above.others.as_ref().is_some_and(|others| takes(&(others.shape)(), table)) {
            found.push(format!("{prefix}(other keys)"));
        }
    }
    found
}

fn takes(shape: &Shape, table: &TableShape) -> bool {
    match shape {
        Shape::Table(other) | Shape::Secret(other) => other.name == table.name,
        Shape::List { of, .. } | Shape::Map { of, .. } => takes(of, table),
        Shape::AnyOf(shapes) => shapes.iter().any(|shape| takes(shape, table)),
        _ => false,
    }
}

fn keys(table: &TableShape, out: &mut String) {
    out.push_str("| key | takes | else | what it is |\n|---|---|---|---|\n");
    for key in table.keys {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            key.name,
            cell(&described(&(key.shape)())),
            otherwise(key),
            cell(&meaning(key))
        );
    }
    if let Some(others) = &table.others {
        let name = others.names.what;
        let shape = cell(&described(&(others.shape)()));
        let _ = writeln!(out, "| {name} | {shape} | | {} |", cell(&text(others.about)));
    }
    for group in table.groups {
        let keys: Vec<String> = group.keys.iter().map(|key| format!("`{key}`")).collect();
        let rule = if group.required {
            "One of these must be there, and only one"
        } else {
            "Only one of these may be there"
        };
        let _ = writeln!(out, "\n{rule}: {}.", keys.join(", "));
    }
    for companions in table.companions {
        let quoted = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>();
        let (keys, of) = (quoted(companions.keys).join(", "), quoted(companions.of).join(" or "));
        let _ = writeln!(out, "\nOnly with {of}: {keys}.");
    }
}

fn otherwise(key: &Key) -> String {
    match (key.default, key.required) {
        (Some("{}"), _) => "its defaults".to_owned(),
        (Some(default), _) => format!("`{}`", default.replace('\'', "\"")),
        (None, true) => "**must be there**".to_owned(),
        (None, false) => String::new(),
    }
}

/// What a key is, and what the words mean that it takes.
fn meaning(key: &Key) -> String {
    let mut meaning = text(key.about);
    for word in words(&(key.shape)()) {
        let about = text(word.about);
        let _ = write!(meaning, " `{}`: {}", word.name, lowercase(&about));
    }
    meaning
}

fn lowercase(text: &str) -> String {
    let mut signs = text.chars();
    let second_is_large = text.chars().nth(1).is_some_and(char::is_uppercase);
    // A name of something stays as it is.
    let is_name = second_is_large || text.split(' ').count() < 3;
    match signs.next() {
        Some(first) if !is_name => first.to_lowercase().chain(signs).collect(),
        _ => text.to_owned(),
    }
}

fn words(shape: &Shape) -> &'static [Alternative] {
    match shape {
        Shape::Choice(words) => words,
        Shape::List { of, .. } | Shape::Map { of, .. } => words(of),
        _ => &[],
    }
}

fn described(shape: &Shape) -> String {
    match shape {
        Shape::Text(text) => match text.examples {
            [] => text.what.to_owned(),
            examples => {
                let examples: Vec<String> =
                    examples.iter().take(EXAMPLES).map(|example| format!("`\"{example}\"`")).collect();
                format!("{}: {}", text.what, examples.join(", "))
            }
        },
        Shape::List { of, least: 0 } => format!("list of: {}", described(of)),
        Shape::List { of, .. } => format!("list, not empty, of: {}", described(of)),
        Shape::Map { names, of } => format!("table by {names}, of: {}", described(of)),
        Shape::Table(table) => format!("[{}](#{})", table.name, anchor(table)),
        Shape::Secret(table) => format!("[secret](#{})", anchor(table)),
        Shape::AnyOf(shapes) => shapes.iter().map(described).collect::<Vec<_>>().join("; or "),
        shape => shape.describe(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
