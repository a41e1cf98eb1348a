//! Trees: a directory as one page of nodes, or as an index of pages.
//!
//! The hashes of names decide where pages end, so that a new file rewrites one page.

use minicbor::Decoder;

use crate::ids::ChunkId;
use crate::metadata::{
    PageBuffer, PageHead, decoded, encode_index, encode_with, read_id, read_key, read_page_head, read_tag,
    require_canonical, tag,
};
use crate::node::Node;
use crate::{FormatError, limits};

const WHAT: &str = "tree";
const BLOB: &str = "blob";

/// Whether a page ends after the entry with this name. `entries` counts the entries since the last such
/// end, with this one.
#[must_use]
pub fn page_ends_after(name: &[u8], entries: usize) -> bool {
    zero_bits(name) >= limits::PAGE_CUT_BITS || entries >= limits::ENTRIES_PER_PAGE
}

/// Whether a bundle ends after the small file with this name.
#[must_use]
pub fn bundle_ends_after(name: &[u8]) -> bool {
    zero_bits(name) >= limits::BUNDLE_CUT_BITS
}

/// The number of low zero bits of a name's hash, from 0 to 16.
fn zero_bits(name: &[u8]) -> u32 {
    let hash = blake3::hash(name);
    u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]).trailing_zeros()
}

/// A page under construction: nodes in ascending order of their names.
#[derive(Debug, Default)]
pub struct PageWriter(PageBuffer);

impl PageWriter {
    /// Appends a node. The caller keeps the names ascending.
    pub fn push(&mut self, node: &Node) {
        self.0.push(|out| node.write(out));
    }

    /// Whether the page must end because its nodes are unusually long.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.bytes() >= limits::PAGE_BYTES
    }

    /// Whether nothing was pushed since the last page was finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The page's plaintext. The writer is empty again afterwards.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        self.0.finish(tag::PAGE)
    }
}

/// One page, as an index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRef {
    /// The name of its first entry.
    pub first: Vec<u8>,
    /// The page.
    pub id: ChunkId,
}

/// A directory's tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// All entries of the directory, or those of one page.
    Page(Vec<Node>),
    /// The directory's pages, in order.
    Index(Vec<PageRef>),
}

impl Tree {
    /// The chunk's plaintext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Page(nodes) => {
                let mut writer = PageWriter::default();
                for node in nodes {
                    writer.push(node);
                }
                writer.finish()
            }
            Self::Index(pages) => encode_index(tag::PAGE_INDEX, 2 * pages.len(), |out| {
                for page in pages {
                    out.bytes(&page.first)?.bytes(page.id.as_bytes())?;
                }
                Ok(())
            }),
        }
    }

    /// Reads a chunk's plaintext. Names must ascend, and the encoding must be canonical.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut input = Decoder::new(bytes);
        let tree = match read_page_head(&mut input, tag::PAGE, tag::PAGE_INDEX, WHAT)? {
            PageHead::Index(count) => {
                let mut pages = Vec::new();
                for _ in 0..count / 2 {
                    let first = decoded(input.bytes(), WHAT)?.to_vec();
                    pages.push(PageRef { first, id: read_id(&mut input, WHAT)? });
                }
                if pages.is_empty() {
                    return Err(FormatError::Malformed { what: WHAT, why: "it is an index without pages" });
                }
                require_ascending(pages.iter().map(|page| page.first.as_slice()))?;
                Self::Index(pages)
            }
            PageHead::Page(count) => {
                let mut nodes = Vec::new();
                for _ in 0..count {
                    nodes.push(Node::read(&mut input)?);
                }
                require_ascending(nodes.iter().map(|node| node.name.as_slice()))?;
                Self::Page(nodes)
            }
        };
        require_canonical(bytes, &tree.encode(), WHAT)?;
        Ok(tree)
    }
}

fn require_ascending<'a>(names: impl Iterator<Item = &'a [u8]> + Clone) -> Result<(), FormatError> {
    if names.clone().zip(names.skip(1)).all(|(a, b)| a < b) {
        Ok(())
    } else {
        Err(FormatError::Malformed { what: WHAT, why: "its names don't ascend" })
    }
}

/// A piece of a blob (long extent lists, groups of hard links) as a chunk's plaintext.
#[must_use]
pub fn encode_blob(piece: &[u8]) -> Vec<u8> {
    encode_with(|out| {
        out.map(2)?.u8(0)?.u8(tag::BLOB)?.u8(1)?.bytes(piece)?;
        Ok(())
    })
}

/// Reads a piece of a blob.
pub fn decode_blob(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let mut input = Decoder::new(bytes);
    read_tag(&mut input, 2, tag::BLOB, BLOB)?;
    read_key(&mut input, 1, BLOB)?;
    let piece = decoded(input.bytes(), BLOB)?;
    require_canonical(bytes, &encode_blob(piece), BLOB)?;
    Ok(piece)
}
