//! The repository, and what reads from it and writes into it. No verbs here.

mod cache;
mod claims;
mod frames;
mod gather;
mod index;
mod packs;
mod recover;
mod repository;
mod segments;
mod session;
mod snapshots;
mod trees;
mod writer;

pub use cache::{clear_cache, describe_cache};
pub use frames::{ChunkBytes, FrameCache};
pub use gather::gather;
pub use index::{Index, Located, Location, StoredPack};
pub use packs::{PackFinding, verify_pack};
pub use recover::open_index;
pub use repository::{Entropy, InitOptions, Repository};
pub use segments::{ReadSegment, list_segments, read_segment};
pub use session::{CommitRequest, Session};
pub use snapshots::{SnapshotFilter, Snapshots, StoredSnapshot};
pub use trees::{DirectoryPages, Trees};
pub use writer::{FrameWriter, PackWriter, WriterOptions, WriterTotals, write_packs};
