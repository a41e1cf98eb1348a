//! What stays of a snapshot and what goes, exactly as if it had been backed up with these patterns: a backup
//! has what was named, and what leads there, even if it matches a pattern.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fs::select::{Patterns, Reached};
use crate::fs::sources::{Sources, Wanted};

/// Finds out what stays and what goes.
pub struct Fates<'a> {
    patterns: &'a Patterns,
    sources: Option<Sources>,
}

/// A directory, as far as the fates of its entries depend on it.
#[derive(Debug, Clone)]
pub struct Scope {
    /// What the backup wanted of it.
    pub wanted: Wanted,
    /// What its path has matched of the patterns.
    reached: Reached,
    /// Whether it, or one that it is in, matches and stays only because it leads to what was named.
    is_in_match: bool,
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays(Staying),
    /// It matches, and stays because it was named, or leads to what was.
    Named(Staying),
    /// It goes, with all below it.
    Goes,
}

/// An entry that stays. Only if it is a directory does this matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staying {
    /// What the backup wanted of it.
    pub wanted: Wanted,
    /// Whether it matches, and stays only because of what was named alongside a directory that it is in.
    is_match: bool,
}

impl<'a> Fates<'a> {
    /// Of a snapshot of these paths; the name of a stream counts as a path in the root directory.
    pub fn new(patterns: &'a Patterns, paths: &[Vec<u8>]) -> Self {
        let whole = paths.iter().map(|path| {
            let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
            [slash, path].concat()
        });
        // A writer may put anything there. What can't be a path protects nothing.
        let named: Vec<Vec<u8>> =
            whole.filter(|path| Sources::new(&[as_path(path)], false).is_ok()).collect();
        let paths: Vec<&Path> = named.iter().map(|path| as_path(path)).collect();
        let sources = Sources::new(&paths, false).ok().filter(|_| !paths.is_empty());
        Self { patterns, sources }
    }

    /// The root directory.
    pub fn root(&self) -> Scope {
        let wanted = self.sources.as_ref().map_or(Wanted::ALL, Sources::root);
        Scope { wanted, reached: self.patterns.top(), is_in_match: false }
    }

    /// A directory of this name that stays, in one that stays.
    pub fn below(&self, above: &Scope, name: &[u8], staying: Staying) -> Scope {
        Scope {
            wanted: staying.wanted,
            reached: self.patterns.below(&above.reached, name),
            is_in_match: above.is_in_match || staying.is_match,
        }
    }

    /// The fate of the entry with this name and path in a directory.
    pub fn of(&self, directory: &Scope, name: &[u8], path: &[u8]) -> Fate {
        let matches = self.patterns.matches_in(&directory.reached, name, || path);
        let exempt = || self.sources.as_ref()?.exempt(|| path.to_vec());
        let exempt = if matches { exempt() } else { None };
        let is_match = exempt.is_some();
        let named = match &directory.wanted {
            Wanted::PathsBelow(selection) => selection.entries.get(name).cloned(),
            Wanted::All { .. } => exempt,
            Wanted::Itself => None,
        };
        match (named, matches) {
            (Some(wanted), true) => Fate::Named(Staying { wanted, is_match }),
            (Some(wanted), false) => Fate::Stays(Staying { wanted, is_match }),
            (None, true) => Fate::Goes,
            // Of a directory that matches and leads to what was named, nothing else stays.
            (None, false) if directory.wanted.is_on_the_way() && directory.is_in_match => Fate::Goes,
            (None, false) => Fate::Stays(Staying { wanted: Wanted::ALL, is_match }),
        }
    }

    /// Whether what is at a path goes, or anything above it. The path has no leading slash.
    pub fn goes(&self, path: &[u8]) -> bool {
        let whole = [b"/", path].concat();
        let mut scope = self.root();
        let mut begin = 1;
        while begin <= whole.len() {
            let end =
                whole[begin..].iter().position(|byte| *byte == b'/').map_or(whole.len(), |at| begin + at);
            let name = &whole[begin..end];
            match self.of(&scope, name, &whole[..end]) {
                Fate::Goes => return true,
                Fate::Stays(staying) | Fate::Named(staying) => scope = self.below(&scope, name, staying),
            }
            begin = end + 1;
        }
        false
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::{Fate, Fates};
    use crate::fs::select::Patterns;

    fn patterns(all: &[&str]) -> Patterns {
        Patterns::new(all).expect("compiles")
    }

    #[test]
    fn what_was_named_stays_whatever_matches_it() {
        let patterns = patterns(&["ann", "cache", "*.sql"]);
        let fates = Fates::new(&patterns, &[b"/home/ann".to_vec(), b"/var/cache".to_vec()]);
        assert!(matches!(fates.of(&fates.root(), b"home", b"/home"), Fate::Stays(_)));
        for (path, goes) in [
            ("home/ann", false),
            ("home/ann/x", false),
            ("home/ann/cache", true),
            ("home/ann/cache/x/y", true),
            ("home/ann/ann", true),
            ("var/cache", false),
            ("var/cache/cache/x", true),
            ("var/cache/a.sql", true),
        ] {
            assert_eq!(fates.goes(path.as_bytes()), goes, "{path}");
        }
        let stream = Fates::new(&patterns, &[b"dump.sql".to_vec()]);
        assert!(matches!(stream.of(&stream.root(), b"dump.sql", b"/dump.sql"), Fate::Named(_)));
    }

    #[test]
    fn what_was_named_alongside_its_directory_stays() {
        let patterns = patterns(&["*.o", "b"]);
        let fates = Fates::new(&patterns, &[b"/n".to_vec(), b"/n/a.o".to_vec(), b"/n/b/x".to_vec()]);
        for (path, goes) in
            [("n/a.o", false), ("n/c.o", true), ("n/b", false), ("n/b/x", false), ("n/b/y", true)]
        {
            assert_eq!(fates.goes(path.as_bytes()), goes, "{path}");
        }
    }

    #[test]
    fn named_paths_that_are_no_paths_protect_nothing() {
        let patterns = patterns(&["secret"]);
        for paths in [&[b"/a/../secret".to_vec()][..], &[]] {
            assert!(Fates::new(&patterns, paths).goes(b"secret"), "{paths:?}");
        }
    }
}
