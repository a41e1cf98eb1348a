//! Trees: a directory as one page of nodes, or as an index of pages.
//!
//! Pages are cut after names whose hash says so, so that a new file rewrites one page.

use minicbor::Decoder;

use crate::content::{
    append_with, decoded, encode_with, read_array, read_id, read_key, read_tag, require_canonical, tag,
};
use crate::ids::ChunkId;
use crate::node::Node;
use crate::{FormatError, limits};

const WHAT: &str = "tree";
const BLOB: &str = "blob";

/// Whether a page ends after the entry of this name, the `entries`th since the last such end.
#[must_use]
pub fn page_ends_after(name: &[u8], entries: usize) -> bool {
    zero_bits(name) >= limits::PAGE_CUT_BITS || entries >= limits::ENTRIES_PER_PAGE
}

/// Whether a bundle ends after the small file of this name.
#[must_use]
pub fn bundle_ends_after(name: &[u8]) -> bool {
    zero_bits(name) >= limits::BUNDLE_CUT_BITS
}

/// Low zero bits of a name's hash, out of sixteen.
fn zero_bits(name: &[u8]) -> u32 {
    let hash = blake3::hash(name);
    u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]).trailing_zeros()
}

/// A page under construction: nodes in ascending order of their names.
#[derive(Debug, Default)]
pub struct PageWriter {
    entries: u64,
    encoded: Vec<u8>,
}

impl PageWriter {
    /// Appends a node; the caller keeps the names ascending.
    pub fn push(&mut self, node: &Node) {
        append_with(&mut self.encoded, |out| node.write(out));
        self.entries += 1;
    }

    /// Whether the page also ends here because its nodes are unusually long.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.encoded.len() >= limits::PAGE_BYTES
    }

    /// Whether nothing was pushed since the last page was finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The page's plaintext; the writer is empty again afterwards.
    #[must_use]
    pub fn finish(&mut self) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.encoded.len() + 12);
        append_with(&mut page, |out| {
            out.map(2)?.u8(0)?.u8(tag::PAGE)?.u8(1)?.array(self.entries)?;
            Ok(())
        });
        page.extend_from_slice(&self.encoded);
        self.encoded.clear();
        self.entries = 0;
        page
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
    /// All of the entries, or those of one page.
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
            Self::Index(pages) => encode_with(|out| {
                out.map(2)?.u8(0)?.u8(tag::PAGE_INDEX)?.u8(1)?.array(2 * pages.len() as u64)?;
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
        let mut probe = Decoder::new(bytes);
        let tree = if read_tag(&mut probe, 2, tag::PAGE_INDEX, WHAT).is_ok() {
            read_tag(&mut input, 2, tag::PAGE_INDEX, WHAT)?;
            read_key(&mut input, 1, WHAT)?;
            let count = read_array(&mut input, usize::MAX, WHAT)?;
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
        } else {
            read_tag(&mut input, 2, tag::PAGE, WHAT)?;
            read_key(&mut input, 1, WHAT)?;
            let count = read_array(&mut input, limits::ENTRIES_PER_PAGE, WHAT)?;
            let mut nodes = Vec::new();
            for _ in 0..count {
                nodes.push(Node::read(&mut input)?);
            }
            require_ascending(nodes.iter().map(|node| node.name.as_slice()))?;
            Self::Page(nodes)
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
