//! Bringing the local index up to date: from index segments, and where those are missing
//! or damaged, from the packs themselves.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use keepfast_format::FormatError;
use keepfast_format::names::SegmentName;

use super::cache::{CacheSlot, Slot};
use super::epochs::{Applied, Epochs};
use super::index::{Index, Loading, PackSource};
use super::listings::list_packs;
use super::packs::read_contents;
use super::repository::Repository;
use super::segments::{list_segments, read_segment};
use super::snapshots::Snapshots;
use crate::error::{EngineError, Result};
use crate::run::{Event, Phase, Pool, RunContext};

/// Segments or packs read at a time, and so held in memory.
const READ_AT_A_TIME: usize = 8;

/// Opens the index below `cache` and adds what the repository has that it doesn't know.
/// An index that knows more than the repository has is of another time: it is rebuilt.
pub fn open_index(
    repository: &Repository,
    cache: &Path,
    snapshots: &Snapshots,
    run: &RunContext,
) -> Result<Index> {
    open_in(Slot::Disk(CacheSlot::take(cache, repository.id())?), repository, snapshots, run)
}

/// As [`open_index`], in memory, which it takes for each chunk of the repository.
pub fn open_index_in_memory(
    repository: &Repository,
    snapshots: &Snapshots,
    run: &RunContext,
) -> Result<Index> {
    open_in(Slot::Memory, repository, snapshots, run)
}

fn open_in(slot: Slot, repository: &Repository, snapshots: &Snapshots, run: &RunContext) -> Result<Index> {
    let mut index = Index::open(slot, repository, run.threads())?;
    // Once at most: an empty index is ahead of nothing.
    while catch_up(repository, &index, snapshots, run)? == CaughtUp::IndexIsAhead {
        index = index.reset(repository, run.threads())?;
    }
    Ok(index)
}

/// What bringing an index up to date has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum CaughtUp {
    /// It knows what the repository has.
    Yes,
    /// It knows more than the repository has, and so is of another time. It can't be used.
    IndexIsAhead,
}

/// Adds what the repository has that the index doesn't know. Other runs may use the index meanwhile.
pub fn catch_up(
    repository: &Repository,
    index: &Index,
    snapshots: &Snapshots,
    run: &RunContext,
) -> Result<CaughtUp> {
    run.enter(Phase::Indexing);
    // One run at a time, so that nothing is loaded twice.
    let _turn = index.loading();
    // *First* what is known, *then* what is listed: what another run of this process stores meanwhile is in
    // the store before it is in the index, and so is never known and not listed.
    let known = index.sources()?;
    let mut listed = list_segments(repository)?;
    if has_more_than(repository, index, &known, &listed)? {
        return Ok(CaughtUp::IndexIsAhead);
    }
    let is_new = |name: &SegmentName| !known.contains_key(&PackSource::Segment(*name));
    if listed.iter().any(is_new) {
        // Verdicts are applied before segments are loaded, so that nothing that is dead is assumed to be
        // stored; and segments are listed after that, because what has moved is in later ones.
        if Epochs::list(repository)?.apply_authentic_verdicts(repository, index)? == Applied::IndexIsAhead {
            return Ok(CaughtUp::IndexIsAhead);
        }
        listed = list_segments(repository)?;
    }
    let new: Vec<SegmentName> = listed.iter().copied().filter(is_new).collect();
    let damaged = add_segments(repository, index, &new, run.pool())?;
    let mut changed = !new.is_empty();
    let unread: HashSet<SegmentName> = damaged.iter().map(|damaged| damaged.name).collect();
    listed.retain(|name| !unread.contains(name));
    let lacking: HashSet<SegmentName> =
        snapshots.all.iter().flat_map(|stored| stored.lacks_segments(&listed)).collect();
    for DamagedSegment { name, what } in damaged {
        // What no snapshot counts on may be anyone's junk: nothing is missed without it.
        if lacking.contains(&name) {
            run.tell(&Event::Damaged { object: name.to_string(), what });
        } else {
            run.notice(format!("{what}; no snapshot counts on it"));
        }
    }
    if !lacking.is_empty() {
        index.doubt();
        changed |= add_unlisted_packs(repository, index, run)?;
    }
    if changed {
        index.flush()?;
    }
    Ok(CaughtUp::Yes)
}

