//! The one table of keys: what each takes, what it is for, and its default. Decoding, suggestions, merging, defaults, the
//! JSON Schema, the documentation and completion all come from it.

pub mod fill;
pub mod json;
pub mod markdown;

/// What a value may be.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A string of some form.
    Text(&'static TextShape),
    /// An integer within bounds.
    Integer {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// One of a few words.
    Choice(&'static [Alternative]),
    /// A list.
    List {
        /// Of what.
        of: Box<Shape>,
        /// Items at least.
        least: usize,
    },
    /// A table with names that the writer of the file chooses.
    Map {
        /// What the names are.
        names: &'static str,
        /// Of what.
        of: Box<Shape>,
    },
    /// A table with known keys.
    Table(&'static TableShape),
    /// A reference to a secret.
    Secret(&'static TableShape),
    /// One of several.
    AnyOf(Vec<Shape>),
}

/// Strings of one form.
#[derive(Debug, PartialEq, Eq)]
pub struct TextShape {
    /// What it is, with an article: "a size".
    pub what: &'static str,
    /// Examples, as they stand in the string.
    pub examples: &'static [&'static str],
}

/// One of the words of a choice.
#[derive(Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The word.
    pub name: &'static str,
    /// What it means, as lines of documentation.
    pub about: &'static [&'static str],
}

/// A table with known keys.
#[derive(Debug)]
pub struct TableShape {
    /// Its name, unlike any other.
    pub name: &'static str,
    /// What it is, as lines of documentation.
    pub about: &'static [&'static str],
    /// The keys.
    pub keys: &'static [Key],
    /// Keys of which only one may be there.
    pub groups: &'static [Group],
    /// Keys that have an effect only next to others.
    pub companions: &'static [Companions],
    /// Keys that aren't known by name.
    pub others: Option<Others>,
    /// Whether it can inherit templates, so that a required key may come from one.
    pub inherits: bool,
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it is, as lines of documentation.
    pub about: &'static [&'static str],
    /// What it takes.
    pub shape: fn() -> Shape,
    /// Whether it must be there.
    pub required: bool,
    /// What it is if it isn't there, as TOML.
    pub default: Option<&'static str>,
}

/// Keys that exclude one another.
#[derive(Debug)]
pub struct Group {
    /// The keys.
    pub keys: &'static [&'static str],
    /// Whether one of them must be there.
    pub required: bool,
}

/// Keys that have an effect only next to one of some others.
#[derive(Debug)]
pub struct Companions {
    /// The keys.
    pub keys: &'static [&'static str],
    /// The others.
    pub of: &'static [&'static str],
}

/// Keys of some form.
#[derive(Debug)]
pub struct Others {
    /// What they are, as lines of documentation.
    pub about: &'static [&'static str],
    /// Their form.
    pub names: &'static TextShape,
    /// Whether a key has it.
    pub accepts: fn(&str) -> bool,
    /// What they take.
    pub shape: fn() -> Shape,
}

impl TableShape {
    /// The key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// What a key takes, known by name or by form.
    #[must_use]
    pub fn shape_of(&self, name: &str) -> Option<Shape> {
        let known = self.key(name).map(|key| (key.shape)());
        known.or_else(|| {
            self.others.as_ref().filter(|others| (others.accepts)(name)).map(|others| (others.shape)())
        })
    }

    /// The other keys of the groups that have this one.
    pub(crate) fn rivals(&self, name: &str) -> impl Iterator<Item = &'static str> {
        let of = self.groups.iter().filter(move |group| group.keys.contains(&name));
        let name = name.to_owned();
        of.flat_map(|group| group.keys.iter().copied()).filter(move |key| *key != name)
    }
}

