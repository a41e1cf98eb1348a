//! Edits: a snapshot is replaced by another one that has other labels, or lacks some files.
//!
//! A snapshot never changes. An edit is a session like a backup's, whose parent is the snapshot that it
//! edits. The session refers to what the original refers to, which keeps that from being removed, and
//! commits a snapshot of the same time, machine and paths, which belongs to the same writer's history. Only
//! then the original is forgotten. If the edit is interrupted between the two steps, both snapshots are
//! there, which harms nothing: the same edit, run again, finds the new one and forgets the original.

mod bundles;
mod fate;
mod labels;
mod links;
mod pages;
mod rebuild;
mod scan;

use std::cell::Cell;

use keepfast_format::decision::DecisionKind;
use keepfast_format::ids::SessionId;
use keepfast_format::keys::Role;
use keepfast_format::snapshot::{SnapshotBody, Statistics};

use crate::error::{ChoiceError, EngineError, Result};
use crate::fs::select::Patterns;
use crate::repo::{
    CommitRequest, FrameCache, Index, Repository, Session, SessionOptions, Snapshots, StoredSnapshot, Trees,
    WriterOptions, WriterTotals, decide, hold_all, is_forgotten, may_take_over, write_packs_under,
};
use crate::run::RunContext;
use fate::Fates;
pub use labels::LabelChange;
use rebuild::{Rebuild, Rebuilt};
pub use scan::Removal;
use scan::WithoutMatches;

/// How to edit.
pub struct EditOptions {
    /// The program's name and version.
    pub program: String,
    /// How to write.
    pub writer: WriterOptions,
}

/// What edits work with.
pub struct Editor<'a> {
    repository: &'a Repository,
    index: &'a Index,
    options: EditOptions,
    run: &'a RunContext,
    /// Whether the index was compared with what is stored.
    is_compared: Cell<bool>,
}

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It already is as it should be.
    Unchanged,
    /// This one replaces it.
    Replaced(SessionId),
}

/// Files to leave out of snapshots, and directories that were found to have none of them.
pub struct Exclusion<'a> {
    patterns: &'a Patterns,
    without_matches: WithoutMatches,
}

impl<'a> Exclusion<'a> {
    /// Leaves out what `backup` would leave out by these patterns.
    #[must_use]
    pub fn new(patterns: &'a Patterns) -> Self {
        Self { patterns, without_matches: WithoutMatches::default() }
    }

    fn fates(&self, body: &SnapshotBody) -> Fates<'a> {
        Fates::new(self.patterns, &body.paths)
    }
}

/// What is to be committed.
struct Made {
    body: SnapshotBody,
    totals: WriterTotals,
    /// Whether all that it has of its original was taken over, as SPEC allows it. If not, each chunk of it
    /// has to be looked up.
    is_taken_over: bool,
}

/// What an edit ended with.
enum Ended {
    Committed(SessionId),
    /// An earlier run has committed the same.
    Found(SessionId),
}

impl<'a> Editor<'a> {
    /// Edits snapshots of this repository.
    #[must_use]
    pub fn new(
        repository: &'a Repository,
        index: &'a Index,
        options: EditOptions,
        run: &'a RunContext,
    ) -> Self {
        Self { repository, index, options, run, is_compared: Cell::new(false) }
    }

    /// Fails unless snapshots may be edited here. Only an owner may: the new snapshot has to count as one of
    /// the old one's writer, and the old one has to be forgotten.
    pub fn may_edit(&self) -> Result<()> {
        if self.repository.identity().role() != Role::Owner {
            return Err(EngineError::NotAllowed { action: "change snapshots" });
        }
        self.repository.can_be_written()
    }

    /// Gives a snapshot other labels: another one replaces it, and it is forgotten.
    pub fn relabel(&self, snapshots: &mut Snapshots, id: SessionId, change: &LabelChange) -> Result<Edited> {
        self.may_edit()?;
        let original = find(snapshots, id)?;
        let before = &original.snapshot.body;
        let tags = change.applied_to(&before.tags);
        if tags == before.tags {
            return Ok(Edited::Unchanged);
        }
        snapshots.must_be_unprotected(&[id])?;
        let origin = Some(original.origin_of_next());
        let body = SnapshotBody { tags, origin, ..before.clone() };
        let by = match self.find_same(snapshots, &original, &body) {
            Some(found) => found,
            None => self.replace(snapshots, &original, |session| {
                let is_taken_over = may_take_over(session);
                Ok(Made { body, totals: WriterTotals::default(), is_taken_over })
            })?,
        };
        self.forget(snapshots, id)?;
        Ok(Edited::Replaced(by))
    }

