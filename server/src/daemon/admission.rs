//! Which of the runs that wait may start now.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_schedule::admission::{Limits, Needs, WaitingRun, admit};
use keepfast_schedule::clock::JUMP_MIN;
use keepfast_schedule::names::{HostName, PlanName, RepositoryName, RunId as RunName};
use keepfast_schedule::slot::Slot;
use keepfast_store::{Group, Limit, Run, RunId, RunKind, ServerId, Text, Unstarted};
use serde_json::{Value, json};

use super::jobs::{Job, Scheduled};
use crate::state::instant;

/// No pause between two tries is longer: a run that waits for a later moment got that from a clock that was wrong.
const WAITS_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Restores that a server carries out at once.
const RESTORES_MAX: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// What becomes of the runs that wait.
#[derive(Debug, Default)]
pub struct Queue {
    /// Those that may start, the most urgent first.
    pub start: Vec<RunId>,
    /// What must hold for all that are started.
    pub limits: Vec<Limit>,
    /// Why others wait.
    pub explained: Vec<(RunId, Value)>,
    /// Those that end without a start.
    pub ended: Vec<(RunId, Unstarted)>,
    /// When the next one may start, of those that wait for a moment.
    pub next: Option<Timestamp>,
}

/// Looks at the runs that wait, for this server.
#[must_use]
pub fn queue(
    config: &Config,
    schedules: &[&Scheduled],
    active: &[Run],
    waiting: &[Run],
    server: &ServerId,
    now: Timestamp,
) -> Queue {
    let mut queue = Queue::default();
    let mut candidates = Vec::new();
    let is_mine = |run: &&Run| run.only_server.as_ref().is_none_or(|only| only == server);
    for run in waiting.iter().filter(is_mine) {
        if let Some(why) = undefined(config, run) {
            queue.ended.push((run.id.clone(), Unstarted::Skipped(Text::from(why))));
            continue;
        }
        let not_before = run.not_before.map(instant);
        let latest = now.checked_add(WAITS_MAX).unwrap_or(Timestamp::MAX);
        // What was stored in the future was so by a clock that was ahead, and has been set right.
        let is_ahead = now.checked_add(JUMP_MIN).is_ok_and(|soon| soon < instant(run.created));
        if let Some(at) = not_before.filter(|at| *at > now && *at <= latest && !is_ahead) {
            queue.next = Some(queue.next.map_or(at, |next| next.min(at)));
            let text = format!("the last try did not do its work: the next one comes at {at}");
            queue
                .explained
                .push((run.id.clone(), json!({ "code": "wait.retry", "text": text, "until": at })));
            continue;
        }
        if run.kind == RunKind::Restore {
            // The state has the last word about how many there are.
            queue.start.push(run.id.clone());
            continue;
        }
        let slot = run.slot.map(|slot| instant(slot.at));
        let schedule = schedules.iter().find(|scheduled| Some(&scheduled.job) == Job::of(run).as_ref());
        // What is tried again has begun in time.
        let start_by = match (slot, schedule) {
            (Some(slot), Some(scheduled)) if run.attempt == 1 => scheduled.schedule.start_by(Slot::at(slot)),
            _ => None,
        };
        candidates.push(WaitingRun {
            needs: needs(run),
            slot: slot.unwrap_or_else(|| instant(run.created)),
            sequence: u64::try_from(run.number.number()).unwrap_or(0),
            start_by,
        });
    }
    let limits = &config.server.value.limits;
    let working: Vec<Needs> = active.iter().filter(|run| run.kind != RunKind::Restore).map(needs).collect();
    let admission = admit(
        &Limits {
            total: Some(limits.runs),
            per_repository: Some(limits.per_repository),
            per_host: Some(limits.per_host),
            ..Limits::default()
        },
        &working,
        &candidates,
        now,
    );
    let id = |name: &RunName| waiting.iter().find(|run| run.id.as_str() == name.as_str()).map(|run| &run.id);
    for (name, busy) in &admission.too_late {
        let why = busy.as_ref().map_or_else(
            || "it could not start before its deadline".to_owned(),
            |busy| format!("it could not start before its deadline: {busy}"),
        );
        let missed = id(name).map(|id| (id.clone(), Unstarted::Missed(Text::from(why))));
        queue.ended.extend(missed);
    }
    let changed = admission.wait.iter().filter_map(|(name, busy)| {
        Some((id(name)?.clone(), json!({ "code": busy.code(), "text": busy.to_string() })))
    });
    queue.explained.extend(changed);
    queue
        .explained
        .retain(|(id, reason)| waiting.iter().any(|run| run.id == *id && run.waits.as_ref() != Some(reason)));
    queue.start.extend(admission.start.iter().filter_map(id).cloned());
    queue.limits = stored_limits(config, waiting.iter().filter(|run| queue.start.contains(&run.id)));
    queue.limits.push(Limit { group: Group::Restores(server.clone()), at_most: RESTORES_MAX.get() });
    queue
}

