//! The limit of what a policy of retention may remove at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many snapshots may go at once: if it would be more, none goes, because the policy or the clock is most likely
/// wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Brake {
    /// This many.
    Number(u64),
    /// This many percent of the snapshots that the policy decides about.
    Percent(u8),
}

impl Brake {
    /// Whether it stops this number of snapshots of all that are judged from going. One may always go, so that a plan that has two
    /// snapshots isn't stuck with them.
    #[must_use]
    pub fn stops(self, going: u64, of: u64) -> bool {
        let over = match self {
            Self::Number(number) => going > number,
            Self::Percent(percent) => u128::from(going) * 100 > u128::from(of) * u128::from(percent),
        };
        over && going > 1
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}
