//! Compares what was restored with the files that it was made of, where they are on this machine. What was changed since
//! the snapshot was begun is excused.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keepfast_process::Cancel;
use keepfast_sources::check::Check;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

/// Differences that a report names, at most.
const NAMED_MAX: usize = 20;
/// Bytes that are compared at once.
const PIECE_BYTES: usize = 1 << 16;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Files and links that are the same.
    pub equal: u64,
    /// Those that were changed, replaced or removed since.
    pub changed: u64,
    /// Those that differ, and say that they weren't changed.
    pub different: u64,
    /// Those that can't be read where they are.
    pub unreadable: u64,
    /// The first of those that differ, and how.
    pub named: Vec<String>,
}

impl Compared {
    /// As a check of a drill. Only files that differ without a change are a fault.
    #[must_use]
    pub fn check(&self) -> Check {
        let Self { equal, changed, different, unreadable, named } = self;
        let mut found = format!("{equal} equal, {changed} changed since, {different} different");
        if *unreadable > 0 {
            found.push_str(&format!(", {unreadable} can't be read there"));
        }
        if !named.is_empty() {
            found.push_str(&format!(" ({})", named.join("; ")));
        }
        let is_right = *different == 0;
        Check { name: "live files".to_owned(), expected: Some("0 different".to_owned()), found, is_right }
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'c> {
    /// Where it was restored.
    pub restored: &'c Path,
    /// Which folder it was made of: that in which the same paths are.
    pub live: &'c Path,
    /// What isn't compared, by its path below both: what a program wrote, and not a file of this machine.
    pub except: &'c [PathBuf],
    /// When the snapshot was begun.
    pub begun: Timestamp,
    /// Ends it early.
    pub cancel: &'c Cancel,
}

/// Compares all regular files and symbolic links of what was restored with the live ones.
///
/// # Errors
/// What was restored can't be read, or the run was cancelled.
pub fn compare(comparison: Comparison<'_>) -> io::Result<Compared> {
    let mut compared = Compared::default();
    let mut stack = vec![PathBuf::new()];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(comparison.restored.join(&folder))? {
            if comparison.cancel.is_cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, folder.join(entry.file_name()));
            if comparison.except.contains(&path) {
                continue;
            }
            if kind.is_dir() {
                stack.push(path);
                continue;
            }
            if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
                continue;
            }
            match comparison.one(&path)? {
                Found::Equal => compared.equal += 1,
                Found::Changed => compared.changed += 1,
                Found::Unreadable => compared.unreadable += 1,
                Found::Different(how) => {
                    compared.different += 1;
                    if compared.named.len() < NAMED_MAX {
                        let live = comparison.live.join(&path);
                        compared.named.push(format!("{}: {how}", live.display()));
                    }
                }
            }
        }
    }
    compared.named.sort();
    Ok(compared)
}

enum Found {
    Equal,
    Changed,
    Different(&'static str),
    Unreadable,
}

impl Comparison<'_> {
    fn one(&self, path: &Path) -> io::Result<Found> {
        let (restored, live) = (self.restored.join(path), self.live.join(path));
        let expected = fs::symlink_metadata(&restored)?;
        let found = match fs::symlink_metadata(&live) {
            Ok(found) => found,
            Err(error) => return Ok(absent(&error)),
        };
        if self.is_newer(&found) {
            return Ok(Found::Changed);
        }
        if found.file_type() != expected.file_type() {
            return Ok(Found::Different("it is of another kind"));
        }
        if expected.is_symlink() {
            let same = fs::read_link(&restored)? == fs::read_link(&live).unwrap_or_default();
            return Ok(if same { Found::Equal } else { Found::Different("it points elsewhere") });
        }
        if (found.mtime(), found.mtime_nsec()) != (expected.mtime(), expected.mtime_nsec()) {
            return Ok(Found::Different("its modification time is another"));
        }
        if found.len() != expected.len() {
            return Ok(Found::Different("its size is another"));
        }
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let mut live = match fs::OpenOptions::new().read(true).custom_flags(flags).open(&live) {
            Ok(live) => live,
            Err(error) => return Ok(absent(&error)),
        };
        let same = match same_bytes(&mut File::open(&restored)?, &mut live) {
            Ok(same) => same,
            Err(Side::Restored(error)) => return Err(error),
            Err(Side::Live) => return Ok(Found::Unreadable),
        };
        if same {
            return Ok(Found::Equal);
        }
        // It may have been written to while it was read.
        let is_changed = live.metadata().is_ok_and(|again| self.is_newer(&again));
        Ok(if is_changed { Found::Changed } else { Found::Different("its content is another") })
    }

