//! A file's content: a few chunk references, or a tree of list chunks.
//!
//! The bits of the ids decide where lists end, so that a scattered change rewrites few lists. Building
//! them takes memory for one list per level.

use minicbor::Decoder;

use crate::ids::ChunkId;
use crate::metadata::{
    Memory, Written, decoded, encode_with, read_array, read_id, read_key, read_tag, require_canonical, tag,
};
use crate::numbers::u64_of;
use crate::{FormatError, limits};

const WHAT: &str = "chunk list";

/// A reference to a chunk, with the length of its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// The chunk.
    pub id: ChunkId,
    /// Its length, in bytes.
    pub len: u32,
}

/// The chunks of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The references themselves, at most [`limits::INLINE_CHUNKS`].
    Inline(Vec<ChunkRef>),
    /// The root of a tree of list chunks.
    List {
        /// Levels of lists: a list of level 1 refers to data, a higher one to lists.
        level: u8,
        /// The root list.
        id: ChunkId,
    },
}

impl Content {
    /// The content of an empty file.
    #[must_use]
    pub const fn empty() -> Self {
        Self::Inline(Vec::new())
    }

    /// Whether this is the content of an empty file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Inline(refs) if refs.is_empty())
    }

    pub(crate) fn write(&self, out: &mut Memory<'_>) -> Written {
        match self {
            Self::Inline(refs) => {
                out.array(1 + 2 * u64_of(refs.len()))?.u8(0)?;
                for chunk in refs {
                    out.bytes(chunk.id.as_bytes())?.u32(chunk.len)?;
                }
            }
            Self::List { level, id } => {
                out.array(2)?.u8(*level)?.bytes(id.as_bytes())?;
            }
        }
        Ok(())
    }

    pub(crate) fn read(input: &mut Decoder<'_>, what: &'static str) -> Result<Self, FormatError> {
        let items = read_array(input, 1 + 2 * limits::INLINE_CHUNKS, what)?;
        let level = decoded(input.u8(), what)?;
        if level > limits::LIST_LEVELS {
            return Err(FormatError::OverLimit { what, field: "list level" });
        }
        match (level, items) {
            (0, items) if items % 2 == 1 => {
                let mut refs = Vec::with_capacity(items / 2);
                for _ in 0..items / 2 {
                    let id = read_id(input, what)?;
                    let len = decoded(input.u32(), what)?;
                    if len == 0 {
                        return Err(FormatError::Malformed { what, why: "a chunk reference has length 0" });
                    }
                    refs.push(ChunkRef { id, len });
                }
                Ok(Self::Inline(refs))
            }
            (1.., 2) => Ok(Self::List { level, id: read_id(input, what)? }),
            _ => Err(FormatError::Malformed { what, why: "its content is neither inline nor a list" }),
        }
    }

    /// The encoding alone, as a snapshot contains it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode_with(|out| self.write(out))
    }

    pub(crate) fn decode(bytes: &[u8], what: &'static str) -> Result<Self, FormatError> {
        let content = Self::read(&mut Decoder::new(bytes), what)?;
        require_canonical(bytes, &content.encode(), what)?;
        Ok(content)
    }
}

/// One item of a list chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListItem {
    /// A data chunk (in a list of level 1) or a list of the level below.
    pub id: ChunkId,
    /// Bytes of the content that it covers.
    pub bytes: u64,
}

/// A list chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its level, from 1.
    pub level: u8,
    /// Its items, in order.
    pub items: Vec<ListItem>,
}

impl List {
    /// The chunk's plaintext.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_with(|out| {
            out.map(3)?.u8(0)?.u8(tag::LIST)?.u8(1)?.u8(self.level)?;
            out.u8(2)?.array(2 * u64_of(self.items.len()))?;
            for item in &self.items {
                out.bytes(item.id.as_bytes())?.u64(item.bytes)?;
            }
            Ok(())
        })
    }

    /// Bytes of the content that all items cover.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|item| item.bytes).fold(0, u64::saturating_add)
    }

    /// Reads a list chunk's plaintext. A list has at least one item, each item covers at least one byte, and
    /// the sum fits in 64 bits. So expanding a list takes no more steps than it covers bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let malformed = |why| FormatError::Malformed { what: WHAT, why };
        let mut input = Decoder::new(bytes);
        read_tag(&mut input, 3, tag::LIST, WHAT)?;
        read_key(&mut input, 1, WHAT)?;
        let level = decoded(input.u8(), WHAT)?;
        if level == 0 || level > limits::LIST_LEVELS {
            return Err(FormatError::OverLimit { what: WHAT, field: "list level" });
        }
        read_key(&mut input, 2, WHAT)?;
        let count = read_array(&mut input, 2 * limits::REFS_PER_LIST, WHAT)?;
        let mut items = Vec::with_capacity(count / 2);
        let mut sum = 0_u64;
        for _ in 0..count / 2 {
            let id = read_id(&mut input, WHAT)?;
            let bytes = decoded(input.u64(), WHAT)?;
            if bytes == 0 {
                return Err(malformed("an item covers no bytes"));
            }
            if level == 1 && bytes > limits::CHUNK_BYTES_MAX.into() {
                return Err(FormatError::OverLimit { what: WHAT, field: "length of a chunk" });
            }
            sum = sum.checked_add(bytes).ok_or(malformed("its items cover 2^64 bytes or more"))?;
            items.push(ListItem { id, bytes });
        }
        if count == 0 {
            return Err(malformed("it has no items"));
        }
        let list = Self { level, items };
        require_canonical(bytes, &list.encode(), WHAT)?;
        Ok(list)
    }
}

