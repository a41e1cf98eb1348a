//! Runs: one execution each of a backup, check, prune, copy, drill. Scheduled, manual and API runs go the
//! same way: waiting, starting, running, ended.

use serde_json::{Value as Document, json};

use crate::db::{NewEvent, Row, Tx, optional_json, values};
use crate::error::Result;
use crate::types::{
    ConfigHash, DrillId, ErrorCategory, EventKind, Executor, Fingerprint, HostId, Phase, PlanId,
    RepositoryId, RunId, ServerId, Subject, SubjectKind, Text, UtcTime,
};

pub(crate) use claim::next_fence;
pub use claim::{Began, Claim, Group, Limit, Unstarted};
pub use figures::{BackupFilter, BackupSum, Figures, FoundBytes, StoredSum};
pub(crate) use held::check_held;
pub use held::{Beat, Ending, Held, NextTry, Progress, Work};
pub use list::{Outcome, OutcomeCount, OutcomeKey, RunFilter};
pub use lost::{Again, Leased, Loss, Quarantine, Retried, never_again};

mod claim;
mod figures;
mod held;
mod list;
mod lost;
mod newest;

/// Declares an enum whose values the database holds as words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $word,)* }
            }

            /// What a word says.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$value),)* _ => None }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a run does.
    RunKind {
        /// Makes a snapshot.
        Backup = "backup",
        /// Verifies a repository.
        Check = "check",
        /// Removes what no snapshot needs.
        Prune = "prune",
        /// Removes snapshots by retention.
        Forget = "forget",
        /// Copies snapshots to another repository.
        Copy = "copy",
        /// Restores on trial, and tests what was restored.
        Drill = "drill",
        /// Restores.
        Restore = "restore",
    }
}

words! {
    /// Why a run is there.
    Trigger {
        /// Its slot came.
        Schedule = "schedule",
        /// Its slot was missed, and is made up for.
        CatchUp = "catch_up",
        /// A person wanted it.
        Manual = "manual",
        /// A program wanted it.
        Api = "api",
        /// The run before it failed or was lost.
        Retry = "retry",
    }
}

words! {
    /// How far a run is.
    RunState {
        /// No server has taken it.
        Waiting = "waiting",
        /// A server has taken it and prepares it.
        Starting = "starting",
        /// It works.
        Running = "running",
        /// It has a verdict.
        Ended = "ended",
    }
}

/// Why slots were missed, or a run was skipped.
pub type Reason = Text;

words! {
    /// Which verdict a run has.
    VerdictKind {
        /// All is well.
        Ok = "ok",
        /// It did its work, and found something that a person should look at.
        Findings = "findings",
        /// It did not do its work.
        Failed = "failed",
        /// It should have run and did not.
        Missed = "missed",
        /// It was right not to run.
        Skipped = "skipped",
        /// A user ended it.
        Cancelled = "cancelled",
        /// Its server died or was cut off.
        Lost = "lost",
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All is well.
    Ok,
    /// It did its work, and found something that a person should look at.
    Findings,
    /// It did not do its work.
    Failed,
    /// It should have run and did not.
    Missed(Reason),
    /// It was right not to run.
    Skipped(Reason),
    /// A user ended it.
    Cancelled,
    /// Its server died or was cut off.
    Lost,
}

impl Verdict {
    /// Which verdict it is, without the reason.
    #[must_use]
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Ok => VerdictKind::Ok,
            Self::Findings => VerdictKind::Findings,
            Self::Failed => VerdictKind::Failed,
            Self::Missed(_) => VerdictKind::Missed,
            Self::Skipped(_) => VerdictKind::Skipped,
            Self::Cancelled => VerdictKind::Cancelled,
            Self::Lost => VerdictKind::Lost,
        }
    }

    /// Why it was missed or skipped.
    #[must_use]
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Missed(reason) | Self::Skipped(reason) => Some(reason),
            _ => None,
        }
    }

    fn with_reason(kind: VerdictKind, reason: Option<Reason>) -> Self {
        let reason = || reason.unwrap_or_else(|| Reason::from(""));
        match kind {
            VerdictKind::Ok => Self::Ok,
            VerdictKind::Findings => Self::Findings,
            VerdictKind::Failed => Self::Failed,
            VerdictKind::Missed => Self::Missed(reason()),
            VerdictKind::Skipped => Self::Skipped(reason()),
            VerdictKind::Cancelled => Self::Cancelled,
            VerdictKind::Lost => Self::Lost,
        }
    }
}

