//! The commands: each reads its arguments, runs a verb of the engine, prints the result.

mod backup;
mod check;
mod doctor;
mod edit;
mod forget;
mod init;
mod inspect;
mod manual;
mod prune;
mod restore;
mod snapshots;

use std::collections::BTreeSet;

use anyhow::Result;
use clap::CommandFactory;
use keepfast_engine::EngineError;
use keepfast_engine::monitor::{Event, Monitor};
use keepfast_engine::repo::{
    Ignored, Index, Older, Recollection, Repository, SnapshotFilter, Snapshots, StoredSnapshot, open_index,
    open_index_in_memory, remember, trim_cache,
};
use keepfast_format::ids::HolderId;

use crate::Outcome;
use crate::args::{Arguments, Command, Common, HostFilter};
use crate::console::Console;
use crate::render::{local_time, short_writer};
use crate::{lines, settings, times};

/// Runs a command.
pub fn run(arguments: Arguments) -> Result<Outcome> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Init(options) => init::run(&common, &options),
        Command::Backup(options) => backup::run(&common, &options),
        Command::Restore(options) => restore::run(&common, &options),
        Command::Snapshots(options) => snapshots::run(&common, &options),
        Command::Forget(options) => forget::run(&common, &options),
        Command::Tag(options) => edit::tag(&common, &options),
        Command::Rewrite(options) => edit::rewrite(&common, &options),
        Command::Undelete(options) => forget::undelete(&common, &options),
        Command::Prune(options) => prune::run(&common, &options),
        Command::Ls(options) => inspect::ls(&common, &options),
        Command::Dump(options) => inspect::dump(&common, &options),
        Command::Doctor => doctor::run(&common),
        Command::Check(options) => check::run(&common, &options),
        Command::Stats(options) if !options.delete.is_empty() => prune::freed(&common, &options.delete),
        Command::Stats(_) => inspect::stats(&common),
        Command::Cache(options) => inspect::cache(&common, &options.action),
        Command::Completions(options) => {
            let mut script = Vec::new();
            clap_complete::generate(options.shell, &mut Arguments::command(), "keepfast", &mut script);
            lines::raw(&script);
            Ok(Outcome::Complete)
        }
        Command::Manual(options) => manual::run(&common, &options),
    }
}

/// An opened repository with its snapshots and index: what most commands begin with.
struct Opened {
    repository: Repository,
    snapshots: Snapshots,
    index: Index,
}

impl Opened {
    /// Opens for a check: everything is read from the store, and what is wrong is for the check to say.
    fn afresh(common: &Common, console: &Console) -> Result<Self> {
        let repository = settings::open_afresh(common, Some(console.stop_flag()))?;
        let snapshots = Snapshots::load(&repository)?;
        remember_snapshots(&repository, &snapshots, console)?;
        Self::of(repository, snapshots, common, console)
    }

    fn of(repository: Repository, snapshots: Snapshots, common: &Common, console: &Console) -> Result<Self> {
        let index = open_best_index(&repository, &snapshots, common, console)?;
        Ok(Self { repository, snapshots, index })
    }

    /// Opens, and names damaged snapshots: `latest` may not be the latest that there was.
    fn with_warnings(common: &Common, console: &Console) -> Result<Self> {
        let (repository, snapshots) = look(common, console)?;
        let opened = Self::of(repository, snapshots, common, console)?;
        for (object, what) in &opened.snapshots.damaged {
            console.event(Event::Finding { object: object.clone(), what: what.clone() });
        }
        Ok(opened)
    }
}

/// Opens the index where it lasts; if that can't be used, in memory: it costs time and no command.
fn open_best_index(
    repository: &Repository,
    snapshots: &Snapshots,
    common: &Common,
    console: &Console,
) -> Result<Index, EngineError> {
    if common.no_cache {
        return open_index_in_memory(repository, snapshots, console);
    }
    let cache = settings::cache_dir(common);
    if let Some(bytes_max) = common.cache_size
        && let Err(error) = trim_cache(&cache, repository.id(), bytes_max)
    {
        console.warn(&format!("the cache can't be made smaller: {error}"));
    }
    match open_index(repository, &cache, snapshots, console) {
        Err(error @ EngineError::Cache { .. }) => {
            console.warn(&format!("{error}. Until then it is built in memory, which takes time"));
            open_index_in_memory(repository, snapshots, console)
        }
        opened => opened,
    }
}

