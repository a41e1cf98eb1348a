//! Parts of a snapshot, no larger than they may be.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::run::RunContext;
use keepfast_engine::{EngineError, dump as dumping};
use keepfast_operations::OperationsError;
use keepfast_operations::open::{Opened, SharedRepository};
use keepfast_operations::requests::{Dump, dump};

use super::{RecoveryError, STORED_AS};
use crate::error::Result;

/// Where a part is in a snapshot.
fn path_of(part: &str) -> PathBuf {
    Path::new(STORED_AS).join(part)
}

/// Writes a part of a snapshot to `out`, at most this many bytes.
pub(super) fn write_part(
    snapshot: &str,
    part: &str,
    bytes_max: u64,
    out: &mut dyn Write,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<(), RecoveryError> {
    let request = Dump {
        snapshot: snapshot.to_owned(),
        filter: Default::default(),
        path: path_of(part),
        resources: Default::default(),
    };
    let mut bounded = Bounded { out, bytes_left: bytes_max };
    let dumped = dump(&request, &mut bounded, shared, run);
    dumped.map(drop).map_err(|source| unreadable(snapshot, part, source))
}

/// A part of a snapshot in a repository that is open, at most this many bytes; nothing if the snapshot doesn't have it.
pub(super) fn part_of(
    stored: &StoredSnapshot,
    part: &str,
    bytes_max: u64,
    opened: &Opened,
    run: &RunContext,
) -> Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut bounded = Bounded { out: &mut bytes, bytes_left: bytes_max };
    let (repository, index, snapshot) = (&opened.repository, &opened.index, &stored.snapshot);
    let path = path_of(part);
    let dumped = dumping::dump(repository, index, snapshot, path.as_os_str().as_bytes(), &mut bounded, run);
    match dumped {
        Ok(_) => Ok(Some(bytes)),
        Err(EngineError::NotInSnapshot { .. }) => Ok(None),
        Err(error @ EngineError::Interrupted) => Err(OperationsError::from(error).into()),
        Err(error) => Err(unreadable(&snapshot.head.id.short(), part, error.into()).into()),
    }
}

fn unreadable(snapshot: &str, part: &str, source: OperationsError) -> RecoveryError {
    RecoveryError::NoState { snapshot: snapshot.to_owned(), part: part.to_owned(), source: Box::new(source) }
}

/// A part of a snapshot as text, at most this many bytes.
pub(super) fn read_part(
    snapshot: &str,
    part: &str,
    bytes_max: u64,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<String, RecoveryError> {
    let mut bytes = Vec::new();
    write_part(snapshot, part, bytes_max, &mut bytes, shared, run)?;
    String::from_utf8(bytes).map_err(|_| wrong(snapshot, part, "it isn't UTF-8"))
}

pub(super) fn wrong(snapshot: &str, part: &str, why: impl Into<String>) -> RecoveryError {
    RecoveryError::Wrong { snapshot: snapshot.to_owned(), part: part.to_owned(), why: why.into() }
}

struct Bounded<'o> {
    out: &'o mut dyn Write,
    bytes_left: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match self.bytes_left.checked_sub(length) {
            Some(left) => self.bytes_left = left,
            None => return Err(io::Error::other("it is larger than such a file may be")),
        }
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Bounded, Write};

    #[test]
    fn what_is_larger_than_it_may_be_is_refused_before_it_is_kept() {
        let mut out = Vec::new();
        let mut bounded = Bounded { out: &mut out, bytes_left: 5 };
        bounded.write_all(b"abc").unwrap();
        assert!(bounded.write_all(b"def").is_err());
        assert_eq!(out, b"abc");
    }
}
