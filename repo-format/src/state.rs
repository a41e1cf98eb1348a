//! The state tree: what serves change detection alone, parallel to the tree.
//!
//! A state page has one entry for each node of the tree page beside it, in the same
//! order, without names; so touching a file's inode rewrites no tree.

use minicbor::Decoder;

use crate::content::{
    append_with, decoded, encode_with, read_array, read_id, read_key, read_tag, require_canonical, tag,
};
use crate::ids::ChunkId;
use crate::node::Timestamp;
use crate::{FormatError, limits};

const WHAT: &str = "state tree";

/// What the file system said about an entry that can't be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// When its inode was last changed.
    pub ctime: Timestamp,
    /// Its inode number.
    pub inode: u64,
    /// Its device.
    pub device: u64,
    /// For a directory: its state page, or its state index.
    pub children: Option<ChunkId>,
}

impl State {
    fn write(&self, out: &mut crate::content::Memory<'_>) -> crate::content::Written {
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
pub struct StatePageWriter {
    entries: u64,
    encoded: Vec<u8>,
}

impl StatePageWriter {
    /// Appends an entry.
    pub fn push(&mut self, state: &State) {
        append_with(&mut self.encoded, |out| state.write(out));
        self.entries += 1;
    }

    /// The page's plaintext; the writer is empty again afterwards.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.encoded.len() + 12);
        append_with(&mut page, |out| {
            out.map(2)?.u8(0)?.u8(tag::STATE_PAGE)?.u8(1)?.array(self.entries)?;
            Ok(())
        });
        page.extend_from_slice(&self.encoded);
        self.encoded.clear();
        self.entries = 0;
        page
    }
}

/// A directory's state object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateTree {
    /// The states of one page's nodes, in order.
    Page(Vec<State>),
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
            Self::Index(pages) => encode_with(|out| {
                out.map(2)?.u8(0)?.u8(tag::STATE_INDEX)?.u8(1)?.array(pages.len() as u64)?;
                for page in pages {
                    out.bytes(page.as_bytes())?;
                }
                Ok(())
            }),
        }
    }

    /// Reads a chunk's plaintext; the encoding must be canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Decoder::new(bytes);
        let mut probe = Decoder::new(bytes);
        let tree = if read_tag(&mut probe, 2, tag::STATE_INDEX, WHAT).is_ok() {
            read_tag(&mut input, 2, tag::STATE_INDEX, WHAT)?;
            read_key(&mut input, 1, WHAT)?;
            let count = read_array(&mut input, usize::MAX, WHAT)?;
            Self::Index((0..count).map(|_| read_id(&mut input, WHAT)).collect::<Result<_, _>>()?)
        } else {
            read_tag(&mut input, 2, tag::STATE_PAGE, WHAT)?;
            read_key(&mut input, 1, WHAT)?;
            let count = read_array(&mut input, limits::ENTRIES_PER_PAGE, WHAT)?;
            Self::Page((0..count).map(|_| State::read(&mut input)).collect::<Result<_, _>>()?)
        };
        require_canonical(bytes, &tree.encode(), WHAT)?;
        Ok(tree)
    }
}
