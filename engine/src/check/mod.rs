//! Check: is everything that snapshots refer to there, and is it what it should be?
//!
//! Findings name the object that is damaged; a last walk names the snapshots and files
//! that the damage affects.
//!
//! Others back up, forget and prune meanwhile. What isn't there is therefore a suspicion first: it
//! is a finding if no verdict and no decision that came since explains it.

mod affected;
mod chunks;
mod collection;
mod packs;
mod survey;
mod trees;
mod trouble;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use keepfast_format::ids::{PackId, SessionId};
use keepfast_format::limits;
use keepfast_format::names::{self, ObjectName, PackName, SegmentName};
use keepfast_format::numbers::u64_of;
use keepfast_format::pack::PackTable;
use keepfast_format::session::Session;
use keepfast_format::snapshot::Snapshot;

use crate::error::{EngineError, Finding, Result};
use crate::nouns::{counted, grouped};
use crate::repo::{
    FrameCache, Index, MissingSnapshot, Repository, Snapshots, Trees, check_parameters, is_named_dead, judge,
    list_segments, list_sessions, older, read_object, read_segment, refresh_index, seems_forgotten,
};
use crate::run::{Event, Phase, RunContext};
use affected::{AffectedFiles, Named};
use chunks::{Bad, BadFrames, Chunks, Suspects};
use packs::PackReader;
use survey::Survey;
use trees::TreeWalk;
use trouble::{Outage, Trouble};

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Which packs to read in full.
    pub read: ReadData,
}

/// Which packs to read in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadData {
    /// None: structure only.
    No,
    /// All of them.
    All,
    /// The `n`th of `m` parts, counted from 1; the parts are disjoint and cover everything.
    Part {
        /// Which part.
        n: u32,
        /// Of how many.
        m: u32,
    },
    /// Those that lie on a stretch of the circle of all packs.
    Stretch(Stretch),
}

/// A stretch of the circle on which each pack has a place that never changes. So repeated checks that read one stretch
/// after the other read every pack that is there all the time, whatever else comes and goes meanwhile; and as places are
/// evenly spread, a part of the circle has about that part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub begin: u32,
    /// How long it is; [`Stretch::CIRCLE`] is the whole circle.
    pub length: u64,
}

impl Stretch {
    /// The length of the circle.
    pub const CIRCLE: u64 = 1 << 32;

    /// Whether a place lies on it.
    #[must_use]
    pub fn includes(&self, place: u32) -> bool {
        u64::from(place.wrapping_sub(self.begin)) < self.length
    }

    /// A pack's place: ids are hashes, so that their first bytes are as good as drawn by lot.
    #[must_use]
    pub fn place_of(pack: &PackId) -> u32 {
        let [a, b, c, d, ..] = *pack.as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl ReadData {
    fn includes(self, pack: &PackId) -> bool {
        match self {
            Self::No => false,
            Self::All => true,
            Self::Part { n, m } => Stretch::place_of(pack) % m.max(1) + 1 == n,
            Self::Stretch(stretch) => stretch.includes(Stretch::place_of(pack)),
        }
    }
}

/// What a check looked at and found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Configs, keyrings, key slots, sessions, snapshots and index segments.
    pub objects: u64,
    /// Packs that are there.
    pub packs: u64,
    /// Their stored bytes.
    pub packs_bytes: u64,
    /// Packs that were to be read and can't be now.
    pub packs_unreachable: u64,
    /// Packs that were read in full.
    pub packs_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// Trees, each counted once.
    pub trees: u64,
    /// Files, in trees counted once.
    pub files: u64,
    /// Damaged or missing objects, and what nothing explains.
    pub findings: u64,
    /// Files of snapshots that can't be restored in full.
    pub files_hit: u64,
    /// Objects that can't be read now, and what needs them. They may be sound.
    pub unreachable: u64,
    /// Files of snapshots that need one of these, and of which nothing is known to be damaged.
    pub files_unreachable: u64,
}

/// Checks a repository. Findings are events; the report counts them.
pub fn check(
    repository: &Repository,
    index: &Index,
    snapshots: &Snapshots,
    options: &CheckOptions,
    run: &RunContext,
) -> Result<CheckReport> {
    let mut check = Check {
        repository,
        run,
        report: CheckReport::default(),
        named: HashSet::new(),
        outage: Outage::new(repository.backend().is_far()),
        is_set_back: false,
    };
    run.enter(Phase::CheckingObjects);
    check.parameters()?;
    check.compare_with_memory(snapshots)?;
    check.snapshots(snapshots);
    check.sessions(snapshots)?;
    check.collection()?;
    let (segments, survey) = loop {
        let before = check.verdicts(index)?;
        // Segments first: whatever they list was stored before them.
        let segments = list_segments(repository)?;
        refresh_index(repository, index, run)?;
        let survey = Survey::take(repository, index)?;
        // If a prune has ended meanwhile, it has moved and removed what was just listed.
        if check.verdicts(index)? == before {
            break (segments, survey);
        }
    };
    check.report.packs = u64_of(survey.packs.len());
    check.report.packs_bytes = survey.packs.values().sum();
    let listed = check.segments(segments, index, snapshots, &survey)?;
    check.strange(&survey, &listed, snapshots, index)?;
    index.miss_all_but(survey.before, |pack| survey.packs.contains_key(pack))?;
    let found = check.packs(&survey, &listed, index, options)?;
    let suspects = Suspects::of(index, &found.bad)?;
    check.trees(index, snapshots, &suspects)?;
    let named = |object: &ObjectName| match object {
        ObjectName::Pack(pack) if found.named.contains(pack) => true,
        _ => check.is_named(object),
    };
    check.report.findings += run.report_suspects(named);
    Ok(check.report)
}

struct Check<'a> {
    repository: &'a Repository,
    run: &'a RunContext,
    report: CheckReport,
    /// What something was found about, as it was named: objects, and files of snapshots.
    named: HashSet<String>,
    outage: Outage,
    /// It was found that epochs are gone.
    is_set_back: bool,
}

