//! What may need a second person: as it is asked for, as it is kept, and as it is carried out later. What is kept is all that
//! matters, so that just what was agreed to is done.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use keepfast_access::authority::Authority;
use keepfast_access::role::Right;
use keepfast_api::approval::{Approval, ApprovalState};
use keepfast_config::managed::defined_by;
use keepfast_config::model::server::TwoPersons;
use keepfast_server::access::{ApprovalDocument, Matter, Told, ask_approval};
use keepfast_server::edits::Edit as SnapshotEdit;
use keepfast_server::managed::ManagedName;
use keepfast_store::{Approval as Stored, ApprovalState as StoredState, PageSize, Subject, SubjectKind};
use serde::{Deserialize, Serialize};

use crate::answer::{Document, Failure, Result};
use crate::guard::Caller;
use crate::state::{Api, Shared};
use crate::writing::Edit;

/// Something that may need a second person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// Forget a snapshot.
    Forget {
        /// Its repository.
        repository: String,
        /// Its whole id.
        snapshot: String,
    },
    /// End the protection of a snapshot.
    Unprotect {
        /// Its repository.
        repository: String,
        /// Its whole id.
        snapshot: String,
    },
    /// Give and take tags by which a plan knows its snapshots.
    Tag {
        /// Its repository.
        repository: String,
        /// Its whole id.
        snapshot: String,
        /// Tags that it gets.
        add: Vec<String>,
        /// Tags that it loses.
        remove: Vec<String>,
    },
    /// Prune a repository.
    Prune {
        /// The repository.
        repository: String,
    },
    /// Do again what a prune was to do.
    PruneAgain {
        /// The repository.
        repository: String,
        /// The run.
        run: String,
    },
    /// Write managed files.
    Write {
        /// What they are to say; null for those that are removed.
        texts: BTreeMap<String, Option<String>>,
        /// Hashes of what they said.
        basis: BTreeMap<String, Option<String>>,
    },
}

/// What comes of a request that may need a second person.
pub enum Outcome<T> {
    /// It is done.
    Done(Document<T>),
    /// A second person is asked.
    Asked(Box<Document<Approval>>),
}

impl<T: Serialize> IntoResponse for Outcome<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Done(document) => document.into_response(),
            Self::Asked(request) => (*request).into_response(),
        }
    }
}

impl Deed {
    /// What is done with a snapshot; nothing if it never needs a second person.
    pub fn of_snapshot(repository: &str, snapshot: &str, edit: &SnapshotEdit, right: Right) -> Option<Self> {
        let (repository, snapshot) = (repository.to_owned(), snapshot.to_owned());
        match edit {
            _ if right != Right::Forget => None,
            SnapshotEdit::Forget => Some(Self::Forget { repository, snapshot }),
            SnapshotEdit::Unprotect => Some(Self::Unprotect { repository, snapshot }),
            SnapshotEdit::Tags { add, remove } => {
                Some(Self::Tag { repository, snapshot, add: add.clone(), remove: remove.clone() })
            }
            SnapshotEdit::Protect | SnapshotEdit::Undelete => None,
        }
    }

    /// The writing of managed files.
    pub fn of_files(edit: &Edit) -> Self {
        let named = |map: &BTreeMap<ManagedName, Option<String>>| {
            map.iter().map(|(name, text)| (name.to_string(), text.clone())).collect()
        };
        Self::Write { texts: named(&edit.texts), basis: named(&edit.basis) }
    }

    /// What a request asks for; nothing if this version doesn't know it.
    pub fn kept(request: &Stored) -> Option<Self> {
        let deed = Self::deserialize(&request.document).ok()?;
        let is_same = deed.action() == request.action.as_str() && deed.object() == request.object.as_str();
        is_same.then_some(deed)
    }

