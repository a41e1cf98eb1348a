//! Patterns: which entries a backup leaves out, and which a restore selects.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::steps::{GatheredSteps, Step, Steps};
use crate::error::{EngineError, Result};

/// Patterns of the paths to leave out, or to select.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    text: Kinds,
    /// Patterns that aren't UTF-8: for these each byte is a letter of its own.
    bytes: Kinds,
    /// For each pattern, by its number, whether it takes back what earlier ones match; empty if none does.
    takes_back: Vec<bool>,
    doubts: Vec<String>,
}

/// What patterns decide about an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It matches.
    Matches,
    /// It matched an earlier pattern, and a later one with `!` takes that back.
    TakenBack,
}

/// Patterns by what they are matched against.
#[derive(Debug, Clone, Default)]
struct Kinds {
    /// The name.
    names: Globs,
    /// The path, name by name.
    steps: Steps,
    /// The path as a whole: these can't be cut at their slashes.
    paths: Globs,
}

/// What the path of a directory has matched, for what is in it.
#[derive(Debug, Clone, Default)]
pub struct Reached {
    text: Step,
    bytes: Step,
}

/// Globs that are matched together.
#[derive(Debug, Clone, Default)]
struct Globs {
    set: GlobSet,
    /// For each glob the number of its pattern, in ascending order.
    numbers: Vec<usize>,
}

/// Patterns that are being gathered.
#[derive(Default)]
struct GatheredKinds {
    names: Gathered,
    steps: GatheredSteps,
    paths: Gathered,
}

/// Globs that are being gathered.
struct Gathered {
    set: GlobSetBuilder,
    numbers: Vec<usize>,
}

impl Patterns {
    /// Compiles patterns. One without a slash is matched against the name alone; any other
    /// against the whole path, from anywhere in it unless it begins with a slash.
    /// `*` doesn't cross a slash, `**` does. One that begins with `!` takes back what those before
    /// it match: the last one that matches decides. `\!` stands for the letter.
    ///
    /// Patterns are bytes, as paths are. What isn't UTF-8 is compared byte by byte.
    pub fn new<P: AsRef<[u8]>>(patterns: &[P]) -> Result<Self> {
        let (mut of_text, mut of_bytes) = (GatheredKinds::default(), GatheredKinds::default());
        let mut takes_back = Vec::with_capacity(patterns.len());
        let mut doubts = Vec::new();
        for (number, pattern) in patterns.iter().map(AsRef::as_ref).enumerate() {
            let (plain, is_negated) = match pattern.strip_prefix(b"!") {
                Some(plain) => (plain, true),
                None => (pattern, false),
            };
            takes_back.push(is_negated);
            let why = if is_negated && number == 0 {
                Some("it takes back what a pattern before it matches, and there is none".to_owned())
            } else {
                doubt(plain)
            };
            doubts.extend(why.map(|why| doubtful(pattern, &why)));
            let (text, is_bytes) = match str::from_utf8(plain) {
                Ok(text) => (text.to_owned(), false),
                Err(_) => (each_byte(plain), true),
            };
            let (text, is_path) = match text.strip_suffix('/').unwrap_or(&text) {
                "" => return Err(unusable(pattern, "it is empty")),
                path if path.starts_with('/') => (path.to_owned(), true),
                path if path.contains('/') => (format!("**/{path}"), true),
                name => (name.to_owned(), false),
            };
            let glob = GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| unusable(pattern, &error.kind().to_string()))?;
            let kinds = if is_bytes { &mut of_bytes } else { &mut of_text };
            if !is_path {
                kinds.names.add(glob, number);
            } else if !kinds.steps.add(&text, number) {
                kinds.paths.add(glob, number);
            }
        }
        if !takes_back.contains(&true) {
            takes_back.clear();
        }
        let mut compiled = Self { text: of_text.build()?, bytes: of_bytes.build()?, takes_back, doubts };
        let hidden: Vec<String> =
            patterns.iter().filter_map(|pattern| compiled.doubt_of_exception(pattern.as_ref())).collect();
        compiled.doubts.extend(hidden);
        Ok(compiled)
    }

    /// Whether there are no patterns at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.bytes.is_empty()
    }

    /// Sentences about patterns that most likely don't do what was meant, and what that was.
    #[must_use]
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// What the path of the root has matched.
    #[must_use]
    pub fn top(&self) -> Reached {
        Reached { text: self.text.steps.top(), bytes: self.bytes.steps.top() }
    }

    /// What the path of a directory has matched, by that of the one above and its name.
    #[must_use]
    pub fn below(&self, above: &Reached, name: &[u8]) -> Reached {
        let bytes = above
            .bytes
            .as_ref()
            .and_then(|_| self.bytes.steps.below(&above.bytes, each_byte(name).as_bytes()));
        Reached { text: self.text.steps.below(&above.text, name), bytes }
    }

    /// Whether an entry matches, by what the path of its directory has matched, its name, and its whole path,
    /// which few patterns need.
    pub fn matches_in<P: AsRef<[u8]>>(
        &self,
        directory: &Reached,
        name: &[u8],
        path: impl FnOnce() -> P,
    ) -> bool {
        self.verdict_in(directory, name, path) == Some(Verdict::Matches)
    }

    /// As [`Patterns::matches_in`]: what the last pattern that fits an entry decides about it, if one does.
    pub fn verdict_in<P: AsRef<[u8]>>(
        &self,
        directory: &Reached,
        name: &[u8],
        path: impl FnOnce() -> P,
    ) -> Option<Verdict> {
        let is_whole = !self.text.paths.set.is_empty() || !self.bytes.paths.set.is_empty();
        let path = is_whole.then(path);
        let path = path.as_ref().map_or(&b""[..], AsRef::as_ref);
        // This runs for every entry, so the usual case comes first: all patterns are UTF-8 and take nothing back.
        let has_bytes = !self.bytes.is_empty();
        if self.takes_back.is_empty() {
            let fits = self.text.matches(&directory.text, name, path)
                || (has_bytes
                    && self.bytes.matches(
                        &directory.bytes,
                        each_byte(name).as_bytes(),
                        each_byte(path).as_bytes(),
                    ));
            return fits.then_some(Verdict::Matches);
        }
        let mut last = self.text.last(&directory.text, name, path);
        if has_bytes {
            let (name, path) = (each_byte(name), each_byte(path));
            last = last.max(self.bytes.last(&directory.bytes, name.as_bytes(), path.as_bytes()));
        }
        last.map(|number| if self.takes_back[number] { Verdict::TakenBack } else { Verdict::Matches })
    }

    /// Whether an entry matches, given its whole path.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or_default();
        let (above, name) = (&path[..end], path.get(end + 1..).unwrap_or_default());
        let names = above.split(|byte| *byte == b'/').skip(1);
        let directory = names.fold(self.top(), |above, name| self.below(&above, name));
        self.matches_in(&directory, name, || path)
    }

    /// Why an exception for one path has no effect, if it has none: a directory that is left out isn't listed.
    fn doubt_of_exception(&self, pattern: &[u8]) -> Option<String> {
        let path = pattern.strip_prefix(b"!").filter(|path| path.starts_with(b"/"))?;
        if path.iter().any(|byte| b"*?[{\\".contains(byte)) {
            return None;
        }
        let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        let mut above = ends.filter(|end| end + 1 < path.len()).map(|end| &path[..end]);
        let whole = above.find(|above| self.matches(above))?;
        let whole = String::from_utf8_lossy(whole);
        Some(doubtful(
            pattern,
            &format!("{whole} matches as a whole, with all below it; write {whole}/* there"),
        ))
    }
}

