//! What a configuration says after everything was inherited, substituted and filled in: each value with its origin, as
//! canonical TOML and JSON, and its hash.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::{Map, Value as Json, json};

use crate::schema::{Shape, TableShape};
use crate::source::{Origin, Sources};
use crate::tree::{Node, Table, Value};

/// What the hash of a definition begins with, so that it is no other hash.
const HASH_CONTEXT: &str = "keepfast effective definition 1";
/// The same for the hash of what servers share.
const SHARED_CONTEXT: &str = "keepfast shared definitions 1";
/// What of `[server]` plans depend on, whichever server runs them.
const SHARED_OF_SERVER: [&str; 3] = ["timezone", "history", "limits"];
/// What is shown of a command's arguments that may be secret.
const HIDDEN: &str = "…";

/// The hash of an effective definition: of all that it says, whichever file says it and however it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DefinitionHash(pub [u8; 32]);

impl fmt::Display for DefinitionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Origins stand in one column, up to this many characters.
const ORIGIN_COLUMN_MAX: usize = 60;

/// A definition as a tree.
#[derive(Clone)]
struct Part {
    node: Node,
    shape: Shape,
}

/// All effective definitions, by their paths: `server`, `plan.www`, `route.1`. As a whole they aren't shown: commands may
/// have secrets as arguments.
#[derive(Clone, Default)]
pub struct Effective {
    parts: BTreeMap<(String, String), Part>,
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

/// A value, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its path: `plan.www.retention.daily`. Keys that are no bare words are in quotation marks.
    pub path: String,
    /// The value, as TOML writes it.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl Effective {
    pub(crate) fn insert(&mut self, section: &str, name: &str, node: Node, shape: Shape) {
        self.parts.insert((section.to_owned(), name.to_owned()), Part { node, shape });
    }

    /// The paths of all definitions.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.parts.keys().map(|(section, name)| path_of(section, name)).collect()
    }

    /// The section and the name of each definition.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.keys().map(|(section, name)| (section.as_str(), name.as_str()))
    }

    pub(crate) fn names(&self, section: &str) -> Vec<&str> {
        self.parts.keys().filter(|(other, _)| other == section).map(|(_, name)| name.as_str()).collect()
    }

    /// The values of one definition, or of a part of it, such as `plan.www.retention`; of all with an empty path.
    #[must_use]
    pub fn lines(&self, path: &str) -> Vec<Line> {
        self.parts
            .iter()
            .flat_map(|((section, name), part)| part.lines(&path_of(section, name), path))
            .collect()
    }

    /// The same as TOML, which says the same when it is read again, but for arguments of commands that are hidden. With
    /// sources, each line says where its value comes from.
    #[must_use]
    pub fn to_toml(&self, path: &str, sources: Option<&Sources>) -> String {
        let mut text = String::new();
        for ((section, name), part) in &self.parts {
            let whole = path_of(section, name);
            let lines = part.lines(&whole, path);
            if lines.is_empty() {
                continue;
            }
            let plain = |line: &Line| {
                format!("{} = {}", line.path[whole.len()..].trim_start_matches('.'), line.value)
            };
            let widths = lines.iter().map(|line| plain(line).chars().count());
            let width = widths.filter(|width| *width < ORIGIN_COLUMN_MAX).max().unwrap_or(0);
            let gap = if text.is_empty() { "" } else { "\n" };
            let header = if is_numbered(section) { format!("[[{section}]]") } else { format!("[{whole}]") };
            // Writing into a string doesn't fail.
            let _ = writeln!(text, "{gap}{header}");
            for line in &lines {
                let plain = plain(line);
                let _ = match sources {
                    // An empty table is all that there is.
                    _ if line.path == whole => Ok(()),
                    Some(sources) => writeln!(text, "{plain:<width$}  # {}", sources.short(line.origin)),
                    None => writeln!(text, "{plain}"),
                };
            }
        }
        text
    }

    /// The same as JSON: a definition's value, or all of them by section and name. With sources, each value that is no table
    /// is `{"value": …, "origin": "file:line"}`.
    #[must_use]
    pub fn to_json(&self, path: &str, sources: Option<&Sources>) -> Option<Json> {
        let mut all = Map::new();
        for ((section, name), part) in &self.parts {
            let value = json_of(&part.node, Some(&part.shape), sources);
            if name.is_empty() {
                all.insert(section.clone(), value);
            } else if let Json::Object(section) = all.entry(section.clone()).or_insert_with(|| json!({})) {
                section.insert(name.clone(), value);
            }
        }
        let mut found = Json::Object(all);
        for part in path.split('.').filter(|part| !part.is_empty()) {
            found = found.as_object_mut()?.remove(part)?;
        }
        Some(found)
    }

    /// Where a definition has a key, unless that is a default.
    pub(crate) fn key(&self, section: &str, name: &str, path: &[&str]) -> Option<Origin> {
        let (key, above) = path.split_last()?;
        let mut table = self.parts.get(&(section.to_owned(), name.to_owned()))?.node.table()?;
        for key in above {
            table = table.get(key)?.table()?;
        }
        table.entries.get(*key).map(|entry| entry.key).filter(|origin| *origin != Origin::DEFAULT)
    }

    /// The files that secrets are in, and where they are named.
    pub(crate) fn secret_files(&self) -> Vec<(String, Origin)> {
        let mut found = Vec::new();
        for part in self.parts.values() {
            secret_files_in(&part.node, Some(&part.shape), &mut found);
        }
        found
    }

    /// The hash of one definition.
    #[must_use]
    pub fn hash_of(&self, section: &str, name: &str) -> Option<DefinitionHash> {
        let part = self.parts.get(&(section.to_owned(), name.to_owned()))?;
        Some(hash(&part.node))
    }

    /// The hash of everything.
    #[must_use]
    pub fn hash(&self) -> DefinitionHash {
        let mut hasher = blake3::Hasher::new_derive_key(HASH_CONTEXT);
        for ((section, name), part) in &self.parts {
            let named = json!([section, name, part.node.canonical()]);
            hasher.update(named.to_string().as_bytes());
        }
        DefinitionHash(*hasher.finalize().as_bytes())
    }

    /// The hash of what servers that share a state have to agree about.
    #[must_use]
    pub fn shared_hash(&self) -> DefinitionHash {
        let mut hasher = blake3::Hasher::new_derive_key(SHARED_CONTEXT);
        for ((section, name), part) in &self.parts {
            let mut value = shared(&part.node, Some(&part.shape));
            if let Json::Object(keys) = &mut value {
                keys.retain(|key, _| !is_own(section, key));
            }
            hasher.update(json!([section, name, value]).to_string().as_bytes());
        }
        DefinitionHash(*hasher.finalize().as_bytes())
    }
}

