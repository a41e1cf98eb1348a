//! A drill, from its beginning to its end.

use std::sync::Arc;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_drills::evidence::Evidence;
use keepfast_drills::verdict::Verdict as Proved;
use keepfast_engine::EngineError;
use keepfast_engine::run::RunContext;
use keepfast_observe::errors::Category;
use keepfast_operations::OperationsError;
use keepfast_operations::drill::Step as DrillStep;
use keepfast_operations::error::with_causes;
use keepfast_operations::requests::{DrillReport, drill};
use keepfast_store::{
    ConfigHash, Figures, Held, NewRun, Proof, ProofKind, RepositoryId, RunId, RunKind, SnapshotId, Trigger,
    VerdictKind,
};
use serde::Serialize;

use super::end::Ended;
use super::record::Told;
use super::{Workshop, lease};
use crate::connect;
use crate::convert::drill::{Asked, request, subject};
use crate::definitions;
use crate::error::{Result, ServerError};
use crate::failure::kinds::Kind;
use crate::failure::{self, kinds};
use crate::state::{self, now};
use crate::work::record::{Level, Record, Step};
use crate::work::report::Verdict;

/// What came of a drill. As JSON it is the document that the state keeps, and that `--json` prints.
#[derive(Debug, Serialize)]
pub struct DrillOutcome {
    /// The drill.
    pub drill: String,
    /// What came of the run, in a word.
    pub verdict: Verdict,
    /// Why it didn't do its work, or what it has found.
    pub error: Option<String>,
    /// How often something should be looked at.
    pub findings: u64,
    /// What should be looked at.
    pub problems: Vec<String>,
    /// What was tested and found; null if the drill couldn't begin or was ended.
    pub evidence: Option<Evidence>,
    /// The snapshot that keeps the evidence; null if none does.
    pub kept: Option<String>,
    /// The error that made it fail, if an operation failed.
    #[serde(skip)]
    pub failure: Option<OperationsError>,
}

/// A run of a drill that is to be stored.
pub fn new_run(config: &Config, name: &str, trigger: Trigger) -> Result<NewRun> {
    let definition = definitions::drill(config, name)?;
    Ok(NewRun {
        id: RunId::new(state::random_name()?).map_err(ServerError::name("run"))?,
        kind: RunKind::Drill,
        subject: subject(config, definition)?,
        trigger,
        config: ConfigHash::new(definition.hash.to_string()).map_err(ServerError::name("hash"))?,
        not_before: None,
        errand: None,
    })
}

