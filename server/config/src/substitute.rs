//! Variables in values: `${NAME}`, `${NAME:default}`, `${NAME:?message}`; `$$` is a dollar sign.
//!
//! Only in strings, after the file was parsed, and once: what a variable holds is never TOML, moves no line, and is never
//! substituted again. Keys stay as they are.

use crate::decode::{hide, shortened};
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::files::Facts;
use crate::schema::{Shape, holds_secret};
use crate::source::Origin;
use crate::tree::{Entry, Node, Table, Value, Written};

/// Whether a text can name a variable.
#[must_use]
pub fn is_variable(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit()) && text.bytes().all(is_part)
}

/// The name, if a text is `${NAME}` and nothing else.
pub(crate) fn lone_variable(text: &str) -> Option<&str> {
    text.strip_prefix("${").and_then(|text| text.strip_suffix('}')).filter(|name| is_variable(name))
}

/// Whether a text is `${NAME}` and nothing else.
pub(crate) fn is_lone_variable(text: &str) -> bool {
    lone_variable(text).is_some()
}

/// A part of a string.
#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Plain(&'t str),
    Variable { name: &'t str, otherwise: Otherwise<'t> },
}

/// What happens if a variable isn't set.
#[derive(Debug, PartialEq, Eq)]
enum Otherwise<'t> {
    Missing,
    Default(&'t str),
    Message(&'t str),
}

/// The parts of a string, or why it can't be cut into them.
fn parts(text: &str) -> Result<Vec<Part<'_>>, &'static str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (plain, after) = rest.split_at(dollar);
        parts.push(Part::Plain(plain));
        let after = &after[1..];
        if let Some(after) = after.strip_prefix('$') {
            parts.push(Part::Plain("$"));
            rest = after;
            continue;
        }
        let inner = after.strip_prefix('{').ok_or("a dollar sign stands alone")?;
        let end = inner.find('}').ok_or("`${` has no `}`")?;
        let (inner, after) = (&inner[..end], &inner[end + 1..]);
        let (name, otherwise) = match inner.split_once(':') {
            None => (inner, Otherwise::Missing),
            Some((name, default)) => match default.strip_prefix('?') {
                Some(message) => (name, Otherwise::Message(message)),
                None => (name, Otherwise::Default(default)),
            },
        };
        if !is_variable(name) {
            return Err("a name has letters, digits and `_`, and doesn't begin with a digit");
        }
        if inner.contains('$') {
            return Err("a default can't have a variable in it");
        }
        parts.push(Part::Variable { name, otherwise });
        rest = after;
    }
    parts.push(Part::Plain(rest));
    Ok(parts)
}

/// Substitutes variables.
pub(crate) struct Substitution<'s> {
    pub(crate) facts: &'s dyn Facts,
    pub(crate) diagnostics: &'s mut Diagnostics,
    pub(crate) text_bytes_max: usize,
}

