//! The places in the audit's chain that backups of the state have noted. A person who can write to the database can compute
//! the whole chain again, but can't change what is in a snapshot.

use keepfast_engine::run::RunContext;
use keepfast_operations::open::{Mode, SharedRepository};
use keepfast_operations::times::rfc3339;
use keepfast_store::AuditAnchor;

use super::fetch::{part_of, wrong};
use super::find::{ABOUT_BYTES_MAX, of_states};
use super::{ABOUT, ANCHOR, About, RecoveryError};
use crate::error::Result;

/// Snapshots of one server that are read, at most.
const SNAPSHOTS_MAX: usize = 100;
/// Snapshots of all servers that are looked at for them, at most.
const LOOKED_AT_MAX: usize = 2_000;
/// Bytes of an anchor, at most.
const ANCHOR_BYTES_MAX: u64 = 256;

/// A place in the chain that a snapshot has noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnchor {
    /// The snapshot.
    pub snapshot: String,
    /// When it was made.
    pub time: String,
    /// The place.
    pub anchor: AuditAnchor,
}

/// What the newest backups of a server's state have noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredAnchors {
    /// The places, those of the newest snapshot first.
    pub anchors: Vec<StoredAnchor>,
    /// Snapshots without one: an older program made them, or the audit had no entry.
    pub without: usize,
}

/// Reads what the newest backups of the state of the server with this machine's name ([`crate::state::machine`]) have
/// noted, of at most 100 snapshots. `repository` is the repository's name, for errors.
///
/// # Errors
/// None of them has noted a place, or a snapshot can't be read.
pub fn read(
    machine: &str,
    repository: &str,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<StoredAnchors> {
    let opened = shared.open(run, Mode::Usual)?;
    let filter = of_states().resolve(&opened.snapshots)?;
    // The newest ones come last.
    let fitting = opened.snapshots.all.iter().rev().filter(|stored| filter.matches(stored));
    let mut found = StoredAnchors::default();
    for stored in fitting.take(LOOKED_AT_MAX) {
        if found.anchors.len() + found.without >= SNAPSHOTS_MAX {
            break;
        }
        let about = part_of(stored, ABOUT, ABOUT_BYTES_MAX, &opened, run)?.unwrap_or_default();
        // What doesn't say whose state it is was made by another program.
        let about = serde_json::from_slice::<About>(&about);
        if !about.is_ok_and(|about| about.machine == machine) {
            continue;
        }
        let snapshot = stored.snapshot.head.id.short();
        match part_of(stored, ANCHOR, ANCHOR_BYTES_MAX, &opened, run)? {
            None => found.without += 1,
            Some(text) => match parse(&snapshot, &text)? {
                None => found.without += 1,
                Some(anchor) => {
                    let time = rfc3339(stored.snapshot.body.start);
                    found.anchors.push(StoredAnchor { snapshot, time, anchor });
                }
            },
        }
    }
    if found.anchors.is_empty() {
        let (repository, snapshots) = (repository.to_owned(), found.without);
        return Err(RecoveryError::NoAnchor { repository, snapshots }.into());
    }
    Ok(found)
}

/// The place that a file says; nothing if the audit had no entry when the file was written.
fn parse(snapshot: &str, text: &[u8]) -> Result<Option<AuditAnchor>, RecoveryError> {
    let text = std::str::from_utf8(text).unwrap_or_default().trim_end();
    if text.starts_with("0:") {
        return Ok(None);
    }
    match AuditAnchor::parse(text) {
        None => Err(wrong(snapshot, ANCHOR, "it isn't the number and the hash of an entry of the audit")),
        anchor => Ok(anchor),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::parse;

    #[test]
    fn a_file_has_one_place_or_says_that_there_was_none() {
        let line = format!("12:{}\n", "5f".repeat(32));
        let anchor = parse("1a2b", line.as_bytes()).unwrap().unwrap();
        assert_eq!(format!("{anchor}\n"), line, "as the backup writes it");
        assert_eq!(parse("1a2b", b"0:-\n").unwrap(), None);
        for wrong in [&b""[..], b"12", b"12:5f", b"\xff", format!("{line}{line}").as_bytes()] {
            assert!(parse("1a2b", wrong).unwrap_err().to_string().contains("audit.anchor of snapshot 1a2b"));
        }
    }
}