/// A run's place in the order in which runs were stored, which no clock changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RunNumber(pub(crate) i64);

impl RunNumber {
    /// As a number, for tokens of pages.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// From what [`RunNumber::number`] gave.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }
}

/// What a run works on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RunSubject {
    /// The plan whose run it is.
    pub plan: Option<PlanId>,
    /// The repository that it writes to or reads.
    pub repository: Option<RepositoryId>,
    /// The host whose data it is about.
    pub host: Option<HostId>,
    /// Of a drill: which one.
    pub drill: Option<DrillId>,
}

/// The slots that a run stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The first, or only one.
    pub at: UtcTime,
    /// How many they are: more than one only where slots were missed or skipped together. At most, where a clock was set
    /// back into their time.
    pub count: u32,
}

/// A run that is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Its id, which no run had before.
    pub id: RunId,
    /// What it does.
    pub kind: RunKind,
    /// What it works on.
    pub subject: RunSubject,
    /// Why it is there.
    pub trigger: Trigger,
    /// The configuration that it was made from.
    pub config: ConfigHash,
    /// When it may start; `None` for at once.
    pub not_before: Option<UtcTime>,
    /// What one server is asked for; `None` for what any server finds in its configuration.
    pub errand: Option<Errand>,
}

/// What one server is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The server, which alone can carry it out.
    pub server: ServerId,
    /// What it is asked for: a document of the caller's. Runs that repeat this one have the same.
    pub request: Document,
}

/// What made a run fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// Its category.
    pub category: ErrorCategory,
    /// What errors with the same cause have in common.
    pub fingerprint: Fingerprint,
    /// What it says, without secrets.
    pub message: Text,
}

/// A run as it is stored, without its report.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its place in the order of runs.
    pub number: RunNumber,
    /// Its id.
    pub id: RunId,
    /// What it does.
    pub kind: RunKind,
    /// What it works on.
    pub subject: RunSubject,
    /// The slots that it stands for, if it was scheduled.
    pub slot: Option<Slot>,
    /// Why it is there.
    pub trigger: Trigger,
    /// The run that it repeats.
    pub parent: Option<RunId>,
    /// The first run of all that repeat one another; itself where it repeats none.
    pub root: RunId,
    /// 1 for the root, and 1 more for each that repeats the one before.
    pub attempt: u32,
    /// How far it is.
    pub state: RunState,
    /// What came of it, once it has ended.
    pub verdict: Option<Verdict>,
    /// When it was stored.
    pub created: UtcTime,
    /// When it may start.
    pub not_before: Option<UtcTime>,
    /// When it was taken.
    pub started: Option<UtcTime>,
    /// When it ended.
    pub ended: Option<UtcTime>,
    /// The process that has taken it.
    pub executor: Option<Executor>,
    /// Until when its lease is good, by the clock of its server. For people: [`crate::LeaseWatch`] decides.
    pub lease_until: Option<UtcTime>,
    /// The configuration that it was made from.
    pub config: ConfigHash,
    /// What it is doing.
    pub phase: Option<Phase>,
    /// How far it is: bytes, files, rates; a document of the caller's.
    pub counters: Option<Document>,
    /// Why it waits; a document of the caller's.
    pub waits: Option<Document>,
    /// When a user wanted it to end.
    pub cancel_requested: Option<UtcTime>,
    /// What made it fail.
    pub error: Option<RunError>,
    /// The server that alone may carry it out; `None` for any.
    pub only_server: Option<ServerId>,
    /// Bytes that it has found to be stored, if it is a check or a prune that did so.
    pub found_bytes: Option<u64>,
}