impl Substitution<'_> {
    /// In all strings of a value. Where a secret is expected, a lone variable is a reference to it and stays unread.
    pub(crate) fn all(&mut self, node: &mut Node, shape: Option<&Shape>) {
        let origin = node.origin;
        match &mut node.value {
            Value::Text(text) => {
                let may_be_secret = shape.is_some_and(takes_secret);
                if may_be_secret && let Some(name) = lone_variable(text) {
                    node.value = reference(name, origin);
                    return;
                }
                if shape.is_some_and(|shape| matches!(shape, Shape::Secret(_))) {
                    // Told as a secret that is written here; a default would be one as well.
                    return;
                }
                match self.text(text, origin, may_be_secret) {
                    Some((substituted, written)) => {
                        *text = substituted;
                        node.written = written;
                    }
                    None => node.written = Written::Unknown,
                }
            }
            Value::List(list) => {
                let of = shape.and_then(list_of);
                list.iter_mut().for_each(|node| self.all(node, of));
            }
            Value::Table(table) => {
                for (key, entry) in &mut table.entries {
                    let below = shape.and_then(|shape| below(shape, key));
                    self.all(&mut entry.node, below.as_ref());
                }
            }
            _ => {}
        }
    }

    /// In one string; nothing if it can't be, which is told.
    pub(crate) fn text(
        &mut self,
        text: &str,
        origin: Origin,
        may_be_secret: bool,
    ) -> Option<(String, Written)> {
        if !text.contains('$') {
            return Some((text.to_owned(), Written::AsIs));
        }
        let parts = match parts(text) {
            Ok(parts) => parts,
            Err(why) => {
                if may_be_secret {
                    self.diagnostics.hide(origin);
                }
                let diagnostic =
                    Diagnostic::new(Code::Substitution, format!("this is no substitution: {why}"));
                self.diagnostics.add(diagnostic.at(origin).help("write `$$` for a dollar sign"));
                return None;
            }
        };
        let is_whole = matches!(parts.as_slice(), [Part::Plain(""), Part::Variable { .. }, Part::Plain("")]);
        let mut whole = String::new();
        let mut fails = false;
        for part in &parts {
            match part {
                Part::Plain(text) => whole.push_str(text),
                Part::Variable { name, otherwise } => match self.variable(name, otherwise, origin) {
                    Some(value) => whole.push_str(&value),
                    None => fails = true,
                },
            }
            if whole.len() > self.text_bytes_max {
                let message = "the string is too long after substitution";
                self.diagnostics.add(Diagnostic::new(Code::VariableUnusable, message).at(origin));
                return None;
            }
        }
        let written = if is_whole { Written::Substituted } else { Written::AsIs };
        (!fails).then_some((whole, written))
    }

    fn variable(&mut self, name: &str, otherwise: &Otherwise<'_>, origin: Origin) -> Option<String> {
        if let Otherwise::Default(default) = otherwise
            && default.starts_with('-')
        {
            let message = format!("the default of `{name}` begins with a dash");
            let diagnostic = Diagnostic::new(Code::DefaultDash, message).at(origin);
            self.diagnostics
                .add(diagnostic.help(format!("leave it out if it isn't part of it: `${{{name}:…}}`")));
        }
        match (self.facts.variable(name), otherwise) {
            (Some(value), _) => {
                let text = value.into_string().ok();
                if text.is_none() {
                    let message = format!("what the variable `{name}` holds isn't UTF-8");
                    self.diagnostics.add(Diagnostic::new(Code::VariableUnusable, message).at(origin));
                }
                text
            }
            (None, Otherwise::Default(default)) => Some((*default).to_owned()),
            (None, Otherwise::Missing) => {
                let diagnostic =
                    Diagnostic::new(Code::NotSet, format!("the variable `{name}` isn't set")).at(origin);
                self.diagnostics
                    .add(diagnostic.help(format!("set it, or give a default: `${{{name}:default}}`")));
                None
            }
            (None, Otherwise::Message(message)) => {
                let message = format!("the variable `{name}` isn't set: {}", shortened(message));
                self.diagnostics.add(Diagnostic::new(Code::NotSet, message).at(origin));
                None
            }
        }
    }
}

fn takes_secret(shape: &Shape) -> bool {
    match shape {
        Shape::Secret(_) => true,
        Shape::AnyOf(shapes) => shapes.iter().any(takes_secret),
        _ => false,
    }
}

fn list_of(shape: &Shape) -> Option<&Shape> {
    match shape {
        Shape::List { of, .. } => Some(of),
        Shape::AnyOf(shapes) => shapes.iter().find_map(list_of),
        _ => None,
    }
}

fn below(shape: &Shape, key: &str) -> Option<Shape> {
    match shape {
        Shape::Table(table) | Shape::Secret(table) => table.shape_of(key),
        Shape::Map { of, .. } => Some((**of).clone()),
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| below(shape, key)),
        _ => None,
    }
}

/// `{ env = "NAME" }`.
fn reference(name: &str, origin: Origin) -> Value {
    let node = Node { value: Value::Text(name.to_owned()), origin, written: Written::AsIs };
    let mut table = Table::default();
    table.entries.insert("env".to_owned(), Entry { key: origin, node });
    Value::Table(table)
}

