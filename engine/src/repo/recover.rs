//! Bringing the local index up to date: from index segments, and where those are missing
//! or damaged, from the packs themselves.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use keepfast_format::epoch::PackName;
use keepfast_format::{FormatError, names};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::cache::{CacheSlot, Slot};
use super::epochs::{Epochs, Told};
use super::index::{Index, Loading};
use super::listings::list_packs;
use super::packs::read_contents;
use super::repository::Repository;
use super::segments::{list_segments, read_segment};
use super::snapshots::Snapshots;
use crate::error::{EngineError, Result};
use crate::monitor::{Event, Monitor};

/// Segments or packs read at a time, and so held in memory.
const READ_AT_A_TIME: usize = 8;

/// Opens the index below `cache` and adds what the repository has that it doesn't know.
/// An index that knows more than the repository has is of another time: it is rebuilt.
pub fn open_index(
    repository: &Repository,
    cache: &Path,
    snapshots: &Snapshots,
    monitor: &dyn Monitor,
) -> Result<Index> {
    open_in(Slot::Disk(CacheSlot::take(cache, repository.id())?), repository, snapshots, monitor)
}

/// As [`open_index`], in memory, which it takes for each chunk of the repository.
pub fn open_index_in_memory(
    repository: &Repository,
    snapshots: &Snapshots,
    monitor: &dyn Monitor,
) -> Result<Index> {
    open_in(Slot::Memory, repository, snapshots, monitor)
}

fn open_in(
    slot: Slot,
    repository: &Repository,
    snapshots: &Snapshots,
    monitor: &dyn Monitor,
) -> Result<Index> {
    let mut index = Index::open(slot, repository)?;
    let mut listed = list_segments(repository)?;
    let mut known = index.sources()?;
    if has_more_than(repository, &index, &known, &listed)? {
        index = index.reset(repository)?;
        known.clear();
    }
    if listed.iter().any(|name| !known.contains_key(name)) {
        // Verdicts are heard before segments are loaded, so that nothing that is dead is taken for
        // stored; and segments are listed after that, because what has moved is in later ones.
        let epochs = Epochs::list(repository)?;
        if epochs.tell_authentic(repository, &index)? == Told::IndexIsAhead {
            index = index.reset(repository)?;
            known.clear();
            epochs.tell_authentic(repository, &index)?;
        }
        listed = list_segments(repository)?;
    }
    let new: Vec<&String> = listed.iter().filter(|name| !known.contains_key(*name)).collect();
    let damaged = add_segments(repository, &index, &new)?;
    let mut changed = !new.is_empty();
    listed.retain(|name| !damaged.contains_key(name));
    let lacking: HashSet<String> =
        snapshots.all.iter().flat_map(|stored| stored.lacks_segments(&listed)).collect();
    for (object, what) in damaged {
        // What no snapshot counts on may be anybody's rubbish: nothing is missed without it.
        monitor.event(if lacking.contains(&object) {
            Event::Finding { object, what }
        } else {
            Event::Notice(format!("{what}; no snapshot counts on it"))
        });
    }
    if !lacking.is_empty() {
        index.doubt();
        changed |= add_unlisted_packs(repository, &index, monitor)?;
    }
    if changed {
        index.flush()?;
    }
    Ok(index)
}

/// Adds segments that have come since the index was opened. Returns whether there were any.
pub fn refresh_index(repository: &Repository, index: &Index) -> Result<bool> {
    // One at a time, so that nothing is loaded twice.
    let _turn = index.loading();
    let known = index.sources()?;
    let listed = list_segments(repository)?;
    let new: Vec<&String> = listed.iter().filter(|name| !known.contains_key(*name)).collect();
    // Whoever opens the index next reports what is damaged.
    add_segments(repository, index, &new)?;
    Ok(!new.is_empty())
}

/// Adds segments to the index. Returns those that are damaged, and what is wrong with each.
fn add_segments(repository: &Repository, index: &Index, new: &[&String]) -> Result<BTreeMap<String, String>> {
    let mut damaged = BTreeMap::new();
    let mut loading = Loading::begin(index);
    for batch in new.chunks(READ_AT_A_TIME) {
        let read: Vec<_> = batch.par_iter().map(|name| read_segment(repository, name)).collect();
        for (name, segment) in batch.iter().zip(read) {
            match segment {
                Ok(segment) => loading.add(name, segment.packs)?,
                // A garbage collection has removed it since it was listed: all in it is dead.
                Err(EngineError::Backend(error)) if error.is_not_found() => {}
                // A store that fails says nothing about the segment.
                Err(EngineError::Backend(error)) => return Err(error.into()),
                // Nobody with these keys could read what it lists either.
                Err(EngineError::Damaged { source: FormatError::NoKey { .. }, .. }) => {}
                Err(error) => {
                    damaged.insert((*name).clone(), error.to_string());
                }
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
    known: &BTreeMap<String, bool>,
    listed: &[String],
) -> Result<bool> {
    let is_segment = |name: &str| name.starts_with(names::INDEX);
    let gone = |name: &String| is_segment(name) && listed.binary_search(name).is_err();
    if known.iter().any(|(name, dead)| gone(name) && !dead) {
        // A verdict that this index hasn't heard may be the reason.
        if Epochs::list(repository)?.tell_authentic(repository, index)? == Told::IndexIsAhead {
            return Ok(true);
        }
        if index.sources()?.iter().any(|(name, dead)| gone(name) && !dead) {
            return Ok(true);
        }
    }
    let packs: Vec<&String> = known.keys().filter(|name| !is_segment(name)).collect();
    if packs.is_empty() {
        return Ok(false);
    }
    let stored = list_packs(repository)?;
    let is_stored = |name: &str| {
        names::parse_pack(name).is_some_and(|(id, session)| stored.contains_key(&PackName { id, session }))
    };
    Ok(packs.iter().any(|name| !known[*name] && !is_stored(name)))
}

/// Adds packs that no readable segment lists.
fn add_unlisted_packs(repository: &Repository, index: &Index, monitor: &dyn Monitor) -> Result<bool> {
    let mut unlisted = index.unknown_among(&list_packs(repository)?)?;
    unlisted.sort_unstable();
    for batch in unlisted.chunks(READ_AT_A_TIME) {
        let read: Vec<_> = batch.par_iter().map(|pack| read_contents(repository, *pack)).collect();
        for (pack, contents) in batch.iter().zip(read) {
            let name = pack.to_string();
            match contents {
                Ok((pack, table)) => index.add(&name, &[(pack, &table)])?,
                Err(error) => monitor.event(Event::Finding { object: name, what: error.to_string() }),
            }
        }
    }
    Ok(!unlisted.is_empty())
}
