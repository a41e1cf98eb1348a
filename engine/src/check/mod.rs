//! Check: is everything that snapshots refer to there, and is it what it should be?
//!
//! Findings name the object that is damaged; a last walk names the snapshots and files
//! that it hits.
//!
//! Others back up, forget and prune meanwhile. What isn't there is therefore a suspicion first: it
//! is a finding if no verdict and no decision that came since explains it.

mod collection;
mod hits;
mod packs;
mod trees;

use std::collections::{HashMap, HashSet};

use keepfast_backend::Listed;
use keepfast_format::ids::{ChunkId, ObjectHash, PackId, SessionId};
use keepfast_format::pack::PackTable;
use keepfast_format::session::Session;
use keepfast_format::snapshot::Snapshot;
use keepfast_format::{limits, names};

use crate::error::{EngineError, Result};
use crate::monitor::{Event, Monitor};
use crate::repo::{
    FrameCache, Index, Repository, Snapshots, Trees, is_forgotten, list_catalogue, list_segments, names_dead,
    read_object, read_segment, refresh_index, until,
};
use hits::Hits;
use packs::Reading;
use trees::TreeWalk;

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Which packs to read in full.
    pub read: ReadData,
    /// Threads that read packs.
    pub threads: usize,
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
}

impl ReadData {
    fn includes(self, pack: &PackId) -> bool {
        match self {
            Self::No => false,
            Self::All => true,
            Self::Part { n, m } => {
                let [a, b, c, d, ..] = *pack.as_bytes();
                u32::from_be_bytes([a, b, c, d]) % m.max(1) + 1 == n
            }
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
    /// Packs that were read in full.
    pub packs_read: u64,
    /// Bytes that were read of them.
    pub bytes_read: u64,
    /// Trees, each counted once.
    pub trees: u64,
    /// Files, in trees counted once.
    pub files: u64,
    /// Damaged or missing objects.
    pub findings: u64,
    /// Files of snapshots that can't be restored in full.
    pub files_hit: u64,
}

/// Checks a repository. Findings are events; the report counts them.
pub fn check(
    repository: &Repository,
    index: &Index,
    snapshots: &Snapshots,
    options: &CheckOptions,
    monitor: &dyn Monitor,
) -> Result<CheckReport> {
    let mut check = Check { repository, monitor, report: CheckReport::default() };
    check.parameters()?;
    check.snapshots(snapshots);
    check.sessions(snapshots)?;
    check.collection()?;
    let (segments, (stored, strange)) = loop {
        let before = check.verdicts(index)?;
        // Segments first: whatever they list was stored before them.
        let segments = list_segments(repository)?;
        refresh_index(repository, index)?;
        let stored = check.stored_packs()?;
        // If a prune has ended meanwhile, it has moved and removed what was just listed.
        if check.verdicts(index)? == before {
            break (segments, stored);
        }
    };
    for name in strange {
        check.finding(name, "its name isn't a pack's");
    }
    check.report.packs = stored.len() as u64;
    let listed = check.segments(segments, index, snapshots, &stored)?;
    let bad = check.packs(&stored, &listed, index, options)?;
    let hit = check.trees(index, snapshots, &bad, options.threads)?;
    check.report.files_hit = hit;
    Ok(check.report)
}

struct Check<'a> {
    repository: &'a Repository,
    monitor: &'a dyn Monitor,
    report: CheckReport,
}

/// Packs in the store: their sessions and sizes.
type StoredPacks = HashMap<PackId, (SessionId, u64)>;
/// Packs that segments list: their sessions, sizes and contents.
type ListedPacks = HashMap<PackId, (SessionId, u64, PackTable)>;

impl Check<'_> {
    fn finding(&mut self, object: String, what: impl Into<String>) {
        self.report.findings += 1;
        self.monitor.event(Event::Finding { object, what: what.into() });
    }

    /// Whether all that a snapshot refers to has to be there: it isn't forgotten, not even since
    /// the check began.
    fn is_promised(&self, snapshot: SessionId) -> Result<bool> {
        Ok(!is_forgotten(self.repository, snapshot)?)
    }

    fn parameters(&mut self) -> Result<()> {
        let (count, findings) = self.repository.check_parameters()?;
        self.report.objects += count;
        for (object, what) in findings {
            self.finding(object, what);
        }
        Ok(())
    }

    fn snapshots(&mut self, snapshots: &Snapshots) {
        self.report.objects += (snapshots.all.len()
            + snapshots.forgotten.len()
            + snapshots.fenced.len()
            + snapshots.damaged.len()) as u64;
        for (object, what) in &snapshots.damaged {
            self.finding(object.clone(), what.clone());
        }
    }

