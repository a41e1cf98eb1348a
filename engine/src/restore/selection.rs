//! What of a snapshot is restored, and of which of its directories it has the whole listing.

use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use super::RestoreOptions;
use crate::fs::select::Reached;

/// Whether an entry was picked by a path or pattern above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked {
    /// Everything from here down.
    All,
    /// Only what paths or patterns say.
    BySelection,
}

/// What decides which entries of a directory are picked.
#[derive(Clone)]
pub struct SelectedDirectory {
    /// Whether it was picked itself.
    pub picked: Picked,
    /// What its path has matched of the patterns of what is left out.
    pub excluded: Reached,
    /// What its path has matched of the patterns of what is picked.
    included: Reached,
}

/// The path in the snapshot of the directory that a walk is in, in one buffer. In a walk that goes deep before
/// it goes wide, only the end of it changes from one directory to the next.
pub struct SnapshotPath(Vec<u8>);

impl SnapshotPath {
    /// Changes to another directory, given the length of the path of the one that it is in.
    pub fn turn_to(&mut self, above: usize, name: &[u8]) {
        self.0.truncate(above);
        self.0.extend_from_slice(name);
        self.0.push(b'/');
    }

    /// How long the path is.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The path of an entry of the directory. `directory` is the length of the directory's.
    pub fn of_entry(&mut self, directory: usize, name: &[u8]) -> &[u8] {
        self.0.truncate(directory);
        self.0.extend_from_slice(name);
        &self.0
    }
}

/// What the options say of paths.
pub struct Selection<'a> {
    options: &'a RestoreOptions,
    /// The folder's path, with a slash at its end.
    folder: Vec<u8>,
    /// What was backed up, each with a slash at its end.
    backed_up: Vec<Vec<u8>>,
}

impl<'a> Selection<'a> {
    /// Of this snapshot.
    pub fn new(options: &'a RestoreOptions, snapshot: &Snapshot) -> Self {
        let backed_up = snapshot.body.paths.iter().map(|path| as_folder(path)).collect();
        Self { options, folder: as_folder(&options.folder), backed_up }
    }

    /// The directory that is restored.
    pub fn at_the_top(&self) -> SelectedDirectory {
        let all = self.options.paths.is_empty() && self.options.include.is_empty();
        let picked = if all { Picked::All } else { Picked::BySelection };
        let top = SelectedDirectory {
            picked,
            excluded: self.options.exclude.top(),
            included: self.options.include.top(),
        };
        let names = self.folder.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
        names.fold(top, |above, name| self.below(&above, name, picked))
    }

    /// A directory that was picked, by the one above.
    pub fn below(&self, above: &SelectedDirectory, name: &[u8], picked: Picked) -> SelectedDirectory {
        SelectedDirectory {
            picked,
            excluded: self.options.exclude.below(&above.excluded, name),
            included: self.options.include.below(&above.included, name),
        }
    }

    /// The path of the directory that is restored.
    pub fn path(&self) -> SnapshotPath {
        SnapshotPath(self.folder.clone())
    }

    /// Whether the snapshot has all that was in a directory, given by its path with a slash at its end. It has
    /// if the directory, or one above it, was backed up; it hasn't if the directory only leads to one that was.
    pub fn is_listed(&self, directory: &[u8]) -> bool {
        self.backed_up.iter().any(|path| directory.starts_with(path))
    }

    /// Whether an entry is restored, or, for a directory, may have something in it that is, given the
    /// directory that it is in and its path.
    pub fn pick(&self, path: &[u8], node: &Node, above: &SelectedDirectory) -> Option<Picked> {
        let options = self.options;
        if !options.exclude.is_empty() && options.exclude.matches_in(&above.excluded, &node.name, || path) {
            return None;
        }
        if options.sample.as_ref().is_some_and(|sample| !sample.takes(path, node)) {
            return None;
        }
        if above.picked == Picked::All {
            return Some(Picked::All);
        }
        let below = |path: &[u8], above: &[u8]| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let is_included = options.include.matches_in(&above.included, &node.name, || path);
        if is_included || options.paths.iter().any(|wanted| below(path, wanted)) {
            return Some(Picked::All);
        }
        let leads_there =
            !options.include.is_empty() || options.paths.iter().any(|wanted| below(wanted, path));
        let is_directory = matches!(node.kind, NodeKind::Directory { .. });
        (is_directory && leads_there).then_some(Picked::BySelection)
    }
}

/// A path from the top, with one slash between two names and one at its end.
fn as_folder(path: &[u8]) -> Vec<u8> {
    let mut folder = vec![b'/'];
    for name in path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        folder.extend_from_slice(name);
        folder.push(b'/');
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::as_folder;

    #[test]
    fn paths_end_with_a_slash() {
        for (path, expected) in [("", "/"), ("/", "/"), ("a//b/", "/a/b/"), ("/a/./b", "/a/b/")] {
            assert_eq!(as_folder(path.as_bytes()), expected.as_bytes());
        }
    }
}
