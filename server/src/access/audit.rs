//! The audit for people and programs: pages of it, verification, export.

use jiff::Timestamp;
use keepfast_access::csv;
use keepfast_store::{
    AnchorFate, AuditAnchor, AuditEntry, AuditFault, AuditFilter, AuditOrder, AuditVerdict, Page, PageSize,
    Sequence, Store,
};
use serde::Serialize;
use serde_json::Value;

use super::error::Result;
use crate::recovery::anchors::{StoredAnchor, StoredAnchors};
use crate::state::instant;

/// An entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditDocument {
    /// Its place in the order.
    pub sequence: u64,
    /// When, by the clock of the process that recorded it.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// From where.
    pub origin: String,
    /// What was done.
    pub action: String,
    /// With what.
    pub object: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
    /// Its hash.
    pub hash: String,
}

impl From<&AuditEntry> for AuditDocument {
    fn from(entry: &AuditEntry) -> Self {
        Self {
            sequence: entry.sequence.number(),
            at: instant(entry.at),
            who: entry.who.to_string(),
            origin: entry.origin.to_string(),
            action: entry.action.to_string(),
            object: entry.object.to_string(),
            before: entry.before.clone(),
            after: entry.after.clone(),
            hash: entry.hash.to_string(),
        }
    }
}

impl AuditDocument {
    /// The entry as a row of a table in which no spreadsheet computes anything.
    #[must_use]
    pub fn csv(&self) -> String {
        let json = |document: &Option<Value>| document.as_ref().map(Value::to_string).unwrap_or_default();
        csv::row([
            self.sequence.to_string().as_str(),
            &self.at.to_string(),
            &self.who,
            &self.origin,
            &self.action,
            &self.object,
            &json(&self.before),
            &json(&self.after),
            &self.hash,
        ])
    }
}

/// The first row of such a table.
#[must_use]
pub fn export_header() -> String {
    csv::row(["sequence", "at", "who", "origin", "action", "object", "before", "after", "hash"])
}

/// A page of an export, and where the next one begins.
pub type Exported = Page<AuditDocument, Sequence>;

/// A page of entries.
pub async fn audit_page(
    store: &Store,
    filter: &AuditFilter,
    order: AuditOrder,
    from: Option<Sequence>,
    size: PageSize,
) -> Result<Exported> {
    let Page { rows, next } = store.audit_entries(filter, order, from, size).await?;
    Ok(Page { rows: rows.iter().map(AuditDocument::from).collect(), next })
}

/// A page of all entries, the oldest first.
pub async fn export_page(store: &Store, after: Option<Sequence>) -> Result<Exported> {
    audit_page(store, &AuditFilter::default(), AuditOrder::OldestFirst, after, PageSize::MAX).await
}

/// What came of reading all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictDocument {
    /// Whether everything is as it was written.
    pub sound: bool,
    /// How many entries were read.
    pub entries: u64,
    /// The last entry that was removed for its age; 0 if none was.
    pub removed_up_to: u64,
    /// The newest entry.
    pub newest: u64,
    /// Its hash: kept elsewhere, it proves later that none of these entries was changed.
    pub hash: String,
    /// How many of the anchors were compared.
    pub anchors: usize,
    /// The first thing that is wrong.
    pub problem: Option<String>,
    /// What came of comparing with the backups of the state in a repository; null if that wasn't asked for.
    pub repository: Option<ComparedDocument>,
}

/// What came of comparing with what backups of the state have noted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ComparedDocument {
    /// Snapshots that were read: the newest ones.
    pub snapshots: usize,
    /// Those whose entry is in the chain.
    pub agree: usize,
    /// When the oldest one of these was made.
    pub agree_from: Option<String>,
    /// When the newest one of these was made.
    pub agree_to: Option<String>,
    /// Those whose entry is before what is kept: it was removed for its age.
    pub removed: usize,
    /// Those whose entry no one could compare, because the chain is broken before it.
    pub not_reached: usize,
    /// Those that have noted no entry: an older program made them, or there was none.
    pub without: usize,
    /// Those whose entry isn't in the chain.
    pub wrong: Vec<WrongAnchor>,
}

/// A snapshot that has noted an entry that isn't in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrongAnchor {
    /// The snapshot.
    pub snapshot: String,
    /// When it was made.
    pub time: String,
    /// What is wrong.
    pub problem: String,
}

impl ComparedDocument {
    /// `fates` are those of the anchors, in their order: the newest snapshot first.
    fn of(stored: &StoredAnchors, fates: &[AnchorFate]) -> Self {
        let mut document = Self {
            snapshots: stored.anchors.len() + stored.without,
            without: stored.without,
            ..Self::default()
        };
        for (StoredAnchor { snapshot, time, anchor }, fate) in stored.anchors.iter().zip(fates) {
            let sequence = anchor.sequence.number();
            let fault = match fate {
                AnchorFate::Met => {
                    document.agree += 1;
                    document.agree_from = Some(time.clone());
                    document.agree_to.get_or_insert_with(|| time.clone());
                    continue;
                }
                AnchorFate::Removed => {
                    document.removed += 1;
                    continue;
                }
                AnchorFate::NotReached => {
                    document.not_reached += 1;
                    continue;
                }
                AnchorFate::Wrong => AuditFault::WrongAnchor { sequence },
                AnchorFate::Missing => AuditFault::NoAnchor { sequence },
            };
            let (snapshot, time) = (snapshot.clone(), time.clone());
            document.wrong.push(WrongAnchor { snapshot, time, problem: fault.to_string() });
        }
        document
    }
}

impl From<&AuditVerdict> for VerdictDocument {
    fn from(verdict: &AuditVerdict) -> Self {
        Self {
            sound: verdict.fault.is_none(),
            entries: verdict.entries,
            removed_up_to: verdict.start.sequence.number(),
            newest: verdict.end.sequence.number(),
            hash: verdict.end.hash.to_string(),
            anchors: verdict.anchors_met(),
            problem: verdict.fault.as_ref().map(ToString::to_string),
            repository: None,
        }
    }
}

/// Reads all entries, up to the first one that isn't as it was written.
pub async fn verify(store: &Store, anchors: &[AuditAnchor]) -> Result<VerdictDocument> {
    Ok(VerdictDocument::from(&store.audit_verify(anchors).await?))
}

/// The same, and compares with what backups of the state have noted. They have to be read before: so the chain has what
/// they have noted.
pub async fn verify_stored(
    store: &Store,
    anchors: &[AuditAnchor],
    stored: &StoredAnchors,
) -> Result<VerdictDocument> {
    let noted = stored.anchors.iter().map(|stored| stored.anchor.clone());
    let all: Vec<AuditAnchor> = anchors.iter().cloned().chain(noted).collect();
    let verdict = store.audit_verify(&all).await?;
    let fates = verdict.anchors.get(anchors.len()..).unwrap_or_default();
    let repository = Some(ComparedDocument::of(stored, fates));
    Ok(VerdictDocument { repository, ..VerdictDocument::from(&verdict) })
}

/// A place in the chain from `NUMBER:HASH`; nothing if it is none.
#[must_use]
pub fn anchor_of(text: &str) -> Option<AuditAnchor> {
    AuditAnchor::parse(text)
}
