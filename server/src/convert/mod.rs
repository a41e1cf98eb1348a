//! From definitions to what operations and schedules take. What a definition says and this program can't do is an
//! error, and nothing is left out silently.

pub mod anomaly;
pub mod backup;
pub mod database;
pub mod drill;
pub mod hook;
pub mod limits;
pub mod place;
pub mod references;
pub mod retention;
pub mod schedule;
pub mod secret;

use crate::error::ServerError;

/// Says that a definition wants something that isn't there yet.
pub(crate) fn unsupported(definition: &str, what: impl Into<String>) -> ServerError {
    ServerError::Unsupported { definition: definition.to_owned(), what: what.into() }
}
