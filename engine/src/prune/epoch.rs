//! From a published epoch to what it removes: waiting for answers, the second listing, the
//! verdict, the removal. It begins with nothing but what the store has, so that any prune can
//! finish what another has begun.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keepfast_backend::Created;
use keepfast_format::epoch::{Ack, Condemned, Verdict};
use keepfast_format::ids::SessionId;
use keepfast_format::limits;
use keepfast_format::names::{self, AckName, EpochPart, ObjectName, PackName};
use keepfast_format::numbers::u64_of;
use keepfast_format::snapshot::SnapshotBody;

use super::Prune;
use crate::error::{EngineError, Loss, PruneError, Result};
use crate::nouns::counted;
use crate::repo::{
    Flaw, FrameCache, Reach, Seen, Snapshots, dead_sessions, fence, find_verdict, is_decided, judge,
    list_packs, list_sessions, read_condemned, read_session, refresh_index,
};
use crate::run::{Event, Phase};

/// How often to look for answers.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A writer that is alive looks for epochs twice a minute. One whose session is older than the
/// timeout gets this long to answer.
const GRACE: Duration = Duration::from_secs(90);

impl Prune<'_> {
    /// Steps 4 to 7 of an epoch that is published.
    pub(super) fn finish_published(&mut self, epoch: u32) -> Result<()> {
        let condemned = read_condemned(self.repository, epoch)?;
        let verdict = match find_verdict(self.repository, epoch)? {
            Some(verdict) => verdict,
            None => self.reach_verdict(&condemned)?,
        };
        self.carry_out(&condemned, &verdict)
    }

    /// Steps 4 to 6.
    pub(super) fn reach_verdict(&mut self, condemned: &Condemned) -> Result<Verdict> {
        match self.wait_for_answers(condemned.epoch)? {
            Some(objections) => self.give_verdict(condemned, &objections),
            // Another sweeper was faster.
            None => find_verdict(self.repository, condemned.epoch)?.ok_or(EngineError::Interrupted),
        }
    }

    /// Step 7, and what is to be remembered of the verdict.
    pub(super) fn carry_out(&mut self, condemned: &Condemned, verdict: &Verdict) -> Result<()> {
        debug_assert_eq!(verdict.epoch, condemned.epoch, "a verdict is given about its own epoch");
        self.run.enter(Phase::Removing);
        self.index.apply_verdict(condemned.epoch, &verdict.packs)?;
        self.repository.remember_verdict(condemned.epoch);
        self.report.epochs.push(condemned.epoch);
        self.report.packs_spared += u64_of(condemned.packs.len().saturating_sub(verdict.packs.len()));
        self.remove(condemned, verdict)
    }

    /// Step 4: waits until each session that is listed now, after the epoch was published, is
    /// decided or has answered. Returns the objections; `None` if another prune has given the verdict.
    fn wait_for_answers(&mut self, epoch: u32) -> Result<Option<HashSet<PackName>>> {
        // A session that was decided before this was published has nothing to say about it.
        let mut open = self.sessions_not_known_decided()?;
        let none_open = open.is_empty();
        let mut acks: BTreeMap<AckName, Option<Ack>> = BTreeMap::new();
        let mut patience: HashMap<SessionId, Duration> = HashMap::new();
        let mut waited = Duration::ZERO;
        // Sessions whose registers were taken when they were to be fenced.
        let mut not_fenced: HashSet<SessionId> = HashSet::new();
        loop {
            self.read_new_acks(epoch, &mut acks)?;
            let authentic = acks.iter().filter(|(_, ack)| ack.is_some());
            let answered: HashSet<SessionId> = authentic.map(|(name, _)| name.session).collect();
            open.retain(|session| !answered.contains(session));
            self.observed.answered.extend(answered);
            self.drop_decided(&mut open)?;
            if open.is_empty() || self.repository.has(Flaw::NoWaiting) {
                // Once more: a session that is decided by now may have objected before.
                if !none_open {
                    self.read_new_acks(epoch, &mut acks)?;
                }
                return Ok(Some(acks.into_values().flatten().flat_map(|ack| ack.objections).collect()));
            }
            if find_verdict(self.repository, epoch)?.is_some() {
                return Ok(None);
            }
            self.stop_if_asked()?;
            let mut left = LOOK_EVERY;
            let mut fenced = false;
            for session in &open {
                let patience = *patience.entry(*session).or_insert_with(|| self.patience_with(*session));
                if waited < patience {
                    left = left.min(patience - waited);
                } else {
                    if fence(self.repository, *session)? == Created::New {
                        self.report.sessions_fenced += 1;
                    } else if !not_fenced.insert(*session) {
                        let object = names::snapshot(*session);
                        return Err(PruneError::UnusableRegister { object }.into());
                    }
                    fenced = true;
                }
            }
            if !fenced {
                if waited.is_zero() {
                    self.run.enter(Phase::Waiting);
                    let longest = patience.values().max().map_or(0, Duration::as_secs);
                    self.say(format!(
                        "waiting for {} that may still be running, for {} at most: those that don't answer are \
                         ended then; backups go on meanwhile",
                        counted(u64_of(open.len()), "backup"),
                        counted(longest.div_ceil(60), "minute"),
                    ));
                }
                self.run.host().sleep(left, self.run.cancel());
                waited += left;
            }
        }
    }

    /// Whether a session is older than the timeout, and so as likely dead as silent.
    pub(super) fn is_silent(&self, session: SessionId) -> bool {
        self.patience_with(session) <= GRACE.min(self.options.session_timeout)
    }

    /// How long to wait for a session's answer. When it began is what its machine's clock said;
    /// that a session is ended too early costs its backup a second attempt, and nothing else.
    fn patience_with(&self, session: SessionId) -> Duration {
        let timeout = self.options.session_timeout;
        let begun = read_session(self.repository, session).and_then(|session| session.begun_unix_s);
        let now = self.run.now().seconds;
        let age_of = |begun: i64| u64::try_from(now.saturating_sub(begun)).unwrap_or(0);
        let age = begun.map_or(Duration::MAX, |begun| Duration::from_secs(age_of(begun)));
        timeout.saturating_sub(age).max(GRACE.min(timeout))
    }

    /// Reads acks that weren't read before. One that isn't authentic is no answer, and hides none: a
    /// session whose name was taken answers under another one.
    fn read_new_acks(&self, epoch: u32, acks: &mut BTreeMap<AckName, Option<Ack>>) -> Result<()> {
        let backend = self.repository.backend();
        let mut new = Vec::new();
        backend.list(&names::acks_to(epoch), &mut |listed| {
            new.extend(names::parse_ack(&listed.name).filter(|ack| !acks.contains_key(ack)));
        })?;
        for ack in new {
            let object = ack.to_string();
            let read = || {
                let bytes = backend.read(&object, limits::EPOCH_OBJECT_BYTES_MAX)?;
                let writer = |holder| self.repository.writer_key(holder);
                Ack::open(&bytes, self.repository.id(), epoch, ack.session, writer)
                    .map_err(EngineError::damaged(ack))
            };
            let opened = match judge(read) {
                // Only after the verdict acks are removed.
                Err(EngineError::Backend(error)) if error.is_not_found() => continue,
                opened => opened?,
            };
            if let Err(source) = &opened {
                self.run.tell(&Event::Damaged { object, what: source.to_string() });
            }
            acks.insert(ack, opened.ok());
        }
        Ok(())
    }

    /// The sessions that are listed, without those that this run knows to be decided.
    pub(super) fn sessions_not_known_decided(&self) -> Result<BTreeSet<SessionId>> {
        let mut sessions = list_sessions(self.repository, names::SESSIONS)?;
        sessions.retain(|session| !self.observed.decided.contains(session));
        Ok(sessions)
    }

    /// Looks which of these sessions are decided by now, and drops them.
    pub(super) fn drop_decided(&self, open: &mut BTreeSet<SessionId>) -> Result<()> {
        if open.is_empty() {
            return Ok(());
        }
        // Only a register that opens decides: junk in its place may be removed, and then its session
        // commits. And only those are read that may.
        let mut decided = BTreeSet::new();
        for session in list_sessions(self.repository, names::SNAPSHOTS)?.intersection(open) {
            if is_decided(self.repository, *session)? {
                decided.insert(*session);
            }
        }
        let dead = dead_sessions(self.repository, self.run.pool())?;
        dead.must_be_all()?;
        decided.extend(dead.sessions);
        open.retain(|session| !decided.contains(session));
        Ok(())
    }

    /// Steps 5 and 6: spares what objections name and what newer snapshots refer to, forgotten
    /// or not. The verdict is a register: a prune that finds one there takes it instead.
    fn give_verdict(&mut self, condemned: &Condemned, objections: &HashSet<PackName>) -> Result<Verdict> {
        let snapshots = Snapshots::load(self.repository, self.run)?;
        self.must_be_all_there(&snapshots)?;
        let newer: Vec<&SnapshotBody> = snapshots
            .with_forgotten()
            .filter(|stored| condemned.snapshots.binary_search(&stored.snapshot.head.id).is_err())
            .map(|stored| &stored.snapshot.body)
            .collect();
        let spared = match self.needed_by(&newer, condemned) {
            Ok(spared) if snapshots.unreadable().next().is_none() && !self.misses_any(&snapshots)? => {
                Some(spared)
            }
            Ok(_) | Err(EngineError::Missing { .. } | EngineError::Damaged { .. }) => {
                self.say(
                    "a snapshot that is newer than this garbage collection can't be read, so nothing is \
                     removed; a check says what is wrong with it"
                        .to_owned(),
                );
                None
            }
            Err(error) => return Err(error),
        };
        let removed = |pack: &&PackName| {
            !objections.contains(*pack) && spared.as_ref().is_some_and(|spared| !spared.contains(*pack))
        };
        // Filtered, and so in ascending order as the condemned packs are, and none that isn't among them.
        let packs: Vec<PackName> = condemned.packs.iter().filter(removed).copied().collect();
        debug_assert!(packs.is_sorted_by(|a, b| a < b), "a verdict's packs ascend, each is there once");
        debug_assert!(
            packs
                .iter()
                .all(|pack| condemned.packs.binary_search(pack).is_ok() && !objections.contains(pack))
        );
        self.observed.snapshots = Some(snapshots);
        let verdict = Verdict { epoch: condemned.epoch, packs };
        let bytes = verdict.seal(self.repository.id(), self.repository.identity());
        let backend = self.repository.backend();
        let object = names::epoch(condemned.epoch, EpochPart::Done);
        let created = backend.create(&object.to_string(), &[&bytes])?;
        backend.sync()?;
        if created == Created::New {
            return Ok(verdict);
        }
        find_verdict(self.repository, condemned.epoch)?
            .ok_or_else(|| EngineError::Missing { object: object.to_string(), loss: Loss::BrokenPromise })
    }

    /// Condemned packs in which lies anything that these snapshots refer to.
    fn needed_by(&self, snapshots: &[&SnapshotBody], condemned: &Condemned) -> Result<HashSet<PackName>> {
        let mut needed = HashSet::new();
        if snapshots.is_empty() || self.repository.has(Flaw::NoSecondListing) {
            return Ok(needed);
        }
        refresh_index(self.repository, self.index, self.run)?;
        let numbers = self.index.numbers_of(&condemned.packs.iter().copied().collect())?;
        let frames = FrameCache::without_refresh(self.repository, self.index, self.run);
        let seen = Seen::of(self.index)?;
        Reach::new(&frames).walk(snapshots.iter().copied(), &seen, &mut |reached| {
            let id = &reached.wanted.id;
            if !reached.places.first().is_some_and(|place| self.index.is_readable(place.pack)) {
                return Err(FrameCache::missing(id));
            }
            for place in self.index.locations(id)? {
                needed.extend(numbers.get(&place.pack));
            }
            Ok(())
        })?;
        Ok(needed)
    }

    /// Step 7: removes exactly what the verdict names.
    fn remove(&mut self, condemned: &Condemned, verdict: &Verdict) -> Result<()> {
        let packs: Vec<_> = condemned
            .packs
            .iter()
            .filter(|pack| {
                verdict.packs.binary_search(pack).is_ok() || self.repository.has(Flaw::VerdictIgnored)
            })
            .collect();
        // The verdict was created, and applied to the index, before anything of it is removed.
        debug_assert!(
            self.repository.has(Flaw::VerdictIgnored)
                || packs.iter().all(|pack| self.index.is_dead_pack(pack).unwrap_or(true)),
            "only packs that a verdict has named are removed"
        );
        if !packs.iter().all(|pack| self.observed.stored.contains_key(pack)) {
            self.observed.stored = list_packs(self.repository)?;
        }
        let there: Vec<PackName> =
            packs.into_iter().filter(|pack| self.observed.stored.contains_key(pack)).copied().collect();
        self.remove_all(&there)?;
        self.report.packs_removed += u64_of(there.len());
        self.report.bytes_removed +=
            there.iter().filter_map(|pack| self.observed.stored.get(pack)).sum::<u64>();
        Ok(())
    }

    /// Removes objects, several at a time.
    pub(super) fn remove_all<N: Copy + Into<ObjectName> + Sync>(&self, names: &[N]) -> Result<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.step_back()?;
                let name: ObjectName = (*name).into();
                self.repository.backend().remove(&name.to_string())?;
            }
            Ok(())
        };
        self.run.pool().in_threads(names.len(), work).into_iter().collect()
    }
}