/// Why a run can't be carried out any more: what it is for is gone from the configuration.
fn undefined(config: &Config, run: &Run) -> Option<String> {
    match Job::of(run) {
        Some(Job::Backup { plan }) => match config.plans.get(&plan) {
            None => Some(format!("there is no plan {plan} any more")),
            Some(definition) if !definition.value.enabled => {
                Some(format!("plan {plan} is not enabled any more"))
            }
            Some(_) => None,
        },
        Some(Job::Check { repository } | Job::Prune { repository }) => {
            let is_defined = config.repositories.contains_key(&repository);
            (!is_defined).then(|| format!("there is no repository {repository} any more"))
        }
        Some(Job::Drill { drill }) => {
            (!config.drills.contains_key(&drill)).then(|| format!("there is no drill {drill} any more"))
        }
        // What it restores from and to is looked at when it begins, and its report says what is missing.
        Some(Job::Restore { .. }) => None,
        None => Some("this program can't do what it is for".to_owned()),
    }
}

fn needs(run: &Run) -> Needs {
    let subject = &run.subject;
    // Upkeep is of no host: a host of its own never is full.
    let host = subject.host.as_ref().map_or_else(|| format!("upkeep {}", run.id), ToString::to_string);
    let plan = match (&subject.drill, &subject.plan) {
        // Backups of its plan go on meanwhile.
        (Some(drill), _) => Some(format!("drill {drill}")),
        (None, Some(plan)) => Some(plan.to_string()),
        // Of a repository's upkeep, one run of a kind works at a time.
        (None, None) => subject.repository.as_ref().map(|name| format!("{} of {name}", run.kind.as_str())),
    };
    Needs {
        run: RunName::from(run.id.as_str()),
        plan: plan.map(PlanName::from),
        repositories: subject.repository.iter().map(|name| RepositoryName::from(name.as_str())).collect(),
        host: HostName::from(host),
    }
}

/// The limits as the state keeps them, for all servers together.
fn stored_limits<'r>(config: &Config, starting: impl Iterator<Item = &'r Run>) -> Vec<Limit> {
    let limits = &config.server.value.limits;
    let limit = |group, at_most: NonZeroU32| Limit { group, at_most: at_most.get() };
    let mut all = vec![limit(Group::All, limits.runs)];
    let (mut plans, mut repositories, mut hosts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut drills = BTreeSet::new();
    for run in starting {
        drills.extend(run.subject.drill.clone());
        plans.extend(run.subject.plan.clone());
        repositories.extend(run.subject.repository.clone());
        hosts.extend(run.subject.host.clone());
    }
    all.extend(plans.into_iter().map(|plan| limit(Group::Plan(plan), NonZeroU32::MIN)));
    all.extend(drills.into_iter().map(|drill| limit(Group::Drill(drill), NonZeroU32::MIN)));
    all.extend(repositories.into_iter().map(|name| limit(Group::Repository(name), limits.per_repository)));
    all.extend(hosts.into_iter().map(|host| limit(Group::Host(host), limits.per_host)));
    all
}
