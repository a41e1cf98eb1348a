//! The commands: each reads its arguments, runs a verb of the engine, prints the result.

mod backup;
mod check;
mod doctor;
mod edit;
mod forget;
mod init;
mod inspect;
mod prune;
mod restore;
mod snapshots;

use std::collections::BTreeSet;

use anyhow::Result;
use clap::CommandFactory;
use keepfast_engine::EngineError;
use keepfast_engine::repo::{SnapshotFilter, Snapshots, StoredSnapshot};
use keepfast_format::ids::HolderId;
use keepfast_operations::open::{Mode, Opened};
use keepfast_operations::times;

use crate::Outcome;
use crate::args::{Arguments, Command, Common, HostFilter};
use crate::console::Console;
use crate::render::{local_time, short_writer};
use crate::{lines, settings};

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
    }
}

/// Opens the repository with its snapshots and index: what most commands begin with.
fn open(common: &Common, console: &Console) -> Result<Opened> {
    settings::tell_of_cache(common, console);
    Ok(settings::shared(common, console)?.open(console.run(), Mode::Usual)?)
}

/// Whether a command that ended well had something to report.
fn outcome(console: &Console) -> Outcome {
    if !console.run().troubles().is_empty() { Outcome::WithFindings } else { Outcome::Complete }
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
        console.run().notice(format!(
            "{text} was chosen among snapshots of {} writers ({}{others}): snapshot {} is of writer {}; --writer ID \
             chooses among those of one",
            writers.len(),
            short.join(", "),
            &found.snapshot.head.id.short()[..8],
            short_writer(found.writer),
        ));
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
        console.run().notice(format!(
            "snapshot {} of {} says that it was made at {}, which is in the future: the clock here or there is \
             wrong; {consequence}",
            &used.snapshot.head.id.short()[..8],
            body.host,
            local_time(body.start),
        ));
    }
}
