//! How fast a run may move bytes, from one window of time to the next.

use jiff::Timestamp;
use keepfast_backend::LiveLimits;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_engine::run::RunContext;

use crate::convert::limits::{LimitsByTime, by_time};
use crate::error::Result;

/// The limits of one run of a plan. Clones belong to the same run.
#[derive(Debug, Clone)]
pub struct Pace {
    following: Option<Following>,
}

#[derive(Debug, Clone)]
struct Following {
    by_time: LimitsByTime,
    live: LiveLimits,
}

impl Pace {
    /// The pace of a run that begins now.
    pub fn begin(config: &Config, definition: &Definition<Plan>, now: Timestamp) -> Result<Self> {
        let following = by_time(config, definition)?.map(|by_time| {
            let live = LiveLimits::new(by_time.at(now).limits.for_backend());
            Following { by_time, live }
        });
        Ok(Self { following })
    }

    /// The same run, at this pace. Without windows it is as fast as it was: the plan's limits are in its requests then.
    #[must_use]
    pub fn of(&self, run: &RunContext) -> RunContext {
        match &self.following {
            Some(following) => run.clone().with_limits(following.live.clone()),
            None => run.clone(),
        }
    }

    /// Lets the run heed the limits that hold now. To be called every few seconds while the run goes on.
    pub fn follow(&self, now: Timestamp) {
        if let Some(Following { by_time, live }) = &self.following {
            live.set(by_time.at(now).limits.for_backend());
        }
    }
}
