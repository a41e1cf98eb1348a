//! Which snapshots are meant: by a word or the start of an id, and by what they have in common.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use keepfast_engine::EngineError;
use keepfast_engine::repo::{SnapshotFilter, Snapshots, StoredSnapshot};
use keepfast_engine::run::RunContext;
use keepfast_format::ids::{HolderId, SessionId};
use serde::{Deserialize, Serialize};

use crate::error::{ChoiceError, Result};
use crate::open::SharedRepository;
use crate::remark::{AheadUse, Remark};
use crate::times;

/// The word for the newest snapshot.
pub const LATEST: &str = "latest";

/// What snapshots must have in common to be meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only of the writer whose id begins with this, and of those that it continues.
    pub writer: Option<String>,
    /// Only of this machine.
    pub host: Option<String>,
    /// Only with all of these labels.
    pub tags: Vec<String>,
    /// Only with all of these paths.
    pub paths: Vec<PathBuf>,
}

impl Filter {
    /// Whether it lets all snapshots through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The engine's filter. Fails if no writer, or more than one, is meant.
    pub fn resolve(&self, snapshots: &Snapshots) -> Result<SnapshotFilter> {
        Ok(SnapshotFilter {
            writers: writers_of(self.writer.as_deref(), snapshots)?,
            host: self.host.clone(),
            tags: self.tags.clone(),
            paths: self.paths.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect(),
            begun_at_latest: None,
        })
    }
}

/// Which snapshots are meant: those that are named, or all that a filter lets through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// `latest`, `latest~N`, or the start of an id. If there is none, the filter alone chooses.
    pub ids: Vec<String>,
    /// Which snapshots, or which ones `latest` is among.
    pub filter: Filter,
}

impl Choice {
    /// Whether nothing is named and nothing is left out: that is most likely not meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.filter.is_empty()
    }

    /// The snapshots that are meant, each once.
    pub fn resolve(
        &self,
        snapshots: &Snapshots,
        shared: &SharedRepository,
        run: &RunContext,
    ) -> Result<Vec<SessionId>> {
        let filter = self.filter.resolve(snapshots)?;
        if self.ids.is_empty() {
            let fitting = snapshots.all.iter().filter(|stored| filter.matches(stored));
            return Ok(fitting.map(|stored| stored.snapshot.head.id).collect());
        }
        let mut chosen: Vec<SessionId> = Vec::new();
        for text in &self.ids {
            let id = choose(snapshots, text, &filter, shared, run)?.snapshot.head.id;
            if !chosen.contains(&id) {
                chosen.push(id);
            }
        }
        Ok(chosen)
    }
}

/// The writers that are meant by the start of an id.
pub fn writers_of(
    writer: Option<&str>,
    snapshots: &Snapshots,
) -> Result<Option<BTreeSet<HolderId>>, EngineError> {
    writer.map(|writer| snapshots.lineage_of(writer)).transpose()
}

/// The snapshot that a text names, among those that pass a filter if it is `latest`. It is remarked on if `latest` is
/// among snapshots of several writers: each can say any host and paths of itself, and any time.
pub fn choose<'s>(
    snapshots: &'s Snapshots,
    text: &str,
    filter: &SnapshotFilter,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<&'s StoredSnapshot> {
    let found = snapshots.find(text, filter)?;
    if !text.starts_with(LATEST) {
        return Ok(found);
    }
    remark_if_ahead(found, AheadUse::Latest, shared, run);
    let writers = snapshots.writers(filter);
    if writers.len() > 1 {
        let (text, snapshot, writer) = (text.to_owned(), found.snapshot.head.id, found.writer);
        shared.remark(run, &Remark::SeveralWriters { text, writers, snapshot, writer });
    }
    Ok(found)
}

/// Remarks on a snapshot that is used and is later than the present: it isn't what its time says, and others that were
/// made since may be newer.
pub fn remark_if_ahead(
    used: &StoredSnapshot,
    as_what: AheadUse,
    shared: &SharedRepository,
    run: &RunContext,
) {
    let body = &used.snapshot.body;
    if times::is_ahead(body.start, run.now()) {
        let (snapshot, host, time) = (used.snapshot.head.id, body.host.clone(), body.start);
        shared.remark(run, &Remark::Ahead { snapshot, host, time, used: as_what });
    }
}

/// The snapshot of this session.
#[must_use]
pub fn find(snapshots: &Snapshots, id: SessionId) -> Option<&StoredSnapshot> {
    snapshots.all.iter().find(|stored| stored.snapshot.head.id == id)
}

/// The forgotten snapshot whose id begins with this.
pub fn find_forgotten<'s>(snapshots: &'s Snapshots, text: &str) -> Result<&'s StoredSnapshot> {
    let mut fitting =
        snapshots.forgotten.iter().filter(|stored| stored.snapshot.head.id.short().starts_with(text));
    match (fitting.next(), fitting.next()) {
        (Some(stored), None) if !text.is_empty() => Ok(stored),
        (None, _) => Err(ChoiceError::NotForgotten { text: text.to_owned() }.into()),
        _ => Err(ChoiceError::SeveralForgotten { text: text.to_owned() }.into()),
    }
}

/// Splits `ID:/folder`.
#[must_use]
pub fn split(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::{Choice, split};

    #[test]
    fn a_folder_stands_behind_the_first_colon() {
        assert_eq!(split("latest:/etc"), ("latest", "/etc"));
        assert_eq!(split("a1b2:/odd:name"), ("a1b2", "/odd:name"));
        assert_eq!(split("latest~1"), ("latest~1", ""));
    }

    #[test]
    fn a_choice_is_data_and_says_when_it_says_nothing() {
        let choice: Choice =
            serde_json::from_str(r#"{"filter": {"host": "db1", "paths": ["/srv"]}}"#).expect("a choice");
        assert!(!choice.is_empty() && Choice::default().is_empty());
        assert_eq!(choice.filter.host.as_deref(), Some("db1"));
        assert!(serde_json::from_str::<Choice>(r#"{"id": ["latest"]}"#).is_err(), "a slip of the pen");
    }
}
