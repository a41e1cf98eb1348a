//! What should come of a history, computed from what happened and not from what the server believes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

/// A plan as the oracle sees it.
#[derive(Debug, Clone)]
pub struct Watched {
    pub born: Timestamp,
    pub within: Duration,
    /// When the newest good run began.
    pub good: Option<Timestamp>,
    /// Whether a run of it works.
    pub is_running: bool,
}

impl Watched {
    /// Whether its promise is broken, and no run works to change that in time.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let until = self.good.unwrap_or(self.born) + self.within;
        let patience = if self.is_running { until + self.within } else { until };
        now > patience
    }
}

/// Which plans are overdue, as the looks have found it.
#[derive(Debug, Default)]
pub struct Overdue {
    open: BTreeSet<String>,
    pub opened: BTreeMap<String, u64>,
    pub resolved: BTreeMap<String, u64>,
}

impl Overdue {
    /// Looks at all plans.
    pub fn look(&mut self, plans: &BTreeMap<String, Watched>, now: Timestamp) {
        for (name, plan) in plans {
            match (plan.is_overdue(now), self.open.contains(name)) {
                (true, false) => {
                    self.open.insert(name.clone());
                    *self.opened.entry(name.clone()).or_default() += 1;
                }
                (false, true) => {
                    self.open.remove(name);
                    *self.resolved.entry(name.clone()).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    pub fn open(&self) -> &BTreeSet<String> {
        &self.open
    }
}
