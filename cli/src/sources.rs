//! What a backup is to take: the paths of the command line, and those in the files that it names.

use std::path::{Path, PathBuf};

use anyhow::Result;
use keepfast_engine::run::Event;
use keepfast_operations::OperationsError;
use keepfast_operations::error::SourceError;
use keepfast_operations::sources::{self, PathEnd, PathSources, Remark};

use crate::args::Backup;
use crate::console::Console;
use crate::usage::Usage;

/// The paths that are there; the others are named and skipped, but not all of them can be.
pub fn existing_paths(options: &Backup, console: &Console) -> Result<Vec<PathBuf>> {
    let mut paths = options.paths.clone();
    let end = if options.null { PathEnd::Nul } else { PathEnd::Line };
    for list in &options.files_from {
        paths.extend(if list == Path::new("-") {
            sources::read_list(list, &mut std::io::stdin().lock(), end)?
        } else {
            sources::read_list_file(list, end)?
        });
    }
    let sources = PathSources {
        paths,
        stored_as: options.stored_as.clone(),
        follow: options.follow,
        follow_sources: options.follow_sources,
        read_special: options.read_special,
    };
    sources::find(&sources, &mut |remark| tell(remark, console)).map_err(explained)
}

fn tell(remark: Remark, console: &Console) {
    let note = match remark {
        Remark::Skipped { path, why } => return console.run().tell(&Event::Skipped { path, why }),
        Remark::Link { path } => format!(
            "{} is a symbolic link, and the link is backed up; --follow-sources, or a slash behind the name of a \
             directory, backs up what it points to",
            path.display()
        ),
        Remark::Special { path } => of_device(&path, "--read-special"),
        Remark::CharacterDevice { path } => of_device(&path, "--stdin"),
    };
    console.run().notice(note);
}

fn of_device(path: &Path, how: &str) -> String {
    format!(
        "{} is a pipe or device, and is backed up as that; {how} backs up what comes from it",
        path.display()
    )
}

/// What to write instead, where that is a matter of the command line.
fn explained(error: OperationsError) -> anyhow::Error {
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
