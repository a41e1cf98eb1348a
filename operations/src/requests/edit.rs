//! Changing snapshots: other ones are made in their places.

use std::ffi::OsString;
use std::path::PathBuf;

use keepfast_engine::edit::{EditOptions, Edited, Editor, Exclusion, LabelChange};
use keepfast_engine::repo::{Repository, Snapshots, WriterOptions};
use keepfast_engine::run::RunContext;
use keepfast_format::ids::SessionId;
use serde::{Deserialize, Serialize};

use super::{PROGRAM, limited, share_of};
use crate::choose::{Choice, find};
use crate::error::{ChoiceError, Result, TextError};
use crate::open::{Mode, Opened, SharedRepository};
use crate::patterns::compile_with_files;
use crate::remark::Remark;
use crate::reports::{RelabelledSnapshot, RewriteReport, RewrittenSnapshot, SnapshotDocument, TagReport};
use crate::resources::{Resources, Work};

/// Which labels to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Of which snapshots.
    pub choice: Choice,
    /// How they change.
    #[serde(with = "LabelChangeData")]
    pub change: LabelChange,
    /// What it may use.
    #[serde(default)]
    pub resources: Resources,
}

/// A [`LabelChange`] as data.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LabelChange", rename_all = "kebab-case", deny_unknown_fields)]
enum LabelChangeData {
    Set(Vec<String>),
    Alter {
        #[serde(default)]
        add: Vec<String>,
        #[serde(default)]
        remove: Vec<String>,
    },
}

/// What to leave out of snapshots that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rewrite {
    /// Of which snapshots.
    pub choice: Choice,
    /// Patterns of what to leave out.
    #[serde(with = "crate::child::words")]
    pub exclude: Vec<OsString>,
    /// Files with more patterns of what to leave out.
    pub exclude_from: Vec<PathBuf>,
    /// Forget snapshots in whose place others are.
    pub forget: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// What it may use.
    pub resources: Resources,
}

/// Changes the labels of snapshots: all of them, or none if one of them is protected.
pub fn tag(request: &Tag, shared: &SharedRepository, run: &RunContext) -> Result<TagReport> {
    tag_with(request, &mut |_| {}, shared, run)
}

