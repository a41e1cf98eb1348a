//! The paths that a backup was asked for, as a tree of names from the root down.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::AtFlags;

use super::dir::Opening;
use crate::error::{EngineError, Result};

/// What a backup takes of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All that is in it.
    All {
        /// Whether a link in its place is followed.
        followed: bool,
    },
    /// Only the entries that lead to the paths that were asked for.
    PathsBelow(Arc<Selection>),
    /// Nothing but the directory itself: another file system begins here.
    Itself,
}

impl Wanted {
    /// All that is in a directory that wasn't named itself.
    pub const ALL: Self = Self::All { followed: false };

    /// Whether it only leads to what was asked for.
    pub fn is_on_the_way(&self) -> bool {
        matches!(self, Self::PathsBelow(_))
    }

    /// What is wanted of one of the directory's entries.
    pub fn of(&self, name: &[u8]) -> Self {
        match self {
            Self::PathsBelow(selection) => selection.entries.get(name).cloned().unwrap_or(Self::ALL),
            Self::All { .. } | Self::Itself => Self::ALL,
        }
    }

    /// How a directory is opened of which this is wanted. On the way to what was asked for, links are followed,
    /// as by the user's shell, and the directories need not be readable.
    pub fn opening(&self) -> Opening {
        match self {
            Self::All { followed: false } => Opening::Listed,
            Self::All { followed: true } => Opening::Followed,
            Self::PathsBelow(_) => Opening::Passed,
            Self::Itself => Opening::Reached,
        }
    }

    /// How an entry is looked at of which this is wanted.
    pub fn stat_flags(&self) -> AtFlags {
        match self {
            Self::All { followed: false } | Self::Itself => AtFlags::SYMLINK_NOFOLLOW,
            Self::All { followed: true } | Self::PathsBelow(_) => AtFlags::empty(),
        }
    }
}

/// Entries of a directory that lead to what was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is wanted of each, by name.
    pub entries: BTreeMap<Vec<u8>, Wanted>,
}

/// The paths that a backup was asked for.
#[derive(Debug)]
pub struct Sources {
    split: Vec<Source>,
    /// Whether one of them is below another.
    are_nested: bool,
}

#[derive(Debug)]
struct Source {
    names: Vec<Vec<u8>>,
    followed: bool,
}

impl Sources {
    /// Absolute paths. A path that ends with `/` or `/.` means what a link in its place points to; with `follow`
    /// each path does.
    pub fn new(paths: &[impl AsRef<Path>], follow: bool) -> Result<Self> {
        let mut split = Vec::with_capacity(paths.len());
        for path in paths {
            let path = path.as_ref();
            let mut names = Vec::new();
            for component in path.components() {
                match component {
                    Component::RootDir => {}
                    Component::Normal(name) => names.push(name.as_bytes().to_vec()),
                    Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
                        return Err(not_absolute(path));
                    }
                }
            }
            if !path.is_absolute() {
                return Err(not_absolute(path));
            }
            let bytes = path.as_os_str().as_bytes();
            let followed = follow || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
            split.push(Source { names, followed });
        }
        let mut sorted: Vec<&[Vec<u8>]> = split.iter().map(|source| source.names.as_slice()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        // In this order, a path is followed at once by those below it.
        let are_nested = sorted.windows(2).any(|pair| pair[1].starts_with(pair[0]));
        Ok(Self { split, are_nested })
    }

    /// What is wanted of the entry at this absolute path if no rule may leave it out: it was named, or leads to
    /// what was, and so was a directory that it is in.
    pub fn exempt(&self, path: impl FnOnce() -> Vec<u8>) -> Option<Wanted> {
        if self.are_nested { self.at(&path()) } else { None }
    }

    /// What is wanted of the root.
    pub fn root(&self) -> Wanted {
        let all: Vec<Rest<'_>> = self.split.iter().map(Source::rest).collect();
        group(&all)
    }

