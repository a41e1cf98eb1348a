//! The repository, and what reads from it and writes into it. No verbs here.

mod cache;
mod catalogue;
mod claims;
mod epochs;
mod frames;
mod gather;
mod index;
mod marks;
mod packs;
mod reach;
mod recover;
mod repository;
mod segments;
mod session;
mod snapshots;
mod soundness;
mod states;
mod trees;
mod writer;

pub use cache::{clear_cache, describe_cache};
pub use catalogue::{dead_sessions, list_catalogue, read_catalogue};
pub use epochs::{Epochs, find_condemned, find_verdict, open_verdict, read_condemned};
pub use frames::{ChunkBytes, FrameCache};
pub use gather::gather;
pub use index::{Index, Located, Location, StoredPack};
pub use packs::{PackFinding, verify_stored_pack};
pub use reach::{Reach, Seen};
pub use recover::{open_index, refresh_index};
pub use repository::{FoundRepository, InitOptions, Repository};
pub use segments::{ReadSegment, list_segments, read_segment};
pub use session::{CommitRequest, Rewriting, Session, SessionOptions, fence};
pub use snapshots::{SnapshotFilter, Snapshots, StoredSnapshot};
pub use soundness::{until, until_sound};
pub use states::decide;
pub use trees::{DirectoryPages, Trees};
pub use writer::{FrameWriter, PackWriter, WriterOptions, WriterTotals, write_packs};
