//! Compaction: dead sessions become entries of the catalogue, and their small objects go. So a
//! listing costs what is alive, and not what ever was.

use std::collections::{BTreeMap, HashSet};

use keepfast_backend::Created;
use keepfast_format::catalogue::Catalogue;
use keepfast_format::ids::{HolderId, SessionId};
use keepfast_format::limits;
use keepfast_format::names::{self, ObjectName};
use keepfast_format::numbers::u64_of;

use super::Prune;
use crate::error::{PruneError, Result};
use crate::repo::{Epochs, Snapshots, list_catalogue, read_condemned};

impl Prune<'_> {
    /// Writes the catalogue first, and removes after that. What an interrupted run has left is
    /// removed too.
    pub(super) fn compact(&mut self, epochs: &Epochs, snapshots: &Snapshots) -> Result<()> {
        let mut dead: HashSet<SessionId> = snapshots.dead.clone();
        let new = self.compactable(epochs, snapshots)?;
        if new.len() >= self.options.compact_from.max(1) {
            new.chunks(limits::EPOCH_ITEMS_MAX).try_for_each(|some| self.write_catalogue(some))?;
            dead.extend(new);
        }
        if dead.is_empty() {
            return Ok(());
        }
        let mut objects = self.objects_of_sessions()?;
        objects.retain(|session, _| dead.contains(session));
        let names: Vec<ObjectName> = objects.into_values().flatten().collect();
        self.report.objects_removed += u64_of(names.len());
        self.remove_all(&names)
    }

    /// Sessions that were fenced, and snapshots that are forgotten and that an epoch with a
    /// verdict knew: a second listing that is yet to come takes them for old ones. A writer's
    /// newest snapshot stays, since the next one is numbered after it.
    fn compactable(&self, epochs: &Epochs, snapshots: &Snapshots) -> Result<Vec<SessionId>> {
        if snapshots.forgotten.len() + snapshots.fenced.len() < self.options.compact_from {
            return Ok(Vec::new());
        }
        let known = match epochs.newest_finished() {
            0 => Vec::new(),
            newest => read_condemned(self.repository, newest)?.snapshots,
        };
        let mut newest_of: BTreeMap<HolderId, (u64, SessionId)> = BTreeMap::new();
        for head in snapshots.with_forgotten().map(|stored| &stored.snapshot.head) {
            let newest = newest_of.entry(head.id.writer).or_insert((head.sequence, head.id));
            *newest = (*newest).max((head.sequence, head.id));
        }
        let kept: HashSet<SessionId> = newest_of.into_values().map(|(_, id)| id).collect();
        let forgotten = snapshots.forgotten.iter().map(|stored| stored.snapshot.head.id);
        let gone = forgotten.filter(|id| known.binary_search(id).is_ok() && !kept.contains(id));
        let mut sessions: Vec<SessionId> = gone.chain(snapshots.fenced.iter().copied()).collect();
        sessions.sort_unstable();
        Ok(sessions)
    }

    pub(super) fn write_catalogue(&self, sessions: &[SessionId]) -> Result<()> {
        debug_assert!(
            sessions.is_sorted_by(|a, b| a < b),
            "a catalogue's sessions ascend, each is there once"
        );
        loop {
            let last = list_catalogue(self.repository)?.last().copied();
            let Some(n) = last.map_or(Some(0), |n| n.checked_add(1)) else {
                return Err(PruneError::CatalogueFull.into());
            };
            let catalogue = Catalogue { n, sessions: sessions.to_vec() };
            let bytes = catalogue.seal(self.repository.id(), self.repository.identity());
            if self.repository.backend().create(&names::catalogue(n).to_string(), &[&bytes])? == Created::New
            {
                return Ok(self.repository.backend().sync()?);
            }
        }
    }

    /// Registers, session objects and decisions, by their sessions.
    fn objects_of_sessions(&self) -> Result<BTreeMap<SessionId, Vec<ObjectName>>> {
        let mut objects: BTreeMap<SessionId, Vec<ObjectName>> = BTreeMap::new();
        for prefix in [names::SNAPSHOTS, names::SESSIONS, names::DECISIONS] {
            self.repository.backend().list(prefix, &mut |listed| {
                let Some(name) = ObjectName::parse(&listed.name) else { return };
                let session = match name {
                    ObjectName::Snapshot(session) | ObjectName::Session(session) => session,
                    ObjectName::Decision(decision) => decision.snapshot,
                    _ => return,
                };
                objects.entry(session).or_default().push(name);
            })?;
        }
        Ok(objects)
    }
}
