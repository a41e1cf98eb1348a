//! Runs whose server is gone, runs that are tried again, and runs that a user ends.

use std::time::Duration;

use super::claim::end_waiting;
use super::{NextTry, Run, RunState, Verdict, again, is_open, run_columns};
use crate::Store;
use crate::db::{Tx, values};
use crate::error::{Result, StoreError};
use crate::leases::{Elapsed, Lease, LeaseWatch};
use crate::types::{EventKind, Fence, PageSize, RunId, UtcTime};

/// A slot's run and its retries are lost this many times, then no more retry is made.
const LOSSES_MAX: u32 = 3;

/// Whether a run may be tried again, after it was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quarantine {
    /// It may.
    No,
    /// It was lost too often, as the run before it, and so on: something about it kills its server.
    Yes,
}

/// A run that was lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    /// The run, which has ended.
    pub run: Run,
    /// How many runs of its lineage were lost, this one included.
    pub losses: u32,
    /// Whether a retry would be refused.
    pub quarantine: Quarantine,
}

/// Says which run is to do again what a lost one was to do, if one is. A run in quarantine has none, whatever this says.
pub type Again<'a, E> = &'a (dyn Fn(&Loss) -> std::result::Result<Option<NextTry>, E> + Sync);

/// No lost run is tried again by this.
pub fn never_again(_: &Loss) -> Result<Option<NextTry>> {
    Ok(None)
}

/// What a look at the leases of runs has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// Runs that were lost.
    pub lost: Vec<Loss>,
    /// Runs that a server has taken, and that haven't ended.
    pub active: Vec<Run>,
    /// Runs that wait, in the order in which they were stored: a page of them.
    pub waiting: Vec<Run>,
}

/// What came of a retry.
#[derive(Debug, Clone, PartialEq)]
pub enum Retried {
    /// It waits.
    Queued(Box<Run>),
    /// The run was retried before: once is enough.
    Already,
    /// The run has not ended.
    Open,
    /// Its lineage is in quarantine.
    Quarantined,
}

/// Those that are active, all of them, and a page of those that wait.
const OPEN: &str = concat!(
    "SELECT * FROM (SELECT fence, beat, lease, ",
    run_columns!(),
    " FROM run WHERE ",
    is_open!(),
    " AND state IN ('starting', 'running') ORDER BY number) AS active \
     UNION ALL SELECT * FROM (SELECT fence, beat, lease, ",
    run_columns!(),
    " FROM run WHERE ",
    is_open!(),
    " AND state = 'waiting' ORDER BY number LIMIT $1) AS waiting"
);

impl Store {
    /// Ends the runs whose leases have ended: they are lost. Any server finds those of any other, and its own. What tries
    /// one again is stored with its end, so that a server that dies loses neither. Also says which runs are active then,
    /// and which wait.
    ///
    /// Call it several times during the length of a lease, always with the same `watch`.
    pub async fn lose_runs<E: From<StoreError>>(
        &self,
        now: UtcTime,
        watch: &mut LeaseWatch,
        elapsed: Elapsed,
        next_try: Again<'_, E>,
    ) -> std::result::Result<Leased, E> {
        let values = values![PageSize::MAX.rows()];
        let rows = self.db.rows("reading the runs that are not over", OPEN, values).await?;
        let mut leases = Vec::new();
        let (mut active, mut waiting) = (Vec::new(), Vec::new());
        for row in &rows {
            let run = Run::from_row(row)?;
            if run.state == RunState::Waiting {
                waiting.push(run);
                continue;
            }
            let length = Duration::from_micros(row.count("lease")?);
            leases.push(Lease { fence: Fence(row.integer("fence")?), beat: row.integer("beat")?, length });
            active.push(run);
        }
        // What comes from two parts has no order by itself.
        waiting.sort_by_key(|run| run.number);
        let ended = watch.ended(&leases, elapsed);
        let mut losses: Vec<Loss> = Vec::new();
        for (lease, run) in leases.iter().zip(&active).filter(|(lease, _)| ended.contains(&lease.fence)) {
            let Some((loss, again)) = self.lose(now, &run.id, lease, next_try).await? else { continue };
            losses.push(loss);
            waiting.extend(again);
        }
        active.retain(|run| losses.iter().all(|loss| loss.run.id != run.id));
        Ok(Leased { lost: losses, active, waiting })
    }

