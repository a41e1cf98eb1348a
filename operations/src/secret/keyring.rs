//! Secrets in the keyring of the desktop (the Secret Service), by the program `secret-tool`, which prints one.

use std::ffi::OsString;
use std::io;
use std::thread;

use keepfast_backend::Cancel;
use zeroize::Zeroizing;

use super::read_bounded::read_bounded;
use super::source::SECRET_BYTES_MAX;
use super::waiting::Patience;
use crate::child::{ChildGroup, ChildInput, ChildMessages, Children, CommandLine, Ends, Started};
use crate::error::FetchError;

const PROGRAM: &str = "secret-tool";
const PACKAGE: &str = "libsecret-tools";
/// What all entries for this program have as `service`.
const SERVICE: &str = "keepfast";

/// Looks an entry up. A keyring that is locked may ask its owner first, in a window of its own.
pub fn fetch(
    name: &str,
    children: &Children,
    patience: Patience<'_>,
) -> Result<Zeroizing<Vec<u8>>, FetchError> {
    let not_run = |source| FetchError::ProgramNotRun { program: PROGRAM, source };
    let words = [PROGRAM, "lookup", "service", SERVICE, "username", name].map(OsString::from);
    let children = Children { group: ChildGroup::Own, messages: ChildMessages::Captured, ..children.clone() };
    let ends = Ends { run: patience.cancel.clone(), group: Cancel::new() };
    let time_is_up = ends.group.clone();
    let started = children.start(&CommandLine::Arguments(words.to_vec()), ChildInput::Empty, ends);
    let Started { output, running } = started.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FetchError::NoProgram { program: PROGRAM, package: PACKAGE },
        _ => not_run(error),
    })?;
    let (printed, ended) = thread::scope(|scope| {
        let has_ended = Cancel::new();
        let watched = has_ended.clone();
        scope.spawn(move || {
            if !watched.wait(patience.limit) {
                time_is_up.cancel();
            }
        });
        let printed = read_bounded(output);
        // One that printed too much waits until someone reads the rest: it is killed instead.
        let ended = match &printed {
            Ok(bytes) if bytes.len() <= SECRET_BYTES_MAX => running.wait(),
            _ => Ok(None),
        };
        has_ended.cancel();
        (printed, ended)
    });
    if patience.cancel.is_cancelled() {
        return Err(FetchError::Cancelled);
    }
    let Some(ended) = ended.map_err(not_run)? else {
        // What is too long is refused by the caller.
        return printed.map_err(|_| FetchError::TooSlow { limit: patience.limit });
    };
    let stderr = ended.stderr.unwrap_or_default();
    match ended.status.success() {
        true => printed.map_err(not_run),
        // That is how it says that there is none.
        false if stderr.trim().is_empty() => {
            Err(FetchError::NoSuchEntry { service: SERVICE, name: name.to_owned() })
        }
        false => Err(FetchError::ProgramFailed { program: PROGRAM, status: ended.status, stderr }),
    }
}
