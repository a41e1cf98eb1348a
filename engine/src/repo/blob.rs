//! Bytes that are stored as metadata chunks, wherever they come from.

use keepfast_format::content::{ChunkRef, Content, ContentBuilder};
use keepfast_format::ids::ChunkId;
use keepfast_format::limits;
use keepfast_format::tree::encode_blob;

use super::numbers::format_length;
use crate::error::Result;

/// Stores bytes as a blob; `store` puts a metadata chunk into the repository.
pub fn store_blob(bytes: &[u8], store: &mut dyn FnMut(&[u8]) -> Result<ChunkId>) -> Result<Content> {
    let mut builder = ContentBuilder::default();
    for piece in bytes.chunks(limits::BLOB_PIECE_BYTES) {
        let plain = encode_blob(piece);
        let reference = ChunkRef { id: store(&plain)?, len: format_length(plain.len()) };
        builder.push(reference, &mut |list: Vec<u8>| store(&list))?;
    }
    builder.finish(&mut |list: Vec<u8>| store(&list))
}