/// Hides all strings where a secret is expected and none may stand, before anything is told of them.
pub(crate) fn hide_literals(node: &Node, shape: &Shape, diagnostics: &mut Diagnostics) {
    match (&node.value, shape) {
        // A change of a list.
        (Value::Table(table), Shape::List { .. }) => {
            table.entries.values().for_each(|entry| hide_literals(&entry.node, shape, diagnostics));
        }
        (Value::Table(table), _) => {
            for (key, entry) in &table.entries {
                match below(shape, key) {
                    Some(below) => hide_literals(&entry.node, &below, diagnostics),
                    None => hide(&entry.node, diagnostics),
                }
            }
        }
        (Value::List(list), _) => {
            if let Some(of) = list_of(shape) {
                list.iter().for_each(|node| hide_literals(node, of, diagnostics));
            }
        }
        (Value::Text(text), Shape::Secret(_)) if is_lone_variable(text) => {}
        // An address may be a secret as a whole.
        (_, shape) if takes_secret(shape) => hide(node, diagnostics),
        (_, Shape::Table(_) | Shape::Map { .. }) if holds_secret(shape) => hide(node, diagnostics),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Diagnostics, Facts, Origin, Substitution, Written, is_variable, lone_variable};

    struct One;

    impl Facts for One {
        fn variable(&self, name: &str) -> Option<OsString> {
            match name {
                "A" => Some(OsString::from("a$${B}\"\nx = 1")),
                "LONG" => Some(OsString::from("x".repeat(90))),
                _ => None,
            }
        }
    }

    fn substitute(text: &str) -> Result<(String, Written), String> {
        let mut diagnostics = Diagnostics::new(10);
        let mut substitution =
            Substitution { facts: &One, diagnostics: &mut diagnostics, text_bytes_max: 100 };
        let substituted = substitution.text(text, Origin::DEFAULT, false);
        let first = || diagnostics.all().first().map(|found| found.message.clone()).unwrap_or_default();
        substituted.ok_or_else(first)
    }

    fn text(text: &str) -> String {
        substitute(text).expect(text).0
    }

    #[test]
    fn what_a_variable_holds_is_not_substituted_again() {
        assert_eq!(text("<${A}>"), "<a$${B}\"\nx = 1>");
    }

    #[test]
    fn there_are_defaults_messages_and_dollar_signs() {
        assert_eq!(text("${NO:x:y}"), "x:y");
        assert_eq!(text("${NO:}"), "");
        assert_eq!(text("5$$ $${A}"), "5$ ${A}");
        assert_eq!(
            substitute("${NO:?say where}").expect_err("none"),
            "the variable `NO` isn't set: say where"
        );
        assert_eq!(substitute("${NO}").expect_err("none"), "the variable `NO` isn't set");
        assert!(substitute("${LONG}${LONG}").expect_err("long").contains("too long"));
    }

    #[test]
    fn only_a_whole_string_may_be_a_number() {
        assert_eq!(substitute("${NO:5}").expect("a default").1, Written::Substituted);
        assert_eq!(substitute("1${NO:5}").expect("a default").1, Written::AsIs);
        assert_eq!(substitute("5").expect("plain").1, Written::AsIs);
    }

    #[test]
    fn what_is_no_substitution_is_refused() {
        for wrong in ["$", "a$b", "${", "${}", "${1A}", "${A B}", "${A:${B}}", "${A-x}"] {
            assert!(substitute(wrong).expect_err(wrong).starts_with("this is no substitution"), "{wrong}");
        }
    }

    #[test]
    fn a_lone_variable_is_known() {
        assert_eq!(lone_variable("${A_1}"), Some("A_1"));
        for other in ["${A:x}", "${A}x", "A", "${}", "$A"] {
            assert_eq!(lone_variable(other), None, "{other}");
        }
        assert!(is_variable("_x") && !is_variable("") && !is_variable("ä"));
    }
}
