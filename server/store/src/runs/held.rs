//! What the holder of a run writes about it. Every write is refused once the run isn't held any more: a server
//! that was paused can't write over what came after it.

use serde_json::Value as Document;

use super::figures::Figures;
use super::{Reason, Run, RunError, RunKind, RunState, Verdict, again, run_columns};
use crate::Store;
use crate::db::{Row, Tx, optional_json, values};
use crate::error::{Result, StoreError};
use crate::patterns;
use crate::plans;
use crate::types::{EventKind, Fence, Phase, ProgramVersion, RunId, Text, UtcTime};

/// The right to write about a run, and the run as it was when it was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The run.
    pub run: Run,
    /// What shows that it is held.
    pub fence: Fence,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// What it is doing.
    pub phase: Option<Phase>,
    /// Bytes, files, rates: a document of the caller's, which replaces the one before.
    pub counters: Option<Document>,
}

/// The answer to a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// A user wants the run to end.
    pub cancel_requested: bool,
}

/// How a run ends that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All is well.
    Ok,
    /// It did its work, and found something that a person should look at.
    Findings,
    /// It did not do its work.
    Failed,
    /// It was right not to do it: a condition did not hold.
    Skipped(Reason),
    /// A user has ended it.
    Cancelled,
}

impl From<Ending> for Verdict {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Ok => Self::Ok,
            Ending::Findings => Self::Findings,
            Ending::Failed => Self::Failed,
            Ending::Skipped(reason) => Self::Skipped(reason),
            Ending::Cancelled => Self::Cancelled,
        }
    }
}

/// What a run has done.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// How it ends.
    pub ending: Ending,
    /// Its report, a document of the caller's.
    pub report: Option<Document>,
    /// The last counters; `None` leaves those that are stored.
    pub counters: Option<Document>,
    /// What it has counted, for sums over many runs.
    pub figures: Figures,
    /// What made it fail, or what it found.
    pub error: Option<RunError>,
    /// The plan's figures that later runs are compared with; `None` leaves those that are stored.
    pub baseline: Option<Document>,
    /// The run that is to do the same again, if it has failed and that may help.
    pub retry: Option<NextTry>,
    /// The program that did it: errors remember with which version they were first seen.
    pub version: ProgramVersion,
}

/// A run that does again what one has failed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextTry {
    /// Its id.
    pub id: RunId,
    /// When it may start.
    pub not_before: UtcTime,
}

impl Store {
    /// The run begins with its work.
    pub async fn start(&self, now: UtcTime, held: &Held) -> Result<Beat> {
        let mut tx = self.begin("starting a run").await?;
        let sql = concat!(
            "UPDATE run SET state = 'running', lease_until = $3 + lease, beat = beat + 1 \
             WHERE id = $1 AND fence = $2 AND state = 'starting' RETURNING ",
            run_columns!()
        );
        let row = tx.row(sql, values![held.run.id.as_str(), held.fence.0, now]).await?;
        let run = Run::from_row(&row.ok_or_else(|| not_held(&held.run.id))?)?;
        tx.event(run.event(now, EventKind::RUN_RUNNING));
        tx.commit().await?;
        Ok(Beat { cancel_requested: run.cancel_requested.is_some() })
    }

    /// The right to write about a run that is at work; `None` if it isn't. For a state that was restored, before anything
    /// uses it: elsewhere, it would be taken from the process that holds the run.
    pub async fn adopt(&self, run: &RunId) -> Result<Option<Held>> {
        let sql = concat!(
            "SELECT fence, ",
            run_columns!(),
            " FROM run WHERE id = $1 AND state IN ('starting', 'running')"
        );
        let row = self.db.row("reading a run", sql, values![run.as_str()]).await?;
        row.map(|row| Ok(Held { fence: Fence(row.integer("fence")?), run: Run::from_row(&row)? })).transpose()
    }

