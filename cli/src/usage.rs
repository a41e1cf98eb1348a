//! What is wrong with a command line that was understood.

use keepfast_engine::EngineError;

/// A command line that can't be carried out as it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A pattern that can't be compiled is a wrong command line, wherever the pattern stands. A file of patterns that
/// can't be read is not.
pub fn wrong_pattern(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<EngineError>() {
        Some(EngineError::Unusable(_)) => Usage(format!("{error:#}")).into(),
        _ => error,
    }
}
