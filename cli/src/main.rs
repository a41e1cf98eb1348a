//! `keepfast`: backs up into repositories, restores from them, checks them.

mod args;
mod commands;
mod console;
mod lines;
mod render;
mod s3;
mod secrets;
mod settings;
mod sources;
mod streams;
mod usage;
mod verdicts;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};
use keepfast_backend::{BackendError, BackendErrorKind};
use keepfast_engine::EngineError;
use keepfast_engine::error::{ChoiceError, Loss, PruneError};
use keepfast_format::FormatError;
use keepfast_operations::OperationsError;
use keepfast_operations::error::{
    ChoiceError as SelectionError, PlaceError, ResourcesError, SecretError, StoreError, TextError,
};
use keepfast_operations::priority::be_nice;

use args::Arguments;

/// How a command ended, when it didn't fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is well.
    Complete,
    /// It finished, but some files were skipped, or there are findings.
    WithFindings,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(said) => return ExitCode::from(explain(said)),
    };
    raise_open_files();
    if arguments.common.nice {
        be_nice();
    }
    let json = arguments.common.json;
    let only_shows = arguments.command.only_shows();
    let code = match commands::run(arguments) {
        Ok(Outcome::Complete) => complete(only_shows, json),
        Ok(Outcome::WithFindings) => 3,
        Err(error) => {
            let code = exit_code(&error);
            render::error(&error, code, json);
            if let Some(way_on) = way_on(&error) {
                render::note("note", way_on, json);
            }
            code
        }
    };
    ExitCode::from(code)
}

/// What can be done about an error whose message doesn't say it, because that is the program's matter.
fn way_on(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<OperationsError>().filter(|error| error.engine().is_none()) {
        return match error {
            OperationsError::Place(PlaceError::Missing) => {
                Some("--repo or KEEPFAST_REPOSITORY says where it is")
            }
            OperationsError::Place(PlaceError::GroupOfBucket) => {
                Some("--group-readable goes with a repository in a directory")
            }
            OperationsError::Store(StoreError::Unfit { .. }) => Some("use another store"),
            OperationsError::Store(StoreError::OnlyOneWriter { .. }) => {
                Some("use another store; or, if never more than one run writes, take it with --unsafe-store")
            }
            OperationsError::Text(TextError::NoPattern) => {
                Some("--exclude or --exclude-from says what to leave out")
            }
            OperationsError::Choice(SelectionError::NothingSaid) => {
                Some("give their ids, or choose them by --host, --writer, --tag or --path")
            }
            OperationsError::Resources(ResourcesError::Memory { .. }) => {
                Some("--memory MIB lets the run use more, and without it there is no limit")
            }
            OperationsError::Choice(SelectionError::NotForgotten { .. }) => {
                Some("`keepfast snapshots --forgotten` lists what can be brought back")
            }
            OperationsError::Stream(error) if error.is_empty() => {
                Some("if there is nothing to back up, and that is as it should be, use --allow-empty")
            }
            OperationsError::Secret(SecretError::NotGiven { .. }) => {
                Some("set KEEPFAST_PASSWORD, or use --password-file or --password-command")
            }
            OperationsError::Secret(SecretError::Empty { .. }) => {
                Some("give the variable a value, or unset it to be asked")
            }
            _ => None,
        };
    }
    match engine_error(error)? {
        EngineError::NoRepository { .. } => {
            Some("check the address, or make a repository with `keepfast init`")
        }
        EngineError::RepositoryExists { .. } => {
            Some("choose another place, or use the repository that is there")
        }
        EngineError::HalfMadeRepository { .. } => Some("remove what is there and run `keepfast init` again"),
        EngineError::Swapped { .. } => Some(
            "if you have put another repository in its place, take it with `keepfast cache accept`; if not, find out \
             who has",
        ),
        EngineError::Older { .. } => Some(
            "find out why; if the repository was set back on purpose, take it as it is with `keepfast cache accept`",
        ),
        EngineError::IndexIsAhead => {
            Some("clear this machine's index with `keepfast cache clear` and run the command again")
        }
        EngineError::Damaged { source: FormatError::NoKey { .. }, .. } => None,
        EngineError::Damaged { .. } => Some("`keepfast check` says what else is damaged"),
        EngineError::Missing { loss, .. } => match loss {
            Loss::Chunk => Some("`keepfast check --read-data` says which files that hits"),
            Loss::Pack => Some("`keepfast check` says which files that hits"),
            Loss::LiveChunk => {
                Some("`keepfast check` says which packs are missing, and which snapshots that hits")
            }
            Loss::BrokenPromise => Some("`keepfast doctor` tests the store"),
            Loss::Parameters | Loss::KeySlots | Loss::DeadPack => None,
        },
        EngineError::UnknownFeature { .. } => Some("use a newer keepfast"),
        EngineError::NameTaken { .. } => Some("`keepfast check` says what is there"),
        EngineError::Protected { .. } => {
            Some("`keepfast forget --unprotect ID` lets a snapshot be forgotten")
        }
        EngineError::Undecidable { .. } => {
            Some("`keepfast check` names the objects that decide nothing: remove them")
        }
        EngineError::Choice(ChoiceError::NoSnapshot { .. } | ChoiceError::NoneFits { .. }) => {
            Some("`keepfast snapshots` lists what there is")
        }
        EngineError::Choice(ChoiceError::NoWriter { .. }) => {
            Some("`keepfast snapshots --json` names writers")
        }
        EngineError::Prune(PruneError::OthersWereFaster) => {
            Some("run `keepfast prune` when the other garbage collections have ended")
        }
        EngineError::Prune(PruneError::TooManySnapshots { .. }) => {
            Some("forget some, and let `keepfast prune` move them into the catalogue")
        }
        EngineError::Prune(PruneError::MissingSnapshots { .. }) => {
            Some("`keepfast prune --accept-missing ID` gives a missing snapshot up for good")
        }
        EngineError::NotInSnapshot { .. } => Some("`keepfast ls` shows what there is"),
        EngineError::TargetNotEmpty { .. } => Some(
            "--overwrite WHEN says what happens to files that are there; --resume goes on with a restore",
        ),
        EngineError::DeletesFromTop => {
            Some("`--snapshot ID:/FOLDER` or --path chooses the directories that --delete may empty")
        }
        EngineError::Cache { .. } => Some("remove that folder, or choose another with --cache-dir"),
        EngineError::UnsafeCache { .. } => {
            Some("--cache-dir or KEEPFAST_CACHE_DIR names another place for the cache")
        }
        EngineError::WrongPassword { left, .. } if left.can_be_tried() => Some(
            "--slot-memory SIZE tries every key slot that asks for up to that much memory; some of them may be there \
             to keep you busy",
        ),
        EngineError::Unchangeable { .. } => Some(
            "it was left as it is; `keepfast snapshots` says whether it is still there, and `keepfast check` whether it \
             is sound",
        ),
        EngineError::PartsRemoved { .. } => {
            Some("another snapshot of that time may still have what you need")
        }
        EngineError::Backend(error) => backend_advice(error),
        _ => None,
    }
}

