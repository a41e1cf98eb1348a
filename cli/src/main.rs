//! `keepfast`: backs up into repositories, restores from them, checks them.

mod args;
mod commands;
mod console;
mod manners;
mod render;
mod retention;
mod s3;
mod settings;
mod units;
mod usage;

use std::process::ExitCode;

use clap::Parser;
use keepfast_engine::EngineError;

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
    let arguments = Arguments::parse();
    raise_open_files();
    if arguments.common.nice {
        manners::be_nice();
    }
    if let Some(threads) = arguments.common.threads {
        // It fails where there is a pool already, and here there is none yet.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    }
    let json = arguments.common.json;
    match commands::run(arguments) {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::WithFindings) => ExitCode::from(3),
        Err(error) => {
            let code = exit_code(&error);
            render::error(&error, code, json);
            ExitCode::from(code)
        }
    }
}

/// Exit codes that scripts may rely on; README lists them.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<EngineError>() {
        Some(EngineError::NoRepository { .. }) => 10,
        Some(EngineError::Fenced | EngineError::NameTaken { .. }) => 11,
        Some(EngineError::WrongPassword { .. }) => 12,
        Some(EngineError::Swapped { .. } | EngineError::Older { .. }) => 13,
        Some(EngineError::Blocked { .. }) => 14,
        Some(EngineError::Interrupted | EngineError::RestoreInterrupted) => 130,
        Some(_) => 1,
        None if error.is::<usage::Usage>() => 2,
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
