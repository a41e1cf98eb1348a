//! What is made of the table of keys for others: the JSON Schema, the documentation, completion.

use serde_json::Value as Json;

use crate::model::root::Root;
use crate::schema::json::schema;
use crate::schema::markdown::document;
use crate::schema::{Shape, at_path, text};

/// Something that can be written at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The key or the word.
    pub name: &'static str,
    /// What it is.
    pub about: String,
}

/// The JSON Schema (draft 2020-12) of a file.
#[must_use]
pub fn json_schema() -> Json {
    schema(Root::TABLE)
}

/// The documentation of all keys and codes, in Markdown.
#[must_use]
pub fn documentation() -> String {
    document(Root::TABLE)
}

/// What can be written at a path of keys, such as `plan.NAME.schedule`: the keys of a table, the words of a choice. Where a
/// definition's name belongs, any name will do.
#[must_use]
pub fn completions(path: &[&str]) -> Vec<Completion> {
    at_path(Root::TABLE, path).map(|shape| of_shape(&shape)).unwrap_or_default()
}

fn of_shape(shape: &Shape) -> Vec<Completion> {
    match shape {
        Shape::Table(table) | Shape::Secret(table) => {
            table.keys.iter().map(|key| Completion { name: key.name, about: text(key.about) }).collect()
        }
        Shape::Choice(words) => {
            words.iter().map(|word| Completion { name: word.name, about: text(word.about) }).collect()
        }
        Shape::List { of, .. } => of_shape(of),
        Shape::AnyOf(shapes) => shapes.iter().flat_map(of_shape).collect(),
        _ => Vec::new(),
    }
}