/// Adds segments that have come since the index was opened. Returns whether there were any.
pub fn refresh_index(repository: &Repository, index: &Index, run: &RunContext) -> Result<bool> {
    // One at a time, so that nothing is loaded twice.
    let _turn = index.loading();
    let known = index.sources()?;
    let listed = list_segments(repository)?;
    let is_new = |name: &SegmentName| !known.contains_key(&PackSource::Segment(*name));
    let new: Vec<SegmentName> = listed.into_iter().filter(is_new).collect();
    // The next run that opens the index reports what is damaged.
    add_segments(repository, index, &new, run.pool())?;
    Ok(!new.is_empty())
}

/// A segment that can't be used.
struct DamagedSegment {
    name: SegmentName,
    /// What is wrong with it, with its name.
    what: String,
}

/// Adds segments to the index. Returns those that are damaged.
fn add_segments(
    repository: &Repository,
    index: &Index,
    new: &[SegmentName],
    pool: &Pool,
) -> Result<Vec<DamagedSegment>> {
    let mut damaged = Vec::new();
    let mut loading = Loading::begin(index, pool);
    for batch in new.chunks(READ_AT_A_TIME) {
        let read: Vec<_> = pool.map(batch, |name| read_segment(repository, *name));
        for (name, segment) in batch.iter().zip(read) {
            match segment {
                Ok(segment) => loading.add(*name, segment.packs)?,
                // A garbage collection has removed it since it was listed: all in it is dead.
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                // A store that fails says nothing about the segment.
                Err(EngineError::Backend(error)) => return Err(error.into()),
                // With these keys, what it lists couldn't be read either.
                Err(EngineError::Damaged { source: FormatError::NoKey { .. }, .. }) => {}
                Err(error) => damaged.push(DamagedSegment { name: *name, what: error.to_string() }),
            }
        }
    }
    loading.finish()?;
    Ok(damaged)
}

/// Whether the index knows segments, or packs that it read themselves, that aren't stored (any
/// more). Segments whose packs are all dead may be gone.
fn has_more_than(
    repository: &Repository,
    index: &Index,
    known: &BTreeMap<PackSource, bool>,
    listed: &[SegmentName],
) -> Result<bool> {
    let gone =
        |source: &PackSource| source.segment().is_some_and(|name| listed.binary_search(&name).is_err());
    if known.iter().any(|(source, dead)| gone(source) && !dead) {
        // A verdict that this index hasn't applied may be the reason.
        if Epochs::list(repository)?.apply_authentic_verdicts(repository, index)? == Applied::IndexIsAhead {
            return Ok(true);
        }
        if index.sources()?.iter().any(|(source, dead)| gone(source) && !dead) {
            return Ok(true);
        }
    }
    let is_pack = |source: &PackSource| matches!(source, PackSource::Pack(_));
    if !known.keys().any(is_pack) {
        return Ok(false);
    }
    let stored = list_packs(repository)?;
    Ok(known.iter().any(|(source, dead)| match source {
        PackSource::Segment(_) => false,
        PackSource::Pack(name) => !dead && !stored.contains_key(name),
    }))
}

/// Adds packs that no readable segment lists.
fn add_unlisted_packs(repository: &Repository, index: &Index, run: &RunContext) -> Result<bool> {
    let mut unlisted = index.unknown_among(&list_packs(repository)?)?;
    unlisted.sort_unstable();
    for batch in unlisted.chunks(READ_AT_A_TIME) {
        let read: Vec<_> = run.pool().map(batch, |pack| read_contents(repository, *pack));
        for (pack, contents) in batch.iter().zip(read) {
            match contents {
                Ok((stored, table)) => index.add(PackSource::Pack(*pack), &[(stored, &table)])?,
                Err(error) => {
                    run.tell(&Event::Damaged { object: pack.to_string(), what: error.to_string() });
                }
            }
        }
    }
    Ok(!unlisted.is_empty())
}
