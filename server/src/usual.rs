//! What is usual for a plan: the figures of its good runs, which later runs are compared with, and the anomaly that
//! is open.
//!
//! An anomaly of the data stays open until a person accepts it. Until then, runs are compared with what was usual
//! before it, and wait beside the baseline: if it was an attack, what the attack did must not become usual by itself,
//! however many runs are alike. When it was accepted, those that waited join the baseline. A run that only took long
//! damages nothing: that is over with the next run that doesn't.
//!
//! What is open is a problem in the state, and so to accept is to resolve it, from wherever that is done. The figures
//! are the plan's `baseline` there, which the end of each run writes.

use std::time::Duration;

use jiff::Timestamp;
use keepfast_observe::anomaly::{Anomaly, Comparison, Judgement, Rules, RunFigures, compare, judge};
use keepfast_operations::reports::BackupReport;
use keepfast_store::{PlanId, PlanState, Problem, ProblemKind, Store, Subject, SubjectKind, UserName};
use serde::{Deserialize, Serialize};
use serde_json::Value as Document;

use crate::error::{Result, ServerError};
use crate::state::{instant, now};

/// The kind of problem that an open anomaly is.
const KIND: &str = "anomaly";
/// The version of the baseline's document. Another one is not understood, and the baseline begins again.
const VERSION: u32 = 1;
/// This many kinds of anomalies are remembered of one that is open: there are no more.
const KINDS_MAX: usize = 16;

/// What a plan's runs are compared with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usual {
    baseline: Baseline,
    open: Option<OpenAnomaly>,
}

/// The figures of runs, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Baseline {
    version: u32,
    /// Those of good runs.
    good: Vec<Figures>,
    /// Those of runs since the anomaly that is open, or was open when the newest run ended.
    waiting: Vec<Figures>,
    /// How many runs in a row have removed nothing by retention, and should have.
    #[serde(default)]
    idle_runs: u32,
}

/// Figures of a run, as the state has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Figures {
    duration_ms: u64,
    source_bytes: u64,
    new_bytes: u64,
    stored_bytes: u64,
    files_before: u64,
    files_deleted: u64,
    files_rewritten: u64,
    files_moved: u64,
}

/// An anomaly that no one has accepted yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAnomaly {
    /// The run that found it.
    pub run: String,
    /// When that run was judged.
    pub since: Timestamp,
    /// Whether the data may be damaged, so that a person has to accept it.
    pub about_data: bool,
    /// What was found, each kind once.
    pub anomalies: Vec<AnomalyDocument>,
}

/// Something unusual about a run, as documents have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyDocument {
    /// What it is: `new_bytes`, `deleted_files`, `rewritten_files`, `incompressible`, `shrunk_source`,
    /// `small_source`, `duration`.
    pub kind: String,
    /// How much it is in this run: bytes, a share from 0 to 1, or seconds.
    pub value: f64,
    /// How much is usual.
    pub usual: f64,
    /// The greatest amount that would have been no anomaly; of a source, the smallest.
    pub limit: f64,
    /// All of that as a sentence.
    pub text: String,
}

impl From<&Anomaly> for AnomalyDocument {
    fn from(anomaly: &Anomaly) -> Self {
        Self {
            kind: anomaly.kind.name().to_owned(),
            value: anomaly.value.number(),
            usual: anomaly.baseline.number(),
            limit: anomaly.limit.number(),
            text: anomaly.to_string(),
        }
    }
}

/// What a run looks like beside those before it, and what is to be stored about that.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What is unusual about it.
    pub found: Vec<AnomalyDocument>,
    /// The anomaly because of which retention removes nothing.
    pub pauses_retention: Option<OpenAnomaly>,
    /// The plan's baseline after this run, if it ends well.
    baseline: Baseline,
    change: Change,
}

/// What becomes of the problem.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    /// Nothing.
    None,
    /// It is there, or there is more of it.
    Seen(OpenAnomaly),
    /// It is over.
    Over,
}

impl Usual {
    /// What the state knows of a plan.
    pub async fn read(store: &Store, plan: &PlanId) -> Result<Self> {
        let known = store.bear_plan(now(), plan).await?;
        Ok(Self { baseline: Baseline::of(&known), open: open_anomaly(store, plan).await? })
    }

    /// How many bytes the newest run added to the store.
    #[must_use]
    pub fn last_stored_bytes(&self) -> Option<u64> {
        let Baseline { good, waiting, .. } = &self.baseline;
        waiting.last().or(good.last()).map(|figures| figures.stored_bytes)
    }

