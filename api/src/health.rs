//! How a server is, and what it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a server is: all that is told to callers who aren't signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether it looks at its schedules.
    pub state: HealthState,
    /// Whether it has no users yet: then the token that it has printed makes the first one.
    pub needs_setup: bool,
    /// Whether people sign in with an account of elsewhere: `GET /session/oidc` begins that in a browser.
    pub has_oidc: bool,
}

/// Whether a server looks at its schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It does.
    Well,
    /// It hasn't for two minutes.
    Unwell,
}

/// What a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct About {
    /// The program's version.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// Since when it serves.
    pub started: Timestamp,
    /// Its clock.
    pub now: Timestamp,
    /// Its time zone, by the name of IANA.
    pub zone: String,
    /// The address by which people reach it; null if none is defined.
    pub public_url: Option<String>,
    /// Whether the dashboard may write definitions.
    pub has_managed_definitions: bool,
    /// What needs a second person: `forget`, `prune`, `definitions`.
    pub two_persons: Vec<String>,
    /// Whether the files of the definitions are those that are followed.
    pub config_is_valid: bool,
    /// The definitions that are followed, as a hash.
    pub config: String,
}