    /// Snapshots that others saw and that aren't there. A damaged one may be one of these.
    fn missed_snapshots(&mut self, snapshots: &Snapshots) {
        if !snapshots.damaged.is_empty() {
            return;
        }
        let known = || snapshots.all.iter().chain(&snapshots.forgotten);
        let mut there: HashSet<ObjectHash> = known().map(|stored| stored.hash).collect();
        for witness in known().map(|stored| &stored.snapshot.head) {
            for seen in &witness.heads {
                if there.insert(seen.hash) {
                    self.finding(
                        names::snapshot(witness.id),
                        format!(
                            "snapshot number {} of writer {}, which was there when this one was made, is missing",
                            seen.sequence, seen.writer
                        ),
                    );
                }
            }
        }
    }

    fn sessions(&mut self, snapshots: &Snapshots) -> Result<()> {
        let mut found = Vec::new();
        self.repository.backend().list(names::SESSIONS, &mut |listed| found.push(listed.name))?;
        // Where sessions were compacted, snapshots are missing for good reasons.
        if list_catalogue(self.repository)?.is_empty() {
            self.missed_snapshots(snapshots);
        }
        let listed: HashSet<&String> = found.iter().collect();
        for stored in &snapshots.all {
            let id = stored.snapshot.head.id;
            let name = names::session(id);
            if !listed.contains(&name) && self.is_promised(id)? {
                self.finding(name, "it is missing, though its snapshot is there");
            }
        }
        for name in found {
            self.report.objects += 1;
            let Some(id) = names::parse_session(names::SESSIONS, &name) else {
                self.finding(name, "its name isn't a session's");
                continue;
            };
            let read = || {
                let read = read_object(self.repository.backend(), &name, limits::SMALL_OBJECT_BYTES_MAX);
                let bytes = match read {
                    Err(EngineError::Damaged { source, .. }) => return Ok(Some(Err(source))),
                    read => read?,
                };
                let writer = self.repository.writer_key(id.writer);
                Ok(writer.map(|writer| Session::open(&bytes, self.repository.id(), writer)))
            };
            let opened = match until(read, |opened: &Result<_>| !matches!(opened, Ok(Some(Err(_))))) {
                Err(EngineError::Backend(error))
                    if error.is_not_found() && names_dead(self.repository, id)? =>
                {
                    continue;
                }
                other => other?,
            };
            match opened {
                None => self.finding(name, "no holder of keys may have written it"),
                Some(Err(error)) => self.finding(name, error.to_string()),
                Some(Ok(session)) if session.id != id => {
                    self.finding(name, "it is another session's object");
                }
                Some(Ok(_)) => {}
            }
        }
        Ok(())
    }

    /// The packs in the store, and names among theirs that aren't a pack's.
    fn stored_packs(&self) -> Result<(StoredPacks, Vec<String>)> {
        let mut stored = StoredPacks::new();
        let mut strange = Vec::new();
        self.repository.backend().list(
            names::PACKS,
            &mut |Listed { name, bytes }| match names::parse_pack(&name) {
                Some((id, session)) => drop(stored.insert(id, (session, bytes))),
                None => strange.push(name),
            },
        )?;
        Ok((stored, strange))
    }

    /// Every segment must be readable, and the packs that it lists must be there in full size.
    fn segments(
        &mut self,
        names: Vec<String>,
        index: &Index,
        snapshots: &Snapshots,
        stored: &StoredPacks,
    ) -> Result<ListedPacks> {
        let mut segments = Vec::with_capacity(names.len());
        let mut listed = ListedPacks::new();
        let mut by_session: HashMap<SessionId, Vec<PackId>> = HashMap::new();
        for name in names {
            self.report.objects += 1;
            let read = read_segment(self.repository, &name);
            // Removed since it was listed. If a snapshot lacks it, that is said below.
            if matches!(&read, Err(EngineError::Backend(error)) if error.is_not_found()) {
                continue;
            }
            segments.push(name.clone());
            let segment = match read {
                Ok(segment) => segment,
                Err(error) => {
                    self.finding(name, error.to_string());
                    continue;
                }
            };
            for (pack, table) in segment.packs {
                by_session.entry(segment.session).or_default().push(pack.id);
                if index.was_buried(&pack.id)? {
                    continue;
                }
                match stored.get(&pack.id) {
                    None => self.finding(pack.name(), "it is missing"),
                    Some((_, bytes)) if *bytes != pack.stored_bytes => self.finding(
                        pack.name(),
                        format!("it has {bytes} bytes where {} were written", pack.stored_bytes),
                    ),
                    Some(_) => {}
                }
                listed.insert(pack.id, (segment.session, pack.stored_bytes, table));
            }
        }
        for stored in &snapshots.all {
            let missing: Vec<String> = stored.lacks_segments(&segments).collect();
            if !missing.is_empty() && self.is_promised(stored.snapshot.head.id)? {
                let what = "it is missing; the index is rebuilt from the packs, which takes longer";
                missing.into_iter().for_each(|name| self.finding(name, what));
            }
        }
        for stored in &snapshots.all {
            let head = &stored.snapshot.head;
            let packs = by_session.remove(&head.id).unwrap_or_default();
            let complete = stored.lacks_segments(&segments).next().is_none();
            if complete && self.report.findings == 0 && Snapshot::pack_list_hash(&packs) != head.pack_list {
                self.finding(
                    names::snapshot(head.id),
                    "its list of packs and its index segments don't agree",
                );
            }
        }
        Ok(listed)
    }