/// What can be done about a store that fails.
fn backend_advice(error: &BackendError) -> Option<&'static str> {
    match error.kind {
        BackendErrorKind::NoExclusiveNames(_) => Some(
            "nothing was overwritten, and what is stored can be read; use another store, or, if never more than one \
             run writes, a repository that was made on this one with `keepfast init --unsafe-store`",
        ),
        BackendErrorKind::Full => Some("`keepfast prune` removes what failed runs have left"),
        BackendErrorKind::Region => Some("--s3-region or AWS_REGION names the bucket's region"),
        BackendErrorKind::Certificates => {
            Some("--s3-ca-file FILE names authorities that are trusted, besides those of the system")
        }
        BackendErrorKind::Unsupported => Some("`keepfast doctor` says what the store lacks"),
        _ => None,
    }
}

/// Says what is wrong with the command line, or prints the help that it asks for.
fn explain(mut said: clap::Error) -> u8 {
    if said.use_stderr() {
        if let Some(usage) = usage_of(&said) {
            said.insert(ContextKind::Usage, usage);
        }
        // A shell's pattern may have put anyone's file names there.
        said.to_string().lines().for_each(lines::message);
        return 2;
    }
    lines::raw(said.to_string().as_bytes());
    complete(true, false)
}

/// The usage of the command that an error is about. The error's own line lists all options that have a value, as if
/// they were required: also those whose value is in the environment.
fn usage_of(said: &clap::Error) -> Option<ContextValue> {
    let ContextValue::StyledStr(line) = said.get(ContextKind::Usage)? else { return None };
    let line = line.to_string();
    let mut command = Arguments::command();
    command.build();
    let mut found = &mut command;
    for name in line.trim_start_matches("Usage:").split_whitespace().skip(1) {
        if found.find_subcommand(name).is_none() {
            break;
        }
        found = found.find_subcommand_mut(name)?;
    }
    Some(ContextValue::StyledStr(found.render_usage()))
}

/// The exit code of a command that has nothing to report. Lost results are an error of one that only shows;
/// what the others have done is done.
fn complete(only_shows: bool, json: bool) -> u8 {
    let Some(error) = lines::loss() else { return 0 };
    let error = anyhow::Error::new(error).context("the results can't be written to standard output");
    if only_shows {
        render::error(&error, 1, json);
        return 1;
    }
    render::note("warning", &format!("{error:#}"), json);
    0
}

/// Exit codes that scripts may rely on; docs/reference.md lists them.
fn exit_code(error: &anyhow::Error) -> u8 {
    match engine_error(error) {
        Some(EngineError::NoRepository { .. }) => 10,
        Some(EngineError::Fenced | EngineError::NameTaken { .. }) => 11,
        Some(EngineError::WrongPassword { .. }) => 12,
        Some(EngineError::Swapped { .. } | EngineError::Older { .. }) => 13,
        Some(EngineError::Blocked { .. }) => 14,
        Some(EngineError::Interrupted | EngineError::RestoreInterrupted) => 130,
        Some(_) => 1,
        None if is_wrong_input(error) => 2,
        None => 1,
    }
}

/// Deep trees keep a handle open for each level.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where this isn't allowed, the limit that is there does for all but the deepest trees.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The engine's error, whether it came through an operation or not.
pub fn engine_error(error: &anyhow::Error) -> Option<&EngineError> {
    let through_operation = || error.downcast_ref::<OperationsError>().and_then(OperationsError::engine);
    error.downcast_ref::<EngineError>().or_else(through_operation)
}

fn is_wrong_input(error: &anyhow::Error) -> bool {
    error.is::<usage::Usage>()
        || error.downcast_ref::<OperationsError>().is_some_and(OperationsError::is_wrong_input)
}
