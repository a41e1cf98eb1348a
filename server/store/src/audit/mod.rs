//! The audit: who did what, when, from where. Entries are only ever added, each with the hash of the one before it; the
//! oldest go by age, and leave behind from where the chain goes on.

use std::fmt::{self, Display, Formatter};

use serde_json::Value as Document;
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::db::{AuditNote, Filter, HEAD, Row, Value, values};
use crate::error::Result;
use crate::types::{AuditAction, AuditHash, Label, Page, PageSize, Sequence, UtcTime};

pub use verify::{AnchorFate, AuditFault, AuditVerdict};

mod verify;

/// The name of the last entry that was removed, in the table of anchors.
const START: &str = "start";

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct AuditEntry {
    /// Its place in the order.
    pub sequence: Sequence,
    /// When, by the clock of the process that recorded it.
    pub at: UtcTime,
    /// Who.
    pub who: Label,
    /// From where.
    pub origin: Label,
    /// What was done.
    pub action: AuditAction,
    /// With what.
    pub object: Label,
    /// How it was.
    pub before: Option<Document>,
    /// How it is.
    pub after: Option<Document>,
    /// Its hash.
    pub hash: AuditHash,
}

/// A place in the chain: what has to be known of it elsewhere, so that no one can write all of it again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditAnchor {
    /// The entry; 0 where there is none yet.
    pub sequence: Sequence,
    /// Its hash.
    pub hash: AuditHash,
}

impl AuditAnchor {
    /// The place that a text says as [`Display`] writes it; nothing if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (sequence, hash) = text.split_once(':')?;
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (Ok(sequence @ 1..), true) = (sequence.parse(), is_hash) else { return None };
        let hash = AuditHash::new(hash.to_ascii_lowercase()).ok()?;
        Some(Self { sequence: Sequence::from_number(sequence), hash })
    }
}

impl Display for AuditAnchor {
    /// As people and programs note it: `1204:5f0c…`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence.number(), self.hash)
    }
}

/// Which entries a listing has: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this person or program.
    pub who: Option<Label>,
    /// With this action.
    pub action: Option<AuditAction>,
    /// About this object.
    pub object: Option<Label>,
    /// Not before this instant.
    pub from: Option<UtcTime>,
    /// Before this instant.
    pub until: Option<UtcTime>,
}

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOrder {
    /// The newest entry first; the place is the last entry of the page before.
    NewestFirst,
    /// The oldest entry first.
    OldestFirst,
}

/// The columns of [`AuditEntry::from_row`].
macro_rules! audit_columns {
    () => {
        "sequence, at, who, origin, action, object, before, after, previous, hash"
    };
}
pub(crate) use audit_columns;

impl AuditEntry {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            sequence: Sequence(row.integer("sequence")?),
            at: row.time("at")?,
            who: row.string("who")?.into(),
            origin: row.string("origin")?.into(),
            action: row.name("action")?,
            object: row.string("object")?.into(),
            before: row.optional_json("before")?,
            after: row.optional_json("after")?,
            hash: row.name("hash")?,
        })
    }
}

impl Store {
    /// Adds an entry by itself: for a login, something that was refused, or a change of something that isn't in the state.
    /// Changes of the state add theirs with the change.
    pub async fn audit(&self, note: &AuditNote) -> Result<()> {
        let mut tx = self.begin("adding to the audit").await?;
        tx.audit(note);
        tx.commit().await
    }

