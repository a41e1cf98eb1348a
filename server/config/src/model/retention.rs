//! What a plan keeps of its snapshots.

use crate::decode::OneOrMore;
use crate::values::amount::{Count, ShareOrNumber, Size};
use crate::values::name::Tag;
use crate::values::time::Age;

table! {
    /// What is kept of a plan's snapshots. A snapshot stays if any of the rules keeps it; without a rule, all stay.
    /// Snapshots are judged plan by plan, and by the plan's time zone, as its schedule is.
    pub struct Retention {
        /// The newest ones.
        last: Option<Count>,
        /// The newest of each of this many hours.
        hourly: Option<Count>,
        /// The newest of each of this many days.
        daily: Option<Count>,
        /// The newest of each of this many weeks.
        weekly: Option<Count>,
        /// The newest of each of this many months.
        monthly: Option<Count>,
        /// The newest of each of this many years.
        yearly: Option<Count>,
        /// All that are no older than this before the newest.
        within: Option<Age>,
        /// The newest of each hour of this time before the newest.
        within_hourly: Option<Age>,
        /// The newest of each day of this time before the newest.
        within_daily: Option<Age>,
        /// The newest of each week of this time before the newest.
        within_weekly: Option<Age>,
        /// The newest of each month of this time before the newest.
        within_monthly: Option<Age>,
        /// The newest of each year of this time before the newest.
        within_yearly: Option<Age>,
        /// All that have every tag of one of these lists.
        tags: Vec<OneOrMore<Tag>>,
        /// What the plan's snapshots may take in all, in stored bytes: what they share counts once, and what others need as
        /// well counts in full. If it is more, the oldest go, but never below `at_least`.
        max_size: Option<Size>,
        /// This many of the newest clean snapshots stay, whatever the rules say. Snapshots with findings don't count.
        at_least: Option<u32>,
        /// Nothing is removed if more than this would be removed at once: a brake.
        max_removed: ShareOrNumber = "'50%'",
    }
}

impl Retention {
    /// Whether a rule keeps some and lets others go; without one, all stay.
    #[must_use]
    pub fn removes(&self) -> bool {
        self.has_rule() || self.max_size.is_some()
    }

    /// Whether there is a rule by count, calendar, age or tag.
    #[must_use]
    pub fn has_rule(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        counts.iter().any(Option::is_some) || self.ages().iter().any(Option::is_some) || !self.tags.is_empty()
    }

    fn ages(&self) -> [Option<Age>; 6] {
        [
            self.within,
            self.within_hourly,
            self.within_daily,
            self.within_weekly,
            self.within_monthly,
            self.within_yearly,
        ]
    }

    /// How far back the rules reach by time alone, if no rule counts: nothing where a count may reach further.
    #[must_use]
    pub fn reach_by_age(&self) -> Option<std::time::Duration> {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        if counts.iter().any(Option::is_some) || !self.tags.is_empty() {
            return None;
        }
        self.ages().iter().flatten().map(Age::about).max()
    }
}