/// Packs that segments list.
type ListedPacks = HashMap<PackName, ListedPack>;

/// What a segment says of a pack.
struct ListedPack {
    stored_bytes: u64,
    table: PackTable,
}

/// What reading packs has found.
struct FoundInPacks {
    bad: BadFrames,
    /// Packs of which it was said.
    named: HashSet<PackName>,
}

impl Check<'_> {
    /// Whether something was found about an object.
    fn is_named(&self, object: impl fmt::Display) -> bool {
        self.named.contains(&object.to_string())
    }

    fn finding(&mut self, object: impl fmt::Display, what: impl Into<String>) {
        let object = object.to_string();
        self.report.findings += 1;
        self.named.insert(object.clone());
        self.run.tell(&Event::Damaged { object, what: what.into() });
    }

    /// As [`Check::finding`], unless something else was found about the object.
    fn finding_once(&mut self, object: impl fmt::Display, what: impl Into<String>) {
        if !self.is_named(&object) {
            self.finding(object, what);
        }
    }

    /// Something can't be read now, which says nothing about whether it is sound.
    fn unreachable(&mut self, object: impl fmt::Display, what: String) {
        self.report.unreachable += 1;
        self.run.tell(&Event::Unreachable { object: object.to_string(), what });
    }

    /// An object that couldn't be read and opened, for whatever reason.
    fn unread(&mut self, object: impl fmt::Display, error: EngineError) -> Result<()> {
        let error = if error.is_unreachable() { self.outage.goes_on(error)? } else { error };
        let trouble = Trouble::of(error)?;
        if trouble.is_unreachable || !self.is_named(&object) {
            self.trouble(object, trouble);
        }
        Ok(())
    }

    fn trouble(&mut self, object: impl fmt::Display, trouble: Trouble) {
        if trouble.is_unreachable {
            self.unreachable(object, trouble.what);
        } else {
            self.finding(object, trouble.what);
        }
    }

    /// Whether all that a snapshot refers to has to be there: it isn't forgotten, not even since
    /// the check began.
    fn is_promised(&self, snapshot: SessionId) -> Result<bool> {
        Ok(!seems_forgotten(self.repository, snapshot)?)
    }

    fn parameters(&mut self) -> Result<()> {
        let (count, findings) = check_parameters(self.repository)?;
        self.report.objects += count;
        for Finding { object, what } in findings {
            self.finding(object, what);
        }
        Ok(())
    }

    /// What this machine has seen before and the store doesn't show now.
    fn compare_with_memory(&mut self, snapshots: &Snapshots) -> Result<()> {
        for older in older(self.repository, snapshots)? {
            self.finding(older.object(), older.to_string());
        }
        Ok(())
    }

    fn snapshots(&mut self, snapshots: &Snapshots) {
        self.report.objects += u64_of(
            snapshots.all.len()
                + snapshots.forgotten.len()
                + snapshots.fenced.len()
                + snapshots.damaged.len(),
        );
        for Finding { object, what } in &snapshots.damaged {
            self.finding(object, what.clone());
        }
    }

    /// Snapshots that others saw and that aren't there.
    fn missed_snapshots(&mut self, snapshots: &Snapshots) -> Result<()> {
        for MissingSnapshot { id, sequence, witness } in
            snapshots.surely_missing(self.repository, self.run)?
        {
            self.finding(
                names::snapshot(id),
                format!(
                    "it is missing: snapshot {} of writer {} names it as number {sequence} of its writer; the store \
                     hides or has lost it, or that writer is lying",
                    &witness.short()[..8],
                    witness.writer
                ),
            );
        }
        // Heads that don't name sessions: a damaged snapshot may be one of these, and where sessions
        // were compacted, snapshots are missing for good reasons.
        if snapshots.unreadable().next().is_none() && snapshots.dead.is_empty() {
            for (witness, seen) in snapshots.missing_by_hash() {
                self.finding(
                    names::snapshot(witness),
                    format!(
                        "snapshot number {} of writer {}, which was there when this one was made, is missing",
                        seen.sequence, seen.writer
                    ),
                );
            }
        }
        Ok(())
    }

    fn sessions(&mut self, snapshots: &Snapshots) -> Result<()> {
        let found = list_sessions(self.repository, names::SESSIONS)?;
        self.missed_snapshots(snapshots)?;
        for stored in &snapshots.all {
            let id = stored.snapshot.head.id;
            if !found.contains(&id) && self.is_promised(id)? {
                self.finding(names::session(id), "it is missing, though its snapshot is there");
            }
        }
        for id in found {
            let name = names::session(id);
            self.report.objects += 1;
            let read = || {
                let bytes = read_object(self.repository.backend(), name, limits::SMALL_OBJECT_BYTES_MAX)?;
                // None, if the keyring has never had its writer: then there is nothing to verify it with.
                let Some(writer) = self.repository.writer_ever(id.writer) else { return Ok(None) };
                let opened = Session::open(&bytes, self.repository.id(), writer);
                opened.map(Some).map_err(EngineError::damaged(name))
            };
            let opened = match judge(read) {
                Err(EngineError::Backend(error))
                    if error.is_not_found() && is_named_dead(self.repository, id)? =>
                {
                    continue;
                }
                Err(error) => {
                    self.unread(name, error)?;
                    continue;
                }
                Ok(opened) => opened,
            };
            self.outage.is_over();
            match opened {
                Err(error) => self.finding(name, error.to_string()),
                Ok(None) => self.finding(name, "no holder of keys may have written it"),
                Ok(Some(session)) if session.id != id => {
                    self.finding(name, "it is another session's object");
                }
                Ok(Some(_)) => {}
            }
        }
        Ok(())
    }

    /// Every segment must be readable, and the packs that it lists must be there in full size.
    fn segments(
        &mut self,
        names: Vec<SegmentName>,
        index: &Index,
        snapshots: &Snapshots,
        survey: &Survey,
    ) -> Result<ListedPacks> {
        let before = (self.report.findings, self.report.unreachable);
        let mut segments = Vec::with_capacity(names.len());
        let mut listed = ListedPacks::new();
        let mut by_session: HashMap<SessionId, Vec<PackId>> = HashMap::new();
        for name in names {
            self.report.objects += 1;
            let read = read_segment(self.repository, name);
            // Removed since it was listed. If a snapshot lacks it, that is said below.
            if matches!(&read, Err(EngineError::Backend(error)) if error.is_not_found()) {
                continue;
            }
            segments.push(name);
            let segment = match read {
                Ok(segment) => segment,
                Err(error) => {
                    self.unread(name, error)?;
                    continue;
                }
            };
            self.outage.is_over();
            for (pack, table) in segment.packs {
                by_session.entry(segment.session).or_default().push(pack.name.id);
                if index.is_dead_pack(&pack.name)? {
                    continue;
                }
                match survey.packs.get(&pack.name) {
                    // It is named with what there is in its place.
                    None if survey.has_instead_of_pack(pack.name) => {}
                    None => self.finding(pack.name, "it is missing"),
                    Some(bytes) if *bytes != pack.stored_bytes => self.finding(
                        pack.name,
                        format!(
                            "it has {} where {} were written",
                            counted(*bytes, "byte"),
                            grouped(pack.stored_bytes)
                        ),
                    ),
                    Some(_) => {}
                }
                listed.insert(pack.name, ListedPack { stored_bytes: pack.stored_bytes, table });
            }
        }
        for stored in &snapshots.all {
            let missing: Vec<SegmentName> = stored.lacks_segments(&segments).collect();
            if !missing.is_empty() && self.is_promised(stored.snapshot.head.id)? {
                let what = "it is missing; the index is rebuilt from the packs, which takes longer";
                missing.into_iter().for_each(|name| self.finding(name, what));
            }
        }
        for stored in &snapshots.all {
            let head = &stored.snapshot.head;
            let packs = by_session.remove(&head.id).unwrap_or_default();
            let complete = stored.lacks_segments(&segments).next().is_none();
            let all_read = (self.report.findings, self.report.unreachable) == before;
            if complete && all_read && Snapshot::pack_list_hash(&packs) != head.pack_list {
                self.finding(
                    names::snapshot(head.id),
                    "its list of packs and its index segments don't agree",
                );
            }
        }
        Ok(listed)
    }

    /// Reads packs in full, as far as asked for. Returns those in which something is wrong.
    fn packs(
        &mut self,
        survey: &Survey,
        listed: &ListedPacks,
        index: &Index,
        options: &CheckOptions,
    ) -> Result<FoundInPacks> {
        let stored = &survey.packs;
        let mut bad = BadFrames::new();
        for (name, pack) in listed {
            if stored.get(name).is_some_and(|found| *found < pack.stored_bytes) {
                bad.insert(*name, Bad::Whole);
            }
        }
        // Packs that no segment lists hold nothing that a snapshot counts on, unless the
        // index had to be rebuilt from them.
        let mut unlisted = BTreeSet::new();
        index.for_each_pack(|number, pack| {
            let is_unlisted = survey.before.includes(number) && !listed.contains_key(&pack.name);
            if is_unlisted && !index.is_dead(number) {
                unlisted.insert(pack.name);
            }
        })?;
        for pack in unlisted {
            if !stored.contains_key(&pack) && !survey.has_instead_of_pack(pack) {
                self.finding(pack, "it is missing");
            }
        }
        let mut to_read: Vec<(PackName, u64)> = stored
            .iter()
            .filter(|(pack, _)| options.read.includes(&pack.id))
            .map(|(pack, bytes)| (*pack, *bytes))
            .collect();
        to_read.sort_unstable();
        self.run.enter(Phase::ReadingPacks);
        self.run.expect(u64_of(to_read.len()), to_read.iter().map(|(_, bytes)| bytes).sum());
        let mut read = PackReader::new(self.repository, self.run, listed, &to_read, bad).run()?;
        let unread = read.gone.len() + read.unreachable.len();
        self.report.packs_read = u64_of(to_read.len() - unread);
        self.report.packs_unreachable = u64_of(read.unreachable.len());
        self.report.bytes_read = read.bytes;
        self.report.findings += read.findings;
        for Finding { object, what } in std::mem::take(&mut read.unreachable) {
            self.unreachable(object, what);
        }
        if !read.gone.is_empty() {
            self.verdicts(index)?;
            index
                .miss_all_but(survey.before, |pack| stored.contains_key(pack) && !read.gone.contains(pack))?;
        }
        for pack in read.gone {
            if !index.is_dead_pack(&pack)? {
                self.finding(pack, "it is missing");
            }
        }
        Ok(FoundInPacks { bad: read.bad, named: read.named })
    }

    /// Walks all snapshots; each tree once. Then names what damage affects, in an order that is always the
    /// same.
    fn trees(&mut self, index: &Index, snapshots: &Snapshots, suspects: &Suspects) -> Result<()> {
        self.run.enter(Phase::WalkingTrees);
        let frames = FrameCache::new(self.repository, index, self.run).without_dead();
        let data = FrameCache::of_data(self.repository, index, self.run).without_dead();
        let trees = Trees::new(&frames);
        let chunks = Chunks::new(&data, suspects);
        let walked = TreeWalk::new(trees, &chunks, &self.outage, self.run).run(snapshots)?;
        (self.report.trees, self.report.files) = (walked.trees, walked.files);
        if !walked.all_sound() {
            // What was moved while others were looked at is where it is now.
            self.verdicts(index)?;
            refresh_index(self.repository, index, self.run)?;
            chunks.look_again();
        }
        let mut affected = AffectedFiles::new(trees, &chunks, &walked, self.run);
        for snapshot in snapshots.all.iter().rev().map(|stored| &stored.snapshot) {
            let found = affected.of(snapshot, self.report.files_hit + self.report.files_unreachable)?;
            if found.named.is_empty() {
                continue;
            }
            if self.is_promised(snapshot.head.id)? {
                self.report.files_hit += found.damaged;
                self.report.files_unreachable += found.unreachable;
                found.named.into_iter().for_each(|Named { object, trouble }| self.trouble(object, trouble));
            } else {
                affected.take_back();
            }
        }
        Ok(())
    }
}
