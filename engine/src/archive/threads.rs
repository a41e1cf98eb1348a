//! Runs a walk in several threads.

use super::options::Source;
use super::sink::Sink;
use super::stand_in;
use super::tally::Tally;
use super::walk::Walk;
use super::walker::Walker;
use crate::error::Result;
use crate::run::in_threads;

/// Walks the source, with a sink of its own for each thread. Returns what was counted.
pub fn run<'w, S: Sink<'w>>(
    walk: &'w Walk<'w>,
    source: Source<'_>,
    new_sink: impl Fn() -> S + Sync,
) -> Result<Tally> {
    // A thread for each stream and each folder that a program writes, since the programs may wait for each other, and one
    // for files.
    let needed = source.streams.len() + source.folders.len() + usize::from(!source.paths.is_empty());
    let threads = walk.run.threads().max(needed);
    walk.streams.take(source.streams, source.folders)?;
    let parent = walk.parent.root();
    let mut first = Walker::new(walk, new_sink());
    match (&walk.options.stored_as, source.paths) {
        (_, []) => first.begin_streams(parent)?,
        (Some(_), [directory]) => stand_in::begin(&mut first, directory, parent)?,
        _ => first.begin_paths(parent)?,
    }
    let mut tally = first.sink.finish();
    for counted in in_threads(threads, || Walker::new(walk, new_sink()).run()) {
        tally.add(counted);
    }
    walk.check()?;
    Ok(tally)
}