/// Lines of documentation as one text.
#[must_use]
pub fn text(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

impl Shape {
    /// The table, of one that may be other things as well.
    #[must_use]
    pub fn table(&self) -> Option<&'static TableShape> {
        match self {
            Self::Table(table) => Some(table),
            Self::AnyOf(shapes) => shapes.iter().find_map(Self::table),
            _ => None,
        }
    }

    /// What it is, with an article, for messages and documentation.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Text(text) => text.what.to_owned(),
            Self::Integer { least, most } if *most >= i64::from(u32::MAX) => {
                format!("an integer from {least} on")
            }
            Self::Integer { least, most } => format!("an integer from {least} to {most}"),
            Self::Number => "a number".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`\"{}\"`", word.name)).collect();
                words.join(", ")
            }
            Self::List { .. } => "a list".to_owned(),
            Self::Map { .. } => "a table".to_owned(),
            Self::Table(_) => "a table".to_owned(),
            Self::Secret(_) => "a reference to a secret".to_owned(),
            Self::AnyOf(shapes) => shapes.iter().map(Self::describe).collect::<Vec<_>>().join("; or "),
        }
    }
}

/// All tables below a table, each once, in the order in which a reader of the file meets them.
pub(crate) fn tables_below(root: &'static TableShape) -> Vec<&'static TableShape> {
    let mut found: Vec<&'static TableShape> = Vec::new();
    collect(root, &mut found);
    found
}

fn collect(table: &'static TableShape, found: &mut Vec<&'static TableShape>) {
    if found.iter().any(|other| other.name == table.name) {
        return;
    }
    found.push(table);
    let shapes = table.keys.iter().map(|key| (key.shape)());
    let shapes: Vec<Shape> = shapes.chain(table.others.iter().map(|others| (others.shape)())).collect();
    shapes.iter().for_each(|shape| collect_in(shape, found));
}

fn collect_in(shape: &Shape, found: &mut Vec<&'static TableShape>) {
    match shape {
        Shape::Table(table) | Shape::Secret(table) => collect(table, found),
        Shape::List { of, .. } | Shape::Map { of, .. } => collect_in(of, found),
        Shape::AnyOf(shapes) => shapes.iter().for_each(|shape| collect_in(shape, found)),
        _ => {}
    }
}

/// Whether a secret may be in a value, or below it.
pub(crate) fn holds_secret(shape: &Shape) -> bool {
    let mut found = Vec::new();
    collect_in(shape, &mut found);
    let shapes = found.iter().flat_map(|table| table.keys).map(|key| (key.shape)());
    is_secret(shape) || shapes.into_iter().any(|shape| is_secret(&shape))
}

fn is_secret(shape: &Shape) -> bool {
    match shape {
        Shape::Secret(_) => true,
        Shape::AnyOf(shapes) => shapes.iter().any(is_secret),
        _ => false,
    }
}

/// The keys that take no secret and no table anywhere, so that what stands behind them may be shown.
pub(crate) fn open_keys(root: &'static TableShape) -> std::collections::BTreeSet<&'static str> {
    let may_hide = |shape: &Shape| {
        !matches!(
            shape,
            Shape::Choice(_) | Shape::Integer { .. } | Shape::Number | Shape::Boolean | Shape::Text(_)
        )
    };
    let all = tables_below(root);
    let keys = || all.iter().flat_map(|table| table.keys);
    let closed: Vec<&str> = keys().filter(|key| may_hide(&(key.shape)())).map(|key| key.name).collect();
    keys().map(|key| key.name).filter(|name| !closed.contains(name)).collect()
}

/// The shape at a path of keys, such as `plan.www.retention`, where a name stands for any name.
pub(crate) fn at_path(root: &'static TableShape, path: &[&str]) -> Option<Shape> {
    let mut shape = Shape::Table(root);
    for part in path {
        shape = step(&shape, part)?;
    }
    Some(shape)
}

fn step(shape: &Shape, part: &str) -> Option<Shape> {
    match shape {
        Shape::Table(table) | Shape::Secret(table) => table.shape_of(part),
        Shape::Map { of, .. } => Some((**of).clone()),
        Shape::List { of, .. } => step(of, part),
        Shape::AnyOf(shapes) => shapes.iter().find_map(|shape| step(shape, part)),
        _ => None,
    }
}
