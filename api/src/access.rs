//! Users, their tokens and sessions, and who did what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::list::Row;
use crate::session::Grant;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The name for signing in.
    pub user: String,
    /// The name for people.
    pub display: String,
    /// What the user may do.
    pub grants: Vec<Grant>,
    /// Whether signing in takes a second factor.
    pub has_second_factor: bool,
    /// Whether there is a password.
    pub has_password: bool,
    /// Since when the user can't do anything; null for one who can.
    pub disabled: Option<Timestamp>,
    /// When the user was added.
    pub created: Timestamp,
    /// When the user signed in last.
    pub last_login: Option<Timestamp>,
}

impl Row for User {
    const COLUMNS: &'static [&'static str] = &[
        "user",
        "display",
        "grants",
        "has_second_factor",
        "has_password",
        "disabled",
        "created",
        "last_login",
    ];
}

/// A role that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The role: `viewer`, `operator`, `restorer`, `editor`, `auditor`, `admin`.
    pub role: String,
    /// What it holds for: `all`, or a project, host, plan, repository or label such as `plan:www`.
    pub scope: String,
    /// Whether names of files may be seen there.
    #[serde(default)]
    pub see_names: bool,
    /// Whether contents of files may be read there.
    #[serde(default)]
    pub read_content: bool,
}

/// A user that is added.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name for signing in.
    pub user: String,
    /// The name for people; else that for signing in.
    pub display: Option<String>,
    /// What the user may do.
    pub grants: Vec<NewGrant>,
    /// The password; without one, the user signs in with an account of elsewhere.
    #[schema(format = Password)]
    pub password: Option<String>,
}

/// What becomes different about a user; what isn't said stays.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeUser {
    /// What the user may do.
    pub grants: Option<Vec<NewGrant>>,
    /// Whether the user can't do anything. It also ends all sessions.
    pub is_disabled: Option<bool>,
    /// Another password. It also ends all sessions.
    #[schema(format = Password)]
    pub password: Option<String>,
    /// `false`: signing in takes no second factor any more, for a user whose device is lost.
    pub has_second_factor: Option<bool>,
}

/// A token of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its number.
    pub token: i64,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Its own rights: it may what both it and its user may.
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it isn't valid; null if it is until it is taken away.
    pub expires: Option<Timestamp>,
    /// When it was used last, to a minute.
    pub last_used: Option<Timestamp>,
    /// From where.
    pub last_origin: Option<String>,
}

impl Row for Token {
    const COLUMNS: &'static [&'static str] =
        &["token", "name", "user", "grants", "created", "expires", "last_used", "last_origin"];
}

/// A token that is to be made, for the user who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// Its own rights.
    pub grants: Vec<NewGrant>,
    /// From when on it isn't valid.
    pub expires: Option<Timestamp>,
}

/// A token that was made.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeToken {
    /// Its number.
    pub token: i64,
    /// The token itself, which is shown this once.
    pub secret: String,
}

/// Whose tokens or sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OwnerQuery {
    /// Of this user; else of the user who asks.
    pub user: Option<String>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionRow {
    /// Its number.
    pub session: i64,
    /// Whose it is.
    pub user: String,
    /// From where it began.
    pub origin: String,
    /// The program that it began with.
    pub agent: String,
    /// When it began.
    pub began: Timestamp,
    /// When it was used last, to a minute.
    pub last_seen: Timestamp,
    /// When it ends, however it is used.
    pub expires: Timestamp,
    /// Whether it is the one that asks.
    pub is_own: bool,
}

impl Row for SessionRow {
    const COLUMNS: &'static [&'static str] =
        &["session", "user", "origin", "agent", "began", "last_seen", "expires", "is_own"];
}

/// Another password of the user who asks.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The new one.
    #[schema(format = Password)]
    pub password: String,
}

/// A second factor that waits for its first code.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Enrolment {
    /// What a person types into the device.
    pub secret: String,
    /// What the device reads as a picture: `otpauth://totp/…`.
    pub address: String,
}

/// The first code of a device.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmSecondFactor {
    /// What the device shows.
    pub code: String,
}

/// Codes for the day on which the device is lost.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodes {
    /// Each can be used once; they are shown this once.
    pub recovery_codes: Vec<String>,
}

/// Something that was done, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Its place in the order.
    pub entry: u64,
    /// When, by the clock of the server that recorded it.
    pub at: Timestamp,
    /// Who: `user ann`, `token deploy of ann`, `local user root (0)`.
    pub who: String,
    /// From where: an address, or `local`.
    pub origin: String,
    /// What was done: `plan.pause`.
    pub action: String,
    /// With what: `plan:www`.
    pub object: String,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
    /// Its hash, which covers that of the entry before it.
    pub hash: String,
}

impl Row for AuditEntry {
    const COLUMNS: &'static [&'static str] =
        &["entry", "at", "who", "origin", "action", "object", "before", "after", "hash"];
}

/// Which entries: those that are all of this.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// By them: `user ann`.
    pub who: Option<String>,
    /// With this action.
    pub action: Option<String>,
    /// About this.
    pub object: Option<String>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
}

/// Whether the audit is as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether it is.
    pub is_sound: bool,
    /// How many entries were read.
    pub entries: u64,
    /// What is wrong with the first one that isn't as it was written.
    pub fault: Option<String>,
    /// The newest entry as `NUMBER:HASH`, if all are as they were written. Kept elsewhere, it shows later that none of these
    /// entries was changed since: `keepfast audit verify --anchor` compares it.
    pub anchor: Option<String>,
}
