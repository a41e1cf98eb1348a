//! Roles, and the rights that each one has.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

/// What a person does here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees how everything stands.
    Viewer,
    /// Runs and cancels, and restores to other places than the original one.
    Operator,
    /// Restores, also to the original place.
    Restorer,
    /// Changes definitions.
    Editor,
    /// Sees who did what, and the evidence of restores; never names of files.
    Auditor,
    /// Does everything.
    Admin,
}

/// What can be asked for. Each right holds for objects: [`crate::scope::Object`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See how plans, runs, repositories and snapshots stand, without the names of files in them.
    See,
    /// See names of files: browse, search and compare snapshots, read the logs of runs. A right of its own, which no role
    /// has.
    SeeNames,
    /// Read what is in files: download them. A right of its own, which no role has, and which needs `SeeNames` too.
    ReadContent,
    /// See the effective configuration and where its values come from.
    SeeConfig,
    /// Start, cancel and repeat runs, pause and resume plans, acknowledge problems.
    Run,
    /// Change what loses nothing of snapshots: tags, protect, bring back.
    KeepSnapshots,
    /// Restore to another place than the original one.
    RestoreElsewhere,
    /// Restore to the original place, over what is there.
    RestoreInPlace,
    /// Change definitions of plans.
    EditPlans,
    /// Forget snapshots, end their protection, apply a retention.
    Forget,
    /// Remove data of a repository for good.
    Prune,
    /// Take keys of a repository out.
    ExportKeys,
    /// See who did what.
    SeeAudit,
    /// See the evidence of restores that were tried.
    SeeEvidence,
    /// Give others rights within a scope.
    ManageMembers,
    /// Everything about the server itself: users, targets and routes of notifications, its settings.
    ManageServer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Viewer, Self::Operator, Self::Restorer, Self::Editor, Self::Auditor, Self::Admin];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Restorer => "restorer",
            Self::Editor => "editor",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether the role has a right. `SeeNames` and `ReadContent` come from a grant, never from a role.
    #[must_use]
    pub fn has(self, right: Right) -> bool {
        match right {
            Right::See => true,
            Right::SeeNames | Right::ReadContent => false,
            Right::SeeConfig => matches!(self, Self::Operator | Self::Editor | Self::Auditor | Self::Admin),
            Right::Run => matches!(self, Self::Operator | Self::Admin),
            Right::KeepSnapshots => matches!(self, Self::Operator | Self::Editor | Self::Admin),
            Right::RestoreElsewhere => matches!(self, Self::Operator | Self::Restorer | Self::Admin),
            Right::RestoreInPlace => matches!(self, Self::Restorer | Self::Admin),
            Right::EditPlans => matches!(self, Self::Editor | Self::Admin),
            Right::SeeAudit | Right::SeeEvidence => matches!(self, Self::Auditor | Self::Admin),
            Right::Forget | Right::Prune | Right::ExportKeys | Right::ManageMembers | Right::ManageServer => {
                self == Self::Admin
            }
        }
    }
}

impl Display for Role {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::See,
        Self::SeeNames,
        Self::ReadContent,
        Self::SeeConfig,
        Self::Run,
        Self::KeepSnapshots,
        Self::RestoreElsewhere,
        Self::RestoreInPlace,
        Self::EditPlans,
        Self::Forget,
        Self::Prune,
        Self::ExportKeys,
        Self::SeeAudit,
        Self::SeeEvidence,
        Self::ManageMembers,
        Self::ManageServer,
    ];

    /// Whether it does something on a machine if its object is a plan's or a host's. Rights over a repository don't reach
    /// that, though the data is in the repository: its checks and prunes are all that they can run.
    #[must_use]
    pub fn is_about_machines(self) -> bool {
        matches!(self, Self::Run | Self::RestoreInPlace | Self::EditPlans)
    }

    /// Whether it needs a proof of who the person is that isn't old.
    #[must_use]
    pub fn is_dangerous(self) -> bool {
        matches!(
            self,
            Self::Forget | Self::Prune | Self::ExportKeys | Self::ManageMembers | Self::ManageServer
        )
    }
}
