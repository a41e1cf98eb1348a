//! Queueing, and claiming what waits: a run is taken by one server, within limits that hold for all servers
//! together.

use std::time::Duration;

use serde_json::Value as Document;

use super::{
    Held, Insert, NewRun, Reason, Run, RunKind, RunState, RunSubject, Verdict, insert, is_open, run_columns,
};
use crate::Store;
use crate::db::{Dialect, Tx, json, values};
use crate::error::{Result, StoreError};
use crate::types::{
    DrillId, EventKind, Executor, Fence, HostId, PageSize, PlanId, RepositoryId, RunId, ServerId, UtcTime,
    micros,
};

/// Runs that count together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// All.
    All,
    /// Those of a plan, but for its drills.
    Plan(PlanId),
    /// Those of a drill.
    Drill(DrillId),
    /// Those that use a repository.
    Repository(RepositoryId),
    /// Those of a host.
    Host(HostId),
    /// Restores that a server carries out. They count in no other group: files that are missed wait for no backup, and no
    /// backup waits for a person who looks for a file.
    Restores(ServerId),
}

impl Group {
    fn has(&self, run: &Counted<'_>) -> bool {
        let Counted { kind, subject, only_server } = *run;
        match self {
            Self::Restores(server) => kind == RunKind::Restore && only_server == Some(server),
            _ if kind == RunKind::Restore => false,
            Self::All => true,
            // A drill reads what the plan has made, and holds up no backup of it.
            Self::Plan(_) if kind == RunKind::Drill => false,
            Self::Plan(plan) => subject.plan.as_ref() == Some(plan),
            Self::Drill(drill) => subject.drill.as_ref() == Some(drill),
            Self::Repository(repository) => subject.repository.as_ref() == Some(repository),
            Self::Host(host) => subject.host.as_ref() == Some(host),
        }
    }
}

/// What decides in which groups a run is.
#[derive(Clone, Copy)]
struct Counted<'r> {
    kind: RunKind,
    subject: &'r RunSubject,
    only_server: Option<&'r ServerId>,
}

impl<'r> Counted<'r> {
    fn stored(run: &'r Run) -> Self {
        Self { kind: run.kind, subject: &run.subject, only_server: run.only_server.as_ref() }
    }

    fn new(run: &'r NewRun) -> Self {
        let only_server = run.errand.as_ref().map(|errand| &errand.server);
        Self { kind: run.kind, subject: &run.subject, only_server }
    }
}

/// How many runs of a group may be starting or running at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Which runs count.
    pub group: Group,
    /// How many, at most.
    pub at_most: u32,
}

impl Limit {
    /// The active runs because of which it has no room for a run; `None` if it has room.
    fn full(&self, run: &Counted<'_>, active: &[Run]) -> Option<Vec<Run>> {
        if !self.group.has(run) {
            return None;
        }
        let others: Vec<_> = active.iter().filter(|other| self.group.has(&Counted::stored(other))).collect();
        let has_room = u32::try_from(others.len()).is_ok_and(|count| count < self.at_most);
        (!has_room).then(|| others.into_iter().cloned().collect())
    }
}

/// What a server wants to take.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Runs that wait, the most urgent first.
    pub candidates: &'a [RunId],
    /// What must hold afterwards, whatever other servers take meanwhile.
    pub limits: &'a [Limit],
    /// The process that takes them.
    pub executor: &'a Executor,
    /// How long a run may be silent before it is lost.
    pub lease: Duration,
}

/// What came of a run that was to begin at once.
#[derive(Debug, Clone, PartialEq)]
pub enum Began {
    /// It is taken, and can start.
    Held(Box<Held>),
    /// The limits have no room for it.
    Refused {
        /// The run, which has ended as skipped.
        run: Box<Run>,
        /// The active runs of the first limit that has no room, in the order in which they were stored.
        others: Vec<Run>,
    },
}

/// How a run ends that no server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unstarted {
    /// It should have run, and it is too late now.
    Missed(Reason),
    /// It need not run any more.
    Skipped(Reason),
    /// A user wants it no more.
    Cancelled,
}

