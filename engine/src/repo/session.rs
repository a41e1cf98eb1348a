//! A writing run: its announcement, what it may refer to while garbage is collected, and its
//! commit. The rules are those of SPEC, "Order of writing, reading and removing"; `model/`
//! explores them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use keepfast_backend::Created;
use keepfast_format::epoch::{Ack, Condemned};
use keepfast_format::ids::{ObjectHash, PackId, SessionId};
use keepfast_format::keys::KeyRef;
use keepfast_format::limits;
use keepfast_format::names::{self, ObjectName, PackName};
use keepfast_format::node::Timestamp;
use keepfast_format::session::Session as SessionObject;
use keepfast_format::snapshot::{Register, Snapshot, SnapshotBody, SnapshotHead};

use super::catalogue::names_dead;
use super::decisions::is_forgotten;
use super::epochs::{Epochs, find_condemned};
use super::flaws::Flaw;
use super::frames::FrameCache;
use super::index::{Index, Wanted};
use super::listings::list_sessions;
use super::marks::SessionMarks;
use super::memory::SeenHead;
use super::numbers::PackNumber;
use super::reach::{Reach, Seen};
use super::recover::refresh_index;
use super::repository::Repository;
use super::snapshots::{Snapshots, load_one};
use super::takeover::{Before, Takeover};
use crate::error::{EngineError, Result};
use crate::run::RunContext;

/// A session that has announced itself. Shared by the threads that write.
pub struct Session<'r> {
    id: SessionId,
    repository: &'r Repository,
    index: &'r Index,
    /// What it refers to, and what it may not refer to.
    marks: Arc<SessionMarks>,
    run: &'r RunContext,
    /// When it last looked for epochs, in seconds since 1970.
    polled_at: AtomicI64,
    /// The snapshot that subtrees are taken over from.
    parent: Option<SnapshotBody>,
    parent_id: Option<SessionId>,
    takeover: Takeover,
    /// Others were writing when it began.
    others_write: bool,
    /// Something was taken over whose chunks couldn't all be found: no one knows which packs that
    /// refers to, and so it may be any.
    unresolved: AtomicBool,
    /// The newest epoch that this session has acked; 0 is the time before the first.
    acked: Mutex<u32>,
}

/// What a session wrote.
#[derive(Debug, Clone, Default)]
pub struct WriterTotals {
    /// Index segments.
    pub segments: u32,
    /// Packs, in the order of the segments.
    pub packs: Vec<PackId>,
    /// Bytes of new data chunks.
    pub bytes_new: u64,
    /// Bytes of packs and segments.
    pub bytes_stored: u64,
}

/// What a session commits.
#[derive(Debug)]
pub struct CommitRequest<'a> {
    /// What is sealed into the snapshot.
    pub body: SnapshotBody,
    /// The keys of the chunks that it refers to, and its own.
    pub key: KeyRef,
    /// What the session wrote.
    pub totals: &'a WriterTotals,
    /// The snapshots that were there when it began.
    pub snapshots: &'a Snapshots,
    /// The snapshot that this one is made from, if it isn't a backup's.
    pub made_from: Option<&'a Snapshot>,
}

/// How a session begins.
pub struct SessionOptions<'r> {
    /// The program's name and version.
    pub program: &'r str,
    /// The snapshot to take subtrees over from.
    pub parent: Option<&'r Snapshot>,
    /// Sessions that are known to have ended. If there are others, what they store is looked for
    /// at every checkpoint.
    pub ended: Option<&'r Snapshots>,
}

/// Where a session reads and writes.
#[derive(Clone, Copy)]
pub(super) struct Stores<'r> {
    pub repository: &'r Repository,
    pub index: &'r Index,
}

/// A session looks for a newer epoch this often: a garbage collection waits for its answer.
const POLL_SECONDS: u64 = 30;

impl<'r> Session<'r> {
    /// Creates the session object, *then* reads the newest epoch and answers it, *then* makes
    /// sure that the parent isn't forgotten.
    pub fn begin(
        repository: &'r Repository,
        index: &'r Index,
        options: &SessionOptions<'r>,
        run: &'r RunContext,
    ) -> Result<Self> {
        if let Some(snapshots) = options.ended {
            snapshots.must_be_known()?;
        }
        let id = announce(repository, options.program, run.now(), false)?;
        let session = Self {
            id,
            repository,
            index,
            run,
            marks: index.marks().begin_session(),
            polled_at: AtomicI64::new(run.now().seconds),
            parent: options.parent.map(|parent| parent.body.clone()),
            parent_id: options.parent.map(|parent| parent.head.id),
            takeover: Takeover::closed(),
            others_write: others_write(repository, id, options.ended)?,
            unresolved: AtomicBool::new(false),
            acked: Mutex::new(0),
        };
        match session.hear_epochs() {
            Ok(()) => Ok(session),
            Err(error) => {
                // Where it can't go on, no one has to wait for it; a store that fails wouldn't store that.
                if !matches!(error, EngineError::Backend(_) | EngineError::Fenced) {
                    session.give_up();
                }
                Err(error)
            }
        }
    }

