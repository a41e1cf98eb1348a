//! What packs say of themselves. A reader comes here last, for a chunk that is in none of the places
//! that segments name: segments may be lost or lie, and a pack may stand under another session's name.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keepfast_format::names::PackName;
use keepfast_format::numbers::{u64_of, usize_of};
use keepfast_format::pack::{DirectoryPlace, FOOTER_BYTES, HEADER_BYTES, PackTable};
use keepfast_format::{FormatError, limits};

use super::index::{Index, PackSource, StoredPack};
use super::listings::list_packs;
use super::packs::{open_cipher, read_contents};
use super::repository::Repository;
use super::soundness::read_until_sound;
use crate::error::{EngineError, Result};
use crate::run::in_threads;

/// Directories that are read at a time from a store that is far; each takes up to 40 MB of memory.
const READ_AT_A_TIME: usize = 4;
/// A sealed directory isn't longer.
const DIRECTORY_BYTES_MAX: usize =
    PackTable::encoded_bytes(usize_of(limits::FRAMES_PER_PACK), usize_of(limits::CHUNKS_PER_PACK)) + 16;

/// Reads what packs say of themselves and this process hasn't read yet: the packs that no segment
/// lists, once, and the packs in which something was found to be wrong.
///
/// Tasks of a thread pool mustn't call this, because the second caller waits for the first.
pub fn look_into_packs(repository: &Repository, index: &Index) -> Result<()> {
    let mut looked_into = index.looked_into();
    let mut packs: HashSet<PackName> = HashSet::new();
    for number in index.take_unread() {
        let pack = index.pack(number)?;
        packs.insert(pack.name);
    }
    let stored = match &mut looked_into.stored {
        Some(stored) => stored,
        nothing => {
            let stored = list_packs(repository)?;
            packs.extend(index.unknown_among(&stored)?);
            nothing.insert(stored)
        }
    };
    if packs.is_empty() {
        return Ok(());
    }
    let sources = index.sources()?;
    let mut wanted = Vec::new();
    for pack in packs {
        let Some(bytes) = stored.get(&pack) else { continue };
        if !index.is_dead_pack(&pack)? && !sources.contains_key(&PackSource::Pack(pack)) {
            wanted.push((pack, *bytes));
        }
    }
    wanted.sort_unstable();
    let next = AtomicUsize::new(0);
    let threads = if repository.backend().is_far() { READ_AT_A_TIME.min(wanted.len()) } else { 1 };
    // Whole packs are read one at a time: they are large.
    let whole = Mutex::new(());
    let read = |pack: PackName, bytes| match read_directory(repository, pack, bytes)? {
        Some(read) => Ok(read),
        None => {
            let _alone = whole.lock().unwrap_or_else(PoisonError::into_inner);
            read_contents(repository, pack)
        }
    };
    let work = || -> Result<()> {
        while let Some((pack, bytes)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            match read(*pack, *bytes) {
                Ok((stored, table)) => index.add(PackSource::Pack(*pack), &[(stored, &table)])?,
                // It has nothing for a reader. A check says that it is damaged.
                Err(EngineError::Damaged { .. }) => {}
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    in_threads(threads, work).into_iter().collect()
}

/// What the directory of a pack of this size says that it holds; nothing if it is damaged, and the
/// frames may say it.
fn read_directory(
    repository: &Repository,
    pack: PackName,
    bytes: u64,
) -> Result<Option<(StoredPack, PackTable)>> {
    let name = pack.to_string();
    let damaged = || EngineError::damaged(pack);
    if bytes > limits::PACK_STORED_BYTES_MAX {
        return Err(damaged()(FormatError::OverLimit { what: "pack", field: "size" }));
    }
    let range =
        |offset, length| Ok::<_, EngineError>(repository.backend().read_range(&name, offset, length)?);
    // What isn't sealed with this repository's keys isn't read any further.
    let (header, cipher) = read_until_sound(|| {
        if bytes < u64_of(HEADER_BYTES + FOOTER_BYTES) {
            return Err(damaged()(FormatError::Truncated { what: "pack" }));
        }
        open_cipher(repository, &range(0, HEADER_BYTES)?).map_err(damaged())
    })?;
    let table = read_until_sound(|| {
        let footer = range(bytes - u64_of(FOOTER_BYTES), FOOTER_BYTES)?;
        let place = DirectoryPlace::decode(&footer, bytes).map_err(damaged())?;
        let length = usize_of(place.sealed_bytes);
        if length > DIRECTORY_BYTES_MAX {
            return Err(damaged()(FormatError::OverLimit { what: "pack directory", field: "size" }));
        }
        cipher.directory_at(place, range(place.offset, length)?).map_err(damaged())
    });
    match table {
        Ok(table) => {
            let stored = StoredPack {
                name: pack,
                key: header.key,
                kind: header.kind,
                stored_bytes: bytes,
                frames: table.frames.clone(),
            };
            Ok(Some((stored, table)))
        }
        Err(EngineError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
