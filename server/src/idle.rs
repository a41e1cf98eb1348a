//! Whether the retention of a plan does what it is for.
//!
//! A policy removes nothing, run after run, if it never sees the snapshots together that it is about: the machine has
//! another name each time, as a container may, or the writers are different. Then everything is kept, and no one hears of
//! it until the store is full. So it is told when there are more snapshots than the policy can keep and several runs in a
//! row have removed none of them.

use keepfast_engine::retention::{Count, Policy};
use keepfast_operations::reports::{DecisionDocument, DecisionsReport, ForgetReport, GroupDocument};
use keepfast_store::{PlanId, ProblemKind, Store, Subject, SubjectKind};
use serde_json::json;

use crate::error::{Result, ServerError};
use crate::state::now;

/// The kind of problem.
pub const KIND: &str = "retention idle";
/// This many runs in a row have to remove nothing before it is told.
pub const RUNS_MIN: u32 = 3;
/// Protected snapshots that a message names.
const NAMED_MAX: usize = 10;

/// A policy that should have removed something, and has removed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// Snapshots that it should have removed some of.
    snapshots: usize,
    /// How many it can keep, of those that are judged together.
    most: usize,
    /// Into how many groups they fall, each of which is judged by itself.
    groups: usize,
    /// Machines with another name that have one snapshot each.
    elsewhere: usize,
    /// How many lie in the future.
    ahead: usize,
    /// Those that can't be forgotten, which don't count.
    protected: Vec<String>,
}

impl Idle {
    /// What is to be said of a policy that decided this; nothing if it removed something, or if all may stay.
    #[must_use]
    pub fn of(policy: &Policy, report: &ForgetReport) -> Option<Self> {
        let ForgetReport::ByPolicy(report) = report else { return None };
        let DecisionsReport { groups, lone_elsewhere, .. } = report;
        if groups.iter().any(|group| group.forgotten > 0) {
            return None;
        }
        let most = most(policy)?;
        let all = || groups.iter().flat_map(|group| &group.snapshots);
        let protected: Vec<String> = all().filter(|one| one.protected).map(|one| one.id.clone()).collect();
        let is_ahead = |one: &DecisionDocument| {
            !one.protected && one.reasons.iter().any(|reason| reason.rule == "future")
        };
        let snapshots = all().count() - protected.len() + lone_elsewhere;
        let has_free = |group: &&GroupDocument| group.snapshots.iter().any(|one| !one.protected);
        (snapshots > most).then(|| Self {
            snapshots,
            most,
            groups: groups.iter().filter(has_free).count(),
            elsewhere: *lone_elsewhere,
            ahead: all().filter(|one| is_ahead(one)).count(),
            protected,
        })
    }

    /// What is wrong, as a sentence.
    fn summary(&self, runs: u32) -> String {
        let mut text = format!(
            "retention has removed nothing in {runs} runs, and there are {} snapshots of which it can keep {}",
            self.snapshots, self.most
        );
        let mut why = Vec::new();
        if self.elsewhere > 0 {
            why.push(format!("{} were made under other names of the machine", self.elsewhere));
        }
        if self.groups > 1 {
            why.push(format!(
                "{} writers have made them, and each one's are judged by themselves",
                self.groups
            ));
        }
        if self.ahead > 0 {
            why.push(format!("{} have a time that lies in the future", self.ahead));
        }
        if !why.is_empty() {
            text.push_str(&format!(": {}", why.join("; ")));
        }
        if !self.protected.is_empty() {
            let named = self.protected.iter().take(NAMED_MAX);
            let named: Vec<&str> = named.map(|id| id.get(..8).unwrap_or(id)).collect();
            let more = self.protected.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text.push_str(&format!(
                ". Not counted are {} that are protected: {}{more}",
                self.protected.len(),
                named.join(", ")
            ));
        }
        text
    }

    /// What a person can do.
    fn advice(&self, plan: &str) -> String {
        let first = if self.elsewhere > 0 {
            "Give the machine a name that stays the same (for a container: `--hostname`). "
        } else if self.ahead > 0 {
            "Set the clock right. "
        } else {
            ""
        };
        format!(
            "{first}`keepfast cleanup --dry-run {plan}` says why each snapshot stays; those that no policy sees go with \
             `keepfast forget ID`."
        )
    }
}

/// How many snapshots of one group a policy can keep, at most; nothing if that depends on more than their number.
fn most(policy: &Policy) -> Option<usize> {
    let Policy {
        last,
        hourly,
        daily,
        weekly,
        monthly,
        yearly,
        within,
        within_hourly,
        within_daily,
        within_weekly,
        within_monthly,
        within_yearly,
        tags,
        at_least,
        max_bytes: _,
    } = policy;
    let spans = [within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly];
    if spans.iter().any(|span| span.is_some()) || !tags.is_empty() {
        return None;
    }
    let counts = [last, hourly, daily, weekly, monthly, yearly].into_iter().copied().flatten();
    let counts: Vec<u32> = counts
        .map(|count| match count {
            Count::Number(number) => Some(number),
            Count::All => None,
        })
        .collect::<Option<_>>()?;
    if counts.is_empty() {
        return None;
    }
    // The newest always stays.
    let sum = counts.iter().fold(*at_least, |sum, count| sum.saturating_add(*count)).max(1);
    usize::try_from(sum).ok()
}

/// Opens or resolves the problem after a run that has ended well. `idle_runs` is how many in a row have removed nothing
/// that should have, with this one. Without a verdict, because an anomaly is open or retention failed, nothing was shown.
pub async fn tell(
    store: &Store,
    plan: &PlanId,
    idle: Option<&Idle>,
    has_verdict: bool,
    idle_runs: u32,
) -> Result<()> {
    let (subject, kind) = (Subject::of(SubjectKind::Plan, plan.as_str()), kind()?);
    match idle {
        Some(idle) if idle_runs >= RUNS_MIN => {
            let document = json!({
                "summary": idle.summary(idle_runs),
                "advice": idle.advice(plan.as_str()),
                "plan": plan,
                "snapshots": idle.snapshots,
                "can_keep": idle.most,
                "protected": idle.protected,
            });
            store.see_problem(now(), &subject, &kind, &document, None).await?;
        }
        Some(_) => {}
        None if !has_verdict => {}
        None => drop(store.resolve_problem(now(), &subject, &kind).await?),
    }
    Ok(())
}

fn kind() -> Result<ProblemKind> {
    ProblemKind::new(KIND).map_err(ServerError::name(KIND))
}

#[cfg(test)]
mod tests {
    use keepfast_engine::retention::{Count, Policy, Span};

    use super::most;

    #[test]
    fn what_a_policy_can_keep_is_known_unless_it_goes_by_time_or_keeps_all() {
        let number = |number| Some(Count::Number(number));
        let counting = Policy { last: number(3), daily: number(14), at_least: 2, ..Policy::default() };
        assert_eq!(most(&counting), Some(19));
        assert_eq!(most(&Policy { last: number(0), ..Policy::default() }), Some(1), "the newest stays");
        for unknown in [
            Policy { monthly: Some(Count::All), ..counting.clone() },
            Policy { within: Some(Span { days: 7, ..Span::default() }), ..counting.clone() },
            Policy { tags: vec![vec!["keep".to_owned()]], ..counting },
            Policy { max_bytes: Some(7), ..Policy::default() },
            Policy::default(),
        ] {
            assert_eq!(most(&unknown), None, "{unknown:?}");
        }
    }
}
