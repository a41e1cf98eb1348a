//! From trees to types. Everything that is wrong is told, and decoding goes on: a value that can't be decoded is no
//! reason not to look at the others.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::files::Facts;
use crate::schema::{Companions, Group, Shape, TableShape, TextShape, holds_secret, text};
use crate::source::Origin;
use crate::tree::{Node, Table, Value, Written, parse_default};

/// A table with more keys isn't listed in a message.
const KEYS_LISTED: usize = 15;

/// What decoding needs besides a tree.
pub struct Context<'c> {
    pub(crate) diagnostics: &'c mut Diagnostics,
    pub(crate) facts: &'c dyn Facts,
    /// A template may lack keys, and its substitutions are made in what inherits it.
    pub(crate) is_template: bool,
    /// What is decoded, for messages: "plan `www`".
    pub(crate) subject: String,
    /// Where it begins.
    pub(crate) top: Origin,
    /// Names of other definitions.
    pub(crate) named: &'c mut Vec<NamedDefinition>,
}

/// The name of another definition, and where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedDefinition {
    /// The key under which definitions of its kind stand.
    pub(crate) kind: &'static str,
    /// The name.
    pub(crate) name: String,
    /// Where.
    pub(crate) origin: Origin,
}

impl Context<'_> {
    pub(crate) fn name(&mut self, kind: &'static str, name: &str, origin: Origin) {
        // Whatever inherits a template names it again.
        if !self.is_template {
            self.named.push(NamedDefinition { kind, name: name.to_owned(), origin });
        }
    }

    pub(crate) fn tell(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.add(diagnostic);
    }

    /// Hides all strings of a value: it may be a secret in a wrong place.
    pub(crate) fn hide(&mut self, node: &Node) {
        hide(node, self.diagnostics);
    }

    /// Tells that a value is of the wrong kind.
    pub(crate) fn wrong_kind(&mut self, node: &Node, shape: &Shape) {
        if self.is_left_open(node) {
            return;
        }
        let (expected, found) = (shape.describe(), node.value.kind());
        let message = format!("here is {found}, and not {expected}");
        let mut diagnostic = Diagnostic::new(Code::WrongKind, message).at(node.origin);
        if matches!(shape, Shape::List { .. }) && node.table().is_some() {
            diagnostic =
                diagnostic.help("a list is written `[…]`, or changed by `{ add = […], remove = […] }`");
        }
        // Where a table was expected, a string may have been meant to hold all of it, a password too.
        if holds_secret(shape) {
            self.hide(node);
        }
        self.tell(diagnostic);
    }

    /// Tells that a text can't be read.
    pub(crate) fn wrong_text(&mut self, node: &Node, shape: &TextShape, flaw: Flaw) {
        // Most likely it is an address that has a user and a password in it.
        if node.text().is_some_and(|text| text.contains('@')) {
            self.hide(node);
        }
        let message = match flaw.why.as_str() {
            "" => format!("this is not {}", shape.what),
            why => format!("this is not {}: {why}", shape.what),
        };
        let mut diagnostic = Diagnostic::new(Code::Value, message).at(node.origin);
        diagnostic.help.extend(flaw.help);
        if let Some(example) = shape.examples.first() {
            diagnostic = diagnostic.help(format!("for example `\"{example}\"`"));
        }
        self.tell(diagnostic);
    }

    /// Whether it isn't known what the value is: it has to be left to what inherits the template, or a substitution has
    /// failed, which is told.
    fn is_left_open(&self, node: &Node) -> bool {
        let is_template = || self.is_template && node.text().is_some_and(|text| text.contains('$'));
        node.written == Written::Unknown || is_template()
    }

    /// A text; tells if it is none.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<&'n str> {
        if self.is_left_open(node) {
            return None;
        }
        let text = node.text();
        if text.is_none() {
            self.wrong_kind(node, shape);
        }
        text
    }
}

