//! What a policy of retention can say: plain values, as a user would write them.

use std::fmt;

/// How many to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// This many; a rule that keeps zero keeps nothing.
    Number(u32),
    /// As many as there are.
    All,
}

impl Count {
    /// Whether the `nth`, counted from one, is still among them.
    pub(super) fn admits(self, nth: u32) -> bool {
        match self {
            Self::Number(number) => nth <= number,
            Self::All => true,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A length of time by the calendar: how long a month is, only a [`super::Calendar`] knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Years.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Weeks.
    pub weeks: u32,
    /// Days, which are 23 or 25 hours long where clocks are changed.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

impl Span {
    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// As users write it: `1y6m2w3d12h`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0h");
        }
        let parts =
            [(self.years, 'y'), (self.months, 'm'), (self.weeks, 'w'), (self.days, 'd'), (self.hours, 'h')];
        parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

/// What one snapshot can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// An hour.
    Hour,
    /// A calendar day.
    Day,
    /// A week of ISO 8601: from Monday on, the first with most of its days in the year.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Period {
    /// The name of its rule: `daily`.
    #[must_use]
    pub const fn adverb(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// One of them: `day`.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// How far back a rule reaches that keeps one snapshot of each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This many periods that have a snapshot.
    Count(Count),
    /// All periods that have a snapshot within this span before the group's newest.
    Within(Span),
}

/// What to keep. A snapshot stays if any of the rules keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The newest ones.
    pub last: Option<Count>,
    /// The newest of each of this many hours.
    pub hourly: Option<Count>,
    /// The newest of each of this many days.
    pub daily: Option<Count>,
    /// The newest of each of this many weeks.
    pub weekly: Option<Count>,
    /// The newest of each of this many months.
    pub monthly: Option<Count>,
    /// The newest of each of this many years.
    pub yearly: Option<Count>,
    /// All that are no older than this before the group's newest.
    pub within: Option<Span>,
    /// The newest of each hour in this span before the group's newest.
    pub within_hourly: Option<Span>,
    /// The newest of each day in this span before the group's newest.
    pub within_daily: Option<Span>,
    /// The newest of each week in this span before the group's newest.
    pub within_weekly: Option<Span>,
    /// The newest of each month in this span before the group's newest.
    pub within_monthly: Option<Span>,
    /// The newest of each year in this span before the group's newest.
    pub within_yearly: Option<Span>,
    /// All that have every label of one of these lists; an empty list says nothing.
    pub tags: Vec<Vec<String>>,
    /// A floor under all rules: this many of each group's newest complete snapshots stay. It is no rule of its own, so
    /// a policy with nothing else can't be followed.
    pub at_least: u32,
    /// What the snapshots that stay may need, in stored bytes, all groups together. It is a limit above the rules and not
    /// one of them: [`super::fit`] heeds it. Alone, it keeps whatever fits.
    pub max_bytes: Option<u64>,
}

/// A policy that can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No rule keeps anything, so nearly everything would go.
    #[error("the policy has no rule that keeps a snapshot")]
    Empty,
}

impl Policy {
    /// Fails with [`PolicyError::Empty`] if nothing can keep anything: there is no limit of size, and there are no rules,
    /// or only such as keep zero snapshots, a span of no length, or an empty list of labels.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.has_rule() || self.max_bytes.is_some() { Ok(()) } else { Err(PolicyError::Empty) }
    }

    /// Whether a rule can keep something.
    pub(super) fn has_rule(&self) -> bool {
        let counts = self.last().is_some() || !self.periods().is_empty();
        counts || self.within().is_some() || self.tag_lists().next().is_some()
    }

    pub(super) fn last(&self) -> Option<Count> {
        self.last.filter(|count| *count != Count::Number(0))
    }

    pub(super) fn within(&self) -> Option<Span> {
        self.within.filter(|span| !span.is_zero())
    }

    /// The rules that keep one snapshot of each period.
    pub(super) fn periods(&self) -> Vec<(Period, Reach)> {
        let all = [
            (Period::Hour, self.hourly, self.within_hourly),
            (Period::Day, self.daily, self.within_daily),
            (Period::Week, self.weekly, self.within_weekly),
            (Period::Month, self.monthly, self.within_monthly),
            (Period::Year, self.yearly, self.within_yearly),
        ];
        let counts = all.iter().filter_map(|(period, count, _)| {
            count.filter(|count| *count != Count::Number(0)).map(|count| (*period, Reach::Count(count)))
        });
        let spans = all.iter().filter_map(|(period, _, span)| {
            span.filter(|span| !span.is_zero()).map(|span| (*period, Reach::Within(span)))
        });
        counts.chain(spans).collect()
    }

    pub(super) fn tag_lists(&self) -> impl Iterator<Item = &Vec<String>> {
        self.tags.iter().filter(|tags| !tags.is_empty())
    }
}

/// What snapshots must have in common for the rules to count them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupBy {
    /// The writer: without it, one writer's snapshots may push out those of another, by saying the
    /// same machine and paths.
    pub writer: bool,
    /// The machine.
    pub host: bool,
    /// The set of backed-up paths.
    pub paths: bool,
    /// The set of labels.
    pub tags: bool,
}

impl Default for GroupBy {
    fn default() -> Self {
        Self { writer: true, host: true, paths: true, tags: false }
    }
}