    /// Judges a run that has just backed up.
    #[must_use]
    pub fn judge(&self, backup: &BackupReport, run: &str, at: Timestamp, rules: &Rules) -> Judged {
        let figures = Figures::of(backup);
        let mut baseline = Baseline { version: VERSION, ..self.baseline.clone() };
        if self.open.is_none() {
            baseline.accept();
        }
        let good: Vec<RunFigures> = baseline.good.iter().map(RunFigures::from).collect();
        let anomalies = match judge(&good, &figures.into(), rules) {
            Judgement::TooEarly { .. } => Vec::new(),
            Judgement::Judged { anomalies, .. } => anomalies,
        };
        let about_data = anomalies.iter().any(|anomaly| anomaly.kind.is_about_data());
        let found: Vec<AnomalyDocument> = anomalies.iter().map(AnomalyDocument::from).collect();
        let was_about_data = self.open.as_ref().is_some_and(|open| open.about_data);
        let (open, change) = match (&self.open, found.is_empty()) {
            (None, true) => (None, Change::None),
            (None, false) => {
                let open =
                    OpenAnomaly { run: run.to_owned(), since: at, about_data, anomalies: found.clone() };
                (Some(open.clone()), Change::Seen(open))
            }
            (Some(_), true) if !was_about_data => (None, Change::Over),
            (Some(open), true) => (Some(open.clone()), Change::None),
            (Some(open), false) => {
                let open = open.with(about_data, &found);
                (Some(open.clone()), Change::Seen(open))
            }
        };
        match &open {
            None => {
                // What only took long is no measure of what is usual.
                baseline.waiting.clear();
                baseline.good.push(figures);
            }
            Some(_) => baseline.waiting.push(figures),
        }
        baseline.keep(rules.window);
        let pauses = |open: &OpenAnomaly| rules.pause_retention && open.about_data;
        Judged { found, pauses_retention: open.filter(pauses), baseline, change }
    }
}

/// The newest run of a plan beside those before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewestRun {
    /// Its figures.
    pub figures: [Comparison; 4],
    /// With how many good runs it is compared.
    pub runs: usize,
}

/// Compares the newest run that made a snapshot with the good runs before it; nothing if there is none.
#[must_use]
pub fn newest_run(state: &PlanState, rules: &Rules) -> Option<NewestRun> {
    let Baseline { good, waiting, .. } = Baseline::of(state);
    let (newest, before) = match (waiting.split_last(), good.split_last()) {
        (Some((newest, _)), _) => (*newest, &good[..]),
        (None, Some((newest, before))) => (*newest, before),
        (None, None) => return None,
    };
    let before: Vec<RunFigures> = before.iter().map(RunFigures::from).collect();
    Some(NewestRun { figures: compare(&before, &newest.into(), rules), runs: before.len().min(rules.window) })
}

impl Baseline {
    /// What the state has. A document of another version, or that isn't one, must not keep backups from being made.
    fn of(state: &PlanState) -> Self {
        let read = state.baseline.clone().and_then(|document| serde_json::from_value::<Self>(document).ok());
        read.filter(|baseline| baseline.version == VERSION).unwrap_or_default()
    }

    /// The runs that waited are good ones now. A level that was accepted is the usual level from now on: else a source
    /// that has become smaller for good would be an anomaly in each run until half of the past is like it.
    fn accept(&mut self) {
        let Some(level) = self.waiting.last().copied() else { return };
        self.good.append(&mut self.waiting);
        for figures in &mut self.good {
            figures.source_bytes = figures.source_bytes.min(level.source_bytes);
            figures.duration_ms = figures.duration_ms.max(level.duration_ms);
        }
    }

    /// No more than this many of each.
    fn keep(&mut self, window: usize) {
        for figures in [&mut self.good, &mut self.waiting] {
            figures.drain(..figures.len().saturating_sub(window));
        }
    }
}

impl OpenAnomaly {
    /// With what a later run has found.
    fn with(&self, about_data: bool, found: &[AnomalyDocument]) -> Self {
        let mut open = Self { about_data: self.about_data || about_data, ..self.clone() };
        for anomaly in found {
            if !open.anomalies.iter().any(|known| known.kind == anomaly.kind)
                && open.anomalies.len() < KINDS_MAX
            {
                open.anomalies.push(anomaly.clone());
            }
        }
        open
    }

    /// What was found, as a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.anomalies.iter().map(|anomaly| anomaly.text.as_str()).collect();
        texts.join("; ")
    }
}

impl Judged {
    /// The plan's baseline after a run that has ended well.
    #[must_use]
    pub fn baseline(&self) -> Option<Document> {
        serde_json::to_value(&self.baseline).ok()
    }

