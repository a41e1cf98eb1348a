//! What of a snapshot is restored, and of which of its directories it has the whole listing.

use keepfast_format::node::{Node, NodeKind};
use keepfast_format::snapshot::Snapshot;

use super::RestoreOptions;

/// Whether an entry was picked by a path or pattern above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked {
    /// Everything from here down.
    All,
    /// Only what paths or patterns say.
    BySelection,
}

/// What the options say of paths.
pub struct Selection<'a> {
    options: &'a RestoreOptions<'a>,
    /// The folder's path, with a slash at its end.
    folder: Vec<u8>,
    /// What was backed up, each with a slash at its end.
    backed_up: Vec<Vec<u8>>,
}

impl<'a> Selection<'a> {
    /// Of this snapshot.
    pub fn new(options: &'a RestoreOptions<'a>, snapshot: &Snapshot) -> Self {
        let backed_up = snapshot.body.paths.iter().map(|path| as_folder(path)).collect();
        Self { options, folder: as_folder(&options.folder), backed_up }
    }

    /// Whether all is restored.
    pub fn at_the_top(&self) -> Picked {
        let all = self.options.paths.is_empty() && self.options.include.is_empty();
        if all { Picked::All } else { Picked::BySelection }
    }

    /// The path in the snapshot of a directory given by its path below the target, with a slash at
    /// its end.
    pub fn path_in_snapshot(&self, below: &[u8]) -> Vec<u8> {
        let slash: &[u8] = if below.is_empty() { b"" } else { b"/" };
        [&self.folder, below, slash].concat()
    }

    /// Whether the snapshot has all that was in a directory, given by its path with a slash at its end:
    /// it was asked for, or one above it, and isn't just on the way.
    pub fn is_listed(&self, directory: &[u8]) -> bool {
        self.backed_up.iter().any(|path| directory.starts_with(path))
    }

    /// Whether an entry is restored, or, for a directory, may have something in it that is.
    pub fn pick(&self, path: &[u8], node: &Node, above: Picked) -> Option<Picked> {
        let options = self.options;
        if !options.exclude.is_empty() && options.exclude.matches(path, &node.name) {
            return None;
        }
        if above == Picked::All {
            return Some(Picked::All);
        }
        let below = |path: &[u8], above: &[u8]| {
            path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        if options.include.matches(path, &node.name) || options.paths.iter().any(|wanted| below(path, wanted))
        {
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
