//! Reading the whole audit, entry by entry, and naming the first one that isn't as it was written.

use super::{AuditAnchor, audit_columns};
use crate::Store;
use crate::db::{HEAD, Hashed, Row, Tx, values};
use crate::error::Result;
use crate::types::{AuditHash, PageSize, Sequence};

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// The chain has a gap before it.
    #[error("entry {found} follows entry {after}: what was between them is missing")]
    Missing {
        /// The entry after the gap.
        found: u64,
        /// The entry before the gap.
        after: u64,
    },
    /// It names another entry before it.
    #[error("entry {sequence} doesn't follow the entry before it: one of them was put in, or written again")]
    Unlinked {
        /// The entry.
        sequence: u64,
    },
    /// Its fields don't have its hash.
    #[error("entry {sequence} was changed: its hash is another entry's")]
    Changed {
        /// The entry.
        sequence: u64,
    },
    /// The newest entries were removed, or the chain was written again.
    #[error(
        "the chain ends with entry {found}, and the newest one is entry {expected}: the newest entries are missing"
    )]
    CutOff {
        /// The last entry that there is.
        found: u64,
        /// The last entry that there should be.
        expected: u64,
    },
    /// The newest entry isn't the one that is known as the newest.
    #[error("entry {sequence} is the newest one, and has another hash than is known of it")]
    WrongHead {
        /// The entry.
        sequence: u64,
    },
    /// An entry has another hash than an anchor that was kept elsewhere.
    #[error("entry {sequence} has another hash than its anchor: the chain was written again")]
    WrongAnchor {
        /// The entry.
        sequence: u64,
    },
    /// An anchor is of an entry that isn't there any more, though no older one was removed for its age.
    #[error("entry {sequence} of an anchor isn't there: the newest entries are missing")]
    NoAnchor {
        /// The entry.
        sequence: u64,
    },
}

/// What came of reading the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many entries were read.
    pub entries: u64,
    /// The last entry that was removed for its age, from which the chain goes on.
    pub start: AuditAnchor,
    /// The last entry that was read.
    pub end: AuditAnchor,
    /// How many of the anchors are of entries that were read; the others are of entries that were removed for their age.
    pub anchors_met: usize,
    /// The first thing that is wrong.
    pub fault: Option<AuditFault>,
}

impl Store {
    /// Reads the whole audit as it is at one moment, page by page, up to the first entry that isn't as it was written.
    /// `anchors` are places in the chain that were kept elsewhere: without one, a person who can write to the database
    /// could have written all of it again.
    pub async fn audit_verify(&self, anchors: &[AuditAnchor]) -> Result<AuditVerdict> {
        let mut tx = self.db.begin_snapshot("verifying the audit").await?;
        let start = anchor(&mut tx, super::START).await?;
        let head = anchor(&mut tx, HEAD).await?;
        let none = AuditAnchor { sequence: Sequence::START, hash: AuditHash::START };
        let start = start.unwrap_or_else(|| none.clone());
        let mut verdict = AuditVerdict { entries: 0, end: start.clone(), start, anchors_met: 0, fault: None };
        loop {
            let sql = concat!(
                "SELECT ",
                audit_columns!(),
                " FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2"
            );
            let rows = tx.rows(sql, values![verdict.end.sequence.0, PageSize::MAX.rows()]).await?;
            for row in &rows {
                let read = read(row, &verdict.end)?;
                match read.and_then(|read| against_anchors(read, anchors, &mut verdict.anchors_met)) {
                    Ok(read) => {
                        verdict.end = read;
                        verdict.entries += 1;
                    }
                    Err(fault) => {
                        verdict.fault = Some(fault);
                        return Ok(verdict);
                    }
                }
            }
            if !PageSize::MAX.is_filled_by(rows.len()) {
                break;
            }
        }
        let end = &verdict.end;
        let head = head.unwrap_or(none);
        verdict.fault = if end.sequence != head.sequence {
            let (found, expected) = (end.sequence.number(), head.sequence.number());
            Some(AuditFault::CutOff { found, expected })
        } else if end.hash != head.hash {
            Some(AuditFault::WrongHead { sequence: end.sequence.number() })
        } else {
            let beyond = anchors.iter().find(|anchor| anchor.sequence > end.sequence);
            beyond.map(|anchor| AuditFault::NoAnchor { sequence: anchor.sequence.number() })
        };
        Ok(verdict)
    }
}

async fn anchor(tx: &mut Tx, name: &'static str) -> Result<Option<AuditAnchor>> {
    let sql = "SELECT sequence, hash FROM audit_anchor WHERE name = $1";
    let Some(row) = tx.row(sql, values![name]).await? else { return Ok(None) };
    Ok(Some(AuditAnchor { sequence: Sequence(row.integer("sequence")?), hash: row.name("hash")? }))
}

/// The entry of a row, if it follows the one before it.
fn read(row: &Row, before: &AuditAnchor) -> Result<std::result::Result<AuditAnchor, AuditFault>> {
    let stored = row.integer("sequence")?;
    let (who, origin) = (row.string("who")?, row.string("origin")?);
    let (action, object) = (row.string("action")?, row.string("object")?);
    let (was, is) = (row.optional_string("before")?, row.optional_string("after")?);
    let (previous, stored_hash) = (row.string("previous")?, row.string("hash")?);
    let hashed = Hashed {
        sequence: stored,
        at: row.integer("at")?,
        who: &who,
        origin: &origin,
        action: &action,
        object: &object,
        before: was.as_deref(),
        after: is.as_deref(),
        previous: &previous,
    };
    let sequence = Sequence(stored).number();
    let hash = hashed.hash();
    Ok(if stored != before.sequence.0 + 1 {
        Err(AuditFault::Missing { found: sequence, after: before.sequence.number() })
    } else if hash.as_str() != stored_hash {
        Err(AuditFault::Changed { sequence })
    } else if previous != before.hash.as_str() {
        Err(AuditFault::Unlinked { sequence })
    } else {
        Ok(AuditAnchor { sequence: Sequence(stored), hash })
    })
}

fn against_anchors(
    read: AuditAnchor,
    anchors: &[AuditAnchor],
    met: &mut usize,
) -> std::result::Result<AuditAnchor, AuditFault> {
    for anchor in anchors.iter().filter(|anchor| anchor.sequence == read.sequence) {
        if anchor.hash != read.hash {
            return Err(AuditFault::WrongAnchor { sequence: read.sequence.number() });
        }
        *met += 1;
    }
    Ok(read)
}
