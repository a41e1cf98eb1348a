//! What is wrong with a command line that was understood.

/// A command line that can't be carried out as it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
