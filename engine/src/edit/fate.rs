//! What of a snapshot stays and what goes, exactly as if it had been backed up with these patterns: what
//! was named, and what leads there, is in a backup whatever matches it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fs::select::Patterns;
use crate::fs::sources::{Sources, Wanted};

/// Says what stays and what goes.
pub struct Fates<'a> {
    patterns: &'a Patterns,
    sources: Option<Sources>,
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays; this was wanted of it, if it is a directory.
    Stays(Wanted),
    /// It matches, and stays because it was named, or leads to what was.
    Named(Wanted),
    /// It goes, with all below it.
    Goes,
}

impl<'a> Fates<'a> {
    /// Of a snapshot of these paths, or of a stream of such a name.
    pub fn new(patterns: &'a Patterns, paths: &[Vec<u8>]) -> Self {
        let whole = paths.iter().map(|path| {
            let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
            [slash, path].concat()
        });
        // What its writer says there and can't be a path protects nothing.
        let named: Vec<Vec<u8>> =
            whole.filter(|path| Sources::new(&[as_path(path)], false).is_ok()).collect();
        let paths: Vec<&Path> = named.iter().map(|path| as_path(path)).collect();
        let sources = Sources::new(&paths, false).ok().filter(|_| !paths.is_empty());
        Self { patterns, sources }
    }

    /// What was wanted of the root.
    pub fn root(&self) -> Wanted {
        self.sources.as_ref().map_or(Wanted::ALL, Sources::root)
    }

    /// The fate of an entry with this path in a directory of which this was wanted.
    pub fn of(&self, wanted: &Wanted, path: &[u8], name: &[u8]) -> Fate {
        let matches = self.patterns.matches(path);
        let despite = || self.sources.as_ref()?.despite(|| path.to_vec());
        let named = match wanted {
            Wanted::Below(selection) => selection.entries.get(name).cloned(),
            Wanted::All { .. } if matches => despite(),
            Wanted::All { .. } | Wanted::Itself => None,
        };
        match (named, matches) {
            (Some(wanted), true) => Fate::Named(wanted),
            (Some(wanted), false) => Fate::Stays(wanted),
            (None, true) => Fate::Goes,
            // Of a directory that matches and leads to what was named, nothing else stays.
            (None, false) if matches!(wanted, Wanted::Below(_)) && self.is_below_a_match(path) => Fate::Goes,
            (None, false) => Fate::Stays(Wanted::ALL),
        }
    }

    fn is_below_a_match(&self, path: &[u8]) -> bool {
        let slashes = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        let mut above = slashes.map(|(end, _)| &path[..end]);
        above.any(|above| {
            let despite = self.sources.as_ref().and_then(|sources| sources.despite(|| above.to_vec()));
            despite.is_some() && self.patterns.matches(above)
        })
    }

    /// Whether what is at a path goes, or anything above it. The path has no leading slash.
    pub fn goes(&self, path: &[u8]) -> bool {
        let whole = [b"/", path].concat();
        let mut wanted = self.root();
        let mut begin = 1;
        while begin <= whole.len() {
            let end =
                whole[begin..].iter().position(|byte| *byte == b'/').map_or(whole.len(), |at| begin + at);
            match self.of(&wanted, &whole[..end], &whole[begin..end]) {
                Fate::Goes => return true,
                Fate::Stays(below) | Fate::Named(below) => wanted = below,
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
        assert!(matches!(fates.of(&fates.root(), b"/home", b"home"), Fate::Stays(_)));
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
        assert!(matches!(stream.of(&stream.root(), b"/dump.sql", b"dump.sql"), Fate::Named(_)));
    }

    #[test]
    fn what_was_named_beside_its_directory_stays() {
        let patterns = patterns(&["*.o", "b"]);
        let fates = Fates::new(&patterns, &[b"/n".to_vec(), b"/n/a.o".to_vec(), b"/n/b/x".to_vec()]);
        for (path, goes) in
            [("n/a.o", false), ("n/c.o", true), ("n/b", false), ("n/b/x", false), ("n/b/y", true)]
        {
            assert_eq!(fates.goes(path.as_bytes()), goes, "{path}");
        }
    }

    #[test]
    fn what_a_writer_says_and_is_no_path_protects_nothing() {
        let patterns = patterns(&["secret"]);
        for paths in [&[b"/a/../secret".to_vec()][..], &[]] {
            assert!(Fates::new(&patterns, paths).goes(b"secret"), "{paths:?}");
        }
    }
}
