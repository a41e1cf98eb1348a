//! Requests for what needs a second person. Who may decide and what may follow is the caller's business; the state makes
//! sure that each step is taken once, from the state that the caller has seen.

use serde_json::Value as Document;

use crate::Store;
use crate::db::{AuditNote, Filter, NewEvent, Row, values};
use crate::error::Result;
use crate::types::{ApprovalId, Label, Page, PageSize, Text, UserName, UtcTime};
use sqlx::AssertSqlSafe;

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApprovalState {
    /// It waits for a second person.
    Open,
    /// A second person has agreed, and what was asked for hasn't been done yet.
    Granted,
    /// A second person has refused.
    Denied,
    /// The person who asked doesn't want it any more.
    Withdrawn,
    /// What was asked for has begun.
    Used,
}

impl ApprovalState {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Open, Self::Granted, Self::Denied, Self::Withdrawn, Self::Used];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

/// A request for what needs a second person.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    /// Identifies it.
    pub id: ApprovalId,
    /// What is asked for, for example `prune`.
    pub action: Label,
    /// With what, for example `repository:main`.
    pub object: Label,
    /// Everything that matters of what is asked for: what is carried out later has to be just this.
    pub document: Document,
    /// How far it is.
    pub state: ApprovalState,
    /// Who asked.
    pub requested_by: UserName,
    /// When.
    pub requested: UtcTime,
    /// From when on nothing can follow any more.
    pub expires: UtcTime,
    /// Who decided, or withdrew it, and when.
    pub decided: Option<(UserName, UtcTime)>,
    /// What the decision said.
    pub reason: Option<Text>,
    /// When it was used up.
    pub used: Option<UtcTime>,
}

/// A step of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalStep {
    /// The state that it must have.
    pub from: ApprovalState,
    /// The state that it gets.
    pub to: ApprovalState,
    /// Who takes the step.
    pub by: UserName,
    /// What the person says about it.
    pub reason: Option<Text>,
}

/// A place in a listing of requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ApprovalKey {
    requested: UtcTime,
    id: ApprovalId,
}

/// The columns of [`Approval::from_row`].
macro_rules! approval_columns {
    () => {
        "id, action, object, document, state, requested_by, requested, expires, decided_by, decided, reason, used"
    };
}

impl Approval {
    fn from_row(row: &Row) -> Result<Self> {
        let by = row.optional_name("decided_by")?;
        Ok(Self {
            id: row.name("id")?,
            action: row.string("action")?.into(),
            object: row.string("object")?.into(),
            document: row.json("document")?,
            state: row.word("state", ApprovalState::parse)?,
            requested_by: row.name("requested_by")?,
            requested: row.time("requested")?,
            expires: row.time("expires")?,
            decided: by.zip(row.optional_time("decided")?),
            reason: row.optional_text("reason")?,
            used: row.optional_time("used")?,
        })
    }
}

impl Store {
    /// Stores a request; its state must be open. It is told by an event.
    pub async fn request_approval(&self, request: &Approval, note: &AuditNote, told: NewEvent) -> Result<()> {
        let mut tx = self.begin("storing a request for approval").await?;
        let sql = "INSERT INTO approval (id, action, object, document, state, requested_by, requested, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        let row = values![
            request.id.as_str(),
            request.action.as_str(),
            request.object.as_str(),
            request.document.to_string(),
            ApprovalState::Open.as_str(),
            request.requested_by.as_str(),
            request.requested,
            request.expires
        ];
        tx.execute(sql, row).await?;
        tx.audit(note);
        tx.event(told);
        tx.commit().await
    }

    /// Takes a step, if the request still is in the state from which it goes, and not over. Of several who take one at once,
    /// one does.
    pub async fn step_approval(
        &self,
        now: UtcTime,
        id: &ApprovalId,
        step: &ApprovalStep,
        note: &AuditNote,
        told: Option<NewEvent>,
    ) -> Result<bool> {
        let mut tx = self.begin("deciding a request for approval").await?;
        let (id, from, to) = (id.as_str(), step.from.as_str(), step.to.as_str());
        let done = if step.to == ApprovalState::Used {
            let sql =
                "UPDATE approval SET state = $3, used = $4 WHERE id = $1 AND state = $2 AND expires > $4";
            tx.execute(sql, values![id, from, to, now]).await?
        } else {
            let sql = "UPDATE approval SET state = $3, decided = $4, decided_by = $5, reason = $6 \
                       WHERE id = $1 AND state = $2 AND expires > $4";
            let reason = step.reason.as_ref().map(Text::as_str);
            tx.execute(sql, values![id, from, to, now, step.by.as_str(), reason]).await?
        };
        if done == 0 {
            return Ok(false);
        }
        tx.audit(note);
        told.into_iter().for_each(|told| tx.event(told));
        tx.wake();
        tx.commit().await?;
        Ok(true)
    }

    /// A request.
    pub async fn approval(&self, id: &ApprovalId) -> Result<Option<Approval>> {
        let sql = concat!("SELECT ", approval_columns!(), " FROM approval WHERE id = $1");
        let row = self.db.row("reading a request for approval", sql, values![id.as_str()]).await?;
        row.as_ref().map(Approval::from_row).transpose()
    }

    /// A page of requests, the newest first. Some may be over by their age, whatever their state is.
    pub async fn approvals(
        &self,
        state: Option<ApprovalState>,
        before: Option<&ApprovalKey>,
        size: PageSize,
    ) -> Result<Page<Approval, ApprovalKey>> {
        let (sql, values) = listing(state, before, size);
        let rows = self.db.rows("listing requests for approval", AssertSqlSafe(sql), values).await?;
        let rows = rows.iter().map(Approval::from_row).collect::<Result<Vec<_>>>()?;
        let last = rows.last().filter(|_| size.is_filled_by(rows.len()));
        let next = last.map(|last| ApprovalKey { requested: last.requested, id: last.id.clone() });
        Ok(Page { rows, next })
    }
}

fn listing(
    state: Option<ApprovalState>,
    before: Option<&ApprovalKey>,
    size: PageSize,
) -> (String, Vec<crate::db::Value>) {
    let mut wanted = Filter::new();
    wanted.add_if("state = ", state.map(ApprovalState::as_str));
    if let Some(before) = before {
        wanted.add_row("(requested, id) < ", values![before.requested, before.id.as_str()]);
    }
    let select = concat!("SELECT ", approval_columns!(), " FROM approval");
    wanted.select(select, "requested DESC, id DESC", size)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{ApprovalState, listing};
    use crate::db::tests::assert_searches;
    use crate::types::PageSize;

    #[tokio::test]
    async fn open_requests_are_listed_without_a_scan() {
        let sql = listing(Some(ApprovalState::Open), None, PageSize::MAX).0;
        assert_searches(&sql, &["approval_by_state"]).await;
    }

    #[test]
    fn states_have_words() {
        for state in ["open", "granted", "denied", "withdrawn", "used"] {
            assert_eq!(ApprovalState::parse(state).map(ApprovalState::as_str), Some(state));
        }
        assert_eq!(ApprovalState::parse("lost"), None);
    }
}