    /// Ends a run as lost whose process is known to be dead, by a lock that dies with it and that the caller has now.
    /// Nothing if it isn't active.
    pub async fn lose_dead<E: From<StoreError>>(
        &self,
        now: UtcTime,
        id: &RunId,
        next_try: Again<'_, E>,
    ) -> std::result::Result<Option<Loss>, E> {
        let sql = "SELECT fence, beat, lease FROM run WHERE id = $1 AND state IN ('starting', 'running')";
        let row = self.db.row("reading the lease of a run", sql, values![id.as_str()]).await?;
        let Some(row) = row else { return Ok(None) };
        let length = Duration::from_micros(row.count("lease")?);
        let lease = Lease { fence: Fence(row.integer("fence")?), beat: row.integer("beat")?, length };
        Ok(self.lose(now, id, &lease, next_try).await?.map(|(loss, _)| loss))
    }

    /// Ends one run as lost, unless it has shown itself meanwhile. Returns the run that tries it again, too.
    async fn lose<E: From<StoreError>>(
        &self,
        now: UtcTime,
        id: &RunId,
        lease: &Lease,
        next_try: Again<'_, E>,
    ) -> std::result::Result<Option<(Loss, Option<Run>)>, E> {
        let mut tx = self.begin("ending a lost run").await?;
        let sql = concat!(
            "UPDATE run SET state = 'ended', verdict = 'lost', ended = $4 \
             WHERE id = $1 AND fence = $2 AND beat = $3 AND state IN ('starting', 'running') RETURNING ",
            run_columns!()
        );
        let row = tx.row(sql, values![id.as_str(), lease.fence.0, lease.beat, now]).await?;
        let Some(row) = row else { return Ok(None) };
        let run = Run::from_row(&row)?;
        let losses = losses(&mut tx, &run.root).await?;
        let quarantine = if losses < LOSSES_MAX { Quarantine::No } else { Quarantine::Yes };
        tx.event(run.event(now, EventKind::RUN_ENDED));
        if quarantine == Quarantine::Yes {
            tx.event(run.event(now, EventKind::RUN_QUARANTINED));
        }
        let loss = Loss { run, losses, quarantine };
        let again = match next_try(&loss)?.filter(|_| quarantine == Quarantine::No) {
            Some(next) => again(&mut tx, now, &loss.run, next.id, Some(next.not_before)).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(Some((loss, again)))
    }

    /// Stores a run that does again what `parent` was to do. Each run is retried once; the retry can be retried
    /// in turn.
    pub async fn retry(
        &self,
        now: UtcTime,
        parent: &RunId,
        id: RunId,
        not_before: Option<UtcTime>,
    ) -> Result<Retried> {
        let mut tx = self.begin("retrying a run").await?;
        let Some(parent) = find(&mut tx, parent).await? else {
            return Err(StoreError::NoRun { run: parent.clone() });
        };
        if parent.state != RunState::Ended {
            return Ok(Retried::Open);
        }
        if losses(&mut tx, &parent.root).await? >= LOSSES_MAX {
            return Ok(Retried::Quarantined);
        }
        let stored = again(&mut tx, now, &parent, id, not_before).await?;
        tx.commit().await?;
        Ok(stored.map_or(Retried::Already, |run| Retried::Queued(Box::new(run))))
    }

    /// Ends a run that waits; asks the holder of one that was taken to end it. Returns the state that the run
    /// was found in.
    pub async fn cancel(&self, now: UtcTime, run: &RunId) -> Result<RunState> {
        let mut tx = self.begin("cancelling a run").await?;
        if end_waiting(&mut tx, now, run, &Verdict::Cancelled).await? {
            tx.commit().await?;
            return Ok(RunState::Waiting);
        }
        let sql = concat!(
            "UPDATE run SET cancel_requested = $2 WHERE id = $1 AND state IN ('starting', 'running') \
             AND cancel_requested IS NULL RETURNING ",
            run_columns!()
        );
        if let Some(row) = tx.row(sql, values![run.as_str(), now]).await? {
            let run = Run::from_row(&row)?;
            tx.event(run.event(now, EventKind::RUN_CANCEL_REQUESTED));
            tx.commit().await?;
            return Ok(run.state);
        }
        let found = find(&mut tx, run).await?;
        found.map(|run| run.state).ok_or_else(|| StoreError::NoRun { run: run.clone() })
    }
}

async fn find(tx: &mut Tx, run: &RunId) -> Result<Option<Run>> {
    let sql = concat!("SELECT ", run_columns!(), " FROM run WHERE id = $1");
    tx.row(sql, values![run.as_str()]).await?.as_ref().map(Run::from_row).transpose()
}

/// How many runs of a lineage were lost.
async fn losses(tx: &mut Tx, root: &RunId) -> Result<u32> {
    let sql = "SELECT COUNT(*) AS losses FROM run WHERE root = $1 AND verdict = 'lost'";
    let row = tx.row(sql, values![root.as_str()]).await?;
    row.map_or(Ok(0), |row| row.small_count("losses"))
}
