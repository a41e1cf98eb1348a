//! What runs do: backups of plans, checks and prunes of repositories, drills, which are done by themselves too, and when;
//! restores.

use std::time::Duration;

use keepfast_config::config::{Config, Definition};
use keepfast_config::model::drill::Drill;
use keepfast_config::model::repository::Repository;
use keepfast_config::values::time::Length;
use keepfast_schedule::names::PlanName;
use keepfast_schedule::plan::{JitterSeed, PlanSchedule};
use keepfast_store::{
    ConfigHash, HostId, NewRun, PlanId, RepositoryId, Run, RunId, RunKind, RunSubject, ScheduleId, Trigger,
};

use crate::convert::{drill, schedule};
use crate::error::{Result, ScheduleError, ServerError};
use crate::state;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Backs a plan up.
    Backup {
        /// The plan.
        plan: String,
    },
    /// Verifies a repository.
    Check {
        /// The repository.
        repository: String,
    },
    /// Removes from a repository what no snapshot needs.
    Prune {
        /// The repository.
        repository: String,
    },
    /// Restores on trial, and tests what was restored.
    Drill {
        /// The drill.
        drill: String,
    },
    /// Restores what a person has asked for. No schedule makes it.
    Restore {
        /// The run, which says what.
        run: String,
    },
}

impl Job {
    /// The job that a run is for; nothing for kinds that no schedule makes.
    #[must_use]
    pub fn of(run: &Run) -> Option<Self> {
        let repository = || run.subject.repository.as_ref().map(|repository| repository.to_string());
        match run.kind {
            RunKind::Backup => Some(Self::Backup { plan: run.subject.plan.as_ref()?.to_string() }),
            RunKind::Check => Some(Self::Check { repository: repository()? }),
            RunKind::Prune => Some(Self::Prune { repository: repository()? }),
            RunKind::Restore => Some(Self::Restore { run: run.id.to_string() }),
            RunKind::Drill => Some(Self::Drill { drill: run.subject.drill.as_ref()?.to_string() }),
            RunKind::Forget | RunKind::Copy => None,
        }
    }

    /// The kind of its runs.
    #[must_use]
    pub fn kind(&self) -> RunKind {
        match self {
            Self::Backup { .. } => RunKind::Backup,
            Self::Check { .. } => RunKind::Check,
            Self::Prune { .. } => RunKind::Prune,
            Self::Drill { .. } => RunKind::Drill,
            Self::Restore { .. } => RunKind::Restore,
        }
    }

    /// The name of its schedule: `plan:www`, `check:main`; of a restore, its own.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Backup { plan } => format!("plan:{plan}"),
            Self::Check { repository } => format!("check:{repository}"),
            Self::Prune { repository } => format!("prune:{repository}"),
            Self::Drill { drill } => format!("drill:{drill}"),
            Self::Restore { run } => format!("restore:{run}"),
        }
    }
}

/// A job, and what the configuration says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduled {
    /// The job.
    pub job: Job,
    /// The name of its schedule in the state.
    pub id: ScheduleId,
    /// When it is done.
    pub schedule: PlanSchedule,
    /// Whether it is.
    pub enabled: bool,
    /// What its runs work on.
    pub subject: RunSubject,
    /// What the configuration says, as a hash.
    pub config: ConfigHash,
}

impl Scheduled {
    /// A run that is to be stored.
    pub fn new_run(&self, trigger: Trigger) -> Result<NewRun> {
        Ok(NewRun {
            id: RunId::new(state::random_name()?).map_err(ServerError::name("run"))?,
            kind: self.job.kind(),
            subject: self.subject.clone(),
            trigger,
            config: self.config.clone(),
            not_before: None,
            errand: None,
        })
    }
}

/// What the configuration wants done by itself, and what of it can't be done.
#[derive(Debug, Default)]
pub struct Jobs {
    /// In the order of their names.
    pub scheduled: Vec<Scheduled>,
    /// Schedules that can't be used.
    pub wrong: Vec<ServerError>,
}

