//! What people decide about single snapshots: they are protected, tagged, forgotten, brought back.

use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_engine::edit::LabelChange;
use keepfast_operations::OperationsError;
use keepfast_operations::choose::Choice;
use keepfast_operations::error::ChoiceError;
use keepfast_operations::requests::{
    Forget, ForgetWhich, NamedSnapshots, Protect, Tag, Undelete, forget, protect, tag, undelete,
};
use keepfast_operations::resources::Resources;

use crate::error::{Result, ServerError};
use crate::warm::WarmRepositories;

/// Letters of a whole id.
const ID_LETTERS: usize = 32;

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// No one can forget it.
    Protect,
    /// It can be forgotten again.
    Unprotect,
    /// It gets and loses labels: another snapshot is made in its place.
    Tags {
        /// What it gets.
        add: Vec<String>,
        /// What it loses.
        remove: Vec<String>,
    },
    /// What only it needs goes with the next prune.
    Forget,
    /// It comes back, as another snapshot in its place.
    Undelete,
}

/// Carries a decision out. Returns the id of the snapshot that stands in its place then; nothing if there is none.
///
/// # Errors
/// There is no such snapshot, it may not be changed, or the repository can't be reached.
pub fn edit(
    config: &Config,
    warm: &WarmRepositories,
    repository: &str,
    id: &str,
    edit: &Edit,
) -> Result<Option<String>> {
    // Whole ids alone: a word like `latest` would mean another snapshot a moment later.
    if id.len() != ID_LETTERS || !id.bytes().all(|letter| matches!(letter, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(ServerError::NoSnapshot { repository: repository.to_owned(), id: id.to_owned() });
    }
    // A snapshot that is forgotten isn't among those that can be looked into.
    if *edit != Edit::Undelete {
        warm.snapshot(config, repository, id)?;
    }
    // It is carried out to its end, also if no one waits for the answer.
    let run = &warm.run(Cancel::new());
    let ids = vec![id.to_owned()];
    let named = || NamedSnapshots { ids: ids.clone(), ..NamedSnapshots::default() };
    let done = warm.with(config, repository, |shared| {
        Ok(match edit {
            Edit::Protect | Edit::Unprotect => {
                let protected = *edit == Edit::Protect;
                protect(&Protect { which: named(), protected, dry_run: false }, shared, run)?;
                Some(id.to_owned())
            }
            Edit::Tags { add, remove } => {
                let choice = Choice { ids: ids.clone(), ..Choice::default() };
                let change = LabelChange::Alter { add: add.clone(), remove: remove.clone() };
                let report = tag(&Tag { choice, change, resources: Resources::default() }, shared, run)?;
                let new = report.snapshots.into_iter().next().and_then(|one| one.snapshot);
                Some(new.map_or_else(|| id.to_owned(), |new| new.id))
            }
            Edit::Forget => {
                forget(&Forget { which: ForgetWhich::Named(named()), dry_run: false }, shared, run)?;
                None
            }
            Edit::Undelete => {
                let report = undelete(&Undelete { ids: ids.clone() }, shared, run)?;
                report.snapshots.into_iter().next().map(|back| back.snapshot.id)
            }
        })
    });
    warm.changed(repository);
    if let Err(ServerError::Operations(OperationsError::Choice(ChoiceError::NotForgotten { .. }))) = &done {
        // It may be there, and not be forgotten.
        warm.snapshot(config, repository, id)?;
    }
    done
}