    /// What is done, as the audit names it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Forget { .. } => "snapshot.forget",
            Self::Unprotect { .. } => "snapshot.unprotect",
            Self::Tag { .. } => "snapshot.tag",
            Self::Prune { .. } => "run.start",
            Self::PruneAgain { .. } => "run.retry",
            Self::Write { texts, .. } if texts.values().all(Option::is_none) => "config.remove",
            Self::Write { .. } => "config.write",
        }
    }

    /// With what.
    pub fn object(&self) -> String {
        match self {
            Self::Forget { repository, snapshot }
            | Self::Unprotect { repository, snapshot }
            | Self::Tag { repository, snapshot, .. } => format!("snapshot:{repository}/{snapshot}"),
            Self::Prune { repository } => format!("prune:{repository}"),
            Self::PruneAgain { run, .. } => format!("run:{run}"),
            Self::Write { texts, .. } => {
                let first = texts.keys().next().map_or("", String::as_str);
                format!("managed:{first}")
            }
        }
    }

    /// In a sentence.
    pub fn summary(&self) -> String {
        let short = |id: &str| id.chars().take(8).collect::<String>();
        match self {
            Self::Forget { repository, snapshot } => {
                format!("forget the snapshot {} in {repository}", short(snapshot))
            }
            Self::Unprotect { repository, snapshot } => {
                format!("end the protection of the snapshot {} in {repository}", short(snapshot))
            }
            Self::Tag { repository, snapshot, .. } => {
                format!("change the plan of the snapshot {} in {repository}", short(snapshot))
            }
            Self::Prune { repository } | Self::PruneAgain { repository, .. } => {
                format!("prune the repository {repository}")
            }
            Self::Write { texts, .. } => {
                let names: Vec<&str> = texts.keys().map(String::as_str).collect();
                let verb = if self.action() == "config.remove" { "remove" } else { "change" };
                format!("{verb} the definitions in {}", names.join(", "))
            }
        }
    }

    /// The right that those need who may agree. For managed files, it is what most of them take.
    pub fn right(&self) -> Right {
        match self {
            Self::Forget { .. } | Self::Unprotect { .. } | Self::Tag { .. } => Right::Forget,
            Self::Prune { .. } | Self::PruneAgain { .. } => Right::Prune,
            Self::Write { .. } => Right::EditPlans,
        }
    }

    fn kind(&self) -> TwoPersons {
        match self {
            Self::Forget { .. } | Self::Unprotect { .. } | Self::Tag { .. } => TwoPersons::Forget,
            Self::Prune { .. } | Self::PruneAgain { .. } => TwoPersons::Prune,
            Self::Write { .. } => TwoPersons::Definitions,
        }
    }

    /// What it is about, for those who may hear of it: a plan if it is about nothing else.
    fn subject(&self) -> Subject {
        let of_repository = |name: &str| Subject::of(SubjectKind::Repository, name);
        match self {
            Self::Forget { repository, .. }
            | Self::Unprotect { repository, .. }
            | Self::Tag { repository, .. }
            | Self::Prune { repository }
            | Self::PruneAgain { repository, .. } => of_repository(repository),
            Self::Write { texts, .. } => {
                let defined: Vec<_> =
                    texts.values().flatten().filter_map(|text| defined_by(text)).flatten().collect();
                match &defined[..] {
                    [(_, one)] if one.section == "plan" => Subject::of(SubjectKind::Plan, &one.name),
                    _ => {
                        Subject::of(SubjectKind::Definitions, texts.keys().next().map_or("", String::as_str))
                    }
                }
            }
        }
    }

    /// What the rules take of it.
    pub fn matter(&self) -> Result<Matter> {
        let document = serde_json::to_value(self).map_err(|error| Failure::internal(&error))?;
        Ok(Matter { action: self.action().to_owned(), object: self.object(), document })
    }

    /// What people are told of it.
    pub fn told(&self) -> Told {
        Told { summary: self.summary(), about: self.subject(), right: self.right() }
    }

    /// Whether it needs a second person here.
    pub fn needs_second(&self, api: &Api) -> bool {
        api.config().server.value.two_persons.contains(&self.kind())
    }
}

/// Asks for a second person. Who asks for the same again is answered with the request that waits.
///
/// # Errors
/// The state can't be written.
pub async fn ask(api: &Shared, caller: &Caller, deed: &Deed) -> Result<Approval> {
    let matter = deed.matter()?;
    let open = api.store().approvals(Some(StoredState::Open), None, PageSize::MAX).await?.rows;
    let is_same = |request: &&Stored| {
        request.requested_by == *caller.name()
            && request.document == matter.document
            && ApprovalDocument::from(*request).state == StoredState::Open.as_str()
    };
    let request = match open.iter().find(is_same) {
        Some(request) => request.clone(),
        None => ask_approval(api.store(), caller.known(), matter, deed.told()).await?,
    };
    Ok(wire(&request, caller, false))
}

/// A request, as a caller sees it who may do what is asked for, or may not.
pub fn wire(request: &Stored, caller: &Caller, may_do_it: bool) -> Approval {
    let known = ApprovalDocument::from(request);
    let state = match known.state {
        "open" => ApprovalState::Open,
        "granted" => ApprovalState::Granted,
        "denied" => ApprovalState::Denied,
        "withdrawn" => ApprovalState::Withdrawn,
        "used" => ApprovalState::Used,
        _ => ApprovalState::Expired,
    };
    let is_own = request.requested_by == *caller.name();
    let waits = matches!(state, ApprovalState::Open | ApprovalState::Granted);
    Approval {
        summary: Deed::kept(request).map_or_else(|| known.object.clone(), |deed| deed.summary()),
        approval: known.id,
        action: known.action,
        object: known.object,
        document: known.document,
        state,
        requested_by: known.requested_by,
        requested: known.requested,
        expires: known.expires,
        decided_by: known.decided_by,
        decided: known.decided,
        reason: known.reason,
        may_decide: waits && !is_own && may_do_it,
        may_withdraw: waits && is_own,
    }
}

/// The rights of someone who isn't the caller, as of now; nothing for a user who is disabled or gone.
///
/// # Errors
/// The state can't be read.
pub async fn authority_of(api: &Api, user: &keepfast_store::UserName) -> Result<Option<Authority>> {
    let user = api.store().user_named(user).await?.filter(|user| user.disabled.is_none());
    Ok(user.map(|user| Authority::of_user(keepfast_access::grant::from_document(&user.grants))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Deed;

    #[test]
    fn each_deed_is_kept_as_it_is() {
        let texts =
            BTreeMap::from([("www".to_owned(), Some("[plan.www]\n".to_owned())), ("old".to_owned(), None)]);
        let (repository, snapshot) = ("main".to_owned(), "ab".repeat(16));
        let all = [
            Deed::Forget { repository: repository.clone(), snapshot: snapshot.clone() },
            Deed::Tag {
                repository: repository.clone(),
                snapshot,
                add: vec!["x".to_owned()],
                remove: Vec::new(),
            },
            Deed::PruneAgain { repository, run: "r".to_owned() },
            Deed::Write { texts, basis: BTreeMap::new() },
        ];
        for deed in all {
            let matter = deed.matter().expect("a document");
            let read: Deed = serde_json::from_value(matter.document).expect("a deed");
            assert_eq!(read, deed);
        }
        assert!(serde_json::from_str::<Deed>(r#"{"deed": "prune", "repository": "a", "more": 1}"#).is_err());
    }
}
