//! What a backup is to take: the paths of the command line, and those in the files that it names.

use std::path::{Path, PathBuf};

use anyhow::Result;
use keepfast_operations::OperationsError;
use keepfast_operations::error::SourceError;
use keepfast_operations::sources::{self, PathEnd, Remark};

use crate::args::Backup;
use crate::usage::Usage;

/// All paths that are named. Without any, there is a stream.
pub fn paths(options: &Backup) -> Result<Vec<PathBuf>> {
    let mut paths = options.paths.clone();
    let end = if options.null { PathEnd::Nul } else { PathEnd::Line };
    for list in &options.files_from {
        paths.extend(if list == Path::new("-") {
            sources::read_list(list, &mut std::io::stdin().lock(), end)?
        } else {
            sources::read_list_file(list, end)?
        });
    }
    if paths.is_empty() && !options.files_from.is_empty() {
        return Err(explained(SourceError::NoPath.into()));
    }
    Ok(paths)
}

/// A line about a path, with what would back up something else.
pub fn note(remark: &Remark) -> String {
    match remark {
        Remark::Skipped { .. } => remark.to_string(),
        Remark::Link { .. } => format!(
            "{remark}; --follow-sources, or a slash behind the name of a directory, backs up what it points to"
        ),
        Remark::Special { .. } => format!("{remark}; --read-special backs up what comes from it"),
        Remark::CharacterDevice { .. } => format!("{remark}; --stdin backs up what comes from it"),
    }
}

/// What to write instead, where that is a matter of the command line.
pub fn explained(error: OperationsError) -> anyhow::Error {
    let OperationsError::Source(wrong) = &error else { return error.into() };
    let advice = match wrong {
        SourceError::Descriptor { .. } => {
            format!("{wrong}: use --stdin to back up what comes from it, or --command -- COMMAND")
        }
        SourceError::StoredAs { path } => {
            format!("--as {}: say an absolute path, without `.` and `..`", path.display())
        }
        SourceError::StoredAsOne { path, .. } => format!("--as {} takes one directory", path.display()),
        SourceError::NoPath => "the files of --files-from name no path".to_owned(),
        _ => return error.into(),
    };
    Usage(advice).into()
}
