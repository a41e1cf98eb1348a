//! Where the programs of a version of PostgreSQL are.

use std::io::Read;
use std::path::{Path, PathBuf};

use keepfast_process::tool::{Feed, Tool, find};

use crate::context::Context;

/// Where distributions have them, by version.
const FOLDERS: &[(&str, &str)] = &[
    ("/usr/lib/postgresql/", "/bin"),
    ("/usr/pgsql-", "/bin"),
    ("/usr/local/pgsql-", "/bin"),
    ("/opt/postgresql/", "/bin"),
];
/// The longest answer to `--version` that is read.
const VERSION_BYTES_MAX: u64 = 1000;

/// The folder with the programs of this major version.
pub(super) fn folder_of(major: &str, context: &Context<'_>) -> Option<PathBuf> {
    let usual = FOLDERS.iter().map(|(before, behind)| PathBuf::from(format!("{before}{major}{behind}")));
    let found = find("postgres", &[]).and_then(|program| program.parent().map(Path::to_owned));
    let mut folders = context.programs.iter().cloned().chain(usual).chain(found);
    folders.find(|folder| {
        folder.join("postgres").is_file()
            && version(&folder.join("postgres"), context).as_deref() == Some(major)
    })
}

/// The first number of what a program says of its version: `postgres (PostgreSQL) 15.20 (Debian …)`.
fn version(program: &Path, context: &Context<'_>) -> Option<String> {
    let tool = Tool::new(program, &context.secrets).arg("--version");
    let fed = tool.start(Feed::Nothing, &context.cancel).ok()?;
    let mut text = String::new();
    fed.started.output.take(VERSION_BYTES_MAX).read_to_string(&mut text).ok()?;
    fed.started.running.wait().ok()??.status.success().then_some(())?;
    let number = text.split_whitespace().find(|word| word.starts_with(|sign: char| sign.is_ascii_digit()))?;
    number.split(|sign: char| !sign.is_ascii_digit()).next().map(str::to_owned)
}