/// The columns of [`Run::from_row`].
macro_rules! run_columns {
    () => {
        "number, id, kind, plan, repository, host, slot, slots, trigger_kind, \
    parent, root, attempt, state, verdict, reason, created, not_before, started, ended, server, boot, \
    lease_until, config, phase, counters, waits, cancel_requested, error_category, fingerprint, error, \
     only_server, found_bytes, drill"
    };
}
pub(crate) use run_columns;

/// The condition that the index `run_open` answers.
macro_rules! is_open {
    () => {
        "CASE state WHEN 'ended' THEN 0 ELSE 1 END = 1"
    };
}
pub(crate) use is_open;

/// The condition that the index `run_upkeep` answers.
macro_rules! is_upkeep {
    () => {
        "CASE WHEN kind IN ('check', 'prune') AND state = 'ended' AND verdict NOT IN ('missed', 'skipped') \
         THEN 1 ELSE 0 END = 1"
    };
}
pub(crate) use is_upkeep;

impl Run {
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let slots = row.small_count("slots")?;
        let verdict = match row.optional_string("verdict")? {
            None => None,
            Some(_) => {
                let kind = row.word("verdict", VerdictKind::parse)?;
                Some(Verdict::with_reason(kind, row.optional_text("reason")?))
            }
        };
        let executor = match (row.optional_name("server")?, row.optional_name("boot")?) {
            (Some(server), Some(boot)) => Some(Executor { server, boot }),
            _ => None,
        };
        let error = match (row.optional_name("error_category")?, row.optional_name("fingerprint")?) {
            (Some(category), Some(fingerprint)) => Some(RunError {
                category,
                fingerprint,
                message: row.optional_text("error")?.unwrap_or_else(|| Text::from("")),
            }),
            _ => None,
        };
        Ok(Self {
            number: RunNumber(row.integer("number")?),
            id: row.name("id")?,
            kind: row.word("kind", RunKind::parse)?,
            subject: RunSubject {
                plan: row.optional_name("plan")?,
                repository: row.optional_name("repository")?,
                host: row.optional_name("host")?,
                drill: row.optional_name("drill")?,
            },
            slot: row.optional_time("slot")?.map(|at| Slot { at, count: slots }),
            trigger: row.word("trigger_kind", Trigger::parse)?,
            parent: row.optional_name("parent")?,
            root: row.name("root")?,
            attempt: row.small_count("attempt")?,
            state: row.word("state", RunState::parse)?,
            verdict,
            created: row.time("created")?,
            not_before: row.optional_time("not_before")?,
            started: row.optional_time("started")?,
            ended: row.optional_time("ended")?,
            executor,
            lease_until: row.optional_time("lease_until")?,
            config: row.name("config")?,
            phase: row.optional_name("phase")?,
            counters: row.optional_json("counters")?,
            waits: row.optional_json("waits")?,
            cancel_requested: row.optional_time("cancel_requested")?,
            error,
            only_server: row.optional_name("only_server")?,
            found_bytes: row.optional_count("found_bytes")?,
        })
    }

    /// The event that tells of this run as it is now.
    pub(crate) fn event(&self, at: UtcTime, kind: EventKind) -> NewEvent {
        let mut document = json!({
            "run": self.id,
            "kind": self.kind,
            "plan": self.subject.plan,
            "repository": self.subject.repository,
            "host": self.subject.host,
            "drill": self.subject.drill,
            "trigger": self.trigger,
            "root": self.root,
            "attempt": self.attempt,
            "config": self.config,
        });
        let mut add = |name: &str, value: Document| {
            if let Some(fields) = document.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        };
        if let Some(slot) = self.slot {
            add("slot", json!(slot.at));
            add("slots", json!(slot.count));
        }
        if let Some(phase) = &self.phase {
            add("phase", json!(phase));
        }
        if let Some(executor) = &self.executor {
            add("server", json!(executor.server));
        }
        if let Some(verdict) = &self.verdict {
            add("verdict", json!(verdict.kind()));
            if let Some(reason) = verdict.reason() {
                add("reason", json!(reason));
            }
        }
        if let Some(error) = &self.error {
            add("error_category", json!(error.category));
            add("fingerprint", json!(error.fingerprint));
            add("error", json!(error.message));
        }
        NewEvent { at, kind, subject: self.subject(), document }
    }

    /// What events about it are about: its plan, its repository, or itself.
    fn subject(&self) -> Subject {
        match &self.subject {
            RunSubject { plan: Some(plan), .. } => Subject::of(SubjectKind::Plan, plan.as_str()),
            RunSubject { repository: Some(repository), .. } => {
                Subject::of(SubjectKind::Repository, repository.as_str())
            }
            _ => Subject::of(SubjectKind::Run, self.id.as_str()),
        }
    }
}

