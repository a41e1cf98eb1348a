//! Objects that count for nothing, because they aren't what their names say.

use crate::error::EngineError;

/// A stored object that isn't authentic, and so counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its name.
    pub object: String,
    /// What is wrong with it.
    pub why: String,
}

impl Ignored {
    /// The object of an error that damage was the cause of; any other error comes back.
    pub(super) fn from_damage(error: EngineError) -> Result<Self, EngineError> {
        match error {
            EngineError::Damaged { object, source } => Ok(Self { object, why: source.to_string() }),
            other => Err(other),
        }
    }

    /// The error of a program that can't go on because the object takes a place that matters.
    pub(super) fn blocks(self, remedy: String) -> EngineError {
        EngineError::Blocked { object: self.object, why: self.why, remedy }
    }
}
