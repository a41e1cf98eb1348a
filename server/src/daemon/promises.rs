//! Whether plans keep their promises, as problems that are opened and resolved once.
//!
//! This looks at slots and snapshots, and never at what the scheduler believes: a plan whose runs never happen breaks its
//! promise like one whose runs fail.

use std::collections::BTreeSet;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_store::{ProblemKind, Store, Subject, SubjectKind};
use serde_json::json;

use crate::error::{Result, ServerError};
use crate::state::stored;
use crate::status::{self, PlanStatus, Promises};

/// What is wrong with a plan that breaks its promise.
pub const OVERDUE: &str = "overdue";

/// Opens and resolves problems according to how plans stand now. `host` is this machine's name.
pub async fn watch(
    config: &Config,
    store: &Store,
    now: Timestamp,
    host: &str,
    promises: &mut Promises,
) -> Result<Vec<PlanStatus>> {
    let plans = status::all_with(config, store, now, host, promises).await?;
    let kind = ProblemKind::new(OVERDUE).map_err(ServerError::name(OVERDUE))?;
    let open: BTreeSet<Subject> = store
        .open_problems()
        .await?
        .into_iter()
        .filter(|problem| problem.kind == kind)
        .map(|problem| problem.subject)
        .collect();
    let mut broken = BTreeSet::new();
    for plan in plans.iter().filter(|plan| plan.alerts) {
        let subject = Subject::of(SubjectKind::Plan, &plan.plan);
        if !open.contains(&subject) {
            let document = json!({
                "summary": summary(plan, now),
                "plan": plan.plan,
                "repository": plan.repository,
                "promise_s": plan.promise_s,
                "achieved": plan.achieved,
                "since": plan.overdue_since,
            });
            store.see_problem(stored(now), &subject, &kind, &document, None).await?;
        }
        broken.insert(subject);
    }
    // Also those of plans that are gone.
    for subject in open.difference(&broken) {
        store.resolve_problem(stored(now), subject, &kind).await?;
    }
    Ok(plans)
}

fn summary(plan: &PlanStatus, now: Timestamp) -> String {
    let hours = |seconds: u64| match seconds / 3600 {
        0 => format!("{} min", seconds / 60),
        hours if hours < 72 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    };
    let promise = plan.promise_s.map_or_else(|| "no promise".to_owned(), hours);
    let age = |at: Timestamp| hours(u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0));
    match plan.achieved {
        Some(at) => format!("its newest good snapshot is {} old; it promises {promise}", age(at)),
        None => format!("it has no good snapshot yet; it promises one within {promise}"),
    }
}