    /// What follows the session's creation: it hears what is dead, and answers the newest epoch.
    fn hear_epochs(&self) -> Result<()> {
        let (repository, index) = (self.repository, self.index);
        let epochs = Epochs::list(repository)?;
        epochs.apply_all_verdicts(repository, index)?;
        let newest = epochs.newest();
        if newest > 0 {
            if let Some(condemned) =
                epochs.unfinished().map_or(Ok(None), |n| find_condemned(repository, n))?
            {
                self.stop_referring_to(&condemned)?;
            }
            self.create_ack(newest, Vec::new())?;
        }
        *lock(&self.acked) = newest;
        // Before the first epoch nothing was ever removed, whatever was forgotten.
        if newest == 0 || self.parent_stands()? {
            self.takeover.open();
        }
        Ok(())
    }

    /// The session's id, and its snapshot's.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn stores(&self) -> Stores<'r> {
        Stores { repository: self.repository, index: self.index }
    }

    /// Whether others were writing when it began.
    #[must_use]
    pub fn others_write(&self) -> bool {
        self.others_write
    }

    /// Brings the index up to date with what others have stored meanwhile, if others are writing.
    pub(super) fn refresh_if_others_write(&self) -> Result<()> {
        if self.others_write {
            refresh_index(self.repository, self.index, self.run)?;
        }
        Ok(())
    }

    /// Refers to a chunk, if the index knows it in a pack that this session may refer to.
    #[must_use]
    pub fn refer(&self, wanted: Wanted) -> bool {
        self.index.refer(&self.marks, wanted)
    }

    /// Holds on to a chunk that something taken over refers to, if possible in none of those packs that
    /// it rather shouldn't. Returns whether all that is needed for that could be held.
    pub fn hold(&self, wanted: &Wanted, rather_not: impl Fn(PackNumber) -> bool) -> Result<bool> {
        self.index.hold(&self.marks, wanted, rather_not)
    }

    /// Whether content of the parent may be referred to without looking its chunks up. From
    /// then on the session counts as referring to every chunk of the parent.
    #[must_use]
    pub fn may_take_over(&self) -> bool {
        self.takeover.take()
    }

    /// Looks for a newer epoch, unless that was done a moment ago.
    pub fn poll_if_due(&self) -> Result<()> {
        let (now, before) = (self.run.now().seconds, self.polled_at.load(Ordering::Relaxed));
        if now.abs_diff(before) < POLL_SECONDS {
            return Ok(());
        }
        self.polled_at.store(now, Ordering::Relaxed);
        self.poll()
    }

    /// Looks for a newer epoch, and answers it. A thread that calls this while another one does
    /// goes on without waiting.
    pub fn poll(&self) -> Result<()> {
        let mut acked = match self.acked.try_lock() {
            Ok(acked) => acked,
            Err(TryLockError::WouldBlock) => return Ok(()),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        self.answer_newer_than(&mut acked)
    }

    fn answer_newer_than(&self, acked: &mut u32) -> Result<()> {
        while let Some(condemned) = find_condemned(self.repository, *acked + 1)? {
            // All verdicts so far: what they name must not come to support anything.
            let epochs = Epochs::list(self.repository)?;
            epochs.apply_all_verdicts(self.repository, self.index)?;
            if epochs.newest_finished() >= condemned.epoch {
                // It was reached without this session's answer, so a collector has decided for it.
                self.find_fence()?;
            }
            let before = self.takeover.close();
            let held = match before {
                Before::Held => true,
                Before::Taken => self.hold_parent(&condemned).inspect_err(|_| {
                    // A thread that tries again doesn't know what was taken over.
                    self.unresolved.store(true, Ordering::SeqCst);
                })?,
                Before::Nothing => false,
            };
            let objections = self.stop_referring_to(&condemned)?;
            self.create_ack(condemned.epoch, objections)?;
            *acked = condemned.epoch;
            // Each chunk of a parent that is held is looked up already. One of which nothing was
            // taken has to be listed again.
            if held {
                self.takeover.hold();
            } else if before != Before::Taken
                && !self.unresolved.load(Ordering::SeqCst)
                && self.parent_stands()?
            {
                self.takeover.open();
            }
        }
        Ok(())
    }

    /// *First* nothing new refers to what an epoch condemned, *then* it is known what already
    /// does: both in one step for each pack. Returns the packs that this session objects to.
    fn stop_referring_to(&self, condemned: &Condemned) -> Result<Vec<PackName>> {
        let packs: HashSet<PackName> = condemned.packs.iter().copied().collect();
        let mut objections = Vec::new();
        self.index.marks().condemn_all(&self.marks, packs.iter().copied(), || -> Result<()> {
            for (number, pack) in self.index.numbers_of(&packs)? {
                if self.marks.condemn(number) {
                    objections.push(pack);
                }
            }
            Ok(())
        })?;
        if self.unresolved.load(Ordering::SeqCst) {
            objections = packs.into_iter().collect();
        }
        objections.sort_unstable();
        objections.dedup();
        Ok(objections)
    }

    /// Refers to every chunk of the parent, if possible where nothing is condemned. Returns
    /// whether each was found; if not, this session objects to everything from now on.
    fn hold_parent(&self, condemned: &Condemned) -> Result<bool> {
        let Some(parent) = &self.parent else { return Ok(true) };
        if self.repository.has(Flaw::SubtreesNotHeld) {
            return Ok(true);
        }
        // What was taken over without being looked up may lie anywhere, also in packs that this
        // index has never heard of.
        refresh_index(self.repository, self.index, self.run)?;
        let numbers = self.index.numbers_of(&condemned.packs.iter().copied().collect())?;
        let frames = FrameCache::without_refresh(self.repository, self.index, self.run);
        let seen = Seen::of(self.index)?;
        let mut all = true;
        let walked = Reach::new(&frames).walk([parent], &seen, &mut |reached| {
            all &= self.hold(&reached.wanted, |pack| numbers.contains_key(&pack))?;
            Ok(())
        });
        match walked {
            Ok(()) => {}
            // A parent that can't be read to its end: no one knows what else it refers to.
            Err(EngineError::Missing { .. } | EngineError::Damaged { .. }) => all = false,
            Err(error) => return Err(error),
        }
        if !all {
            self.unresolved.store(true, Ordering::SeqCst);
        }
        Ok(all)
    }

    /// Whether the parent is neither forgotten nor compacted. It was listed before.
    fn parent_stands(&self) -> Result<bool> {
        self.parent_id.map_or(Ok(true), |parent| Ok(!is_forgotten(self.repository, parent)?))
    }

    fn create_ack(&self, epoch: u32, mut objections: Vec<PackName>) -> Result<()> {
        if self.repository.has(Flaw::AckWithoutObjections) {
            objections.clear();
        }
        let ack = Ack { epoch, session: self.id, objections };
        let bytes = ack.seal(self.repository.id(), self.repository.identity());
        let own = names::ack(epoch, self.id);
        if !self.create_own(own, &bytes)? {
            // Anyone that may create objects may have taken the name. Another answer of this session is one
            // that a garbage collection may have read, and it read no other.
            if self.may_be_answer(own, epoch)? {
                return Err(self.lost(own));
            }
            // No one can foresee this name. An attempt whose answer was lost is found under it.
            let with_tail = names::ack_with_tail(epoch, self.id, tail_of(&bytes));
            if !self.create_own(with_tail, &bytes)? {
                return Err(self.lost(with_tail));
            }
        }
        // The collector that waits for it must find it after a power cut too: it decides what is removed.
        Ok(self.repository.backend().sync()?)
    }

    /// Creates an object under a name of the session's own. `false` if something else is there.
    fn create_own(&self, name: ObjectName, bytes: &[u8]) -> Result<bool> {
        let created = self.repository.backend().create(&name.to_string(), &[bytes])?;
        Ok(created == Created::New || self.holds(name, bytes)?)
    }

    /// Whether an object is an answer of this session, or was one and is gone.
    fn may_be_answer(&self, name: ObjectName, epoch: u32) -> Result<bool> {
        let repository = self.repository;
        match repository.backend().read(&name.to_string(), limits::EPOCH_OBJECT_BYTES_MAX) {
            Ok(bytes) => {
                let writer = |holder| repository.writer_key(holder);
                Ok(Ack::open(&bytes, repository.id(), epoch, self.id, writer).is_ok())
            }
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) if error.is_unusable() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Why a session can't go on whose name `taken` is taken: a collector has ended it with a FENCE, or
    /// another program has taken a name that isn't its own.
    fn lost(&self, taken: ObjectName) -> EngineError {
        let is_fence = match load_one(self.repository, self.id) {
            Ok((register, _)) => matches!(register, Register::Fence(_)),
            // A FENCE that was compacted since.
            Err(EngineError::Backend(error)) => error.is_not_found() && taken == names::snapshot(self.id),
            Err(_) => false,
        };
        if is_fence { EngineError::Fenced } else { EngineError::NameTaken { object: taken } }
    }

    /// Whether an object that is there has these bytes. One that is gone by now was another
    /// program's, or is of no use any more.
    fn holds(&self, name: ObjectName, bytes: &[u8]) -> Result<bool> {
        match self.repository.backend().read(&name.to_string(), limits::EPOCH_OBJECT_BYTES_MAX) {
            Ok(found) => Ok(found == bytes),
            Err(error) if error.is_not_found() || error.is_unusable() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Fails if the session's register is taken.
    fn find_fence(&self) -> Result<()> {
        let register = names::snapshot(self.id);
        match self.repository.backend().read(&register.to_string(), limits::SNAPSHOT_BYTES_MAX) {
            Ok(_) => Err(self.lost(register)),
            Err(error) if error.is_unusable() => Err(self.lost(register)),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Commits: everything that was written is made durable, then the snapshot is created, and
    /// made durable too. Returns the snapshot as it is stored.
    pub fn commit(&self, request: CommitRequest<'_>) -> Result<Snapshot> {
        let repository = self.repository;
        request.snapshots.must_be_known()?;
        let epoch = {
            let mut acked = lock(&self.acked);
            self.answer_newer_than(&mut acked)?;
            *acked
        };
        let secrets = repository.secrets_under(request.key)?;
        let (sequence, previous) = request.snapshots.next_of(self.id.writer);
        let head = SnapshotHead {
            id: self.id,
            sequence,
            previous,
            config_n: repository.config().n,
            epoch: epoch.into(),
            segments: request.totals.segments,
            pack_list: Snapshot::pack_list_hash(&request.totals.packs),
            heads: request.snapshots.heads(),
            key: request.key,
        };
        let snapshot = match request.made_from {
            Some(other) => Snapshot::made_from(head, request.body, other),
            None => Snapshot::new(head, request.body),
        };
        let bytes = snapshot.seal(repository.id(), secrets, repository.identity());
        let backend = repository.backend();
        backend.sync()?;
        let name = names::snapshot(self.id);
        if backend.create(&name.to_string(), &[&bytes])? == Created::AlreadyThere
            && !self.holds(name, &bytes)?
            && !repository.has(Flaw::FenceIgnored)
        {
            return Err(self.lost(name));
        }
        backend.sync()?;
        repository.objects().remember(name, &bytes);
        // A register that was fenced, compacted and so free again has taken the snapshot in vain.
        if !repository.has(Flaw::CatalogueNotRead) && names_dead(repository, self.id)? {
            return Err(EngineError::Fenced);
        }
        let head = SeenHead { sequence, session: self.id, hash: ObjectHash::of(&bytes) };
        repository.remember_own(|shown| shown.add_head(head));
        Ok(snapshot)
    }

    /// Gives the session up, so that no garbage collection waits for it. That this may fail is
    /// why there are FENCEs by owners.
    pub fn give_up(&self) {
        let _ = fence(self.repository, self.id);
    }
}

/// What sets an ack's name apart from all that others can have thought of: it follows from a signature.
fn tail_of(ack: &[u8]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *ObjectHash::of(ack).as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Whether there are sessions of which no one knows that they have ended.
fn others_write(repository: &Repository, own: SessionId, ended: Option<&Snapshots>) -> Result<bool> {
    let Some(ended) = ended else { return Ok(false) };
    let mut others = list_sessions(repository, names::SESSIONS)?;
    others.remove(&own);
    for session in ended.decided() {
        others.remove(&session);
    }
    Ok(!others.is_empty())
}

/// What a session says of itself, if that can be read: hints, all of it.
pub fn read_session(repository: &Repository, id: SessionId) -> Option<SessionObject> {
    let name = names::session(id).to_string();
    let bytes = repository.backend().read(&name, limits::SMALL_OBJECT_BYTES_MAX).ok()?;
    SessionObject::open(&bytes, repository.id(), repository.writer_ever(id.writer)?).ok()
}

/// Creates a session object, under a fresh id.
pub(super) fn announce(
    repository: &Repository,
    program: &str,
    now: Timestamp,
    is_collector: bool,
) -> Result<SessionId> {
    if !repository.identity().role().writes() {
        return Err(EngineError::NotAllowed { action: "back up" });
    }
    repository.can_be_written()?;
    let id = SessionId { writer: repository.identity().holder(), random: *repository.random()? };
    let object = SessionObject {
        id,
        config_n: repository.config().n,
        program: program.to_owned(),
        begun_unix_s: Some(now.seconds),
        is_collector,
    };
    let bytes = object.seal(repository.id(), repository.identity());
    repository.backend().create(&names::session(id).to_string(), &[&bytes])?;
    Ok(id)
}

/// Decides a session: it can't commit any more, unless it has.
pub fn fence(repository: &Repository, session: SessionId) -> Result<Created> {
    let name = names::snapshot(session);
    let bytes = Register::seal_fence(repository.id(), session, repository.identity());
    let created = repository.backend().create(&name.to_string(), &[&bytes])?;
    repository.backend().sync()?;
    if created == Created::New {
        repository.objects().remember(name, &bytes);
    }
    Ok(created)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