impl Kinds {
    fn is_empty(&self) -> bool {
        self.names.set.is_empty() && self.steps.is_empty() && self.paths.set.is_empty()
    }

    fn matches(&self, directory: &Step, name: &[u8], path: &[u8]) -> bool {
        self.names.matches(name) || self.steps.matches(directory, name) || self.paths.matches(path)
    }

    /// The number of the last pattern that matches.
    fn last(&self, directory: &Step, name: &[u8], path: &[u8]) -> Option<usize> {
        self.names.last(name).max(self.steps.last(directory, name)).max(self.paths.last(path))
    }
}

impl Globs {
    fn matches(&self, text: &[u8]) -> bool {
        self.set.is_match_candidate(&Candidate::from_bytes(text))
    }

    /// The number of the last pattern that matches.
    fn last(&self, text: &[u8]) -> Option<usize> {
        let candidate = Candidate::from_bytes(text);
        // Most entries match nothing, and this check allocates nothing.
        if !self.set.is_match_candidate(&candidate) {
            return None;
        }
        self.set.matches_candidate(&candidate).into_iter().max().map(|place| self.numbers[place])
    }
}

impl GatheredKinds {
    fn build(self) -> Result<Kinds> {
        let steps = self.steps.build().map_err(|error| unusable(b"", &error.to_string()))?;
        Ok(Kinds { names: self.names.build()?, steps, paths: self.paths.build()? })
    }
}

impl Default for Gathered {
    fn default() -> Self {
        Self { set: GlobSetBuilder::new(), numbers: Vec::new() }
    }
}

impl Gathered {
    fn add(&mut self, glob: Glob, number: usize) {
        self.set.add(glob);
        self.numbers.push(number);
    }

    fn build(self) -> Result<Globs> {
        let set = self.set.build().map_err(|error| unusable(b"", &error.to_string()))?;
        Ok(Globs { set, numbers: self.numbers })
    }
}

