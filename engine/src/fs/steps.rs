//! Patterns of paths that are matched name by name, from the root down. What a directory's path has matched
//! of them is kept with the directory, so that the cost of an entry doesn't depend on the length of its path.

use std::collections::HashMap;
use std::sync::Arc;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// Patterns that can be cut at their slashes.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    patterns: Vec<Pattern>,
    /// The globs of single names, each once.
    names: GlobSet,
}

/// Such patterns before they are compiled.
#[derive(Debug, Default)]
pub struct GatheredSteps {
    patterns: Vec<Pattern>,
    names: Vec<String>,
    /// Their numbers.
    numbers: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct Pattern {
    /// Its number among all patterns.
    number: usize,
    parts: Vec<Part>,
}

/// What stands between two slashes of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A glob that one name has to match, by its number.
    Name(usize),
    /// `**`: any number of names; at the end of a pattern one at least.
    Gap,
}

/// What the path of a directory has matched; nothing where there are no such patterns.
pub type Step = Option<Arc<Matched>>;

/// What the path of a directory has matched.
#[derive(Debug)]
pub struct Matched {
    /// In ascending order.
    positions: Vec<Position>,
    /// What an entry has to match so that a whole pattern matches.
    ends: Vec<End>,
    /// The last pattern that every entry matches.
    all: Option<usize>,
}

/// How much of a pattern a path has matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    /// The pattern's place in the list.
    pattern: usize,
    /// How many of its parts are matched.
    parts: usize,
}

/// The last part of a pattern.
#[derive(Debug)]
struct End {
    /// The glob's number.
    name: usize,
    /// The pattern's number among all.
    number: usize,
}

impl GatheredSteps {
    /// Adds a pattern that begins with a slash or `**/`; `false` if it can't be matched name by name. The caller
    /// has checked that the whole pattern is a valid glob.
    pub fn add(&mut self, text: &str, number: usize) -> bool {
        let Some(names) = cut(text) else { return false };
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            if name != "**" {
                let next = self.names.len();
                let number = *self.numbers.entry(name.to_owned()).or_insert(next);
                if number == next {
                    self.names.push(name.to_owned());
                }
                parts.push(Part::Name(number));
            } else if parts.last() != Some(&Part::Gap) {
                parts.push(Part::Gap);
            }
        }
        self.patterns.push(Pattern { number, parts });
        true
    }

    /// Compiles the patterns.
    pub fn build(self) -> Result<Steps, globset::Error> {
        let mut names = GlobSetBuilder::new();
        for name in &self.names {
            names.add(GlobBuilder::new(name).literal_separator(true).backslash_escape(true).build()?);
        }
        Ok(Steps { patterns: self.patterns, names: names.build()? })
    }
}

impl Steps {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// What the path of the root has matched.
    pub fn top(&self) -> Step {
        if self.patterns.is_empty() {
            return None;
        }
        let mut positions = Vec::new();
        for pattern in 0..self.patterns.len() {
            self.enter(Position { pattern, parts: 0 }, &mut positions);
        }
        // A path begins with a slash, so its first name, before that slash, is empty.
        let before = self.matched(positions);
        Some(self.advanced(&before, b"").unwrap_or_else(|| Arc::new(before)))
    }

    /// What the path of a directory has matched, by that of the one above and its name.
    pub fn below(&self, above: &Step, name: &[u8]) -> Step {
        let above = above.as_ref()?;
        Some(self.advanced(above, name).unwrap_or_else(|| Arc::clone(above)))
    }

    /// Whether an entry of a directory matches a pattern.
    pub fn matches(&self, directory: &Step, name: &[u8]) -> bool {
        let Some(matched) = directory else { return false };
        matched.all.is_some() || self.last_by_name(matched, name).is_some()
    }

    /// The number of the last pattern that an entry of a directory matches.
    pub fn last(&self, directory: &Step, name: &[u8]) -> Option<usize> {
        let matched = directory.as_ref()?;
        matched.all.max(self.last_by_name(matched, name))
    }

    fn last_by_name(&self, matched: &Matched, name: &[u8]) -> Option<usize> {
        // In most directories no pattern ends.
        if matched.ends.is_empty() {
            return None;
        }
        let here = self.names_of(name);
        let ends = matched.ends.iter().filter(|end| here.binary_search(&end.name).is_ok());
        ends.map(|end| end.number).max()
    }

