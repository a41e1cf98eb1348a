//! A part of a snapshot that stands for all of it, as a drill restores it.

use keepfast_format::node::{Node, NodeKind};

/// Which files are in the part. Directories always are, but for those that are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// How many of a thousand files.
    pub thousandths: u16,
    /// What decides which: the same paths for the same seed.
    pub seed: u64,
    /// Directories of the snapshot that are left out with all that is in them, by their absolute paths.
    pub without: Vec<Vec<u8>>,
}

impl Sample {
    /// Whether an entry is in it.
    #[must_use]
    pub fn takes(&self, path: &[u8], node: &Node) -> bool {
        if matches!(node.kind, NodeKind::Directory { .. }) {
            return !self.without.iter().any(|without| without.as_slice() == path);
        }
        if self.thousandths >= 1000 {
            return true;
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(path);
        let hash = hasher.finalize();
        let number = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        number % 1000 < u64::from(self.thousandths)
    }
}

#[cfg(test)]
mod tests {
    use keepfast_format::ids::ChunkId;
    use keepfast_format::node::{Node, NodeKind, Timestamp};

    use super::Sample;

    fn node(kind: NodeKind) -> Node {
        let (name, mtime) = (b"n".to_vec(), Timestamp::default());
        Node { name, mode: 0o644, uid: 0, gid: 0, mtime, xattrs: Vec::new(), kind, unknown: None }
    }

    #[test]
    fn about_as_many_files_as_it_says_and_the_same_for_the_same_seed() {
        let file = node(NodeKind::Fifo);
        let taken = |thousandths, seed| {
            let sample = Sample { thousandths, seed, without: Vec::new() };
            let paths = (0..10_000).map(|number| format!("/srv/{number}"));
            paths.filter(|path| sample.takes(path.as_bytes(), &file)).collect::<Vec<_>>()
        };
        assert!((800..1200).contains(&taken(100, 1).len()), "{}", taken(100, 1).len());
        assert_eq!(taken(100, 1), taken(100, 1));
        assert_ne!(taken(100, 1), taken(100, 2));
        assert_eq!((taken(0, 1).len(), taken(1000, 1).len()), (0, 10_000));
    }

    #[test]
    fn directories_are_in_it_unless_they_are_left_out() {
        let directory = node(NodeKind::Directory { tree: ChunkId::new([0; 32]) });
        let sample = Sample { thousandths: 0, seed: 0, without: vec![b"/postgres/shop".to_vec()] };
        assert!(sample.takes(b"/postgres", &directory) && sample.takes(b"/postgres/shops", &directory));
        assert!(!sample.takes(b"/postgres/shop", &directory));
    }
}