pub(crate) fn hide(node: &Node, diagnostics: &mut Diagnostics) {
    node.walk(&mut |node| {
        if !matches!(node.value, Value::Table(_) | Value::List(_)) {
            diagnostics.hide(node.origin);
        }
    });
}

/// Why a text can't be read. Nothing of the text is in it, unless it can't be secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flaw {
    /// Why, or nothing if there is nothing to add.
    pub why: String,
    /// What to do.
    pub help: Vec<String>,
}

impl Flaw {
    /// One that says why.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), help: Vec::new() }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }
}

/// What is decoded from a tree.
pub trait Decode: Sized {
    /// Whether a key with it must be there.
    const REQUIRED: bool = true;

    /// What it may be.
    fn shape() -> Shape;

    /// Decodes it; tells what is wrong, and gives nothing then.
    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self>;

    /// What it is if the key isn't there.
    fn absent() -> Option<Self> {
        None
    }
}

/// What is decoded from a string.
pub trait FromText: Sized {
    /// Which strings.
    const TEXT: TextShape;

    /// Reads it.
    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw>;
}

/// Decodes a string.
pub(crate) fn decode_text<T: FromText>(
    node: &Node,
    shape: &'static TextShape,
    context: &mut Context<'_>,
) -> Option<T> {
    let text = context.text(node, &Shape::Text(shape))?;
    match T::read(text, context.facts) {
        Ok(value) => Some(value),
        Err(flaw) => {
            context.wrong_text(node, shape, flaw);
            None
        }
    }
}

/// A value, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub origin: Origin,
}

impl<T: Decode> Decode for Located<T> {
    const REQUIRED: bool = T::REQUIRED;

    fn shape() -> Shape {
        T::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        T::decode(node, context).map(|value| Self { value, origin: node.origin })
    }

    fn absent() -> Option<Self> {
        T::absent().map(|value| Self { value, origin: Origin::DEFAULT })
    }
}

impl<T: Decode> Decode for Option<T> {
    const REQUIRED: bool = false;

