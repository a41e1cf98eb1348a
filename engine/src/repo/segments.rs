//! Reading index segments.

use keepfast_backend::Listed;
use keepfast_format::ids::SessionId;
use keepfast_format::pack::PackTable;
use keepfast_format::segment::SegmentHead;
use keepfast_format::{FormatError, limits, names};

use super::index::StoredPack;
use super::repository::Repository;
use super::soundness::until_sound;
use crate::error::{EngineError, Result};

/// A segment, read and verified: its head, and the table of each of its packs.
pub struct ReadSegment {
    /// The session that wrote it.
    pub session: SessionId,
    /// Its packs.
    pub packs: Vec<(StoredPack, PackTable)>,
}

/// The names of all index segments, sorted.
pub fn list_segments(repository: &Repository) -> Result<Vec<String>> {
    let mut found = Vec::new();
    repository.backend().list(names::INDEX, &mut |Listed { name, .. }| {
        if names::parse_segment(&name).is_some() {
            found.push(name);
        }
    })?;
    found.sort_unstable();
    Ok(found)
}

/// Reads a segment and checks its signature and every section.
pub fn read_segment(repository: &Repository, name: &str) -> Result<ReadSegment> {
    until_sound(|| {
        let bytes = repository.backend().read(name, limits::SEGMENT_BYTES_MAX)?;
        open_segment(repository, name, &bytes).map_err(EngineError::damaged(name))
    })
}

fn open_segment(repository: &Repository, name: &str, bytes: &[u8]) -> Result<ReadSegment, FormatError> {
    let what = "index segment";
    let (session, n) = names::parse_segment(name)
        .ok_or(FormatError::Malformed { what, why: "its name isn't a segment's" })?;
    let id = repository.id();
    let head = SegmentHead::open(bytes, id, session, n, |writer| {
        repository.keyring().segment_signer(SessionId { writer, ..session }, n)
    })?;
    if bytes.len() != head.total_bytes() {
        return Err(if bytes.len() < head.total_bytes() {
            FormatError::Truncated { what }
        } else {
            FormatError::TrailingBytes { what }
        });
    }
    let secrets = repository.secrets(head.key).ok_or(FormatError::NoKey { what })?;
    let section = |(offset, length): (usize, usize)| {
        bytes.get(offset..offset + length).ok_or(FormatError::Truncated { what })
    };
    head.open_hooks(id, secrets, section(head.hooks_place())?)?;
    let mut packs = Vec::with_capacity(head.packs.len());
    for (ordinal, pack) in head.packs.iter().enumerate() {
        let place = head.table_place(ordinal).ok_or(FormatError::Truncated { what })?;
        let table = head.open_table(id, secrets, ordinal, section(place)?)?;
        let stored = StoredPack {
            id: pack.id,
            session,
            key: head.key,
            kind: pack.kind,
            stored_bytes: pack.stored_bytes,
            frames: table.frames.clone(),
        };
        packs.push((stored, table));
    }
    Ok(ReadSegment { session, packs })
}