impl Workshop {
    /// Carries out a drill that this process holds, and stores what came of it.
    pub fn carry_out_drill(
        &self,
        config: &Config,
        name: &str,
        held: &Held,
        run: &RunContext,
    ) -> Result<DrillOutcome> {
        let outcome = match self.drill(config, name, held, run) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.end(config, held, &self.unbegun(config, held, &error)?)?;
                return Err(error);
            }
        };
        let kind = match &outcome.failure {
            Some(failure) => Some(kinds::of_operations(failure)),
            // What was restored isn't what it should be.
            None if outcome.verdict == Verdict::Failed => {
                Some(Kind { code: "drill_failed", category: Category::Damage })
            }
            None => None,
        };
        let error = |text: &String| {
            let kind = kind.unwrap_or_else(kinds::unknown);
            failure::error_of(text, kind, held.run.kind.as_str(), &self.scene(config, held))
        };
        let ended = Ended {
            ending: outcome.verdict.into(),
            report: serde_json::to_value(&outcome).ok(),
            figures: Figures::default(),
            error: outcome.error.as_ref().map(error).transpose()?,
            category: kind.map(|kind| kind.category),
            baseline: None,
        };
        self.end(config, held, &ended)?;
        Ok(outcome)
    }

    fn drill(&self, config: &Config, name: &str, held: &Held, run: &RunContext) -> Result<DrillOutcome> {
        let definition = definitions::drill(config, name)?;
        let plan = definitions::plan(config, &definition.value.plan.name)?;
        let id = held.run.id.as_str();
        let random = blake3::hash(id.as_bytes());
        let seed = u64::from_le_bytes(*random.as_bytes().first_chunk().unwrap_or(&[0; 8]));
        let asked = Asked {
            run: id,
            host: &self.around.host,
            folder: &state::drills(config),
            now: Timestamp::now(),
            seed,
        };
        let request = request(config, definition, asked)?;
        let repository = connect::definition(config, &plan.value.repository.name)?;
        let shared = connect::repository(config, &self.around, repository)?;
        let folder = state::random_bytes()?;
        let record = self.record(held);
        self.handle.block_on(self.store.start(now(), held))?;
        let told = Arc::new(Told { log: record.log.clone(), next: run.listener() });
        let run = &run.clone().with_listener(told);
        let beating = lease::Beating::begin(&self.handle, &record, run, None, None);
        record.step(Step::Opening);
        let done = drill(&request, folder, &|step| record.step(of_drill(step)), &shared, run);
        let outcome = outcome(name, done, &record);
        beating.end(&self.handle);
        if let Some(evidence) = &outcome.evidence {
            self.note_proof(evidence);
        }
        Ok(outcome)
    }

    /// Says of the snapshot what was shown of it. A catalogue that can't be written now says less, and that is all.
    fn note_proof(&self, evidence: &Evidence) {
        let verdict = match evidence.verdict {
            Proved::Pass => VerdictKind::Ok,
            Proved::Fail => VerdictKind::Failed,
            // It says nothing about the snapshot.
            Proved::NotTested => return,
        };
        let Some(snapshot) = &evidence.snapshot else { return };
        let (Ok(repository), Ok(id)) =
            (RepositoryId::new(&*evidence.repository), SnapshotId::new(&*snapshot.id))
        else {
            return;
        };
        let proof = Proof { verdict, at: state::stored(evidence.ended) };
        let _ = self.handle.block_on(self.store.store_proof(&repository, &id, ProofKind::Drill, proof));
    }
}

fn of_drill(step: DrillStep) -> Step {
    match step {
        DrillStep::Choosing => Step::Opening,
        DrillStep::Restoring => Step::Restore,
        DrillStep::Comparing => Step::Verify,
        DrillStep::Databases => Step::Databases,
        DrillStep::Corrupting => Step::Corruption,
        DrillStep::Keeping => Step::Evidence,
    }
}

fn outcome(name: &str, done: Result<DrillReport, OperationsError>, record: &dyn Record) -> DrillOutcome {
    let none = DrillOutcome {
        drill: name.to_owned(),
        verdict: Verdict::Failed,
        error: None,
        findings: 0,
        problems: Vec::new(),
        evidence: None,
        kept: None,
        failure: None,
    };
    match done {
        Ok(DrillReport { evidence, kept, problems, .. }) => {
            record.line(Level::Info, &format!("the drill {}", evidence.verdict));
            let (level, verdict) = match evidence.verdict {
                Proved::Fail => (Level::Error, Verdict::Failed),
                Proved::NotTested => (Level::Warning, Verdict::Findings),
                Proved::Pass if problems.is_empty() => (Level::Info, Verdict::Ok),
                Proved::Pass => (Level::Warning, Verdict::Findings),
            };
            problems.iter().for_each(|problem| record.line(level, problem));
            let error = (verdict == Verdict::Failed).then(|| problems.join("; "));
            let findings = u64::try_from(problems.len()).unwrap_or(u64::MAX);
            DrillOutcome { verdict, error, findings, problems, evidence: Some(evidence), kept, ..none }
        }
        Err(error) => {
            let text = with_causes(&error);
            let is_cancelled =
                matches!(error.engine(), Some(EngineError::Interrupted | EngineError::RestoreInterrupted));
            record.line(if is_cancelled { Level::Info } else { Level::Error }, &text);
            let verdict = if is_cancelled { Verdict::Cancelled } else { Verdict::Failed };
            DrillOutcome { verdict, error: Some(text), failure: Some(error), ..none }
        }
    }
}