/// A text with one letter for each byte.
fn each_byte(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// Why a pattern most likely matches nothing, and what was probably meant.
fn doubt(plain: &[u8]) -> Option<String> {
    let is_space = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    let is_escaped = plain.len() > 1 && plain[plain.len() - 2] == b'\\';
    let mut names = plain.split(|byte| *byte == b'/');
    if plain.starts_with(b"\xef\xbb\xbf") {
        return Some("it begins with a byte-order mark, which no name does: leave that out".to_owned());
    }
    if is_space(plain.first()) || (is_space(plain.last()) && !is_escaped) {
        return Some("it begins or ends with white space, which is a part of it: leave that out".to_owned());
    }
    if plain.contains(&b'/') && (plain.starts_with(b"~") || plain.starts_with(b"$HOME/")) {
        return Some("only a shell puts the home directory there: write its path".to_owned());
    }
    if names.any(|name| matches!(name, b"." | b"..")) {
        return Some(
            "paths are whole and have no `.` and `..`: write the path from the root down, or its last names \
             alone to match them anywhere"
                .to_owned(),
        );
    }
    plain
        .windows(2)
        .any(|pair| pair == b"//")
        .then(|| "no path has two slashes in a row: write one".to_owned())
}

fn doubtful(pattern: &[u8], why: &str) -> String {
    format!("the pattern {:?} has most likely no effect: {why}", String::from_utf8_lossy(pattern))
}

fn unusable(pattern: &[u8], why: &str) -> EngineError {
    EngineError::Pattern { pattern: pattern.to_vec(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::Patterns;

    fn compiled(patterns: &[&[u8]]) -> Patterns {
        Patterns::new(patterns).expect("compiles")
    }

    fn matches(patterns: &Patterns, path: &[u8]) -> bool {
        patterns.matches(path)
    }

    #[test]
    fn no_patterns_are_empty_however_they_were_made() {
        assert!(Patterns::default().is_empty());
        assert!(compiled(&[]).is_empty());
        assert!(!compiled(&[b"a"]).is_empty() && !compiled(&[b"\xff"]).is_empty());
    }

    #[test]
    fn names_and_paths_match_as_users_expect() {
        let patterns = compiled(&[b"*.o", b"/home/*/cache", b"build/tmp/"]);
        for path in ["/src/a.o", "/home/ann/cache", "/x/build/tmp"] {
            assert!(matches(&patterns, path.as_bytes()), "{path}");
        }
        for path in ["/src/a.oo", "/home/ann/x/cache", "/x/tmp"] {
            assert!(!matches(&patterns, path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let patterns = compiled(&[b"*.log", b"/srv/*", b"!keep.log", b"!/srv/ann", b"old-*"]);
        for path in ["/x/a.log", "/srv/bob", "/srv/bob.log", "/x/old-keep.log"] {
            assert!(matches(&patterns, path.as_bytes()), "{path}");
        }
        for path in ["/x/keep.log", "/srv/ann", "/srv/ann/file", "/x/other"] {
            assert!(!matches(&patterns, path.as_bytes()), "{path}");
        }
        assert!(patterns.doubts().is_empty(), "{:?}", patterns.doubts());
        assert!(matches(&compiled(&[b"\\!x"]), b"/a/!x"));
    }

    #[test]
    fn what_isnt_utf_8_is_compared_byte_by_byte() {
        let patterns = compiled(&[b"caf\xe9*", b"r\xe9sum\xe9/*.bak", b"!caf\xe9.txt", "ü.o".as_bytes()]);
        for path in [&b"/x/caf\xe9.pdf"[..], b"/a/r\xe9sum\xe9/\xfc.bak", "/x/ü.o".as_bytes()] {
            assert!(matches(&patterns, path), "{path:?}");
        }
        for path in [&b"/x/caf\xe9.txt"[..], "/x/café.pdf".as_bytes(), b"/x/caf\xe8.pdf", b"/x/\xfc.o"] {
            assert!(!matches(&patterns, path), "{path:?}");
        }
    }

    #[test]
    fn patterns_that_match_nothing_raise_a_doubt() {
        for (list, said) in [
            (&["./build"][..], "have no `.`"),
            (&["a/../b"], "have no `.`"),
            (&["~/cache"], "home directory"),
            (&["~ann/cache"], "home directory"),
            (&["$HOME/cache"], "home directory"),
            (&["//tmp"], "two slashes"),
            (&["a//b"], "two slashes"),
            (&["  *.o"], "white space"),
            (&["*.o\t"], "white space"),
            (&["\u{feff}*.o"], "byte-order mark"),
            (&["!x"], "there is none"),
            (&["*.o", "! x"], "white space"),
            (&["/home", "!/home/ann/x"], "write /home/* there"),
        ] {
            let patterns = Patterns::new(list).expect("compiles");
            let [doubt] = patterns.doubts() else { panic!("{list:?}: {:?}", patterns.doubts()) };
            assert!(doubt.contains(said) && doubt.contains("most likely no effect"), "{list:?}: {doubt}");
        }
        for list in [&["*~", "..x", "a.b/c", "$RECYCLE.BIN", "x\\ "][..], &["/home/*", "!/home/ann"]] {
            let patterns = Patterns::new(list).expect("compiles");
            assert!(patterns.doubts().is_empty(), "{:?}", patterns.doubts());
        }
    }
}
