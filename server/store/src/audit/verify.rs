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

/// What the chain has in the place of an anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorFate {
    /// The same entry.
    Met,
    /// Another entry, so the chain was written again.
    Wrong,
    /// Nothing: the chain ends before it.
    Missing,
    /// Nothing: the entry was removed for its age.
    Removed,
    /// No one knows: the chain is broken before it.
    NotReached,
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
    /// What the chain has in the place of each anchor, in the order in which they were given.
    pub anchors: Vec<AnchorFate>,
    /// The first thing that is wrong.
    pub fault: Option<AuditFault>,
}

impl AuditVerdict {
    /// How many of the anchors are the chain's own.
    #[must_use]
    pub fn anchors_met(&self) -> usize {
        self.anchors.iter().filter(|fate| **fate == AnchorFate::Met).count()
    }
}

impl Store {
    /// Reads the whole audit as it is at one moment, page by page, up to the first entry that isn't as it was written.
    /// `anchors` are places in the chain that were kept elsewhere: without one, a person who can write to the database
    /// could have written all of it again. After a wrong anchor, the rest is read to compare the other ones.
    pub async fn audit_verify(&self, anchors: &[AuditAnchor]) -> Result<AuditVerdict> {
        let mut tx = self.db.begin_snapshot("verifying the audit").await?;
        let start = anchor(&mut tx, super::START).await?;
        let head = anchor(&mut tx, HEAD).await?;
        let none = AuditAnchor { sequence: Sequence::START, hash: AuditHash::START };
        let start = start.unwrap_or_else(|| none.clone());
        let mut compared = Compared::new(anchors, &start);
        // The hash of the last entry that was removed is known, so it can be compared, too.
        let fault = if start == none { None } else { compared.with(&start) };
        let mut verdict = AuditVerdict { entries: 0, end: start.clone(), start, anchors: Vec::new(), fault };
        let mut last = verdict.start.clone();
        loop {
            let sql = concat!(
                "SELECT ",
                audit_columns!(),
                " FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2"
            );
            let rows = tx.rows(sql, values![last.sequence.0, PageSize::MAX.rows()]).await?;
            for row in &rows {
                last = match read(row, &last)? {
                    Ok(read) => read,
                    Err(fault) => {
                        verdict.fault.get_or_insert(fault);
                        verdict.anchors = compared.fates();
                        return Ok(verdict);
                    }
                };
                let fault = compared.with(&last);
                if verdict.fault.is_none() {
                    verdict.fault = fault;
                }
                if verdict.fault.is_none() {
                    verdict.end = last.clone();
                    verdict.entries += 1;
                }
            }
            if !PageSize::MAX.is_filled_by(rows.len()) {
                break;
            }
        }
        let beyond = compared.miss_the_rest();
        verdict.anchors = compared.fates();
        if verdict.fault.is_none() {
            let head = head.unwrap_or(none);
            let found = last.sequence.number();
            verdict.fault = if last.sequence != head.sequence {
                Some(AuditFault::CutOff { found, expected: head.sequence.number() })
            } else if last.hash != head.hash {
                Some(AuditFault::WrongHead { sequence: found })
            } else {
                beyond
            };
        }
        Ok(verdict)
    }
}

/// Anchors, and what was found of them so far.
struct Compared<'a>(Vec<(&'a AuditAnchor, AnchorFate)>);

impl<'a> Compared<'a> {
    fn new(anchors: &'a [AuditAnchor], start: &AuditAnchor) -> Self {
        let fate = |anchor: &AuditAnchor| match anchor.sequence <= start.sequence {
            true => AnchorFate::Removed,
            false => AnchorFate::NotReached,
        };
        Self(anchors.iter().map(|anchor| (anchor, fate(anchor))).collect())
    }

    /// Compares the anchors of an entry with it.
    fn with(&mut self, entry: &AuditAnchor) -> Option<AuditFault> {
        let mut fault = None;
        for (anchor, fate) in self.0.iter_mut().filter(|(anchor, _)| anchor.sequence == entry.sequence) {
            *fate = if anchor.hash == entry.hash { AnchorFate::Met } else { AnchorFate::Wrong };
            if *fate == AnchorFate::Wrong {
                fault = Some(AuditFault::WrongAnchor { sequence: entry.sequence.number() });
            }
        }
        fault
    }

    /// The chain was read to its end: what was not reached isn't there.
    fn miss_the_rest(&mut self) -> Option<AuditFault> {
        let mut fault = None;
        for (anchor, fate) in self.0.iter_mut().filter(|(_, fate)| *fate == AnchorFate::NotReached) {
            *fate = AnchorFate::Missing;
            fault.get_or_insert(AuditFault::NoAnchor { sequence: anchor.sequence.number() });
        }
        fault
    }

    fn fates(self) -> Vec<AnchorFate> {
        self.0.into_iter().map(|(_, fate)| fate).collect()
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