    fn shape() -> Shape {
        T::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        T::decode(node, context).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

fn decode_list<T: Decode>(node: &Node, shape: &Shape, context: &mut Context<'_>) -> Option<Vec<T>> {
    let Some(list) = node.list() else {
        context.wrong_kind(node, shape);
        return None;
    };
    // All of them, so that each tells what is wrong.
    let decoded: Vec<Option<T>> = list.iter().map(|node| T::decode(node, context)).collect();
    decoded.into_iter().collect()
}

impl<T: Decode> Decode for Vec<T> {
    const REQUIRED: bool = false;

    fn shape() -> Shape {
        Shape::List { of: Box::new(T::shape()), least: 0 }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        decode_list(node, &Self::shape(), context)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// A list with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<T: Decode> Decode for OneOrMore<T> {
    fn shape() -> Shape {
        Shape::List { of: Box::new(T::shape()), least: 1 }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let list: Vec<T> = decode_list(node, &Self::shape(), context)?;
        if list.is_empty() {
            context.tell(Diagnostic::new(Code::Range, "this list must not be empty").at(node.origin));
            return None;
        }
        Some(Self(list))
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    const REQUIRED: bool = false;

    fn shape() -> Shape {
        Shape::Map { names: "names", of: Box::new(T::shape()) }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Some(table) = node.table() else {
            context.wrong_kind(node, &Self::shape());
            return None;
        };
        let entries = table.entries.iter();
        let decoded: Vec<Option<(String, T)>> =
            entries.map(|(name, entry)| Some((name.clone(), T::decode(&entry.node, context)?))).collect();
        decoded.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

const ANY_TEXT: TextShape = TextShape { what: "a string", examples: &[] };

impl Decode for String {
    fn shape() -> Shape {
        Shape::Text(&ANY_TEXT)
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(node, &Self::shape())?;
        if text.is_empty() {
            context.tell(Diagnostic::new(Code::Value, "this string must not be empty").at(node.origin));
            return None;
        }
        Some(text.to_owned())
    }
}

impl Decode for bool {
    fn shape() -> Shape {
        Shape::Boolean
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match (&node.value, substituted(node)) {
            (Value::Boolean(value), _) => Some(*value),
            (_, Some("true")) => Some(true),
            (_, Some("false")) => Some(false),
            _ => {
                context.wrong_kind(node, &Self::shape());
                None
            }
        }
    }
}

/// The text of a string that was one substitution: a variable can hold a number or a boolean.
pub(crate) fn substituted(node: &Node) -> Option<&str> {
    node.text().filter(|_| node.written == Written::Substituted)
}

/// An integer within bounds.
pub(crate) fn decode_integer(node: &Node, least: i64, most: i64, context: &mut Context<'_>) -> Option<i64> {
    let shape = Shape::Integer { least, most };
    let number = match &node.value {
        Value::Integer(number) => Some(*number),
        _ => substituted(node).and_then(|text| text.parse().ok()),
    };
    let Some(number) = number else {
        context.wrong_kind(node, &shape);
        return None;
    };
    if number < least || number > most {
        let message = format!("this must be {}", shape.describe());
        context.tell(Diagnostic::new(Code::Range, message).at(node.origin));
        return None;
    }
    Some(number)
}

macro_rules! integers {
    ($($type:ty as $plain:ty: $least:expr, $most:expr;)+) => {
        $(
            impl Decode for $type {
                fn shape() -> Shape {
                    Shape::Integer { least: i64::from($least), most: i64::from($most) }
                }

                fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
                    let number = decode_integer(node, i64::from($least), i64::from($most), context)?;
                    <$plain>::try_from(number).ok().and_then(|number| Self::try_from(number).ok())
                }
            }
        )+
    };
}

integers! {
    u16 as u16: 0, u16::MAX;
    u32 as u32: 0, u32::MAX;
    NonZeroU16 as u16: 1, u16::MAX;
    NonZeroU32 as u32: 1, u32::MAX;
}

impl Decode for f64 {
    fn shape() -> Shape {
        Shape::Number
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let number = match &node.value {
            Value::Number(number) => Some(*number),
            // As a decimal, which is exact as far as a fraction of two can be.
            Value::Integer(number) => number.to_string().parse().ok(),
            _ => substituted(node).and_then(|text| text.parse().ok()),
        };
        let finite = number.filter(|number: &Self| number.is_finite());
        if finite.is_none() {
            context.wrong_kind(node, &Self::shape());
        }
        finite
    }
}

/// Reads the keys of one table.
pub struct TableReader<'t, 'c, 'd> {
    table: &'t Table,
    shape: &'static TableShape,
    origin: Origin,
    context: &'c mut Context<'d>,
}

impl<'t, 'c, 'd> TableReader<'t, 'c, 'd> {
    /// Begins; tells of keys that aren't known and of those that exclude one another.
    pub(crate) fn open(
        node: &'t Node,
        shape: &'static TableShape,
        context: &'c mut Context<'d>,
    ) -> Option<Self> {
        let Some(table) = node.table() else {
            context.wrong_kind(node, &Shape::Table(shape));
            return None;
        };
        tell_unknown(table, shape, context);
        shape.groups.iter().for_each(|group| tell_group(table, node.origin, group, context));
        shape.companions.iter().for_each(|companions| tell_alone(table, companions, context));
        Some(Self { table, shape, origin: node.origin, context })
    }

    /// The value of a key.
    pub(crate) fn take<T: Decode>(&mut self, key: &'static str) -> Option<T> {
        if let Some(entry) = self.table.entries.get(key) {
            return T::decode(&entry.node, self.context);
        }
        // It wasn't filled in where it has no effect.
        if let Some(default) = self.shape.key(key).and_then(|key| key.default) {
            return T::decode(&parse_default(default), self.context);
        }
        let absent = T::absent();
        if absent.is_none() && !self.context.is_template {
            let Context { subject, top, .. } = &self.context;
            let here = if *top == self.origin { "" } else { " here" };
            let diagnostic = Diagnostic::new(Code::Missing, format!("{subject} lacks the key `{key}`{here}"))
                .at(self.origin);
            let help = self.shape.key(key).map(|key| format!("`{}`: {}", key.name, text(key.about)));
            self.context.tell(help.into_iter().fold(diagnostic, Diagnostic::help));
        }
        absent
    }

    /// The keys that are known by their form.
    pub(crate) fn others<K: FromText, T: Decode>(&mut self) -> Option<Vec<(K, T)>> {
        let unnamed = self.table.entries.iter().filter(|(key, _)| self.shape.key(key).is_none());
        let mut decoded = Vec::new();
        for (key, entry) in unnamed {
            // Others are told as unknown.
            let Ok(key) = K::read(key, self.context.facts) else { continue };
            decoded.push(T::decode(&entry.node, self.context).map(|value| (key, value)));
        }
        decoded.into_iter().collect()
    }
}

fn tell_unknown(table: &Table, shape: &'static TableShape, context: &mut Context<'_>) {
    for (key, entry) in &table.entries {
        if shape.shape_of(key).is_none() {
            // It may be a secret under a wrong name.
            hide(&entry.node, context.diagnostics);
            let known = nearest(key, shape.keys.iter().map(|key| key.name));
            let mut diagnostic =
                Diagnostic::new(Code::UnknownKey, format!("unknown key `{}`", shortened(key))).at(entry.key);
            diagnostic = diagnostic.suggest(known);
            if known.is_none() && shape.keys.len() <= KEYS_LISTED {
                let names: Vec<String> = shape.keys.iter().map(|key| format!("`{}`", key.name)).collect();
                diagnostic = diagnostic.help(format!("the keys are {}", names.join(", ")));
            }
            if let Some(others) = shape.others.as_ref().filter(|_| known.is_none()) {
                let examples: Vec<String> =
                    others.names.examples.iter().map(|name| format!("`\"{name}\"`")).collect();
                diagnostic =
                    diagnostic.help(format!("{} is a key, too: {}", others.names.what, examples.join(", ")));
            }
            context.tell(diagnostic);
        }
    }
}

/// A key as it is shown: one may be as long as a file.
pub(crate) fn shortened(key: &str) -> String {
    let mut short: String = key.chars().take(64).collect();
    if short.len() < key.len() {
        short.push('…');
    }
    short
}

/// Tells of keys that have no effect. Defaults that were filled in are no one's doing.
fn tell_alone(table: &Table, companions: &Companions, context: &mut Context<'_>) {
    if context.is_template || companions.of.iter().any(|key| table.entries.contains_key(*key)) {
        return;
    }
    for key in companions.keys {
        let Some(entry) = table.entries.get(*key).filter(|entry| entry.key != Origin::DEFAULT) else {
            continue;
        };
        let of: Vec<String> = companions.of.iter().map(|key| format!("`{key}`")).collect();
        let message = format!("`{key}` has no effect without {}", of.join(" or "));
        context.tell(Diagnostic::new(Code::NoEffect, message).at(entry.key));
    }
}

fn tell_group(table: &Table, origin: Origin, group: &Group, context: &mut Context<'_>) {
    let here: Vec<(&str, Origin)> =
        group.keys.iter().filter_map(|key| Some((*key, table.entries.get(*key)?.key))).collect();
    let names = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
    match here.as_slice() {
        [] if group.required && !context.is_template => {
            let message = format!("one of these keys is needed: {}", names(group.keys));
            context.tell(Diagnostic::new(Code::NeedsOne, message).at(origin));
        }
        [] | [_] => {}
        [first, others @ ..] => {
            let keys: Vec<&str> = here.iter().map(|(key, _)| *key).collect();
            let message = format!("only one of these keys may be here: {}", names(&keys));
            let diagnostic = Diagnostic::new(Code::Exclusive, message).labelled(first.1, "this one");
            let and =
                |diagnostic: Diagnostic, other: &(&str, Origin)| diagnostic.related(other.1, "and this one");
            context.tell(others.iter().fold(diagnostic, and));
        }
    }
}
