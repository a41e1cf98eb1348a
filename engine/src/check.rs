//! Check: is everything that snapshots refer to there, and is it what it should be?
//!
//! Findings name the object that is damaged; a last walk names the snapshots and files
//! that it hits.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keepfast_backend::Listed;
use keepfast_format::content::Content;
use keepfast_format::frame::FrameReader;
use keepfast_format::ids::{ChunkId, ObjectHash, PackId, SessionId};
use keepfast_format::node::{Extents, Node, NodeKind};
use keepfast_format::pack::PackTable;
use keepfast_format::session::Session;
use keepfast_format::snapshot::Snapshot;
use keepfast_format::state::StateTree;
use keepfast_format::{limits, names};

use crate::error::{EngineError, Result};
use crate::monitor::{Event, Monitor};
use crate::repo::{
    FrameCache, Index, Located, Repository, Snapshots, Trees, list_segments, read_segment, until,
    verify_stored_pack,
};

/// Damaged files that are named one by one; of more, only the number is told.
const FILES_NAMED: u64 = 1000;

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
    let stored = check.stored_packs()?;
    let listed = check.segments(snapshots, &stored)?;
    let bad = check.packs(&stored, &listed, index, options)?;
    let hit = check.trees(index, snapshots, &bad)?;
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

    fn parameters(&mut self) -> Result<()> {
        let (count, findings) = self.repository.check_parameters()?;
        self.report.objects += count;
        for (object, what) in findings {
            self.finding(object, what);
        }
        Ok(())
    }

    fn snapshots(&mut self, snapshots: &Snapshots) {
        self.report.objects += (snapshots.all.len() + snapshots.damaged.len()) as u64;
        for (object, what) in &snapshots.damaged {
            self.finding(object.clone(), what.clone());
        }
    }

    /// Snapshots that others saw and that aren't there. A damaged one may be one of these.
    fn missed_snapshots(&mut self, snapshots: &Snapshots) {
        if !snapshots.damaged.is_empty() {
            return;
        }
        let mut there: HashSet<ObjectHash> = snapshots.all.iter().map(|stored| stored.hash).collect();
        for witness in snapshots.all.iter().map(|stored| &stored.snapshot.head) {
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
        // A garbage collection may have removed sessions and snapshots for good reasons.
        let mut collected = false;
        self.repository.backend().list(names::EPOCHS, &mut |_| collected = true)?;
        if !collected {
            self.missed_snapshots(snapshots);
            let listed: HashSet<&String> = found.iter().collect();
            for stored in &snapshots.all {
                let name = names::session(stored.snapshot.head.id);
                if !listed.contains(&name) {
                    self.finding(name, "it is missing, though its snapshot is there");
                }
            }
        }
        for name in found {
            self.report.objects += 1;
            let Some(id) = names::parse_session(names::SESSIONS, &name) else {
                self.finding(name, "its name isn't a session's");
                continue;
            };
            let read = || {
                let bytes = self.repository.backend().read(&name, limits::SMALL_OBJECT_BYTES_MAX)?;
                let writer = self.repository.writer_key(id.writer);
                Ok(writer.map(|writer| Session::open(&bytes, self.repository.id(), writer)))
            };
            let opened = until(read, |opened: &Result<_>| !matches!(opened, Ok(Some(Err(_)))))?;
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

    fn stored_packs(&mut self) -> Result<StoredPacks> {
        let mut stored = StoredPacks::new();
        let mut strange = Vec::new();
        self.repository.backend().list(
            names::PACKS,
            &mut |Listed { name, bytes }| match names::parse_pack(&name) {
                Some((id, session)) => drop(stored.insert(id, (session, bytes))),
                None => strange.push(name),
            },
        )?;
        for name in strange {
            self.finding(name, "its name isn't a pack's");
        }
        self.report.packs = stored.len() as u64;
        Ok(stored)
    }

    /// Every segment must be readable, and the packs that it lists must be there in full size.
    fn segments(&mut self, snapshots: &Snapshots, stored: &StoredPacks) -> Result<ListedPacks> {
        let segments = list_segments(self.repository)?;
        let mut listed = ListedPacks::new();
        let mut by_session: HashMap<SessionId, Vec<PackId>> = HashMap::new();
        for name in &segments {
            self.report.objects += 1;
            let segment = match read_segment(self.repository, name) {
                Ok(segment) => segment,
                Err(error) => {
                    self.finding(name.clone(), error.to_string());
                    continue;
                }
            };
            for (pack, table) in segment.packs {
                by_session.entry(segment.session).or_default().push(pack.id);
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
        for name in snapshots.lack_segments(&segments) {
            self.finding(name, "it is missing; the index is rebuilt from the packs, which takes longer");
        }
        for stored in &snapshots.all {
            let head = &stored.snapshot.head;
            let packs = by_session.remove(&head.id).unwrap_or_default();
            let complete =
                (0..head.segments).all(|n| segments.binary_search(&names::segment(head.id, n)).is_ok());
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
        index.for_each_pack(|_, pack| {
            if !listed.contains_key(&pack.id) {
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
        let reading = Reading {
            repository: self.repository,
            monitor: self.monitor,
            listed,
            to_read: &to_read,
            next: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            findings: AtomicU64::new(0),
            bad: Mutex::new(bad),
            error: Mutex::new(None),
        };
        std::thread::scope(|scope| {
            for _ in 0..options.threads.max(1) {
                scope.spawn(|| reading.work());
            }
        });
        if let Some(error) = reading.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        self.report.packs_read = to_read.len() as u64;
        self.report.bytes_read = reading.bytes.into_inner();
        self.report.findings += reading.findings.into_inner();
        Ok(reading.bad.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Walks all snapshots; each tree once. Returns how many files are hit by damage.
    fn trees(&mut self, index: &Index, snapshots: &Snapshots, bad: &HashSet<ChunkId>) -> Result<u64> {
        let frames = FrameCache::new(self.repository, index);
        let mut walk =
            TreeWalk { trees: Trees::new(&frames), index, bad, seen: HashMap::new(), hit: 0, check: self };
        for stored in snapshots.all.iter().rev() {
            let body = &stored.snapshot.body;
            let snapshot = stored.snapshot.head.id.short();
            walk.tree(&snapshot, &body.tree, Vec::new())?;
            if let Some(state) = &body.state {
                walk.state(&snapshot, state)?;
            }
            if let Err(error) = walk.trees.hard_links(&stored.snapshot) {
                walk.check
                    .finding(format!("snapshot {snapshot}"), format!("its hard links are lost: {error}"));
            }
        }
        Ok(walk.hit)
    }
}

/// Threads that read packs.
struct Reading<'a> {
    repository: &'a Repository,
    monitor: &'a dyn Monitor,
    listed: &'a ListedPacks,
    to_read: &'a [(PackId, SessionId, u64)],
    next: AtomicUsize,
    bytes: AtomicU64,
    findings: AtomicU64,
    bad: Mutex<HashSet<ChunkId>>,
    error: Mutex<Option<EngineError>>,
}

impl Reading<'_> {
    fn work(&self) {
        let (mut reader, mut bytes) = (FrameReader::default(), Vec::new());
        while let Some((id, session, _)) = self.to_read.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let read = if self.monitor.stopped() {
                Err(EngineError::Interrupted)
            } else {
                self.read(*id, *session, &mut reader, &mut bytes)
            };
            if let Err(error) = read {
                self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                self.next.store(self.to_read.len(), Ordering::Relaxed);
            }
        }
    }

    /// Reads one pack; `bytes` is memory for it.
    fn read(
        &self,
        id: PackId,
        session: SessionId,
        reader: &mut FrameReader,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let name = names::pack(id, session);
        let table = self.listed.get(&id).map(|(_, _, table)| table);
        let findings = match verify_stored_pack(self.repository, (id, session), table, reader, bytes) {
            Ok(findings) => findings,
            Err(EngineError::Interrupted) => return Err(EngineError::Interrupted),
            Err(error) => {
                self.finding(name, error.to_string());
                if let Some(table) = table {
                    self.mark_bad(table.chunks.iter().map(|chunk| chunk.id));
                }
                return Ok(());
            }
        };
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.monitor.progress().add(1, bytes.len() as u64);
        for finding in findings {
            let object = match finding.frame {
                Some(frame) => format!("{name}, frame {frame}"),
                None => name.clone(),
            };
            self.finding(object, finding.what);
            if let (Some(frame), Some(table)) = (finding.frame, table) {
                let before: usize =
                    table.frames.iter().take(frame as usize).map(|frame| frame.chunks as usize).sum();
                let count = table.frames.get(frame as usize).map_or(0, |frame| frame.chunks as usize);
                self.mark_bad(table.chunks.iter().skip(before).take(count).map(|chunk| chunk.id));
            }
        }
        Ok(())
    }

    fn finding(&self, object: String, what: String) {
        self.findings.fetch_add(1, Ordering::Relaxed);
        self.monitor.event(Event::Finding { object, what });
    }

    fn mark_bad(&self, chunks: impl Iterator<Item = ChunkId>) {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).extend(chunks);
    }
}

/// A walk over trees that looks at each of them once.
struct TreeWalk<'w, 'c, 'a> {
    trees: Trees<'w>,
    index: &'w Index,
    bad: &'w HashSet<ChunkId>,
    /// Trees that were walked, and whether there was damage at or below them.
    seen: HashMap<ChunkId, bool>,
    hit: u64,
    check: &'c mut Check<'a>,
}

impl TreeWalk<'_, '_, '_> {
    /// Walks a tree; one that was found damaged in another snapshot is walked again, so that
    /// the files that it hits are named for this snapshot too.
    fn tree(&mut self, snapshot: &str, root: &ChunkId, path: Vec<u8>) -> Result<()> {
        let mut stack = vec![(*root, path)];
        let mut order = Vec::new();
        while let Some((tree, path)) = stack.pop() {
            if self.check.monitor.stopped() {
                return Err(EngineError::Interrupted);
            }
            if self.seen.get(&tree) == Some(&false) {
                continue;
            }
            if self.seen.insert(tree, false).is_none() {
                self.check.report.trees += 1;
            }
            let before = self.hit;
            let (mut below, mut nodes) = (Vec::new(), Vec::new());
            let trees = self.trees;
            let read = trees.for_each_node(&tree, &mut |node| {
                nodes.push(node);
                Ok(())
            });
            let located = self.locate_all(&nodes)?;
            for node in nodes {
                let path = join(&path, &node.name);
                match &node.kind {
                    NodeKind::Directory { tree } => below.push((*tree, path)),
                    NodeKind::File { .. } => self.file(snapshot, &node, &path, &located)?,
                    _ => {}
                }
            }
            if let Err(error) = read {
                if matches!(error, EngineError::Cache { .. }) {
                    return Err(error);
                }
                self.name_hit(snapshot, &path, &format!("the directory can't be read: {error}"));
            }
            order.push((tree, self.hit > before, below.iter().map(|(tree, _)| *tree).collect::<Vec<_>>()));
            stack.extend(below);
        }
        // Damage below a directory is damage of the directory, for the next snapshot that has it.
        for (tree, hit, below) in order.into_iter().rev() {
            let hit = hit || below.iter().any(|tree| self.seen.get(tree) == Some(&true));
            self.seen.insert(tree, hit);
        }
        Ok(())
    }

    /// Looks up together where the chunks of a directory's files are, those in lists excepted.
    fn locate_all(&self, nodes: &[Node]) -> Result<Located> {
        let mut ids: Vec<ChunkId> = Vec::new();
        for node in nodes {
            if let NodeKind::File { content: Content::Inline(chunks), .. } = &node.kind {
                ids.extend(chunks.iter().map(|chunk| chunk.id));
            }
        }
        self.index.locate_all(ids)
    }

    fn file(&mut self, snapshot: &str, node: &Node, path: &[u8], located: &Located) -> Result<()> {
        self.check.report.files += 1;
        let NodeKind::File { size, content, extents } = &node.kind else { return Ok(()) };
        let mut lost = None;
        let (mut bytes, index, bad) = (0, self.index, self.bad);
        let read = self.trees.for_each_chunk(content, &mut |chunk| {
            bytes += u64::from(chunk.len);
            if bad.contains(&chunk.id) {
                lost = Some(format!("chunk {} is damaged", chunk.id));
            } else {
                let place = match located.get(&chunk.id) {
                    Some(place) => place,
                    None => index.locate(&chunk.id)?,
                };
                match place {
                    None => lost = Some(format!("chunk {} is in no pack", chunk.id)),
                    Some(place) if place.len != chunk.len => {
                        lost = Some(format!("chunk {} isn't as long as the file says", chunk.id));
                    }
                    Some(_) => {}
                }
            }
            Ok(())
        });
        match read {
            Err(error @ EngineError::Cache { .. }) => return Err(error),
            Err(error) => lost = Some(error.to_string()),
            Ok(()) => {}
        }
        let expected = match (extents, self.trees.extents(extents, *size)) {
            (Extents::Dense, _) => Ok(*size),
            (_, extents) => extents.map(|list| list.iter().map(|(_, length)| length).sum()),
        };
        match expected {
            Ok(expected) if expected != bytes && lost.is_none() => {
                lost = Some("its chunks don't add up to its size".to_owned());
            }
            Err(error) => lost = Some(error.to_string()),
            Ok(_) => {}
        }
        if let Some(what) = lost {
            self.name_hit(snapshot, path, &what);
        }
        Ok(())
    }

    fn state(&mut self, snapshot: &str, root: &ChunkId) -> Result<()> {
        let mut stack = vec![*root];
        while let Some(id) = stack.pop() {
            if self.seen.contains_key(&id) {
                continue;
            }
            self.seen.insert(id, false);
            match self.trees.state(&id) {
                Ok(StateTree::Index(pages)) => stack.extend(pages),
                Ok(StateTree::Page(states)) => stack.extend(states.iter().filter_map(|state| state.children)),
                Err(error @ EngineError::Cache { .. }) => return Err(error),
                Err(error) => self.check.finding(
                    format!("snapshot {snapshot}"),
                    format!("the next backup reads more than it had to: {error}"),
                ),
            }
        }
        Ok(())
    }

    fn name_hit(&mut self, snapshot: &str, path: &[u8], what: &str) {
        self.hit += 1;
        if self.hit <= FILES_NAMED {
            let path = String::from_utf8_lossy(path).into_owned();
            self.check.finding(format!("snapshot {snapshot}: {path}"), what);
        } else if self.hit == FILES_NAMED + 1 {
            self.check.finding(format!("snapshot {snapshot}"), "more files are hit than can be named here");
        }
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}
