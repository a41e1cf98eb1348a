//! TOML as a tree in which every node and key knows where it stands.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use toml_span::value::ValueInner;

use crate::source::{FileId, Origin};

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub origin: Origin,
    /// How it came to be.
    pub written: Written,
}

/// How a value came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// As it is.
    AsIs,
    /// A string that was one substitution and nothing else, so that it may be a number or a boolean.
    Substituted,
    /// A string whose substitution failed, which is told: what it would be is not known.
    Unknown,
}

/// What TOML can say, but for dates and times, which are strings here.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Value {
    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// An entry of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key: Origin,
    /// The value.
    pub node: Node,
}

/// A table: entries by key, in the order of keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The entries.
    pub entries: BTreeMap<String, Entry>,
}

impl Table {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.get(key).map(|entry| &entry.node)
    }
}

impl Node {
    /// A value from no file.
    #[must_use]
    pub fn of_default(value: Value) -> Self {
        Self { value, origin: Origin::DEFAULT, written: Written::AsIs }
    }

    /// The table, if it is one.
    #[must_use]
    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as JSON, the same for all ways to write it: keys in their order, numbers with a fraction as their bits.
    #[must_use]
    pub fn canonical(&self) -> Json {
        match &self.value {
            Value::Text(text) => json!(text),
            Value::Integer(number) => json!(number),
            Value::Number(number) => json!({ "number": number.to_bits() }),
            Value::Boolean(value) => json!(value),
            Value::List(list) => list.iter().map(Self::canonical).collect(),
            Value::Table(table) => {
                table.entries.iter().map(|(key, entry)| (key.clone(), entry.node.canonical())).collect()
            }
        }
    }

    /// Calls `visit` with this node and all below it.
    pub(crate) fn walk<'n>(&'n self, visit: &mut dyn FnMut(&'n Self)) {
        visit(self);
        match &self.value {
            Value::List(list) => list.iter().for_each(|node| node.walk(visit)),
            Value::Table(table) => table.entries.values().for_each(|entry| entry.node.walk(visit)),
            _ => {}
        }
    }
}

/// A text that is no TOML, or nested too deeply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Whether it is the nesting.
    pub(crate) too_deep: bool,
    /// What is wrong.
    pub(crate) message: String,
    /// Where.
    pub(crate) origin: Origin,
    /// What it collides with, if that is elsewhere.
    pub(crate) first: Option<Origin>,
}

/// Reads a text. The tree has at most this many levels.
pub(crate) fn parse(text: &str, file: FileId, levels_max: usize) -> Result<Node, Flaw> {
    let origin = |span: toml_span::Span| Origin::new(file, span.start..span.end.min(text.len()));
    let root = toml_span::parse(text).map_err(|error| {
        let first = match &error.kind {
            toml_span::ErrorKind::DuplicateKey { first, .. }
            | toml_span::ErrorKind::DuplicateTable { first, .. }
            | toml_span::ErrorKind::DottedKeyInvalidType { first } => Some(origin(*first)),
            _ => None,
        };
        let too_deep = matches!(error.kind, toml_span::ErrorKind::ExceededDepthLimit);
        Flaw { too_deep, message: plain(&error.kind), origin: origin(error.span), first }
    })?;
    convert(root, &origin, levels_max)
}

/// The parser's messages in our words. None has a part of the text but names of keys, and single characters.
fn plain(kind: &toml_span::ErrorKind) -> String {
    use toml_span::ErrorKind;
    match kind {
        ErrorKind::UnexpectedEof => "the file ends in the middle of something".to_owned(),
        ErrorKind::InvalidCharInString('\n' | '\r') => "a string has no end on its line".to_owned(),
        ErrorKind::InvalidCharInString(_) => "a string has a character that it must not have".to_owned(),
        ErrorKind::InvalidEscape(_) | ErrorKind::InvalidHexEscape(_) | ErrorKind::InvalidEscapeValue(_) => {
            "a string has an escape that TOML doesn't know".to_owned()
        }
        ErrorKind::UnterminatedString => "a string has no end".to_owned(),
        ErrorKind::InvalidNumber => "this is no number".to_owned(),
        ErrorKind::Unexpected(_) => "a character stands where none can be".to_owned(),
        ErrorKind::DuplicateTable { name, .. } => format!("the table `{name}` is here twice"),
        ErrorKind::DuplicateKey { key, .. } => format!("the key `{key}` is here twice"),
        ErrorKind::RedefineAsArray => "a table is here again as a list".to_owned(),
        ErrorKind::MultilineStringKey => "a key goes over several lines".to_owned(),
        ErrorKind::DottedKeyInvalidType { .. } => "a key goes on below a value that is no table".to_owned(),
        ErrorKind::UnquotedString => "a string lacks its quotation marks".to_owned(),
        ErrorKind::Wanted { expected, found } => format!("here is {found} instead of {expected}"),
        ErrorKind::ExceededDepthLimit => "tables and lists are nested too deeply".to_owned(),
        _ => "this is no TOML".to_owned(),
    }
}

