//! What is wrong with what a snapshot needs: it is damaged, or it can't be read now. A user that
//! reads of damage may give something up; what can't be read now may be sound.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{EngineError, Result};

/// A store beyond a network is given up when this many objects in a row can't be read: it takes minutes
/// to find that out of each.
const IN_A_ROW_MAX: u32 = 3;

/// What is wrong with something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub what: String,
    /// Whether it may be sound all the same, and only can't be read now.
    pub is_unreachable: bool,
}

impl Trouble {
    /// Damage.
    pub fn damage(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_unreachable: false }
    }

    /// The same trouble in other words: `say` gets those so far, and whether it is no damage.
    pub fn saying(self, say: impl FnOnce(&str, bool) -> String) -> Self {
        Self { what: say(&self.what, self.is_unreachable), ..self }
    }

    /// What an error says of what was to be read. One that says nothing about it ends the check.
    pub fn of(error: EngineError) -> Result<Self> {
        match error {
            EngineError::Cache { .. } | EngineError::Interrupted => Err(error),
            error => Ok(Self { is_unreachable: error.is_unreachable(), what: error.to_string() }),
        }
    }
}

/// Tells an object that can't be read from a store that can't.
#[derive(Debug)]
pub struct Outage {
    is_far: bool,
    in_a_row: AtomicU32,
}

impl Outage {
    /// Of a store that is far or isn't.
    pub fn new(is_far: bool) -> Self {
        Self { is_far, in_a_row: AtomicU32::new(0) }
    }

    /// Something could be read.
    pub fn is_over(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Something couldn't be read; gives the error back if it is no use to go on.
    pub fn goes_on(&self, error: EngineError) -> Result<EngineError> {
        let before = self.in_a_row.fetch_add(1, Ordering::Relaxed);
        if self.is_far && before + 1 >= IN_A_ROW_MAX { Err(error) } else { Ok(error) }
    }
}
