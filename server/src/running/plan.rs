//! A run of a plan, from its beginning to its end.

use std::sync::Arc;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_operations::priority::be_nice;
use keepfast_store::{Held, PlanId};

use super::end::Ended;
use super::record::Told;
use super::{Workshop, enabled, lease, prepare};
use crate::error::{Result, ServerError};
use crate::failure;
use crate::idle;
use crate::recovery::STATE_PLAN;
use crate::recovery::copy::{COPY, Copy, Maker};
use crate::state::now;
use crate::surroundings::Surroundings;
use crate::usual::{Judged, Usual};
use crate::work::pace::Pace;
use crate::work::report::{PlanReport, Verdict};
use crate::work::{Before, carry_out};

impl Workshop {
    /// Carries out a run of a plan that this process holds, and stores what came of it.
    ///
    /// `problems` are those of before: they are findings of this run.
    pub fn carry_out_plan(
        &self,
        config: &Config,
        held: &Held,
        run: &RunContext,
        problems: Vec<String>,
    ) -> Result<PlanReport> {
        let Some(plan) = &held.run.subject.plan else {
            let error = ServerError::NoPlan { name: String::new(), known: Vec::new() };
            self.end(config, held, &self.unbegun(config, held, &error)?)?;
            return Err(error);
        };
        let report = self.begun(config, plan, held, run, problems);
        match &report {
            Ok(report) => self.end_of_plan(config, plan, held, report)?,
            // What keeps a run from beginning is recorded as well: the plan's next line in `status` says it.
            Err(error) => self.end_of_plan(config, plan, held, &PlanReport::failed(plan.as_str(), error))?,
        }
        report
    }

    fn begun(
        &self,
        config: &Config,
        plan: &PlanId,
        held: &Held,
        run: &RunContext,
        problems: Vec<String>,
    ) -> Result<PlanReport> {
        let definition = enabled(config, plan.as_str())?;
        let (mut work, shared) = prepare(config, plan.as_str(), &self.around)?;
        let record = self.record(held);
        let usual = self.handle.block_on(Usual::read(&self.store, plan))?;
        self.handle.block_on(self.store.start(now(), held))?;
        be_nice(work.backup.resources.nice);
        let pace = Pace::begin(config, definition, Timestamp::now())?;
        let told = Arc::new(Told { log: record.log.clone(), next: run.listener() });
        let run = &pace.of(run).with_listener(told);
        let timeout = definition.value.timeout.map(|timeout| timeout.0);
        let beating = lease::Beating::begin(&self.handle, &record, run, timeout, Some(pace));
        let _copy = match plan.as_str() {
            STATE_PLAN => {
                let made = self.copy_state(config, held)?;
                work.backup.sources = made.sources();
                Some(made)
            }
            _ => None,
        };
        let mut report = carry_out(&work, &shared, run, &record, Before { problems, usual });
        self.look_at_quota(config, &work.repository, &shared, run);
        if let Some(timeout) = beating.end(&self.handle) {
            report.too_late(timeout);
        }
        Ok(report)
    }

    /// A copy of the state, which this run is in as one that is at work.
    fn copy_state(&self, config: &Config, held: &Held) -> Result<Copy> {
        let Surroundings { host, version, .. } = &self.around;
        let maker = Maker { host, version, run: Some(&held.run.id) };
        self.handle.block_on(Copy::make(&self.store, config, COPY, maker))
    }

    fn end_of_plan(&self, config: &Config, plan: &PlanId, held: &Held, report: &PlanReport) -> Result<()> {
        let is_good = matches!(report.verdict, Verdict::Ok | Verdict::Findings);
        let mut judged = report.judged.clone();
        let was_done = !report.retention_paused && !report.retention_failed;
        let is_idle = was_done.then_some(report.idle_retention.is_some());
        let idle_runs = judged.as_mut().map_or(0, |judged| judged.count_idle(is_idle));
        let ended = Ended {
            ending: report.verdict.into(),
            report: serde_json::to_value(report).ok(),
            figures: report.figures(),
            error: failure::run_error(report, &self.scene(config, held))?,
            category: report.category,
            baseline: judged.as_ref().filter(|_| is_good).and_then(Judged::baseline),
        };
        if let Some(judged) = &judged {
            self.until_stored(async || judged.tell(&self.store, plan).await)?;
        }
        if is_good {
            let (idle, has_verdict) =
                (report.idle_retention.as_ref(), !report.retention_paused && !report.retention_failed);
            self.until_stored(async || idle::tell(&self.store, plan, idle, has_verdict, idle_runs).await)?;
        }
        self.end(config, held, &ended)
    }
}
