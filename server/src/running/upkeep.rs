//! A check or a prune of a repository, from its beginning to its end.

use std::sync::Arc;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_engine::run::RunContext;
use keepfast_store::{Figures, Held, PageSize, RunFilter, RunKind, Trigger, VerdictKind};

use super::end::Ended;
use super::record::Told;
use super::{Workshop, lease};
use crate::connect;
use crate::daemon::jobs::Job;
use crate::error::Result;
use crate::failure::{self, kinds};
use crate::state::now;
use crate::work::upkeep::rolling::Readings;
use crate::work::upkeep::{
    UpkeepReport, carry_out_check, carry_out_prune, check_by_hand, check_work, prune_by_hand, prune_work,
    readings_of,
};

impl Workshop {
    pub(super) fn carry_out_upkeep(
        &self,
        config: &Config,
        repository: &str,
        job: &Job,
        held: &Held,
        run: &RunContext,
    ) -> Result<()> {
        let report = match self.upkeep(config, repository, job, held, run) {
            Ok(report) => report,
            Err(error) => {
                self.end(config, held, &self.unbegun(config, held, &error)?)?;
                return Err(error);
            }
        };
        let kind = report.failure.as_ref().map(kinds::of_operations);
        let error = |text: &String| {
            let kind = kind.unwrap_or_else(kinds::unknown);
            failure::error_of(text, kind, held.run.kind.as_str(), &self.scene(config, held))
        };
        let ended = Ended {
            ending: report.verdict.into(),
            report: serde_json::to_value(&report).ok(),
            figures: Figures { found_bytes: report.found_bytes(), ..Figures::default() },
            error: report.error.as_ref().map(error).transpose()?,
            category: kind.map(|kind| kind.category),
            baseline: None,
        };
        self.end(config, held, &ended)
    }

    fn upkeep(
        &self,
        config: &Config,
        repository: &str,
        job: &Job,
        held: &Held,
        run: &RunContext,
    ) -> Result<UpkeepReport> {
        let definition = connect::definition(config, repository)?;
        let shared = connect::repository(config, &self.around, definition)?;
        let record = self.record(held);
        let is_by_hand = held.run.trigger == Trigger::Manual;
        let check = match job {
            Job::Check { .. } => {
                let readings = self.handle.block_on(self.readings(held))?;
                let asked_for = check_work(config, definition, readings, Timestamp::now())?;
                asked_for.or_else(|| is_by_hand.then(|| check_by_hand(definition)))
            }
            _ => None,
        };
        let prune = matches!(job, Job::Prune { .. })
            .then(|| prune_work(definition).or_else(|| is_by_hand.then(|| prune_by_hand(definition))));
        let prune = prune.flatten();
        self.handle.block_on(self.store.start(now(), held))?;
        let told = Arc::new(Told { log: record.log.clone(), next: run.listener() });
        let run = &run.clone().with_listener(told);
        let beating = lease::Beating::begin(&self.handle, &record, run, None, None);
        let report = match (check, prune) {
            (Some(work), _) => carry_out_check(&work, &shared, run, &record),
            (None, Some(work)) => carry_out_prune(&work, &shared, run, &record),
            (None, None) => {
                let text = format!("the repository has no {} any more", held.run.kind.as_str());
                UpkeepReport::failed(repository, &text, None)
            }
        };
        self.look_at_quota(config, repository, &shared, run);
        beating.end(&self.handle);
        Ok(report)
    }

    /// What earlier checks of the repository have read, according to the newest that did its work.
    async fn readings(&self, held: &Held) -> Result<Readings> {
        let mut newest = None;
        for verdict in [VerdictKind::Ok, VerdictKind::Findings] {
            let filter = RunFilter {
                repository: held.run.subject.repository.clone(),
                kind: Some(RunKind::Check),
                verdict: Some(verdict),
                ..RunFilter::default()
            };
            let run = self.store.runs(&filter, None, PageSize::at_most(1)).await?.rows.pop();
            newest = newest.into_iter().chain(run).max_by_key(|run| run.number);
        }
        let Some(run) = newest else { return Ok(Readings::default()) };
        Ok(self.store.run_report(&run.id).await?.as_ref().map(readings_of).unwrap_or_default())
    }
}