/// A run that is stored with a place in its lineage, waiting or with a verdict already.
pub(crate) struct Insert<'a> {
    pub run: &'a NewRun,
    pub slot: Option<Slot>,
    pub parent: Option<&'a Run>,
    pub verdict: Option<Verdict>,
}

/// Stores a run and its event; `None` if a run with this id or parent is there.
pub(crate) async fn insert(tx: &mut Tx, now: UtcTime, insert: Insert<'_>) -> Result<Option<Run>> {
    const SQL: &str = concat!(
        "INSERT INTO run (id, kind, plan, repository, host, slot, slots, due, trigger_kind, parent, root, \
         attempt, state, verdict, reason, created, not_before, ended, beat, config, only_server, request, \
         drill) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0, $19, $20, $21, $22) \
         ON CONFLICT DO NOTHING RETURNING ",
        run_columns!()
    );
    let Insert { run, slot, parent, verdict } = insert;
    let subject = &run.subject;
    let state = if verdict.is_some() { RunState::Ended } else { RunState::Waiting };
    let row = tx
        .row(
            SQL,
            values![
                run.id.as_str(),
                run.kind.as_str(),
                subject.plan.as_ref().map(PlanId::as_str),
                subject.repository.as_ref().map(RepositoryId::as_str),
                subject.host.as_ref().map(HostId::as_str),
                slot.map(|slot| slot.at),
                slot.map_or(1, |slot| i64::from(slot.count)),
                slot.map_or(now, |slot| slot.at),
                run.trigger.as_str(),
                parent.map(|parent| parent.id.as_str()),
                parent.map_or(&run.id, |parent| &parent.root).as_str(),
                parent.map_or(1, |parent| i64::from(parent.attempt).saturating_add(1)),
                state.as_str(),
                verdict.as_ref().map(|verdict| verdict.kind().as_str()),
                verdict.as_ref().and_then(Verdict::reason).map(Text::as_str),
                now,
                run.not_before,
                verdict.is_some().then_some(now),
                run.config.as_str(),
                run.errand.as_ref().map(|errand| errand.server.as_str()),
                optional_json(run.errand.as_ref().map(|errand| &errand.request)),
                subject.drill.as_ref().map(DrillId::as_str),
            ],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let stored = Run::from_row(&row)?;
    let kind = if verdict.is_some() { EventKind::RUN_ENDED } else { EventKind::RUN_QUEUED };
    tx.event(stored.event(now, kind));
    Ok(Some(stored))
}

/// Stores a run that does again what `parent` was to do; nothing if there is one.
pub(crate) async fn again(
    tx: &mut Tx,
    now: UtcTime,
    parent: &Run,
    id: RunId,
    not_before: Option<UtcTime>,
) -> Result<Option<Run>> {
    let request = request_of(tx, &parent.id).await?;
    let errand = parent.only_server.clone().zip(request).map(|(server, request)| Errand { server, request });
    let run = NewRun {
        id,
        kind: parent.kind,
        subject: parent.subject.clone(),
        trigger: Trigger::Retry,
        config: parent.config.clone(),
        not_before,
        errand,
    };
    insert(tx, now, Insert { run: &run, slot: parent.slot, parent: Some(parent), verdict: None }).await
}

/// What a run was asked for.
const REQUEST: &str = "SELECT request FROM run WHERE id = $1";

async fn request_of(tx: &mut Tx, run: &RunId) -> Result<Option<Document>> {
    let row = tx.row(REQUEST, values![run.as_str()]).await?;
    row.map_or(Ok(None), |row| row.optional_json("request"))
}