/// Opens the repository and reads its snapshots. Says what counts for nothing, and what was seen before
/// and isn't there.
fn look(common: &Common, console: &Console) -> Result<(Repository, Snapshots)> {
    let repository = settings::open(common, Some(console.stop_flag()))?;
    let snapshots = Snapshots::load(&repository)?;
    for Ignored { object, why } in repository.ignored().iter().chain(&snapshots.ignored) {
        console.event(Event::Notice(format!("{object} counts for nothing: {why}")));
    }
    for older in remember_snapshots(&repository, &snapshots, console)? {
        console.event(Event::Notice(format!(
            "the store shows an older state: {}: {older}; if it was set back on purpose, `keepfast cache accept` \
             takes it as it is",
            older.object()
        )));
    }
    Ok((repository, snapshots))
}

/// Remembers what the store shows; returns what was seen before and isn't there.
fn remember_snapshots(
    repository: &Repository,
    snapshots: &Snapshots,
    console: &Console,
) -> Result<Vec<Older>> {
    let Recollection { older, written } = remember(repository, snapshots)?;
    if let Err(error) = written {
        console.event(Event::Notice(format!(
            "what was seen of this repository can't be remembered: {error}; the next command can't tell \
             whether it is the same"
        )));
    }
    Ok(older)
}

/// Whether a command that ended well had something to report.
fn outcome(console: &Console) -> Outcome {
    if console.has_findings() { Outcome::WithFindings } else { Outcome::Complete }
}

/// The writers that `--writer` means.
fn writers_of(
    writer: Option<&str>,
    snapshots: &Snapshots,
) -> Result<Option<BTreeSet<HolderId>>, EngineError> {
    writer.map(|writer| snapshots.lineage_of(writer)).transpose()
}

/// The snapshot that a text names, among those that pass a filter if it is `latest`.
fn choose_by<'s>(
    snapshots: &'s Snapshots,
    text: &str,
    filter: &HostFilter,
    console: &Console,
) -> Result<&'s StoredSnapshot, EngineError> {
    let filter = SnapshotFilter {
        writers: writers_of(filter.writer.as_deref(), snapshots)?,
        host: filter.host.clone(),
        tags: filter.tags.clone(),
        ..SnapshotFilter::default()
    };
    choose(snapshots, text, &filter, console)
}

/// As [`choose_by`]. Says so if `latest` is among snapshots of several writers: each can say any host
/// and paths of itself, and any time.
fn choose<'s>(
    snapshots: &'s Snapshots,
    text: &str,
    filter: &SnapshotFilter,
    console: &Console,
) -> Result<&'s StoredSnapshot, EngineError> {
    let found = snapshots.find(text, filter)?;
    if !text.starts_with(LATEST) {
        return Ok(found);
    }
    tell_if_ahead(found, "it is the latest until then; `keepfast snapshots` lists the others", console);
    let writers = snapshots.writers(filter);
    if writers.len() > 1 {
        let short: Vec<String> = writers.iter().take(WRITERS_NAMED).copied().map(short_writer).collect();
        let others = writers.len() - short.len();
        let others = if others > 0 { format!(" and {others} others") } else { String::new() };
        console.event(Event::Notice(format!(
            "{text} was chosen among snapshots of {} writers ({}{others}): snapshot {} is of writer {}; --writer ID \
             chooses among those of one",
            writers.len(),
            short.join(", "),
            &found.snapshot.head.id.short()[..8],
            short_writer(found.writer),
        )));
    }
    Ok(found)
}

/// The word for the newest snapshot.
const LATEST: &str = "latest";
/// So many writers a notice names.
const WRITERS_NAMED: usize = 8;

/// Says so if a snapshot that is used is later than the present: it isn't what its time says, and others
/// that were made since may be newer.
fn tell_if_ahead(used: &StoredSnapshot, consequence: &str, console: &Console) {
    let body = &used.snapshot.body;
    if times::is_ahead(body.start, settings::now()) {
        console.event(Event::Notice(format!(
            "snapshot {} of {} says that it was made at {}, which is in the future: the clock here or there is \
             wrong; {consequence}",
            &used.snapshot.head.id.short()[..8],
            body.host,
            local_time(body.start),
        )));
    }
}