    /// Whether a file says that it was changed after the snapshot was begun. A program can set the time of modification,
    /// but not that of the last change.
    fn is_newer(&self, found: &Metadata) -> bool {
        let begun = (self.begun.as_second(), i64::from(self.begun.subsec_nanosecond()));
        (found.ctime(), found.ctime_nsec()) >= begun || (found.mtime(), found.mtime_nsec()) >= begun
    }
}

fn absent(error: &io::Error) -> Found {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Found::Changed,
        _ => Found::Unreadable,
    }
}

/// Which of two files couldn't be read.
enum Side {
    Restored(io::Error),
    Live,
}

fn same_bytes(restored: &mut File, live: &mut File) -> Result<bool, Side> {
    let (mut one, mut other) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let count = fill(restored, &mut one).map_err(Side::Restored)?;
        let same = fill(live, &mut other).map_err(|_| Side::Live)? == count && one[..count] == other[..count];
        if !same || count == 0 {
            return Ok(same);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use jiff::{SignedDuration, Timestamp};
    use keepfast_process::Cancel;

    use super::{Compared, Comparison, compare};

    /// The time of the file that is newest, and a moment later: what is there was changed before.
    fn after(folder: &Path) -> Timestamp {
        use std::os::unix::fs::MetadataExt;
        let newest = fs::read_dir(folder).expect("listed").map(|entry| {
            let found = entry.expect("an entry").metadata().expect("metadata");
            (found.ctime(), found.ctime_nsec())
        });
        let (seconds, nanos) = newest.max().expect("an entry");
        let at =
            Timestamp::new(seconds, i32::try_from(nanos).expect("less than a second")).expect("an instant");
        at + SignedDuration::from_nanos(1)
    }

    fn write(folder: &Path, name: &str, content: &str) {
        fs::write(folder.join(name), content).expect("written");
        let file = File::options().write(true).open(folder.join(name)).expect("opened");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        file.set_modified(time).expect("set");
    }

    #[test]
    fn what_was_changed_since_is_excused_and_what_was_not_is_a_fault() {
        let (restored, live) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
        let (restored, live) = (restored.path(), live.path());
        for folder in [restored, live] {
            write(folder, "same", "content");
            write(folder, "rotten", if folder == live { "cantent" } else { "content" });
            write(folder, "shorter", if folder == live { "c" } else { "content" });
            symlink(if folder == live { "there" } else { "here" }, folder.join("link")).expect("linked");
            symlink("same", folder.join("right")).expect("linked");
        }
        let begun = after(live);
        // Each of these is newer than the snapshot by its last change, whatever its time of modification says.
        while Timestamp::from_nanosecond(i128::from(clock(live))).expect("an instant") < begun {}
        write(restored, "newer", "content");
        write(live, "newer", "other");
        write(restored, "gone", "content");
        write(restored, "stream", "content");
        let except = ["stream".into()];
        let compare =
            |cancel: &Cancel| compare(Comparison { restored, live, except: &except, begun, cancel });
        let found = compare(&Cancel::new()).expect("compared");
        assert_eq!(
            (found.equal, found.changed, found.different, found.unreadable),
            (2, 2, 3, 0),
            "{found:?}"
        );
        let named = found.named.join("\n");
        for part in
            ["link: it points elsewhere", "rotten: its content is another", "shorter: its size is another"]
        {
            assert!(named.contains(part), "{named}");
        }
        assert!(!found.check().is_right && Compared { different: 0, ..found }.check().is_right);
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(compare(&cancel).is_err());
    }

    /// What the clock of the file system says: that of a file that was only just made.
    fn clock(beside: &Path) -> i64 {
        use std::os::unix::fs::MetadataExt;
        let found =
            tempfile::NamedTempFile::new_in(beside.parent().expect("a folder above")).expect("a file");
        let found = found.as_file().metadata().expect("metadata");
        found.ctime() * 1_000_000_000 + found.ctime_nsec()
    }
}
