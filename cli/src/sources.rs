//! What a backup is to take: the paths of the command line, and those in the files that it names.

use std::ffi::OsStr;
use std::fs::{FileType, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use keepfast_engine::run::Event;

use crate::args::Backup;
use crate::console::Console;
use crate::settings;
use crate::streams;
use crate::usage::Usage;

/// The paths that are there; the others are named and skipped, but not all of them can be.
pub fn existing_paths(options: &Backup, console: &Console) -> Result<Vec<PathBuf>> {
    let mut wanted = options.paths.clone();
    for list in &options.files_from {
        wanted.extend(paths_in(list, options.null)?);
    }
    if let Some(path) = &options.stored_as {
        let is_whole =
            path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !path.is_absolute() || !is_whole {
            let line = format!("--as {}: say an absolute path, without `.` and `..`", path.display());
            return Err(Usage(line).into());
        }
        if wanted.len() != 1 {
            return Err(Usage(format!("--as {} takes one directory", path.display())).into());
        }
    }
    let mut paths = Vec::new();
    let mut last_error = None;
    for path in &wanted {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => {
                let kind = metadata.file_type();
                if kind.is_symlink() && streams::is_descriptor(path) {
                    return Err(Usage(format!(
                        "{} is an open file of this program, as a shell makes one of `<(command)`: use --stdin to \
                         back up what comes from it, or --command -- COMMAND",
                        path.display()
                    ))
                    .into());
                }
                let is_taken = |target: &Metadata| options.read_special && is_special(target.file_type());
                let is_followed = options.follow
                    || options.follow_sources
                    || options.stored_as.is_some()
                    || std::fs::metadata(path).is_ok_and(|target| is_taken(&target));
                if kind.is_symlink() && !is_followed {
                    console.run().notice(format!(
                        "{} is a symbolic link, and the link is backed up; --follow-sources, or a slash behind the \
                         name of a directory, backs up what it points to",
                        path.display()
                    ));
                }
                if kind.is_char_device() || (is_special(kind) && !options.read_special) {
                    let how = if kind.is_char_device() { "--stdin" } else { "--read-special" };
                    console.run().notice(format!(
                        "{} is a pipe or device, and is backed up as that; {how} backs up what comes from it",
                        path.display()
                    ));
                }
                paths.push(settings::absolute(path)?);
            }
            Err(error) => {
                if wanted.len() > 1 {
                    console.run().tell(&Event::Skipped { path: path.clone(), why: error.to_string() });
                }
                last_error = Some((path, error));
            }
        }
    }
    match last_error {
        Some((path, error)) if paths.is_empty() => {
            Err(anyhow::Error::new(error).context(format!("{} can't be backed up", path.display())))
        }
        _ if paths.is_empty() => Err(Usage("the files of --files-from name no path".to_owned()).into()),
        _ => Ok(paths),
    }
}

/// Whether there is content that --read-special reads.
fn is_special(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_block_device()
}

/// The paths in a file, or in standard input if that is `-`: as they stand there, one a line or one before
/// each NUL. Nothing in them is a pattern, a comment or a quotation mark.
fn paths_in(list: &Path, with_null: bool) -> Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    let read = if list == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(list).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.with_context(|| format!("the list of paths {} can't be read", list.display()))?;
    let end = if with_null { 0 } else { b'\n' };
    let lines = bytes.split(|byte| *byte == end).filter(|line| !line.is_empty());
    Ok(lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect())
}