    /// A page of entries.
    pub async fn audit_entries(
        &self,
        filter: &AuditFilter,
        order: AuditOrder,
        from: Option<Sequence>,
        size: PageSize,
    ) -> Result<Page<AuditEntry, Sequence>> {
        let (sql, values) = listing(filter, order, from, size);
        let rows = self.db.rows("listing the audit", AssertSqlSafe(sql), values).await?;
        let rows = rows.iter().map(AuditEntry::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows.last().filter(|_| size.is_filled_by(rows.len())).map(|entry| entry.sequence);
        Ok(Page { rows, next })
    }

    /// The newest entry's place in the chain: what is to be kept elsewhere.
    pub async fn audit_head(&self) -> Result<AuditAnchor> {
        self.anchor(HEAD).await
    }

    /// From where the chain goes on: the last entry that was removed for its age.
    pub async fn audit_start(&self) -> Result<AuditAnchor> {
        self.anchor(START).await
    }

    async fn anchor(&self, name: &'static str) -> Result<AuditAnchor> {
        let sql = "SELECT sequence, hash FROM audit_anchor WHERE name = $1";
        let row = self.db.row("reading an anchor of the audit", sql, values![name]).await?;
        let Some(row) = row else {
            return Ok(AuditAnchor { sequence: Sequence::START, hash: AuditHash::START });
        };
        Ok(AuditAnchor { sequence: Sequence(row.integer("sequence")?), hash: row.name("hash")? })
    }

    /// Removes the oldest entries from before an instant, and says how many. The newest one always stays. The last one that
    /// goes is remembered, so that the chain can still be verified. Call it again until nothing is removed.
    ///
    /// Only from the beginning of the chain: an entry that a clock which was ahead has dated keeps those after it.
    pub async fn remove_old_audit(&self, before: UtcTime, at_most: PageSize) -> Result<u64> {
        let mut tx = self.begin("removing old entries of the audit").await?;
        // It also waits for a server that adds to the chain, and lets none add meanwhile.
        let sql = "UPDATE audit_anchor SET sequence = sequence WHERE name = $1 RETURNING sequence";
        let Some(head) = tx.row(sql, values![HEAD]).await? else { return Ok(0) };
        let head = head.integer("sequence")?;
        let sql = "SELECT sequence, at, hash FROM audit WHERE sequence < $1 ORDER BY sequence LIMIT $2";
        let mut last = None;
        for row in tx.rows(sql, values![head, at_most.rows()]).await? {
            if row.time("at")? >= before {
                break;
            }
            last = Some((row.integer("sequence")?, row.string("hash")?));
        }
        let Some((last, hash)) = last else { return Ok(0) };
        let removed = tx.execute("DELETE FROM audit WHERE sequence <= $1", values![last]).await?;
        let sql = "INSERT INTO audit_anchor (name, sequence, hash) VALUES ($1, $2, $3) \
                   ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash";
        tx.execute(sql, values![START, last, hash]).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

fn listing(
    filter: &AuditFilter,
    order: AuditOrder,
    from: Option<Sequence>,
    size: PageSize,
) -> (String, Vec<Value>) {
    let mut wanted = Filter::new();
    let (beyond, order) = match order {
        AuditOrder::NewestFirst => ("sequence < ", "sequence DESC"),
        AuditOrder::OldestFirst => ("sequence > ", "sequence"),
    };
    wanted.add_if(beyond, from.map(|from| from.0));
    wanted.add_if("who = ", filter.who.as_ref().map(Label::as_str));
    wanted.add_if("action = ", filter.action.as_ref().map(AuditAction::as_str));
    wanted.add_if("object = ", filter.object.as_ref().map(Label::as_str));
    wanted.add_if("at >= ", filter.from);
    wanted.add_if("at < ", filter.until);
    wanted.select(concat!("SELECT ", audit_columns!(), " FROM audit"), order, size)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{AuditFilter, AuditOrder, listing};
    use crate::db::tests::assert_searches;
    use crate::types::{AuditAction, Label, PageSize, Sequence};

    #[tokio::test]
    async fn listings_of_the_audit_never_scan() {
        let all = || AuditFilter::default();
        let cases = [
            (AuditFilter { who: Some(Label::from("a")), ..all() }, "audit_by_who"),
            (AuditFilter { action: Some(AuditAction::new("a").unwrap()), ..all() }, "audit_by_action"),
            (AuditFilter { object: Some(Label::from("a")), ..all() }, "audit_by_object"),
        ];
        for order in [AuditOrder::NewestFirst, AuditOrder::OldestFirst] {
            for (filter, index) in &cases {
                let from = Some(Sequence::from_number(7));
                assert_searches(&listing(filter, order, from, PageSize::MAX).0, &[index]).await;
            }
        }
    }
}