/// What servers that share a state have to agree about, as JSON. It isn't said where secrets are.
fn shared(node: &Node, shape: Option<&Shape>) -> Json {
    match &node.value {
        Value::Table(_) if secret_table(shape).is_some() => json!("a secret"),
        Value::Table(table) => {
            let entries = table.entries.iter();
            entries
                .map(|(key, entry)| (key.clone(), shared(&entry.node, below(shape, key).as_ref())))
                .collect()
        }
        Value::List(list) => list.iter().map(|node| shared(node, item(shape))).collect(),
        _ => node.canonical(),
    }
}

/// Whether a key is each machine's own: servers that share a state may differ in it.
fn is_own(section: &str, key: &str) -> bool {
    match section {
        "server" => !SHARED_OF_SERVER.contains(&key),
        "repository" => key == "cache",
        _ => false,
    }
}

/// Whether definitions of a section have numbers instead of names.
fn is_numbered(section: &str) -> bool {
    matches!(section, "route" | "pause")
}

impl Part {
    /// Its values, as far as they are at or below a path.
    fn lines(&self, whole: &str, path: &str) -> Vec<Line> {
        let mut found = Vec::new();
        lines_of(whole, &self.node, &self.shape, &mut found);
        let is_below = |line: &Line| {
            let rest = line.path.strip_prefix(path);
            path.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        found.retain(is_below);
        found
    }
}

fn secret_files_in(node: &Node, shape: Option<&Shape>, found: &mut Vec<(String, Origin)>) {
    match &node.value {
        Value::List(list) => list.iter().for_each(|node| secret_files_in(node, item(shape), found)),
        Value::Table(table) => {
            if secret_table(shape).is_some()
                && let Some(file) = table.get("file")
            {
                found.extend(file.text().map(|path| (path.to_owned(), file.origin)));
            }
            for (key, entry) in &table.entries {
                secret_files_in(&entry.node, below(shape, key).as_ref(), found);
            }
        }
        _ => {}
    }
}

pub(crate) fn path_of(section: &str, name: &str) -> String {
    if name.is_empty() { section.to_owned() } else { format!("{section}.{}", key_text(name)) }
}

/// The hash of a definition. A template that is spelt in another way, a comment or another file changes nothing.
pub(crate) fn hash(node: &Node) -> DefinitionHash {
    let mut hasher = blake3::Hasher::new_derive_key(HASH_CONTEXT);
    hasher.update(node.canonical().to_string().as_bytes());
    DefinitionHash(*hasher.finalize().as_bytes())
}

fn below(shape: Option<&Shape>, key: &str) -> Option<Shape> {
    match shape? {
        Shape::Table(table) | Shape::Secret(table) => table.shape_of(key),
        Shape::Map { of, .. } => Some((**of).clone()),
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| below(Some(shape), key)),
        _ => None,
    }
}