/// As [`tag`], and `told` hears of each snapshot when it is done.
pub fn tag_with(
    request: &Tag,
    told: &mut dyn FnMut(&RelabelledSnapshot),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<TagReport> {
    must_choose(&request.choice)?;
    let run = &limited(run, &request.resources);
    let Opened { repository, mut snapshots, index } = shared.open(run, Mode::Usual)?;
    let options = options_of(&request.resources, &repository, shared)?;
    let editor = Editor::new(&repository, &index, options, run);
    editor.may_edit()?;
    let chosen = request.choice.resolve(&snapshots, shared, run)?;
    let is_changing = |id: &SessionId| {
        find(&snapshots, *id).is_some_and(|stored| {
            let tags = &stored.snapshot.body.tags;
            request.change.applied_to(tags) != *tags
        })
    };
    let changing: Vec<SessionId> = chosen.iter().copied().filter(is_changing).collect();
    // All of them are looked at first: if one is protected, none is changed.
    snapshots.must_be_unprotected(&changing)?;
    let mut done = Vec::new();
    for id in chosen {
        let edited = editor.relabel(&mut snapshots, id, &request.change)?;
        let new = new_of(&snapshots, edited);
        let is_changed = new.is_some();
        let relabelled =
            RelabelledSnapshot { id: id.short(), changed: is_changed, forgotten: is_changed, snapshot: new };
        told(&relabelled);
        done.push(relabelled);
    }
    Ok(TagReport { snapshots: done, troubles: run.troubles() })
}

/// Makes snapshots that lack some of the files of others.
pub fn rewrite(request: &Rewrite, shared: &SharedRepository, run: &RunContext) -> Result<RewriteReport> {
    rewrite_with(request, &mut |_| {}, shared, run)
}

/// As [`rewrite`], and `told` hears of each snapshot when it is done.
pub fn rewrite_with(
    request: &Rewrite,
    told: &mut dyn FnMut(&RewrittenSnapshot),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<RewriteReport> {
    must_choose(&request.choice)?;
    let compiled = compile_with_files(&request.exclude, &request.exclude_from)?;
    compiled.doubts.into_iter().for_each(|doubt| shared.remark(run, &Remark::Pattern(doubt)));
    let patterns = compiled.patterns;
    if patterns.is_empty() {
        return Err(TextError::NoPattern.into());
    }
    let run = &limited(run, &request.resources);
    let Opened { repository, mut snapshots, index } = shared.open(run, Mode::Usual)?;
    let options = options_of(&request.resources, &repository, shared)?;
    let editor = Editor::new(&repository, &index, options, run);
    if !request.dry_run {
        editor.may_edit()?;
    }
    let chosen = request.choice.resolve(&snapshots, shared, run)?;
    let mut exclusion = Exclusion::new(&patterns);
    let mut found = Vec::new();
    for stored in chosen.iter().filter_map(|id| find(&snapshots, *id)) {
        found.push((stored.snapshot.head.id, editor.find_matches(stored, &mut exclusion)?));
    }
    if request.forget {
        let changing = found.iter().filter(|(_, removal)| !removal.is_nothing()).map(|(id, _)| *id);
        snapshots.must_be_unprotected(&changing.collect::<Vec<_>>())?;
    }
    let mut done = Vec::new();
    for (id, removal) in &found {
        let edited = if request.dry_run {
            Edited::Unchanged
        } else {
            editor.rewrite(&mut snapshots, *id, &exclusion, removal, request.forget)?
        };
        let new = new_of(&snapshots, edited);
        let named = removal.named.iter().map(|path| String::from_utf8_lossy(path).into_owned());
        let rewritten = RewrittenSnapshot {
            id: id.short(),
            changed: !removal.is_nothing(),
            removed: removal.into(),
            named: named.collect(),
            forgotten: request.forget && new.is_some(),
            snapshot: new,
        };
        told(&rewritten);
        done.push(rewritten);
    }
    Ok(RewriteReport {
        dry_run: request.dry_run,
        forget: request.forget,
        snapshots: done,
        traffic: repository.backend().traffic().map(Into::into),
        troubles: run.troubles(),
    })
}

/// All snapshots aren't meant by saying nothing.
fn must_choose(choice: &Choice) -> Result<(), ChoiceError> {
    if choice.is_empty() { Err(ChoiceError::NothingSaid) } else { Ok(()) }
}

fn options_of(
    resources: &Resources,
    repository: &Repository,
    shared: &SharedRepository,
) -> Result<EditOptions> {
    let share = share_of(resources, Work::Write, repository.config().pack_bytes, shared)?;
    let writer = WriterOptions { uploads: share.uploads, ..WriterOptions::default() };
    Ok(EditOptions { program: PROGRAM.to_owned(), writer })
}

fn new_of(snapshots: &Snapshots, edited: Edited) -> Option<SnapshotDocument> {
    match edited {
        Edited::Replaced(id) => find(snapshots, id).map(|stored| (&stored.snapshot).into()),
        Edited::Unchanged => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelChange, Rewrite, Tag};

    #[test]
    fn requests_are_data_and_survive_being_written() {
        let text = r#"{"choice": {"ids": ["latest"]}, "change": {"alter": {"add": ["kept"]}}}"#;
        let read: Tag = serde_json::from_str(text).expect("a request");
        assert_eq!(read.change, LabelChange::Alter { add: vec!["kept".to_owned()], remove: Vec::new() });
        let written = serde_json::to_string(&read).expect("a text");
        assert_eq!(serde_json::from_str::<Tag>(&written).expect("a request"), read);
        let read: Rewrite =
            serde_json::from_str(r#"{"exclude": ["*.o"], "forget": true}"#).expect("a request");
        let written = serde_json::to_string(&read).expect("a text");
        assert_eq!(serde_json::from_str::<Rewrite>(&written).expect("a request"), read);
    }

    #[test]
    fn what_says_less_or_more_is_refused() {
        for text in [
            r#"{"choice": {}}"#,
            r#"{"choice": {}, "change": {"alter": {"ad": []}}}"#,
            r#"{"choice": {}, "change": {"set": []}, "dry_run": true}"#,
        ] {
            assert!(serde_json::from_str::<Tag>(text).is_err(), "{text}");
        }
        assert!(serde_json::from_str::<Rewrite>(r#"{"include": ["*.o"]}"#).is_err());
    }
}
