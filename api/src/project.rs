//! Projects: plans and repositories that belong together, and who may do what with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::list::Row;
use crate::plan::Setting;

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its name.
    pub project: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// Its plans that the caller may see.
    pub plans: Vec<String>,
    /// Its repositories that the caller may see.
    pub repositories: Vec<String>,
    /// What its plans may store in all, in bytes.
    pub quota_bytes: Option<u64>,
    /// The managed file that defines it; null if a file does that people write.
    pub managed: Option<String>,
}

impl Row for Project {
    const COLUMNS: &'static [&'static str] =
        &["project", "description", "plans", "repositories", "quota_bytes", "managed"];
}

/// A project with all that it is defined by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectDetail {
    /// The project.
    #[serde(flatten)]
    pub project: Project,
    /// Who has a role in it, in the order of names; null for callers who may not see that. Users with roles for all aren't
    /// named.
    pub members: Option<Vec<Member>>,
    /// Where it is defined.
    pub origin: String,
    /// All that it is defined by, with the origin of each value.
    pub settings: Vec<Setting>,
}

/// Who has a role in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The user.
    pub user: String,
    /// The user's name for people.
    pub display: String,
    /// The roles in the project.
    pub roles: Vec<MemberRole>,
}

/// A role that a member has in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberRole {
    /// The role: `viewer`, `operator`, `restorer`, `editor`, `auditor`, `admin`.
    pub role: String,
    /// Whether names of files may be seen.
    pub see_names: bool,
    /// Whether contents of files may be read.
    pub read_content: bool,
}

/// A role that a member is to have in a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMemberRole {
    /// The role: `viewer`, `operator`, `restorer`, `editor`, `auditor`, `admin`.
    pub role: String,
    /// Whether names of files may be seen.
    #[serde(default)]
    pub see_names: bool,
    /// Whether contents of files may be read.
    #[serde(default)]
    pub read_content: bool,
}

/// The roles that a user is to have in a project: just these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMember {
    /// The roles.
    #[schema(min_items = 1, max_items = 6)]
    pub roles: Vec<NewMemberRole>,
}

/// A project that was removed. Snapshots stay in their repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectRemoved {
    /// The managed files that were removed.
    pub files: Vec<String>,
    /// The plans that are gone.
    pub plans: Vec<String>,
    /// The users who have lost their roles in it.
    pub members: Vec<String>,
}
