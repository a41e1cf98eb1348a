//! Names of definitions, patterns of them, and patterns of what is left out of a backup.

use globset::{Glob, GlobMatcher};

use crate::decode::{Flaw, FromText};
use crate::files::Facts;
use crate::schema::TextShape;

const NAME_BYTES_MAX: usize = 64;

/// Whether a text can name a definition: letters, digits, `-`, `_` and `.`, not too long, a letter or digit first.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    starts_well && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_part)
}

/// The name of a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub String);

impl FromText for Name {
    const TEXT: TextShape = TextShape { what: "a name", examples: &["shop-db"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(Flaw::default()) }
    }
}

/// A pattern of names: `shop-*`, `*`.
#[derive(Debug, Clone)]
pub struct NamePattern {
    text: String,
    matcher: GlobMatcher,
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl NamePattern {
    /// Whether it matches a name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromText for NamePattern {
    const TEXT: TextShape = TextShape { what: "a pattern of names", examples: &["shop-*", "*"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        if text.is_empty() || text.len() > 4 * NAME_BYTES_MAX {
            return Err(Flaw::new("it is empty, or longer than any name"));
        }
        let glob = Glob::new(text).map_err(|error| Flaw::new(error.kind().to_string()))?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }
}

/// A pattern of what is left out of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludePattern(pub String);

impl FromText for ExcludePattern {
    const TEXT: TextShape = TextShape { what: "a pattern", examples: &["*.tmp", "/srv/www/cache"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        if text.is_empty() {
            return Err(Flaw::new("it is empty"));
        }
        facts.check_pattern(text).map(|()| Self(text.to_owned())).map_err(Flaw::new)
    }
}

/// A label of a host, a project or a run: `role=web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// What it says something about.
    pub key: String,
    /// What it says.
    pub value: String,
}

impl FromText for Label {
    const TEXT: TextShape = TextShape { what: "a label", examples: &["role=web"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let parts = text.split_once('=').filter(|(key, value)| is_name(key) && !value.is_empty());
        let (key, value) = parts.ok_or_else(|| Flaw::new("it is a name, `=`, and a value"))?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// A label of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub String);

impl FromText for Tag {
    const TEXT: TextShape = TextShape { what: "a label without commas", examples: &["nightly"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let label = text.trim();
        let is_right = !label.is_empty() && !label.contains(',') && !label.chars().any(char::is_control);
        if is_right { Ok(Self(label.to_owned())) } else { Err(Flaw::default()) }
    }
}

from_text!(Name, NamePattern, ExcludePattern, Label, Tag);

#[cfg(test)]
mod tests {
    use super::{FromText, Label, NamePattern, Tag, is_name};
    use crate::testing::NoFacts;

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("shop-db") && is_name("a.b_c") && is_name("9"));
        for wrong in ["", "-a", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn patterns_match_names() {
        let pattern = NamePattern::read("shop-*", &NoFacts).expect("a pattern");
        assert!(pattern.matches("shop-db") && !pattern.matches("www"));
        for wrong in ["", "[", &"a".repeat(300)] {
            assert!(NamePattern::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels_have_a_key_and_a_value() {
        let label = Label::read("role=web=1", &NoFacts).expect("a label");
        assert_eq!((label.key.as_str(), label.value.as_str()), ("role", "web=1"));
        assert!(Label::read("role", &NoFacts).is_err() && Label::read("=x", &NoFacts).is_err());
        assert!(Tag::read("a,b", &NoFacts).is_err() && Tag::read(" a ", &NoFacts).is_ok());
    }
}