    /// Renews the lease, and stores how far the run is. Only the newest progress is kept. A new phase is an
    /// event; counters are not, they only wake those that watch.
    pub async fn beat(&self, now: UtcTime, held: &Held, progress: Option<&Progress>) -> Result<Beat> {
        const RENEW: &str = "UPDATE run SET lease_until = $3 + lease, beat = beat + 1 \
                             WHERE id = $1 AND fence = $2 AND state IN ('starting', 'running') \
                             RETURNING phase, cancel_requested";
        let (doing, id) = ("renewing the lease of a run", held.run.id.as_str());
        let renew = values![id, held.fence.0, now];
        let answer = |row: &Row| -> Result<Beat> {
            Ok(Beat { cancel_requested: row.optional_time("cancel_requested")?.is_some() })
        };
        // Most beats say nothing else.
        let Some(progress) = progress else {
            let rows = self.db.write(doing, RENEW, renew).await?;
            return answer(rows.first().ok_or_else(|| not_held(&held.run.id))?);
        };
        let mut tx = self.begin(doing).await?;
        let before = tx.row(RENEW, renew).await?;
        let before = before.ok_or_else(|| not_held(&held.run.id))?;
        let phase = progress.phase.as_ref().map(Phase::as_str);
        let counters = optional_json(progress.counters.as_ref());
        let sql = concat!(
            "UPDATE run SET phase = COALESCE($2, phase), counters = COALESCE($3, counters) \
             WHERE id = $1 RETURNING ",
            run_columns!()
        );
        let row = tx.row(sql, values![id, phase, counters]).await?;
        let run = Run::from_row(&row.ok_or_else(|| not_held(&held.run.id))?)?;
        if run.phase != before.optional_name("phase")? {
            tx.event(run.event(now, EventKind::RUN_PHASE));
        }
        tx.wake();
        tx.commit().await?;
        answer(&before)
    }

    /// The run has ended: its verdict and report, what its plan knows of itself, and the pattern of its error,
    /// and the run that tries it again, all at once. If the database can't be reached, try again: the run stays held as long as its lease does.
    pub async fn end(&self, now: UtcTime, held: &Held, work: &Work) -> Result<Run> {
        let verdict = Verdict::from(work.ending.clone());
        let mut tx = self.begin("ending a run").await?;
        let sql = concat!(
            "UPDATE run SET state = 'ended', verdict = $3, reason = $4, ended = $5, report = $6, \
             counters = COALESCE($7, counters), error_category = $8, fingerprint = $9, error = $10, \
             files = $11, source_bytes = $12, read_bytes = $13, new_bytes = $14, stored_bytes = $15, \
             found_bytes = $16 \
             WHERE id = $1 AND fence = $2 AND state IN ('starting', 'running') RETURNING ",
            run_columns!()
        );
        let error = work.error.as_ref();
        let mut values = values![
            held.run.id.as_str(),
            held.fence.0,
            verdict.kind().as_str(),
            verdict.reason().map(Reason::as_str),
            now,
            optional_json(work.report.as_ref()),
            optional_json(work.counters.as_ref()),
            error.map(|error| error.category.as_str()),
            error.map(|error| error.fingerprint.as_str()),
            error.map(|error| Text::as_str(&error.message)),
        ];
        values.extend(work.figures.values());
        let row = tx.row(sql, values).await?;
        let run = Run::from_row(&row.ok_or_else(|| not_held(&held.run.id))?)?;
        // A restore says nothing of its plan, which may be one that is no more.
        if let Some(plan) = run.subject.plan.as_ref().filter(|_| run.kind != RunKind::Restore) {
            plans::ran(&mut tx, now, plan, &run, work.baseline.as_ref()).await?;
        }
        if let Some(error) = error {
            patterns::seen(&mut tx, now, &run, error, &work.version).await?;
        }
        let mut event = run.event(now, EventKind::RUN_ENDED);
        if let (Some(_), Some(fields)) = (&work.retry, event.document.as_object_mut()) {
            fields.insert("will_retry".to_owned(), Document::from(true));
        }
        tx.event(event);
        if let Some(next) = &work.retry {
            again(&mut tx, now, &run, next.id.clone(), Some(next.not_before)).await?;
        }
        tx.commit().await?;
        Ok(run)
    }
}

fn not_held(run: &RunId) -> StoreError {
    StoreError::NotHeld { run: run.clone() }
}

/// Whether a run is held with this fence, and stays so until the transaction ends.
pub(crate) async fn check_held(tx: &mut Tx, held: &Held) -> Result<()> {
    let sql = "UPDATE run SET beat = beat WHERE id = $1 AND fence = $2 \
               AND state IN ('starting', 'running') RETURNING state";
    let row: Option<Row> = tx.row(sql, values![held.run.id.as_str(), held.fence.0]).await?;
    row.map(|row| row.word("state", RunState::parse)).transpose()?.ok_or_else(|| not_held(&held.run.id))?;
    Ok(())
}
