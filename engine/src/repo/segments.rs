//! Reading index segments.

use std::cmp::Ordering;

use keepfast_format::ids::SessionId;
use keepfast_format::names::{self, PackName, SegmentName};
use keepfast_format::numbers::u64_of;
use keepfast_format::pack::PackTable;
use keepfast_format::segment::SegmentHead;
use keepfast_format::{FormatError, limits};

use super::index::StoredPack;
use super::repository::Repository;
use super::soundness::read_until_sound;
use crate::error::{EngineError, Result};

/// A segment, read and verified: its head, and the table of each of its packs.
pub struct ReadSegment {
    /// The session that wrote it.
    pub session: SessionId,
    /// Its packs.
    pub packs: Vec<(StoredPack, PackTable)>,
}

/// The names of all index segments, sorted.
pub fn list_segments(repository: &Repository) -> Result<Vec<SegmentName>> {
    let mut found = Vec::new();
    repository.backend().list(names::INDEX, &mut |listed| {
        found.extend(names::parse_segment(&listed.name));
    })?;
    found.sort_unstable();
    Ok(found)
}

/// Read at first of a segment, in bytes: all of most.
const FRONT_READ: usize = 1 << 20;

/// Reads a segment and checks its signature and every section. What its head doesn't justify isn't
/// read: whatever is stored under a segment's name, without a signature that fits it costs 4 MiB.
pub fn read_segment(repository: &Repository, name: SegmentName) -> Result<ReadSegment> {
    let object = name.to_string();
    read_until_sound(|| {
        let (backend, what) = (repository.backend(), "index segment");
        let damaged = |source| EngineError::damaged(name)(source);
        let mut bytes = backend.read_range(&object, 0, FRONT_READ)?;
        let head_bytes = SegmentHead::head_bytes(&bytes).map_err(damaged)?;
        if head_bytes > bytes.len() && bytes.len() == FRONT_READ {
            bytes = backend.read_range(&object, 0, head_bytes)?;
        }
        let head = open_head(repository, name, &bytes).map_err(damaged)?;
        let total = head.total_bytes();
        if u64_of(total) > limits::SEGMENT_BYTES_MAX {
            return Err(damaged(FormatError::OverLimit { what, field: "length" }));
        }
        if bytes.len() >= FRONT_READ {
            // One more than there should be, to see whether there is more.
            bytes = backend.read_range(&object, 0, total + 1)?;
        }
        match bytes.len().cmp(&total) {
            Ordering::Less => Err(damaged(FormatError::Truncated { what })),
            Ordering::Equal => open_sections(repository, &head, &bytes).map_err(damaged),
            Ordering::Greater => Err(damaged(FormatError::TrailingBytes { what })),
        }
    })
}

fn open_head(
    repository: &Repository,
    SegmentName { session, n }: SegmentName,
    bytes: &[u8],
) -> Result<SegmentHead, FormatError> {
    SegmentHead::open(bytes, repository.id(), session, n, |writer| {
        repository.keyring().segment_signer(SessionId { writer, ..session }, n)
    })
}

fn open_sections(
    repository: &Repository,
    head: &SegmentHead,
    bytes: &[u8],
) -> Result<ReadSegment, FormatError> {
    let (what, id, session) = ("index segment", repository.id(), head.session);
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
            name: PackName { id: pack.id, session },
            key: head.key,
            kind: pack.kind,
            stored_bytes: pack.stored_bytes,
            frames: table.frames.clone(),
        };
        packs.push((stored, table));
    }
    Ok(ReadSegment { session, packs })
}