    /// Finds out what is to be left out of a snapshot. This reads the trees of all that stays, but no
    /// content of files.
    pub fn find_matches(&self, stored: &StoredSnapshot, exclusion: &mut Exclusion<'_>) -> Result<Removal> {
        let frames = FrameCache::new(self.repository, self.index, self.run);
        let body = &stored.snapshot.body;
        let fates = exclusion.fates(body);
        let found =
            scan::scan(Trees::new(&frames), &fates, &body.tree, &mut exclusion.without_matches, self.run);
        self.run.report_suspects(|_| false);
        found
    }

    /// Makes a snapshot without what is to be left out of this one; `removal` is what
    /// [`Editor::find_matches`] found. With `forget` the old one is forgotten after that.
    pub fn rewrite(
        &self,
        snapshots: &mut Snapshots,
        id: SessionId,
        exclusion: &Exclusion<'_>,
        removal: &Removal,
        forget: bool,
    ) -> Result<Edited> {
        self.may_edit()?;
        if removal.is_nothing() {
            return Ok(Edited::Unchanged);
        }
        if forget {
            snapshots.must_be_unprotected(&[id])?;
        }
        let original = find(snapshots, id)?;
        let by = self.replace(snapshots, &original, |session| {
            let has_states = original.snapshot.body.state.is_some();
            self.rebuild(session, &original, exclusion, removal, has_states)
        })?;
        if forget {
            self.forget(snapshots, id)?;
        }
        Ok(Edited::Replaced(by))
    }

