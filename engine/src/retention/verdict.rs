//! What becomes of a snapshot, and why; every reason can say itself in a few words.

use std::fmt;

use keepfast_format::ids::SessionId;

use super::calendar::Bucket;
use super::policy::{Count, Period, Reach, Span};
use crate::nouns::{agreeing, counted};

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for all of these reasons; there is at least one.
    Keep(Vec<Reason>),
    /// It goes; for each rule of the policy, why that doesn't keep it.
    Forget(Vec<Miss>),
}

impl Verdict {
    /// Whether the snapshot stays.
    #[must_use]
    pub const fn keeps(&self) -> bool {
        matches!(self, Self::Keep(_))
    }
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is protected.
    Protected,
    /// Its time hasn't come yet, so some clock is wrong, and rules don't count it.
    Future,
    /// It is the group's newest, which always stays. Given only if nothing else keeps it.
    Newest,
    /// It is one of the newest.
    Last {
        /// Which, counted from one.
        nth: u32,
        /// How many are kept.
        of: Count,
    },
    /// It is the newest of a period.
    Period {
        /// What is counted.
        period: Period,
        /// How many are kept.
        reach: Reach,
        /// Which one it stands for.
        bucket: Bucket,
        /// Which of those that have a snapshot, counted from one.
        nth: u32,
    },
    /// It is the group's oldest, and the rule has room: so the history keeps its beginning
    /// until there are enough periods.
    Oldest {
        /// What is counted.
        period: Period,
        /// How many are kept.
        reach: Reach,
        /// Which place it takes, counted from one.
        nth: u32,
    },
    /// It isn't much older than the group's newest.
    Within(Span),
    /// It has all of these labels.
    Tags(Vec<String>),
    /// There are no rules, and it fits into this many bytes with all that are newer.
    Size {
        /// How many bytes all may need.
        max_bytes: u64,
    },
    /// It is one of the newest complete snapshots, of which some stay whatever the rules say. Given only if no rule
    /// keeps it.
    Floor {
        /// Which of them, counted from one.
        nth: u32,
        /// How many stay.
        of: u32,
    },
}

/// Why a rule doesn't keep a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// There are enough newer ones.
    Last {
        /// How many are kept.
        of: Count,
    },
    /// There are enough newer periods that have a snapshot.
    Full {
        /// What is counted.
        period: Period,
        /// How many are kept.
        of: Count,
    },
    /// A newer snapshot stands for the same period.
    Taken {
        /// What is counted.
        period: Period,
        /// How many are kept.
        reach: Reach,
        /// Which one.
        bucket: Bucket,
        /// The snapshot that stands for it.
        by: SessionId,
    },
    /// It is older than a span before the group's newest.
    Older {
        /// What the rule keeps one of; `None` where it keeps all.
        period: Option<Period>,
        /// The span.
        span: Span,
    },
    /// It has all labels of none of the lists.
    Tags,
    /// With all that stay it would need more than this many bytes.
    Size {
        /// How many bytes all may need.
        max_bytes: u64,
    },
}

/// A rule's name, with what limits it: `daily`, `within-daily 30d`.
fn rule(period: Period, reach: Reach) -> String {
    match reach {
        Reach::Count(_) => period.adverb().to_owned(),
        Reach::Within(span) => format!("within-{} {span}", period.adverb()),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected => f.write_str("protected"),
            Self::Future => f.write_str("its time is in the future"),
            Self::Newest => f.write_str("the newest always stays"),
            Self::Last { nth, of } => write!(f, "last {nth} of {of}"),
            Self::Period { period, reach, bucket, .. } => write!(f, "{} {bucket}", rule(*period, *reach)),
            Self::Oldest { period, reach: Reach::Count(of @ Count::Number(_)), nth } => {
                write!(f, "oldest, {} {nth} of {of}", period.adverb())
            }
            Self::Oldest { period, reach, .. } => write!(f, "oldest, {}", rule(*period, *reach)),
            Self::Within(span) => write!(f, "within {span} of the newest"),
            Self::Tags(tags) => write!(f, "tag {}", tags.join(",")),
            Self::Size { max_bytes } => write!(f, "size: it fits into {}", counted(*max_bytes, "byte")),
            Self::Floor { nth, of } => write!(f, "complete {nth} of {of} that always stay"),
        }
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last { of: Count::Number(of) } => {
                write!(f, "last: {of} {} newer", agreeing(u64::from(*of), "is", "are"))
            }
            Self::Last { of: of @ Count::All } => write!(f, "last: {of} are newer"),
            Self::Full { period, of: Count::Number(of) } => {
                let newer = counted(u64::from(*of), &format!("newer {}", period.noun()));
                write!(f, "{}: {newer} {} kept", period.adverb(), agreeing(u64::from(*of), "is", "are"))
            }
            Self::Full { period, of: Count::All } => write!(f, "{}: newer ones are kept", period.adverb()),
            Self::Taken { period, reach, bucket, by } => {
                write!(f, "{}: {} stands for {bucket}", rule(*period, *reach), &by.short()[..8])
            }
            Self::Older { period: None, span } => write!(f, "within {span}: older"),
            Self::Older { period: Some(period), span } => {
                write!(f, "{}: older", rule(*period, Reach::Within(*span)))
            }
            Self::Tags => f.write_str("tag: none of them"),
            Self::Size { max_bytes } => {
                write!(f, "size: with it, more than {} would be needed", counted(*max_bytes, "byte"))
            }
        }
    }
}
