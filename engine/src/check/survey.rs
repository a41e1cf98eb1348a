//! Everything that the store has, from one listing: the packs, names that nothing explains, and what its
//! name explains and nothing else does. None of the latter does harm: something that isn't a program of this
//! format has put it there, or what it belongs to was removed.
//!
//! What a crash leaves is no finding: packs that no segment lists, sessions without a snapshot, answers
//! to epochs that have their verdict, objects of sessions that the catalogue names.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keepfast_backend::{Found, NotAnObject};
use keepfast_format::ids::{PackId, SessionId};
use keepfast_format::names::{self, AckName, DecisionName, EpochPart, ObjectName, PackName, SegmentName};

use super::{Check, ListedPacks};
use crate::error::{EngineError, Result};
use crate::repo::{Horizon, Index, Repository, Snapshots, dead_sessions};

/// Strange objects that are named one by one; of more, only their number is reported.
const STRANGE_NAMED: usize = 1000;

/// What is in the store.
#[derive(Default)]
pub struct Survey {
    /// The packs that the index knew before. Those that are stored while the survey is taken may be missing in
    /// it.
    pub before: Horizon,
    /// Packs, and their sizes in bytes.
    pub packs: HashMap<PackName, u64>,
    strange: Strange,
    /// Names of the format under which something stands that isn't an object.
    not_objects: HashSet<ObjectName>,
    sessions: HashSet<SessionId>,
    segments: BTreeSet<SegmentName>,
    decisions: BTreeSet<DecisionName>,
    acks: BTreeSet<AckName>,
    epochs: HashSet<u32>,
}

/// Names, and what is wrong with each.
#[derive(Default)]
struct Strange {
    /// The first in their order.
    named: BTreeMap<String, &'static str>,
    count: usize,
}

impl Strange {
    fn add(&mut self, name: String, what: &'static str) {
        self.count += 1;
        self.named.insert(name, what);
        if self.named.len() > STRANGE_NAMED {
            self.named.pop_last();
        }
    }
}

impl Survey {
    /// Lists everything.
    pub fn take(repository: &Repository, index: &Index) -> Result<Self> {
        let mut survey = Self { before: index.horizon(), ..Self::default() };
        repository.backend().survey(&mut |found| survey.add(found))?;
        Ok(survey)
    }

    fn add(&mut self, found: Found) {
        let listed = match found {
            Found::Object(listed) => listed,
            Found::Odd(odd) => {
                let explained = ObjectName::parse(&odd.name);
                self.not_objects.extend(explained);
                // A directory elsewhere may be empty, or else what is in it is named.
                if explained.is_some() || odd.what != NotAnObject::Directory {
                    self.strange.add(odd.name, odd.what.why());
                }
                return;
            }
        };
        match ObjectName::parse(&listed.name) {
            None => self.strange.add(listed.name, "its name isn't one of the format's"),
            Some(ObjectName::Pack(pack)) => {
                self.packs.insert(pack, listed.bytes);
            }
            Some(ObjectName::Session(session)) => {
                self.sessions.insert(session);
            }
            Some(ObjectName::Segment(segment)) => {
                self.segments.insert(segment);
            }
            Some(ObjectName::Decision(decision)) => {
                self.decisions.insert(decision);
            }
            Some(ObjectName::Epoch(n, EpochPart::Condemned)) => {
                self.epochs.insert(n);
            }
            Some(ObjectName::Ack(ack)) => {
                self.acks.insert(ack);
            }
            Some(
                ObjectName::Config(_)
                | ObjectName::Slot(_)
                | ObjectName::Keyring(_)
                | ObjectName::Snapshot(_)
                | ObjectName::Epoch(..)
                | ObjectName::Catalogue(_),
            ) => {}
        }
    }

    /// Whether something stands under this pack's name that isn't an object.
    pub fn has_instead_of_pack(&self, pack: PackName) -> bool {
        self.not_objects.contains(&pack.into())
    }

    /// Packs whose id another pack has, too.
    fn copies(&self) -> BTreeSet<PackName> {
        let mut first: HashMap<PackId, PackName> = HashMap::with_capacity(self.packs.len());
        let mut copies = BTreeSet::new();
        for pack in self.packs.keys() {
            if let Some(other) = first.insert(pack.id, *pack) {
                copies.extend([other, *pack]);
            }
        }
        copies
    }
}

/// An object of a session of which nothing else is there.
struct Stray {
    session: SessionId,
    name: ObjectName,
    what: &'static str,
}

impl Check<'_> {
    /// Names what nothing explains.
    pub(super) fn strange(
        &mut self,
        survey: &Survey,
        listed: &ListedPacks,
        snapshots: &Snapshots,
        index: &Index,
    ) -> Result<()> {
        for (name, what) in &survey.strange.named {
            self.finding_once(name, *what);
        }
        let more = survey.strange.count - survey.strange.named.len();
        if more > 0 {
            self.finding(format!("{more} more objects"), "their names aren't the format's either");
        }
        let copies: Vec<PackName> =
            survey.copies().into_iter().filter(|pack| !listed.contains_key(pack)).collect();
        if !copies.is_empty() {
            // A prune may have ended since, and have removed the segment with the pack.
            self.verdicts(index)?;
        }
        for pack in copies {
            if !index.is_dead_pack(&pack)? && self.is_there(pack.into())? {
                let what = "another session's pack has the same id, and no index segment lists this one";
                self.finding_once(pack, what);
            }
        }
        self.strays(survey, snapshots)
    }

    /// Names what belongs to nothing. The survey is no picture of one moment: whatever looks so in it is
    /// looked at once more.
    fn strays(&mut self, survey: &Survey, snapshots: &Snapshots) -> Result<()> {
        for ack in survey.acks.iter().filter(|ack| !survey.epochs.contains(&ack.epoch)) {
            let published = names::epoch(ack.epoch, EpochPart::Condemned);
            if !self.is_named(ack) && !self.is_there(published)? {
                self.finding_once(ack, "it answers a garbage collection that there never was");
            }
        }
        let mut strays = Vec::new();
        let decided: HashSet<SessionId> = snapshots.decided().collect();
        for name in survey.decisions.iter().filter(|name| !decided.contains(&name.snapshot)) {
            if !self.is_named(name) && !self.is_there(names::snapshot(name.snapshot))? {
                let what = "it is a decision about a snapshot that isn't there";
                strays.push(Stray { session: name.snapshot, name: (*name).into(), what });
            }
        }
        let unannounced =
            |session: &SessionId| !survey.sessions.contains(session) && !decided.contains(session);
        for name in survey.segments.iter().filter(|name| unannounced(&name.session)) {
            let session = name.session;
            if !self.is_named(name)
                && !self.is_there(names::snapshot(session))?
                && !self.is_there(names::session(session))?
            {
                let what = "it is of a session that has neither a session object nor a snapshot";
                strays.push(Stray { session, name: (*name).into(), what });
            }
        }
        if strays.is_empty() {
            return Ok(());
        }
        // The catalogue is read *after* all of these were looked for: compaction names a session there before it
        // removes its objects.
        let dead = dead_sessions(self.repository, self.run.pool())?.sessions;
        for Stray { name, what, .. } in strays.into_iter().filter(|stray| !dead.contains(&stray.session)) {
            self.finding_once(name, what);
        }
        Ok(())
    }

    fn is_there(&self, name: ObjectName) -> Result<bool> {
        match self.repository.backend().read_range(&name.to_string(), 0, 1) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) if error.is_unusable() => Ok(true),
            Err(error) => Err(EngineError::from(error)),
        }
    }
}