fn convert(
    mut node: toml_span::Value<'_>,
    origin: &dyn Fn(toml_span::Span) -> Origin,
    levels: usize,
) -> Result<Node, Flaw> {
    let here = origin(node.span);
    let below = || {
        levels.checked_sub(1).ok_or_else(|| Flaw {
            too_deep: true,
            message: plain(&toml_span::ErrorKind::ExceededDepthLimit),
            origin: here,
            first: None,
        })
    };
    let value = match node.take() {
        ValueInner::String(text) => Value::Text(text.into_owned()),
        ValueInner::Integer(number) => Value::Integer(number),
        ValueInner::Float(number) => Value::Number(number),
        ValueInner::Boolean(value) => Value::Boolean(value),
        ValueInner::Array(list) => {
            let below = below()?;
            let list = list.into_iter().map(|node| convert(node, origin, below));
            Value::List(list.collect::<Result<_, _>>()?)
        }
        ValueInner::Table(table) => {
            let below = below()?;
            let mut entries = BTreeMap::new();
            for (key, node) in table {
                let entry = Entry { key: origin(key.span), node: convert(node, origin, below)? };
                entries.insert(key.name.into_owned(), entry);
            }
            Value::Table(Table { entries })
        }
    };
    Ok(Node { value, origin: here, written: Written::AsIs })
}

/// A value that stands alone, such as a default in a table of keys. Panics if it isn't one: they are the program's own,
/// and a test reads them all.
pub(crate) fn parse_default(text: &'static str) -> Node {
    let document = format!("value = {text}");
    let mut root = toml_span::parse(&document).expect("a default is TOML");
    let ValueInner::Table(mut table) = root.take() else { panic!("a document is a table") };
    let value = table.remove("value").expect("the document has one key");
    let nowhere = |_| Origin::DEFAULT;
    convert(value, &nowhere, usize::MAX).expect("there is no bound")
}

#[cfg(test)]
mod tests {
    use super::{Origin, Value, parse};
    use crate::source::Sources;

    #[test]
    fn nodes_and_keys_know_where_they_stand() {
        let text = "a = 'x'\n[b.c]\nd = [1, 2.5, true]\n";
        let file = Sources::default().add("f".into(), text.to_owned());
        let root = parse(text, file, 8).expect("TOML");
        let table = root.table().expect("a table");
        assert_eq!(table.entries["a"].key, Origin::new(file, 0..1));
        assert_eq!(table.entries["a"].node.value, Value::Text("x".to_owned()));
        let inner = table.get("b").and_then(|node| node.table()?.get("c")).expect("a table");
        let list = inner.table().and_then(|table| table.get("d")).and_then(|node| node.list());
        assert_eq!(list.expect("a list").len(), 3);
    }

    #[test]
    fn nesting_is_bounded() {
        let text = format!("a = {}1{}", "[".repeat(9), "]".repeat(9));
        let file = Sources::default().add("f".into(), text.clone());
        assert!(parse(&text, file, 10).is_ok());
        assert!(parse(&text, file, 9).expect_err("too deep").too_deep);
        let text = format!("a = {}", "[".repeat(100_000));
        assert!(parse(&text, file, 9).is_err(), "the stack is not used up");
    }

    #[test]
    fn what_is_here_twice_names_both_places() {
        let text = "[a]\n[a]\n";
        let file = Sources::default().add("f".into(), text.to_owned());
        let flaw = parse(text, file, 8).expect_err("twice");
        assert_eq!(flaw.first, Some(Origin::new(file, 0..4)));
        assert_eq!(flaw.message, "the table `a` is here twice");
    }
}