    /// What is wanted of the directory at this absolute path, if it was named or leads to what was.
    pub fn at(&self, path: &[u8]) -> Option<Wanted> {
        let at: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        let leads =
            |source: &Source| source.names.iter().map(Vec::as_slice).take(at.len()).eq(at.iter().copied());
        let below: Vec<Rest<'_>> = self
            .split
            .iter()
            .filter(|source| leads(source))
            .map(|source| Rest { names: &source.names[at.len()..], followed: false })
            .collect();
        (!below.is_empty()).then(|| group(&below))
    }

    /// Whether this absolute path was named.
    pub fn name(&self, path: &[u8]) -> bool {
        matches!(self.at(path), Some(Wanted::All { .. }))
    }

    /// The paths in order, each once, without the slash that only asks to follow a link.
    pub fn paths(&self) -> Vec<Vec<u8>> {
        let path = |source: &Source| {
            let mut path = b"/".to_vec();
            path.extend(source.names.join(&b'/'));
            path
        };
        let mut paths: Vec<Vec<u8>> = self.split.iter().map(path).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

impl Source {
    fn rest(&self) -> Rest<'_> {
        Rest { names: &self.names, followed: self.followed }
    }
}

/// What is left of a path from a directory on.
struct Rest<'s> {
    names: &'s [Vec<u8>],
    followed: bool,
}

/// Groups paths by their first name. A path that ends here asks for everything.
fn group(paths: &[Rest<'_>]) -> Wanted {
    let mut by_name: BTreeMap<&[u8], Vec<Rest<'_>>> = BTreeMap::new();
    let mut ends: Option<bool> = None;
    for Rest { names, followed } in paths {
        match names.split_first() {
            Some((first, names)) => {
                by_name.entry(first).or_default().push(Rest { names, followed: *followed });
            }
            None => ends = Some(ends.unwrap_or(false) || *followed),
        }
    }
    if let Some(followed) = ends {
        return Wanted::All { followed };
    }
    let entries = by_name.into_iter().map(|(name, rest)| (name.to_vec(), group(&rest))).collect();
    Wanted::PathsBelow(Arc::new(Selection { entries }))
}

fn not_absolute(path: &Path) -> EngineError {
    EngineError::NotAbsolute { path: path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Sources, Wanted};

    fn sources(paths: &[&str]) -> Sources {
        Sources::new(paths, false).expect("absolute")
    }

    #[test]
    fn a_path_above_another_covers_it() {
        let both = sources(&["/usr/bin", "/usr", "/home/ann"]).root();
        assert_eq!(both, sources(&["/home/ann", "/usr"]).root());
        assert!(matches!(sources(&["/", "/usr"]).root(), Wanted::All { .. }));
        assert!(Sources::new(&["usr"], false).is_err() && Sources::new(&["/a/../b"], false).is_err());
    }

    #[test]
    fn a_slash_at_the_end_follows_and_is_no_part_of_the_path() {
        for (path, followed) in [("/a/link", false), ("/a/link/", true), ("/a/link/.", true)] {
            let sources = sources(&[path]);
            assert_eq!(sources.paths(), [b"/a/link".to_vec()], "{path}");
            assert_eq!(sources.at(b"/a/link"), Some(Wanted::ALL), "{path}");
            let Wanted::PathsBelow(root) = sources.root() else { panic!("{path} isn't the root") };
            let Wanted::PathsBelow(above) = &root.entries[b"a".as_slice()] else {
                panic!("{path} is below /a")
            };
            assert_eq!(above.entries[b"link".as_slice()], Wanted::All { followed }, "{path}");
        }
        let Ok(all) = Sources::new(&["/x"], true) else { panic!("absolute") };
        let Wanted::PathsBelow(root) = all.root() else { panic!("below the root") };
        assert_eq!(root.entries[b"x".as_slice()], Wanted::All { followed: true });
    }

    #[test]
    fn what_was_named_below_a_directory_is_found_from_there() {
        let sources = sources(&["/a", "/a/m", "/a/n/below/one"]);
        assert_eq!(sources.at(b"/a/m"), Some(Wanted::ALL));
        assert!(sources.at(b"/a/n").is_some_and(|wanted| wanted.is_on_the_way()));
        assert_eq!(sources.at(b"/a/mm"), None);
        assert_eq!(sources.at(b"/a/n/below/one/more"), None);
    }
}
