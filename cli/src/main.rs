//! `keepfast`: backs up into repositories, restores from them, checks them.

mod advice;
mod args;
mod colour;
mod commands;
mod complete;
mod console;
mod databases;
mod lines;
mod prompt;
mod render;
mod s3;
mod secrets;
mod settings;
mod sources;
mod streams;
mod units;
mod usage;
mod verdicts;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue};
use keepfast_engine::EngineError;
use keepfast_operations::OperationsError;
use keepfast_operations::priority::be_nice;
use keepfast_server::ServerError;
use keepfast_server::access::AccessError;
use keepfast_sources::postgres::wal::FAILED;

use args::Arguments;

/// How a command ended, when it didn't fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is well.
    Complete,
    /// It finished, but some files were skipped, or there are findings.
    WithFindings,
    /// It has an exit code of its own, which another program understands.
    Ended(u8),
}

fn main() -> ExitCode {
    complete::answer_shell();
    let parsed = Arguments::with_examples().try_get_matches();
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(said) => {
            let code = explain(said);
            return ExitCode::from(if code != 0 && is_wal_get() { FAILED } else { code });
        }
    };
    colour::set(arguments.common.color);
    raise_open_files();
    be_nice(arguments.common.nice());
    let json = arguments.common.json;
    let only_shows = arguments.command.only_shows();
    let code = match commands::run(arguments) {
        Ok(Outcome::Complete) => complete(only_shows, json),
        Ok(Outcome::WithFindings) => 3,
        Ok(Outcome::Ended(code)) => code,
        Err(error) => {
            let code = exit_code(&error);
            render::error(&error, code, json);
            if let Some(way_on) = advice::way_on(&error) {
                render::note("note", way_on, json);
            }
            code
        }
    };
    ExitCode::from(code)
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

/// Whether a server asks for a file of its log. It takes low exit codes, also that of wrong usage, for the end of the log.
fn is_wal_get() -> bool {
    let words: Vec<OsString> = std::env::args_os().collect();
    words.windows(2).any(|pair| matches!(pair, [one, other] if one == "wal" && other == "get"))
}

/// The usage of the command that an error is about. The error's own line lists all options that have a value, as if
/// they were required: also those whose value is in the environment.
fn usage_of(said: &clap::Error) -> Option<ContextValue> {
    let ContextValue::StyledStr(line) = said.get(ContextKind::Usage)? else { return None };
    let line = line.to_string();
    let mut command = Arguments::with_examples();
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
    let through_plan = || match error.downcast_ref::<ServerError>()? {
        ServerError::Operations(error) => error.engine(),
        _ => None,
    };
    error.downcast_ref::<EngineError>().or_else(through_operation).or_else(through_plan)
}

fn is_wrong_input(error: &anyhow::Error) -> bool {
    let of_plan = || error.downcast_ref::<ServerError>().is_some_and(ServerError::is_wrong_input);
    error.is::<usage::Usage>()
        || of_plan()
        || error.downcast_ref::<AccessError>().is_some_and(AccessError::is_wrong_input)
        || error.downcast_ref::<OperationsError>().is_some_and(OperationsError::is_wrong_input)
}