    /// Runs a session that commits what `make` makes of the original.
    fn replace(
        &self,
        snapshots: &mut Snapshots,
        original: &StoredSnapshot,
        make: impl FnOnce(&Session<'_>) -> Result<Made>,
    ) -> Result<SessionId> {
        match self.run_session(snapshots, original, make)? {
            Ended::Found(id) => Ok(id),
            Ended::Committed(id) => {
                // The next edit has to know it: its own snapshot is numbered after it, and names it.
                snapshots.add(self.repository, id)?;
                Ok(id)
            }
        }
    }

    fn run_session(
        &self,
        snapshots: &Snapshots,
        original: &StoredSnapshot,
        make: impl FnOnce(&Session<'_>) -> Result<Made>,
    ) -> Result<Ended> {
        let Self { repository, index, ref options, run, .. } = *self;
        // Once for all edits of a run: where there are many packs, this is most of the work of an edit.
        if !self.is_compared.replace(true) {
            index.compare_with_store(repository)?;
        }
        let begun = SessionOptions {
            program: &options.program,
            parent: Some(&original.snapshot),
            ended: Some(snapshots),
        };
        let session = Session::begin(repository, index, &begun, run)?;
        let ended = make(&session).and_then(|made| self.commit(&session, snapshots, original, made));
        run.report_suspects(|_| false);
        match &ended {
            // If the store has failed, a snapshot that was sent may still arrive, so the session isn't given up.
            // A full store still has room for what giving up writes.
            Err(EngineError::Backend(error)) if !error.is_full() => {}
            Err(EngineError::Fenced) | Ok(Ended::Committed(_)) => {}
            Err(_) | Ok(Ended::Found(_)) => session.give_up(),
        }
        ended
    }

    fn commit(
        &self,
        session: &Session<'_>,
        snapshots: &Snapshots,
        original: &StoredSnapshot,
        made: Made,
    ) -> Result<Ended> {
        let Made { body, totals, is_taken_over } = made;
        if let Some(found) = self.find_same(snapshots, original, &body) {
            return Ok(Ended::Found(found));
        }
        if !is_taken_over && !hold_all(session, &body, self.run)? {
            let why = "parts of it are missing, or a prune is about to remove them";
            return Err(EngineError::Unchangeable { snapshot: original.snapshot.head.id, why });
        }
        if is_forgotten(self.repository, original.snapshot.head.id)? {
            let why = "another run has forgotten or changed it meanwhile";
            return Err(EngineError::Unchangeable { snapshot: original.snapshot.head.id, why });
        }
        let committed = session.commit(CommitRequest {
            body,
            key: original.snapshot.head.key,
            totals: &totals,
            snapshots,
            made_from: Some(&original.snapshot),
        })?;
        Ok(Ended::Committed(committed.head.id))
    }

    /// Makes the trees of a snapshot without what is to be left out.
    fn rebuild(
        &self,
        session: &Session<'_>,
        original: &StoredSnapshot,
        exclusion: &Exclusion<'_>,
        removal: &Removal,
        has_states: bool,
    ) -> Result<Made> {
        let Self { repository, index, ref options, run, .. } = *self;
        let snapshot = &original.snapshot;
        let fates = exclusion.fates(&snapshot.body);
        let (trees, data) =
            (FrameCache::new(repository, index, run), FrameCache::of_data(repository, index, run));
        let ((rebuilt, is_taken_over), totals) = write_packs_under(
            session,
            snapshot.head.key,
            options.writer,
            |writer| {
                let mut rebuild =
                    Rebuild::new(Trees::new(&trees), &data, &fates, &exclusion.without_matches, writer, run);
                let rebuilt = match rebuild.run(snapshot, has_states) {
                    // States only save the next backup work: without them it reads every file once.
                    Err(error) if rebuild.lacks_states() => {
                        run.notice(format!(
                            "the snapshot made from {} has no data for change detection, because the \
                             old one's can't be read: {error}; a backup that is compared with it reads all files \
                             again",
                            &snapshot.head.id.short()[..8]
                        ));
                        rebuild.run(snapshot, false)
                    }
                    other => other,
                }?;
                Ok((rebuilt, rebuild.finish()?))
            },
        )?;
        let Rebuilt { ids, hard_links } = rebuilt;
        let body = SnapshotBody {
            tree: ids.tree,
            state: ids.state,
            hard_links,
            statistics: without(snapshot.body.statistics, removal),
            origin: Some(original.origin_of_next()),
            ..snapshot.body.clone()
        };
        Ok(Made { body, totals, is_taken_over })
    }

    /// A snapshot that an earlier run has made for the same edit. Only one that this owner has made counts:
    /// otherwise a writer could have the original forgotten for a snapshot that isn't what it claims.
    fn find_same(
        &self,
        snapshots: &Snapshots,
        original: &StoredSnapshot,
        body: &SnapshotBody,
    ) -> Option<SessionId> {
        let own = self.repository.identity().holder();
        let is_same = |stored: &&StoredSnapshot| {
            let snapshot = &stored.snapshot;
            snapshot.head.id.writer == own
                && snapshot.head.key == original.snapshot.head.key
                && snapshot.body == *body
        };
        snapshots.all.iter().find(is_same).map(|stored| stored.snapshot.head.id)
    }

    fn forget(&self, snapshots: &mut Snapshots, id: SessionId) -> Result<()> {
        decide(self.repository, id, DecisionKind::Forgotten, self.run)?;
        snapshots.move_to_forgotten(id);
        Ok(())
    }
}

fn find(snapshots: &Snapshots, id: SessionId) -> Result<StoredSnapshot> {
    let found = snapshots.all.iter().find(|stored| stored.snapshot.head.id == id);
    found.cloned().ok_or_else(|| ChoiceError::NoSnapshot { text: id.short()[..8].to_owned() }.into())
}

/// The counts of a run without what is left out. What it has read and stored stays: the run did that. No one
/// knows any more how the files that go were counted, so they are subtracted from the unchanged files first,
/// because most files are unchanged.
fn without(counts: Statistics, removal: &Removal) -> Statistics {
    let mut left = removal.files;
    let mut take = |count: u64| {
        let taken = count.min(left);
        left -= taken;
        count - taken
    };
    Statistics {
        files_unchanged: take(counts.files_unchanged),
        files_changed: take(counts.files_changed),
        files_new: take(counts.files_new),
        dirs: counts.dirs.saturating_sub(removal.dirs),
        bytes_total: counts.bytes_total.saturating_sub(removal.bytes),
        ..counts
    }
}

#[cfg(test)]
mod tests {
    use super::{Removal, Statistics, without};

    #[test]
    fn what_goes_is_subtracted_from_the_counts() {
        let counts = Statistics {
            files_new: 2,
            files_changed: 3,
            files_unchanged: 4,
            dirs: 5,
            bytes_total: 1000,
            bytes_read: 600,
            ..Statistics::default()
        };
        let removal = Removal { files: 5, dirs: 2, bytes: 300, ..Removal::default() };
        let left = without(counts, &removal);
        assert_eq!((left.files_new, left.files_changed, left.files_unchanged), (2, 2, 0));
        assert_eq!((left.dirs, left.bytes_total, left.bytes_read), (3, 700, 600));
        let all = Removal { files: u64::MAX, dirs: u64::MAX, bytes: u64::MAX, ..Removal::default() };
        let none = without(counts, &all);
        assert_eq!((none.files(), none.dirs, none.bytes_total), (0, 0, 0), "wrong counts don't fail");
    }
}