/// Collects a file's chunk references into its [`Content`].
#[derive(Debug, Default)]
pub struct ContentBuilder {
    inline: Vec<ChunkRef>,
    levels: Vec<Vec<ListItem>>,
    overflowed: bool,
}

impl ContentBuilder {
    /// Appends a reference. Each list chunk that is complete is given to `store`, which stores the plaintext
    /// and returns its id.
    pub fn push<E>(
        &mut self,
        chunk: ChunkRef,
        store: &mut impl FnMut(Vec<u8>) -> Result<ChunkId, E>,
    ) -> Result<(), E> {
        if !self.overflowed && self.inline.len() < limits::INLINE_CHUNKS {
            self.inline.push(chunk);
            return Ok(());
        }
        self.overflowed = true;
        for earlier in std::mem::take(&mut self.inline) {
            self.add(0, ListItem { id: earlier.id, bytes: earlier.len.into() }, store)?;
        }
        self.add(0, ListItem { id: chunk.id, bytes: chunk.len.into() }, store)
    }

    /// The finished content.
    pub fn finish<E>(mut self, store: &mut impl FnMut(Vec<u8>) -> Result<ChunkId, E>) -> Result<Content, E> {
        if !self.overflowed {
            return Ok(Content::Inline(self.inline));
        }
        let mut level = 0;
        loop {
            let is_top = level + 1 >= self.levels.len();
            if is_top && self.levels[level].len() == 1 && level > 0 {
                // The top list has only one item, so that item is the root.
                let root = self.levels[level][0];
                return Ok(Content::List { level: level_number(level), id: root.id });
            }
            if !self.levels[level].is_empty() {
                self.flush(level, store)?;
            }
            level += 1;
        }
    }

    fn add<E>(
        &mut self,
        level: usize,
        item: ListItem,
        store: &mut impl FnMut(Vec<u8>) -> Result<ChunkId, E>,
    ) -> Result<(), E> {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.levels[level].push(item);
        let cut = item.id.as_bytes()[31].trailing_zeros() >= limits::LIST_CUT_BITS;
        // A list of one item would only add a level.
        if (cut && self.levels[level].len() > 1) || self.levels[level].len() >= limits::REFS_PER_LIST {
            self.flush(level, store)?;
        }
        Ok(())
    }

    fn flush<E>(
        &mut self,
        level: usize,
        store: &mut impl FnMut(Vec<u8>) -> Result<ChunkId, E>,
    ) -> Result<(), E> {
        let items = std::mem::take(&mut self.levels[level]);
        let bytes = items.iter().map(|item| item.bytes).sum();
        let id = store(List { level: level_number(level + 1), items }.encode())?;
        self.add(level + 1, ListItem { id, bytes }, store)
    }
}

/// The number that is stored for a level. Levels are few: every list but the last one of its level has two
/// items or more, so that even 2^64 chunks would need only 65 levels.
fn level_number(level: usize) -> u8 {
    u8::try_from(level).expect("a file has few levels of lists")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use super::{ChunkRef, Content, ContentBuilder, List};
    use crate::ids::ChunkId;

    fn numbered(n: u32) -> ChunkRef {
        ChunkRef { id: ChunkId::new(*blake3::hash(&n.to_le_bytes()).as_bytes()), len: n + 1 }
    }

    fn build(refs: &[ChunkRef]) -> (Content, HashMap<ChunkId, Vec<u8>>) {
        let mut stored = HashMap::new();
        let mut store = |plain: Vec<u8>| {
            let id = ChunkId::new(*blake3::hash(&plain).as_bytes());
            stored.insert(id, plain);
            Ok::<_, Infallible>(id)
        };
        let mut builder = ContentBuilder::default();
        for chunk in refs {
            let Ok(()) = builder.push(*chunk, &mut store);
        }
        let Ok(content) = builder.finish(&mut store);
        (content, stored)
    }

    fn flatten(content: &Content, stored: &HashMap<ChunkId, Vec<u8>>) -> Vec<ChunkRef> {
        let (level, id) = match content {
            Content::Inline(refs) => return refs.clone(),
            Content::List { level, id } => (*level, *id),
        };
        let list = List::decode(&stored[&id]).expect("a list that was just written");
        assert_eq!(list.level, level);
        list.items
            .iter()
            .flat_map(|item| match level {
                1 => {
                    vec![ChunkRef { id: item.id, len: u32::try_from(item.bytes).expect("a chunk's length") }]
                }
                _ => flatten(&Content::List { level: level - 1, id: item.id }, stored),
            })
            .collect()
    }

    #[test]
    fn any_number_of_references_is_read_back_in_order() {
        for count in [0, 1, 32, 33, 34, 100, 1000, 20_000] {
            let refs: Vec<ChunkRef> = (0..count).map(numbered).collect();
            let (content, stored) = build(&refs);
            assert_eq!(flatten(&content, &stored), refs, "{count} references");
        }
    }

    #[test]
    fn one_changed_reference_rewrites_one_list_per_level() {
        let mut refs: Vec<ChunkRef> = (0..20_000).map(numbered).collect();
        let (_, before) = build(&refs);
        refs[10_000] = numbered(1_000_000);
        let (content, after) = build(&refs);
        let Content::List { level, .. } = content else { panic!("a long list") };
        let new = after.keys().filter(|id| !before.contains_key(*id)).count();
        assert!(new <= usize::from(level) + 1, "{new} lists rewritten");
    }
}
