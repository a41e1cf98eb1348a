//! What came of a drill and of each of its parts.

use std::fmt;

use keepfast_sources::check::Check;
use serde::{Deserialize, Serialize};

/// What came of a drill, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that was asked is as it should be.
    Pass,
    /// Something isn't as it should be.
    Fail,
    /// It couldn't be tested, which says nothing about the backup.
    NotTested,
}

impl Verdict {
    /// The word for it, as in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotTested => "not_tested",
        }
    }

    /// What both come to: a fault counts most, then what couldn't be tested. So a pass says that everything passed.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fail, _) | (_, Self::Fail) => Self::Fail,
            (Self::NotTested, _) | (_, Self::NotTested) => Self::NotTested,
            (Self::Pass, Self::Pass) => Self::Pass,
        }
    }
}

/// As people read it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "passed",
            Self::Fail => "failed",
            Self::NotTested => "couldn't be tested",
        })
    }
}

/// A part of a drill: the files, one database, the flipped byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What was tested, such as `files` or `database /postgres/shop`.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it failed or couldn't be tested, where no check says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was asked, and what was found.
    pub checks: Vec<Check>,
}

impl Part {
    /// Of checks: it passes if all of them are right.
    #[must_use]
    pub fn of(name: impl Into<String>, checks: Vec<Check>) -> Self {
        let is_right = checks.iter().all(|check| check.is_right);
        let verdict = if is_right { Verdict::Pass } else { Verdict::Fail };
        Self { name: name.into(), verdict, why: None, checks }
    }

    /// It failed before anything could be asked.
    #[must_use]
    pub fn failed(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Fail, why: Some(why.into()), checks: Vec::new() }
    }

    /// It couldn't be tested.
    #[must_use]
    pub fn not_tested(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::NotTested, why: Some(why.into()), checks: Vec::new() }
    }

    /// The sentences that say what is wrong, or why it couldn't be tested.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let of_check = |check: &Check| match &check.expected {
            Some(expected) => format!("{}: {} and not {expected}", check.name, check.found),
            None => format!("{}: {}", check.name, check.found),
        };
        let wrong = self.checks.iter().filter(|check| !check.is_right).map(of_check);
        self.why.iter().cloned().chain(wrong).map(|what| format!("{}: {what}", self.name)).collect()
    }
}

/// What all parts come to. A drill that tested nothing proves nothing.
#[must_use]
pub fn of_all(parts: &[Part]) -> Verdict {
    parts.iter().map(|part| part.verdict).reduce(Verdict::and).unwrap_or(Verdict::NotTested)
}

#[cfg(test)]
mod tests {
    use super::{Check, Part, Verdict, of_all};

    #[test]
    fn a_pass_says_that_everything_passed() {
        let part = |verdict| Part { verdict, ..Part::of("files", Vec::new()) };
        let of = |verdicts: &[Verdict]| of_all(&verdicts.iter().copied().map(part).collect::<Vec<_>>());
        assert_eq!(of(&[]), Verdict::NotTested);
        assert_eq!(of(&[Verdict::Pass, Verdict::Pass]), Verdict::Pass);
        assert_eq!(of(&[Verdict::Pass, Verdict::NotTested]), Verdict::NotTested);
        assert_eq!(of(&[Verdict::NotTested, Verdict::Fail, Verdict::Pass]), Verdict::Fail);
    }

    #[test]
    fn one_wrong_check_fails_a_part_and_is_said() {
        let part = Part::of(
            "database shop",
            vec![
                Check::equal("rows of orders", 3, 3),
                Check::equal("rows of users", 2, 1),
                Check::sound("integrity", Some("page 4 is torn".to_owned())),
            ],
        );
        assert_eq!(part.verdict, Verdict::Fail);
        assert_eq!(
            part.problems(),
            ["database shop: rows of users: 1 and not 2", "database shop: integrity: page 4 is torn"]
        );
        assert_eq!(
            Part::not_tested("database shop", "Redis isn't installed").problems(),
            ["database shop: Redis isn't installed"]
        );
    }
}