    /// Reads packs in full, as far as asked for. Returns the chunks that can't be had.
    fn packs(
        &mut self,
        stored: &StoredPacks,
        listed: &ListedPacks,
        index: &Index,
        options: &CheckOptions,
    ) -> Result<HashSet<ChunkId>> {
        let mut bad = HashSet::new();
        for (id, (_, bytes, table)) in listed {
            if stored.get(id).is_none_or(|(_, found)| found < bytes) {
                bad.extend(table.chunks.iter().map(|chunk| chunk.id));
            }
        }
        // Packs that no segment lists hold nothing that anybody counts on, unless the
        // index had to be rebuilt from them.
        let mut unlisted = ListedPacks::new();
        index.for_each_pack(|number, pack| {
            if !listed.contains_key(&pack.id) && !index.is_dead(number) {
                let table = PackTable { frames: pack.frames.clone(), chunks: Vec::new() };
                unlisted.insert(pack.id, (pack.session, pack.stored_bytes, table));
            }
        })?;
        for (id, (session, _, _)) in &unlisted {
            if !stored.contains_key(id) {
                self.finding(names::pack(*id, *session), "it is missing");
            }
        }
        let mut to_read: Vec<(PackId, SessionId, u64)> = stored
            .iter()
            .filter(|(id, _)| options.read.includes(id))
            .map(|(id, (session, bytes))| (*id, *session, *bytes))
            .collect();
        to_read.sort_unstable();
        self.monitor.progress().expect(to_read.len() as u64, to_read.iter().map(|(_, _, bytes)| bytes).sum());
        let mut reading =
            Reading::new(self.repository, self.monitor, listed, &to_read, bad).run(options.threads)?;
        self.report.packs_read = (to_read.len() - reading.gone.len()) as u64;
        self.report.bytes_read = reading.bytes;
        self.report.findings += reading.findings;
        if !reading.gone.is_empty() {
            self.verdicts(index)?;
        }
        for (id, session) in reading.gone {
            if !index.was_buried(&id)? {
                self.finding(names::pack(id, session), "it is missing");
                let table = listed.get(&id).map(|(_, _, table)| table);
                reading.bad.extend(table.into_iter().flat_map(|table| &table.chunks).map(|chunk| chunk.id));
            }
        }
        Ok(reading.bad)
    }

    /// Walks all snapshots; each tree once. Then names what is hit, in an order that is always the
    /// same. Returns how many files are.
    fn trees(
        &mut self,
        index: &Index,
        snapshots: &Snapshots,
        bad: &HashSet<ChunkId>,
        threads: usize,
    ) -> Result<u64> {
        let frames = FrameCache::new(self.repository, index);
        let trees = Trees::new(&frames);
        let walked = TreeWalk::new(trees, index, bad, self.monitor).run(snapshots, threads)?;
        (self.report.trees, self.report.files) = (walked.trees, walked.files);
        if !walked.damaged.is_empty() {
            // What was moved while others were looked at is where it is now.
            self.verdicts(index)?;
            refresh_index(self.repository, index)?;
        }
        let mut hits = Hits::new(trees, index, bad, &walked.damaged, self.monitor);
        let mut count = 0;
        for snapshot in snapshots.all.iter().rev().map(|stored| &stored.snapshot) {
            let hit = hits.of(snapshot, count)?;
            if hit.named.is_empty() {
                continue;
            }
            if self.is_promised(snapshot.head.id)? {
                count += hit.count;
                hit.named.into_iter().for_each(|(object, what)| self.finding(object, what));
            } else {
                hits.take_back();
            }
        }
        Ok(count)
    }
}
