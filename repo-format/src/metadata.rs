//! What metadata chunks have in common: their first field, reading with minicbor, pages and their index.

use std::convert::Infallible;

use minicbor::{Decoder, Encoder, encode};

use crate::ids::ChunkId;
use crate::numbers::u64_of;
use crate::{FormatError, limits};

/// The first field of every metadata chunk says which structure it is.
pub mod tag {
    pub const PAGE: u8 = 1;
    pub const PAGE_INDEX: u8 = 2;
    pub const STATE_PAGE: u8 = 3;
    pub const STATE_INDEX: u8 = 4;
    pub const LIST: u8 = 5;
    pub const BLOB: u8 = 6;
}

/// An encoder that can't fail, because it writes to memory.
pub type Memory<'a> = Encoder<&'a mut Vec<u8>>;
/// The result of writing to memory.
pub type Written = Result<(), encode::Error<Infallible>>;

/// Encodes into new memory.
pub fn encode_with(write: impl FnOnce(&mut Memory<'_>) -> Written) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_with(&mut bytes, write);
    bytes
}

/// Encodes at the end of `bytes`.
pub fn append_with(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Memory<'_>) -> Written) {
    write(&mut Encoder::new(bytes)).expect("writing to memory doesn't fail");
}

/// Reads the head of a metadata chunk: a map of `fields` fields, the first of which is its tag.
pub fn read_tag(
    input: &mut Decoder<'_>,
    fields: u64,
    tag: u8,
    what: &'static str,
) -> Result<(), FormatError> {
    let fits = input.map().ok().flatten() == Some(fields)
        && input.u8().ok() == Some(0)
        && input.u8().ok() == Some(tag);
    if fits { Ok(()) } else { Err(FormatError::Malformed { what, why: "it is of another kind" }) }
}

/// Reads the key of a field and refuses any other.
pub fn read_key(input: &mut Decoder<'_>, key: u8, what: &'static str) -> Result<(), FormatError> {
    if input.u8().ok() == Some(key) {
        Ok(())
    } else {
        Err(FormatError::Malformed { what, why: "a field is missing" })
    }
}

/// An array's length: at most `limit`, and at most as many items as there are bytes left.
pub fn read_array(input: &mut Decoder<'_>, limit: usize, what: &'static str) -> Result<usize, FormatError> {
    let count =
        input.array().ok().flatten().ok_or(FormatError::Malformed { what, why: "an array is missing" })?;
    let left = input.input().len() - input.position();
    match usize::try_from(count) {
        Ok(count) if count > limit => Err(FormatError::OverLimit { what, field: "item count" }),
        Ok(count) if count <= left => Ok(count),
        _ => Err(FormatError::Truncated { what }),
    }
}

/// Turns minicbor's error into ours.
pub fn decoded<T>(result: Result<T, minicbor::decode::Error>, what: &'static str) -> Result<T, FormatError> {
    result.map_err(|error| {
        if error.is_end_of_input() {
            FormatError::Truncated { what }
        } else {
            FormatError::Malformed { what, why: "a field has the wrong type" }
        }
    })
}

/// Reads a byte string that is a chunk id.
pub fn read_id(input: &mut Decoder<'_>, what: &'static str) -> Result<ChunkId, FormatError> {
    let bytes = decoded(input.bytes(), what)?;
    let bytes =
        bytes.try_into().map_err(|_| FormatError::Malformed { what, why: "an id has the wrong length" })?;
    Ok(ChunkId::new(bytes))
}

/// Refuses bytes that aren't the one encoding of the value that was read from them.
pub fn require_canonical(input: &[u8], encoded: &[u8], what: &'static str) -> Result<(), FormatError> {
    if input == encoded {
        Ok(())
    } else if input.len() > encoded.len() && input.starts_with(encoded) {
        Err(FormatError::TrailingBytes { what })
    } else {
        Err(FormatError::NotCanonical { what })
    }
}

/// A page under construction, of nodes or of their states. Entries are encoded as they come.
#[derive(Debug, Default)]
pub struct PageBuffer {
    entries: u64,
    encoded: Vec<u8>,
}

impl PageBuffer {
    /// Appends an entry.
    pub fn push(&mut self, write: impl FnOnce(&mut Memory<'_>) -> Written) {
        append_with(&mut self.encoded, write);
        self.entries += 1;
    }

    /// Whether nothing was pushed since the last page was finished.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Length of the encoded entries.
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    /// The page's plaintext. The buffer is empty again afterwards.
    pub fn finish(&mut self, tag: u8) -> Vec<u8> {
        let mut page = Vec::with_capacity(self.encoded.len() + 12);
        append_with(&mut page, |out| write_head(out, tag, self.entries));
        page.extend_from_slice(&self.encoded);
        self.encoded.clear();
        self.entries = 0;
        page
    }
}

/// The plaintext of an index of pages: an array of `items` items, which `write` writes.
pub fn encode_index(tag: u8, items: usize, write: impl FnOnce(&mut Memory<'_>) -> Written) -> Vec<u8> {
    encode_with(|out| {
        write_head(out, tag, u64_of(items))?;
        write(out)
    })
}

fn write_head(out: &mut Memory<'_>, tag: u8, items: u64) -> Written {
    out.map(2)?.u8(0)?.u8(tag)?.u8(1)?.array(items)?;
    Ok(())
}

/// What the head of a directory's chunk says: which of the two structures it is, and how many items its
/// array has.
pub enum PageHead {
    /// A page.
    Page(usize),
    /// An index of pages.
    Index(usize),
}

/// Reads the head of a chunk that is a page or an index of pages.
pub fn read_page_head(
    input: &mut Decoder<'_>,
    page_tag: u8,
    index_tag: u8,
    what: &'static str,
) -> Result<PageHead, FormatError> {
    let start = input.position();
    if read_tag(input, 2, index_tag, what).is_ok() {
        read_key(input, 1, what)?;
        return Ok(PageHead::Index(read_array(input, usize::MAX, what)?));
    }
    input.set_position(start);
    read_tag(input, 2, page_tag, what)?;
    read_key(input, 1, what)?;
    Ok(PageHead::Page(read_array(input, limits::ENTRIES_PER_PAGE, what)?))
}
