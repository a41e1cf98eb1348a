//! The commands: each reads its arguments, runs an operation, prints the report.

mod access;
mod anomaly;
mod audit;
mod backup;
mod check;
mod databases;
mod delivery;
mod doctor;
mod drill;
mod edit;
mod forget;
mod init;
mod inspect;
mod keeping;
mod manual;
mod metrics;
mod notify;
mod plans;
mod prune;
mod recover;
mod reload;
mod restore;
mod runs;
mod serve;
mod service;
mod snapshots;
mod told;
mod uninstall;
mod wal;
mod wizard;

use anyhow::Result;
use keepfast_engine::run::Troubles;
use keepfast_operations::choose;
use keepfast_operations::open::SharedRepository;

use crate::Outcome;
use crate::args::{AccessCommand, Arguments, Command, Common, Filter, HostFilter};
use crate::console::Console;
use crate::{complete, settings};

/// Runs a command.
pub fn run(arguments: Arguments) -> Result<Outcome> {
    let Arguments { common, command } = arguments;
    match command {
        Command::Init(options) => init::run(&common, &options),
        Command::Backup(options) => backup::run(&common, &options),
        Command::Restore(options) => restore::run(&common, &options),
        Command::Sources(options) => databases::sources(&common, &options.action),
        Command::Snapshots(options) => snapshots::run(&common, &options),
        Command::Forget(options) => forget::run(&common, &options),
        Command::Wal(options) => wal::run(&common, &options.action),
        Command::Tag(options) => edit::tag(&common, &options),
        Command::Rewrite(options) => edit::rewrite(&common, &options),
        Command::Undelete(options) => forget::undelete(&common, &options),
        Command::Prune(options) => prune::run(&common, &options),
        Command::Ls(options) => inspect::ls(&common, &options),
        Command::Dump(options) => inspect::dump(&common, &options),
        Command::Diff(options) => inspect::diff(&common, &options),
        Command::Doctor => doctor::run(&common),
        Command::Check(options) => check::run(&common, &options),
        Command::Stats(options) if !options.delete.is_empty() => inspect::freed(&common, &options.delete),
        Command::Stats(_) => inspect::stats(&common),
        Command::Run(options) => plans::run(&common, &options),
        Command::Estimate(options) => keeping::estimate_plan(&common, &options),
        Command::Cleanup(options) => keeping::cleanup(&common, &options),
        Command::Status => plans::status(&common),
        Command::Serve(options) if options.recover => recover::run(&common, &options),
        Command::Serve(_) => serve::serve(&common),
        Command::Drill(options) => drill::run(&common, &options.action),
        Command::Runs(options) => runs::runs(&common, &options.action),
        Command::Pause(options) => runs::pause(&common, &options),
        Command::Resume(options) => runs::resume(&common, &options),
        Command::Schedule(options) => plans::schedule(&common, &options.action),
        Command::AcceptAnomaly(options) => anomaly::accept(&common, &options),
        Command::Metrics => metrics::print(&common),
        Command::Config(options) => plans::config(&common, &options.action),
        Command::Notify(options) => notify::run(&common, &options.action),
        Command::Access(AccessCommand::User(options)) => access::user(&common, &options.action),
        Command::Access(AccessCommand::Token(options)) => access::token(&common, &options.action),
        Command::Access(AccessCommand::Audit(options)) => audit::run(&common, &options.action),
        Command::Cache(options) => inspect::cache(&common, &options.action),
        Command::Service(options) => service::run(&common, &options.action),
        Command::Uninstall(options) => uninstall::run(&common, &options),
        Command::Completions(options) => complete::print_script(options.shell).map(|()| Outcome::Complete),
        Command::Manual(options) => manual::run(&common, &options),
    }
}

/// The repository, ready to be opened: what most commands begin with.
fn shared(common: &Common, console: &Console) -> Result<SharedRepository> {
    settings::tell_of_cache(common, console);
    settings::shared(common, console)
}

/// Whether a command that ended well had something to report.
fn outcome_of(troubles: Troubles) -> Outcome {
    if troubles.is_empty() { Outcome::Complete } else { Outcome::WithFindings }
}

/// What the flags say that snapshots must have in common.
fn filter_of(filter: &Filter) -> choose::Filter {
    let Filter { writer, host, tags, paths } = filter;
    choose::Filter { writer: writer.clone(), host: host.clone(), tags: tags.clone(), paths: paths.clone() }
}

/// As [`filter_of`], where paths mean something else.
fn host_filter_of(filter: &HostFilter) -> choose::Filter {
    let HostFilter { writer, host, tags } = filter;
    choose::Filter { writer: writer.clone(), host: host.clone(), tags: tags.clone(), paths: Vec::new() }
}