    /// Whether retention has removed nothing and should have, if it was done. Returns in how many runs in a row that was so.
    pub fn count_idle(&mut self, is_idle: Option<bool>) -> u32 {
        let before = self.baseline.idle_runs;
        self.baseline.idle_runs = match is_idle {
            None => before,
            Some(true) => before.saturating_add(1),
            Some(false) => 0,
        };
        self.baseline.idle_runs
    }

    /// Opens the problem, adds to it, or says that it is over. To be called before the end of the run is written: if the
    /// process dies in between, the run is lost, and what was found stays open.
    pub async fn tell(&self, store: &Store, plan: &PlanId) -> Result<()> {
        match &self.change {
            Change::None => {}
            Change::Seen(open) => {
                let document = serde_json::json!({ "plan": plan, "summary": open.text(), "anomaly": open });
                store.see_problem(now(), &subject(plan), &kind()?, &document, None).await?;
            }
            Change::Over => {
                store.resolve_problem(now(), &subject(plan), &kind()?).await?;
            }
        }
        Ok(())
    }
}

/// The anomaly of a plan that no one has accepted.
pub async fn open_anomaly(store: &Store, plan: &PlanId) -> Result<Option<OpenAnomaly>> {
    Ok(open_problem(store, plan).await?.map(|problem| anomaly_of(&problem)))
}

/// Accepts the open anomaly of a plan: what its runs did since is usual from now on, and retention goes on. Nothing if
/// there is none.
pub async fn accept(store: &Store, plan: &str, by: &str) -> Result<Option<OpenAnomaly>> {
    let plan = &PlanId::new(plan).map_err(ServerError::name(plan))?;
    let Some(problem) = open_problem(store, plan).await? else { return Ok(None) };
    let user = UserName::new(by).map_err(ServerError::name(by))?;
    // The record says who it was.
    store.acknowledge_problem(now(), problem.number, &user).await?;
    let was_open = store.resolve_problem(now(), &subject(plan), &kind()?).await?;
    Ok(was_open.then(|| anomaly_of(&problem)))
}

async fn open_problem(store: &Store, plan: &PlanId) -> Result<Option<Problem>> {
    let (subject, kind) = (subject(plan), kind()?);
    let open = store.open_problems().await?;
    Ok(open.into_iter().find(|problem| problem.subject == subject && problem.kind == kind))
}

/// What a problem says. One whose document can't be read is about data: that is the careful answer.
pub fn anomaly_of(problem: &Problem) -> OpenAnomaly {
    let said = problem.document.get("anomaly").cloned();
    said.and_then(|said| serde_json::from_value(said).ok()).unwrap_or_else(|| OpenAnomaly {
        run: "unknown".to_owned(),
        since: instant(problem.opened),
        about_data: true,
        anomalies: Vec::new(),
    })
}

/// Whether a problem is an open anomaly of a plan.
pub fn is_anomaly(problem: &Problem) -> bool {
    problem.kind.as_str() == KIND
}

fn subject(plan: &PlanId) -> Subject {
    Subject::of(SubjectKind::Plan, plan.as_str())
}

fn kind() -> Result<ProblemKind> {
    ProblemKind::new(KIND).map_err(ServerError::name(KIND))
}

impl Figures {
    /// Those of a backup. Without a snapshot before it, no file of one is gone.
    fn of(backup: &BackupReport) -> Self {
        let summary = &backup.summary;
        let changes = backup.changes.as_ref();
        let of_changes = |figure: fn(&keepfast_operations::reports::ChangesDocument) -> u64| {
            changes.map(figure).unwrap_or_default()
        };
        let duration = Duration::try_from_secs_f64(backup.seconds).unwrap_or_default();
        Self {
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            source_bytes: summary.bytes_total,
            new_bytes: summary.bytes_new,
            stored_bytes: summary.bytes_stored,
            files_before: of_changes(|changes| changes.files_before),
            files_deleted: of_changes(|changes| changes.files_deleted),
            files_rewritten: of_changes(|changes| changes.files_rewritten),
            files_moved: of_changes(|changes| changes.files_moved),
        }
    }
}

impl From<&Figures> for RunFigures {
    fn from(figures: &Figures) -> Self {
        Self {
            duration: Duration::from_millis(figures.duration_ms),
            source_bytes: figures.source_bytes,
            new_bytes: figures.new_bytes,
            stored_bytes: figures.stored_bytes,
            files_before: figures.files_before,
            files_deleted: figures.files_deleted,
            files_rewritten: figures.files_rewritten,
            files_moved: figures.files_moved,
        }
    }
}

impl From<Figures> for RunFigures {
    fn from(figures: Figures) -> Self {
        (&figures).into()
    }
}

#[cfg(test)]
mod tests;