impl From<Unstarted> for Verdict {
    fn from(ending: Unstarted) -> Self {
        match ending {
            Unstarted::Missed(reason) => Self::Missed(reason),
            Unstarted::Skipped(reason) => Self::Skipped(reason),
            Unstarted::Cancelled => Self::Cancelled,
        }
    }
}

/// Only one server claims at a time: each has to see what the others have just taken.
const CLAIMING: i64 = 0x6b66_636c_6169_6d00;

impl Store {
    /// Stores a run that waits: one that a person or program wants. `None` if a run with this id is there: then
    /// it is the same request once more, and nothing is done.
    pub async fn queue(&self, now: UtcTime, run: &NewRun) -> Result<Option<Run>> {
        let mut tx = self.begin("queueing a run").await?;
        let stored = insert(&mut tx, now, Insert { run, slot: None, parent: None, verdict: None }).await?;
        tx.commit().await?;
        Ok(stored)
    }

    /// Takes those candidates that still wait and that the limits have room for, in their order.
    ///
    /// When they may start ([`Run::not_before`]) is for the caller to look at.
    pub async fn claim(&self, now: UtcTime, claim: Claim<'_>) -> Result<Vec<Held>> {
        let mut tx = self.begin("claiming runs").await?;
        tx.take_turns(CLAIMING).await?;
        let mut open = active(&mut tx).await?;
        let mut taken = Vec::new();
        for candidate in claim.candidates {
            let Some(run) = waiting(&mut tx, candidate).await? else { continue };
            if claim.limits.iter().any(|limit| limit.full(&Counted::stored(&run), &open).is_some()) {
                continue;
            }
            if let Some(held) = take(&mut tx, now, candidate, claim.executor, claim.lease).await? {
                open.push(held.run.clone());
                taken.push(held);
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Stores a run and takes it at once, so that no server can take it in between. Where the limits have no room
    /// for it, it has ended instead, as skipped. An error if there is a run with this id.
    pub async fn begin_run(
        &self,
        now: UtcTime,
        run: &NewRun,
        limits: &[Limit],
        executor: &Executor,
        lease: Duration,
    ) -> Result<Began> {
        let mut tx = self.begin("beginning a run").await?;
        tx.take_turns(CLAIMING).await?;
        let open = active(&mut tx).await?;
        let others = limits.iter().find_map(|limit| limit.full(&Counted::new(run), &open));
        let verdict = others.as_ref().map(|others| {
            Verdict::Skipped(match others.first() {
                Some(other) => Reason::from(format!("run {} of the plan was not over", other.id)),
                None => Reason::from("its limits have no room for any run"),
            })
        });
        let twice = || StoreError::stored("run", format!("another run with the id {}", run.id));
        let stored = insert(&mut tx, now, Insert { run, slot: None, parent: None, verdict }).await?;
        let stored = stored.ok_or_else(twice)?;
        let began = match others {
            Some(others) => Began::Refused { run: Box::new(stored), others },
            None => {
                let held = take(&mut tx, now, &run.id, executor, lease).await?;
                Began::Held(Box::new(held.ok_or_else(|| StoreError::NoRun { run: run.id.clone() })?))
            }
        };
        tx.commit().await?;
        Ok(began)
    }

    /// Ends a run that still waits; false if it doesn't.
    pub async fn end_waiting(&self, now: UtcTime, run: &RunId, ending: Unstarted) -> Result<bool> {
        let mut tx = self.begin("ending a run that waits").await?;
        let ended = end_waiting(&mut tx, now, run, &Verdict::from(ending)).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Says why runs wait, for those that still do.
    pub async fn explain_waiting(&self, reasons: &[(RunId, Document)]) -> Result<()> {
        let mut tx = self.begin("storing why runs wait").await?;
        // Two servers that change the same rows in different orders would wait for each other.
        tx.take_turns(CLAIMING).await?;
        for (run, reason) in reasons {
            let reason = json(reason);
            let sql = "UPDATE run SET waits = $2 WHERE id = $1 AND state = 'waiting' \
                       AND waits IS DISTINCT FROM $2";
            if tx.execute(sql, values![run.as_str(), reason]).await? > 0 {
                tx.wake();
            }
        }
        tx.commit().await
    }

    /// Runs that wait, in the order in which they were stored.
    pub async fn waiting_runs(&self, limit: PageSize) -> Result<Vec<Run>> {
        let sql = concat!(
            "SELECT ",
            run_columns!(),
            " FROM run WHERE ",
            is_open!(),
            " AND state = 'waiting' ORDER BY number LIMIT $1"
        );
        let rows = self.db.rows("reading the runs that wait", sql, values![limit.rows()]).await?;
        rows.iter().map(Run::from_row).collect()
    }

    /// Runs that a server has taken and that haven't ended.
    pub async fn active_runs(&self) -> Result<Vec<Run>> {
        let rows = self.db.rows("reading the runs that are active", ACTIVE, Vec::new()).await?;
        rows.iter().map(Run::from_row).collect()
    }
}

const ACTIVE: &str = concat!(
    "SELECT ",
    run_columns!(),
    " FROM run WHERE ",
    is_open!(),
    " AND state IN ('starting', 'running') ORDER BY number"
);

/// Takes a run that waits; its row is this transaction's already.
async fn take(
    tx: &mut Tx,
    now: UtcTime,
    run: &RunId,
    executor: &Executor,
    lease: Duration,
) -> Result<Option<Held>> {
    let fence = next_fence(tx).await?;
    let sql = concat!(
        "UPDATE run SET state = 'starting', started = $2, server = $3, boot = $4, lease = $5, \
         lease_until = $6, beat = 0, fence = $7, waits = NULL WHERE id = $1 RETURNING ",
        run_columns!()
    );
    let values = values![
        run.as_str(),
        now,
        executor.server.as_str(),
        executor.boot.as_str(),
        micros(lease),
        now.plus(lease),
        fence.0,
    ];
    let Some(row) = tx.row(sql, values).await? else { return Ok(None) };
    let run = Run::from_row(&row)?;
    tx.event(run.event(now, EventKind::RUN_STARTING));
    Ok(Some(Held { run, fence }))
}

async fn active(tx: &mut Tx) -> Result<Vec<Run>> {
    tx.rows(ACTIVE, Vec::new()).await?.iter().map(Run::from_row).collect()
}

/// A run, if it waits and no one else is about to change it.
async fn waiting(tx: &mut Tx, run: &RunId) -> Result<Option<Run>> {
    const SELECT: &str = concat!("SELECT ", run_columns!(), " FROM run WHERE id = $1 AND state = 'waiting'");
    const LOCKING: &str = concat!(
        "SELECT ",
        run_columns!(),
        " FROM run WHERE id = $1 AND state = 'waiting' FOR UPDATE SKIP LOCKED"
    );
    let sql = match tx.dialect() {
        Dialect::Sqlite => SELECT,
        Dialect::Postgres => LOCKING,
    };
    tx.row(sql, values![run.as_str()]).await?.as_ref().map(Run::from_row).transpose()
}

/// A number that no fence had before.
pub(crate) async fn next_fence(tx: &mut Tx) -> Result<Fence> {
    tx.unused_number().await.map(Fence)
}

pub(crate) async fn end_waiting(tx: &mut Tx, now: UtcTime, run: &RunId, verdict: &Verdict) -> Result<bool> {
    let sql = concat!(
        "UPDATE run SET state = 'ended', verdict = $3, reason = $4, ended = $2, waits = NULL \
         WHERE id = $1 AND state = 'waiting' RETURNING ",
        run_columns!()
    );
    let reason = verdict.reason().map(Reason::as_str);
    let row = tx.row(sql, values![run.as_str(), now, verdict.kind().as_str(), reason]).await?;
    let Some(row) = row else { return Ok(false) };
    debug_assert_eq!(row.word("state", RunState::parse)?, RunState::Ended);
    tx.event(Run::from_row(&row)?.event(now, EventKind::RUN_ENDED));
    Ok(true)
}