/// All jobs of a configuration. `seed` spreads their starts, `host` is this machine's name.
#[must_use]
pub fn all(config: &Config, seed: JitterSeed, host: &HostId) -> Jobs {
    let mut jobs = Jobs::default();
    let mut add = |made: Result<Option<Scheduled>>| match made {
        Ok(scheduled) => jobs.scheduled.extend(scheduled),
        Err(error) => jobs.wrong.push(error),
    };
    for definition in config.plans.values() {
        add(schedule::plan(config, definition, seed).and_then(|schedule| {
            let Some(schedule) = schedule else { return Ok(None) };
            let (plan, repository) = (&definition.name, &definition.value.repository.name);
            let job = Job::Backup { plan: plan.clone() };
            let subject = RunSubject {
                plan: Some(PlanId::new(&**plan).map_err(ServerError::name(plan))?),
                repository: Some(RepositoryId::new(&**repository).map_err(ServerError::name(repository))?),
                host: Some(host.clone()),
                drill: None,
            };
            let hash = definition.hash.to_string();
            scheduled(job, schedule, definition.value.enabled, subject, &hash).map(Some)
        }));
    }
    for definition in config.repositories.values() {
        let Repository { check, prune, .. } = &definition.value;
        if let Some(check) = check {
            let job = Job::Check { repository: definition.name.clone() };
            add(upkeep(config, definition, job, &check.cron.0, check.jitter, seed).map(Some));
        }
        if let Some(prune) = prune {
            let job = Job::Prune { repository: definition.name.clone() };
            add(upkeep(config, definition, job, &prune.cron.0, prune.jitter, seed).map(Some));
        }
    }
    for definition in config.drills.values() {
        add(drilled(config, definition, seed).map(Some));
    }
    jobs
}

fn drilled(config: &Config, definition: &Definition<Drill>, seed: JitterSeed) -> Result<Scheduled> {
    let job = Job::Drill { drill: definition.name.clone() };
    let defined = &definition.value.schedule;
    let schedule = calendar(config, &job, &defined.cron.0, defined.jitter, seed).map_err(|source| {
        ServerError::Schedule { definition: format!("drill {}", definition.name), source }
    })?;
    let plan = config.plans.get(&definition.value.plan.name);
    let is_enabled = plan.is_some_and(|plan| plan.value.enabled);
    let subject = drill::subject(config, definition)?;
    scheduled(job, schedule, is_enabled, subject, &definition.hash.to_string())
}

/// A schedule by the calendar in the server's zone.
fn calendar(
    config: &Config,
    job: &Job,
    cron: &str,
    jitter: Option<Length>,
    seed: JitterSeed,
) -> Result<PlanSchedule, ScheduleError> {
    let (schedule, zone) = schedule::upkeep(config, cron)?;
    Ok(PlanSchedule {
        jitter: jitter.map_or(Duration::ZERO, |jitter| jitter.0),
        seed,
        ..PlanSchedule::new(PlanName::from(job.text()), schedule, zone)
    })
}

fn upkeep(
    config: &Config,
    definition: &Definition<Repository>,
    job: Job,
    cron: &str,
    jitter: Option<Length>,
    seed: JitterSeed,
) -> Result<Scheduled> {
    let schedule = calendar(config, &job, cron, jitter, seed).map_err(|source| ServerError::Schedule {
        definition: format!("repository {}", definition.name),
        source,
    })?;
    let repository = RepositoryId::new(&*definition.name).map_err(ServerError::name(&definition.name))?;
    // Not of a host: upkeep doesn't count among the runs that a host may have at once, or a long check would hold up
    // its backups.
    let subject = RunSubject { plan: None, repository: Some(repository), host: None, drill: None };
    scheduled(job, schedule, true, subject, &definition.hash.to_string())
}

fn scheduled(
    job: Job,
    schedule: PlanSchedule,
    enabled: bool,
    subject: RunSubject,
    hash: &str,
) -> Result<Scheduled> {
    let name = job.text();
    Ok(Scheduled {
        id: ScheduleId::new(&*name).map_err(ServerError::name(&name))?,
        config: ConfigHash::new(hash).map_err(ServerError::name("hash"))?,
        job,
        schedule,
        enabled,
        subject,
    })
}
