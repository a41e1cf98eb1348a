//! History files: how timelines branched off from each other.

use super::super::lsn::{Lsn, Timeline};
use crate::error::{Result, SourceError};

/// A longer history isn't read: it would be one of ten thousand promotions.
pub(super) const HISTORY_BYTES_MAX: u64 = 1 << 20;

/// Where a timeline branched off from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// The one that it left.
    pub from: Timeline,
    /// Where.
    pub at: Lsn,
}

/// The ancestors of a timeline, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Which timeline this is of.
    pub of: Timeline,
    branches: Vec<Branch>,
}

impl History {
    /// The first timeline has no ancestors, and no file.
    #[must_use]
    pub fn of_first() -> Self {
        Self { of: Timeline::FIRST, branches: Vec::new() }
    }

    /// Reads a history file.
    pub fn parse(of: Timeline, text: &str) -> Result<Self> {
        let object = format!("{:08X}.history", of.number());
        let wrong = |why: String| SourceError::Dump { object: object.clone(), why };
        let mut branches: Vec<Branch> = Vec::new();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let mut words = line.split_whitespace();
            let (Some(from), Some(at)) = (words.next(), words.next()) else {
                return Err(wrong(format!("the line {line:?} has no timeline and position")));
            };
            let branch = Branch { from: from.parse().map_err(wrong)?, at: at.parse().map_err(wrong)? };
            let before = branches.last().copied();
            if branch.from >= of
                || before.is_some_and(|before| before.from >= branch.from || before.at > branch.at)
            {
                return Err(wrong(format!("the line {line:?} doesn't follow the one before")));
            }
            branches.push(branch);
        }
        Ok(Self { of, branches })
    }

    /// Its ancestors, the oldest first.
    #[must_use]
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// Where this history left a timeline; none if it never was in it, or is still.
    #[must_use]
    pub fn left(&self, timeline: Timeline) -> Option<Lsn> {
        self.branches.iter().find(|branch| branch.from == timeline).map(|branch| branch.at)
    }

    /// Whether it is, or was, in a timeline.
    #[must_use]
    pub fn knows(&self, timeline: Timeline) -> bool {
        timeline == self.of || self.left(timeline).is_some()
    }

    /// The timelines of this history from one on, each with the position at which it begins.
    #[must_use]
    pub fn from(&self, timeline: Timeline) -> Vec<(Timeline, Lsn)> {
        let mut begin = Lsn(0);
        let mut all = Vec::new();
        for branch in &self.branches {
            all.push((branch.from, begin));
            begin = branch.at;
        }
        all.push((self.of, begin));
        all.retain(|(other, _)| *other >= timeline);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{Branch, History};
    use crate::postgres::lsn::{Lsn, Timeline};

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).expect("a number")
    }

    #[test]
    fn a_history_says_where_timelines_were_left() {
        let text = "1\t0/3000000\tno recovery target specified\n\n# x\n2\t0/5000028\tbefore 2026-11-28\n";
        let history = History::parse(timeline(4), text).expect("a history");
        assert_eq!(history.branches().first(), Some(&Branch { from: timeline(1), at: Lsn(0x300_0000) }));
        assert_eq!(history.left(timeline(2)), Some(Lsn(0x500_0028)));
        assert_eq!(history.left(timeline(3)), None);
        assert!(history.knows(timeline(4)) && history.knows(timeline(1)) && !history.knows(timeline(3)));
        let path = history.from(timeline(2));
        assert_eq!(path, [(timeline(2), Lsn(0x300_0000)), (timeline(4), Lsn(0x500_0028))]);
    }

    #[test]
    fn what_is_no_history_is_refused() {
        for text in ["x", "1", "1 x", "0 0/1", "2 0/1\n1 0/2", "1 0/2\n2 0/1", "3 0/1", "4 0/1"] {
            assert!(History::parse(timeline(3), text).is_err(), "{text}");
        }
        assert!(History::parse(timeline(2), "").expect("empty").branches().is_empty());
    }
}