fn item(shape: Option<&Shape>) -> Option<&Shape> {
    match shape? {
        Shape::List { of, .. } => Some(of),
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| item(Some(shape))),
        _ => None,
    }
}

fn secret_table(shape: Option<&Shape>) -> Option<&'static TableShape> {
    match shape? {
        Shape::Secret(table) => Some(table),
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| secret_table(Some(shape))),
        _ => None,
    }
}

/// A value as it may be shown: of a command that prints a secret, the program alone, because its arguments may be one.
fn shown(node: &Node, shape: Option<&Shape>) -> Node {
    let mut node = node.clone();
    if secret_table(shape).is_some()
        && let Value::Table(table) = &mut node.value
        && let Some(entry) = table.entries.get_mut("command")
    {
        let hidden = Node { value: Value::Text(HIDDEN.to_owned()), ..entry.node.clone() };
        entry.node = match &entry.node.value {
            Value::List(list) if list.len() > 1 => {
                let list = list.iter().take(1).cloned().chain([hidden]).collect();
                Node { value: Value::List(list), ..entry.node.clone() }
            }
            Value::List(_) => entry.node.clone(),
            _ => hidden,
        };
    }
    node
}

fn lines_of(path: &str, node: &Node, shape: &Shape, found: &mut Vec<Line>) {
    let is_secret = secret_table(Some(shape)).is_some();
    match &node.value {
        Value::Table(table) if !is_secret && !table.entries.is_empty() => {
            for (key, entry) in &table.entries {
                let below = below(Some(shape), key);
                let path = format!("{path}.{}", key_text(key));
                match below {
                    Some(shape) => lines_of(&path, &entry.node, &shape, found),
                    None => push(path, &entry.node, None, found),
                }
            }
        }
        _ => push(path.to_owned(), node, Some(shape), found),
    }
}

fn push(path: String, node: &Node, shape: Option<&Shape>, found: &mut Vec<Line>) {
    found.push(Line { path, value: toml_of(node, shape), origin: node.origin });
}

/// A value on one line of TOML.
fn toml_of(node: &Node, shape: Option<&Shape>) -> String {
    let node = &shown(node, shape);
    match &node.value {
        Value::Text(text) => value_string(text),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) if number.is_nan() => "nan".to_owned(),
        Value::Number(number) => format!("{number:?}"),
        Value::Boolean(value) => value.to_string(),
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(|node| toml_of(node, item(shape))).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => inline(table, shape),
    }
}

fn inline(table: &Table, shape: Option<&Shape>) -> String {
    if table.entries.is_empty() {
        return "{}".to_owned();
    }
    let pairs = table.entries.iter().map(|(key, entry)| {
        format!("{} = {}", key_text(key), toml_of(&entry.node, below(shape, key).as_ref()))
    });
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}

fn key_text(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { string(key) }
}

/// A string that is substituted when it is read again: a dollar sign stands for itself.
fn value_string(text: &str) -> String {
    string(&text.replace('$', "$$"))
}

/// A string of TOML: as in JSON, but for DEL, which TOML doesn't take as it is.
fn string(text: &str) -> String {
    json!(text).to_string().replace('\u{7f}', "\\u007F")
}

fn json_of(node: &Node, shape: Option<&Shape>, sources: Option<&Sources>) -> Json {
    let shown = shown(node, shape);
    if let Value::Table(table) = &shown.value
        && !(sources.is_some() && secret_table(shape).is_some())
    {
        let entries = table.entries.iter();
        return entries
            .map(|(key, entry)| (key.clone(), json_of(&entry.node, below(shape, key).as_ref(), sources)))
            .collect();
    }
    let value = plain_json(&shown);
    match sources {
        Some(sources) => json!({ "value": value, "origin": sources.short(node.origin) }),
        None => value,
    }
}

pub(crate) fn plain_json(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        // One that JSON doesn't have is a string.
        Value::Number(number) if !number.is_finite() => json!(format!("{number:?}")),
        Value::Number(number) => json!(number),
        Value::Boolean(value) => json!(value),
        Value::List(list) => list.iter().map(plain_json).collect(),
        Value::Table(table) => {
            table.entries.iter().map(|(key, entry)| (key.clone(), plain_json(&entry.node))).collect()
        }
    }
}
