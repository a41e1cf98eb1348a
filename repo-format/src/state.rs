//! The state tree: what only change detection needs, parallel to the tree.
//!
//! A state page has one entry for each node of its tree page, in the same order and without names.
//! So a file whose inode alone has changed rewrites no tree.

use minicbor::Decoder;

use crate::FormatError;
use crate::ids::ChunkId;
use crate::metadata::{
    Memory, PageBuffer, PageHead, Written, decoded, encode_index, read_array, read_id, read_page_head,
    require_canonical, tag,
};
use crate::node::Timestamp;

const WHAT: &str = "state tree";

/// What the file system says about an entry that can't be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryState {
    /// When its inode was last changed.
    pub ctime: Timestamp,
    /// Its inode number.
    pub inode: u64,
    /// Its device.
    pub device: u64,
    /// For a directory: its state page, or its state index.
    pub children: Option<ChunkId>,
}

impl EntryState {
    fn write(&self, out: &mut Memory<'_>) -> Written {
        out.array(4 + u64::from(self.children.is_some()))?;
        out.i64(self.ctime.seconds)?.u32(self.ctime.nanos)?.u64(self.inode)?.u64(self.device)?;
        if let Some(children) = &self.children {
            out.bytes(children.as_bytes())?;
        }
        Ok(())
    }

    fn read(input: &mut Decoder<'_>) -> Result<Self, FormatError> {
        let fields = read_array(input, 5, WHAT)?;
        if fields < 4 {
            return Err(FormatError::Malformed { what: WHAT, why: "an entry is too short" });
        }
        let (seconds, nanos) = (decoded(input.i64(), WHAT)?, decoded(input.u32(), WHAT)?);
        Ok(Self {
            ctime: Timestamp::new(seconds, nanos)
                .ok_or(FormatError::Malformed { what: WHAT, why: "a time has too many nanoseconds" })?,
            inode: decoded(input.u64(), WHAT)?,
            device: decoded(input.u64(), WHAT)?,
            children: if fields == 5 { Some(read_id(input, WHAT)?) } else { None },
        })
    }
}

/// A state page under construction.
#[derive(Debug, Default)]
pub struct StatePageWriter(PageBuffer);

impl StatePageWriter {
    /// Appends an entry.
    pub fn push(&mut self, state: &EntryState) {
        self.0.push(|out| state.write(out));
    }

    /// The page's plaintext. The writer is empty again afterwards.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.0.finish(tag::STATE_PAGE)
    }
}

/// A directory's state object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateTree {
    /// The states of one page's nodes, in order.
    Page(Vec<EntryState>),
    /// The directory's state pages, in order.
    Index(Vec<ChunkId>),
}

impl StateTree {
    /// The chunk's plaintext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Page(states) => {
                let mut writer = StatePageWriter::default();
                for state in states {
                    writer.push(state);
                }
                writer.finish()
            }
            Self::Index(pages) => encode_index(tag::STATE_INDEX, pages.len(), |out| {
                for page in pages {
                    out.bytes(page.as_bytes())?;
                }
                Ok(())
            }),
        }
    }

    /// Reads a chunk's plaintext. The encoding must be canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Decoder::new(bytes);
        let tree = match read_page_head(&mut input, tag::STATE_PAGE, tag::STATE_INDEX, WHAT)? {
            PageHead::Index(count) => {
                Self::Index((0..count).map(|_| read_id(&mut input, WHAT)).collect::<Result<_, _>>()?)
            }
            PageHead::Page(count) => {
                Self::Page((0..count).map(|_| EntryState::read(&mut input)).collect::<Result<_, _>>()?)
            }
        };
        require_canonical(bytes, &tree.encode(), WHAT)?;
        Ok(tree)
    }
}