    /// The numbers of the globs that a name matches, in ascending order.
    fn names_of(&self, name: &[u8]) -> Vec<usize> {
        let candidate = Candidate::from_bytes(name);
        // Most names match nothing, and this check allocates nothing.
        if self.names.is_match_candidate(&candidate) {
            self.names.matches_candidate(&candidate)
        } else {
            Vec::new()
        }
    }

    /// What is matched after one more name; `None` if that is the same as before.
    fn advanced(&self, above: &Matched, name: &[u8]) -> Option<Arc<Matched>> {
        if above.positions.is_empty() {
            return None;
        }
        let here = self.names_of(name);
        let mut positions = Vec::with_capacity(above.positions.len());
        for position in &above.positions {
            match self.patterns[position.pattern].parts[position.parts] {
                Part::Gap => self.enter(*position, &mut positions),
                Part::Name(wanted) if here.binary_search(&wanted).is_ok() => {
                    self.enter(Position { parts: position.parts + 1, ..*position }, &mut positions);
                }
                Part::Name(_) => {}
            }
        }
        positions.sort_unstable();
        positions.dedup();
        (positions != above.positions).then(|| Arc::new(self.matched(positions)))
    }

    /// Adds a position, and the one after it too if the part at the position may match nothing.
    fn enter(&self, position: Position, positions: &mut Vec<Position>) {
        let parts = &self.patterns[position.pattern].parts;
        if position.parts < parts.len() {
            positions.push(position);
        }
        if parts.get(position.parts) == Some(&Part::Gap) && position.parts + 1 < parts.len() {
            positions.push(Position { parts: position.parts + 1, ..position });
        }
    }

    fn matched(&self, positions: Vec<Position>) -> Matched {
        let (mut ends, mut all) = (Vec::new(), None);
        for position in &positions {
            let Pattern { number, parts } = &self.patterns[position.pattern];
            match parts[position.parts] {
                _ if position.parts + 1 < parts.len() => {}
                Part::Name(name) => ends.push(End { name, number: *number }),
                Part::Gap => all = all.max(Some(*number)),
            }
        }
        Matched { positions, ends, all }
    }
}

/// The parts of a pattern between its slashes; `None` if a part may match a slash, or if that isn't certain.
fn cut(text: &str) -> Option<Vec<&str>> {
    let bytes = text.as_bytes();
    let (mut names, mut start, mut at, mut braces) = (Vec::new(), 0, 0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => {
                at += 1;
                if bytes.get(at) == Some(&b'/') {
                    return None;
                }
            }
            b'[' => at = end_of_class(bytes, at)?,
            b'{' => braces += 1,
            b'}' => braces = braces.checked_sub(1)?,
            b'/' if braces > 0 => return None,
            b'*' if braces > 0 && bytes.get(at + 1) == Some(&b'*') => return None,
            b'/' => {
                names.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    names.push(&text[start..]);
    // No path has two slashes in a row, but `**/` at the end may match anything.
    let is_sure = names.iter().skip(1).all(|name| !name.is_empty());
    is_sure.then_some(names)
}

/// Where a class ends that can't match a slash, neither by a letter nor by a range. A negated class can.
fn end_of_class(bytes: &[u8], open: usize) -> Option<usize> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut at = open + 1;
    loop {
        match *bytes.get(at)? {
            b']' if at > open + 1 => return Some(at),
            byte if is_plain(byte) => {}
            // All plain letters come after the slash, and so do all letters of ranges that begin with them.
            b'-' if at == open + 1 || is_plain(bytes[at - 1]) => {}
            _ => return None,
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn patterns_are_cut_where_nothing_in_them_may_match_a_slash() {
        assert_eq!(cut("/a/**/b*.{c,d}/[a-z_-]?"), Some(vec!["", "a", "**", "b*.{c,d}", "[a-z_-]?"]));
        assert_eq!(cut("**/\\*\\[/x"), Some(vec!["**", "\\*\\[", "x"]));
        for whole in [
            "/a/[!b]",
            "/[^b]/a",
            "/a[.-z]",
            "/[--9]",
            "/[]]/a",
            "/{a/b,c}",
            "/{a,**}/b",
            "/a\\/b",
            "**/**/",
            "/a//b",
        ] {
            assert_eq!(cut(whole), None, "{whole}");
        }
    }
}
