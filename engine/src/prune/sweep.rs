//! What is left over: packs that are dead and came back, acks that no one will read again,
//! index segments of which nothing lives, and objects of dead sessions.

use std::collections::HashSet;

use keepfast_format::ids::SessionId;
use keepfast_format::names::{self, AckName, PackName};
use keepfast_format::numbers::u64_of;

use super::Prune;
use crate::error::Result;
use crate::repo::{Epochs, Snapshots, list_segments};

impl Prune<'_> {
    /// Removes what is left over of this epoch and of earlier ones, and compacts.
    pub(super) fn sweep(&mut self) -> Result<()> {
        let epochs = Epochs::list(self.repository)?;
        epochs.can_be_collected_under()?;
        epochs.apply_all_verdicts(self.repository, self.index)?;
        self.sweep_packs()?;
        self.sweep_acks(&epochs)?;
        let snapshots = match self.observed.snapshots.take() {
            Some(snapshots) => snapshots,
            None => Snapshots::load(self.repository, self.run)?,
        };
        self.must_be_all_there(&snapshots)?;
        self.sweep_segments(&snapshots)?;
        self.compact(&epochs, &snapshots)
    }

    /// Packs that a verdict had named and that were listed all the same: an interrupted removal, or
    /// a create that took effect late.
    fn sweep_packs(&mut self) -> Result<()> {
        let mut dead = std::mem::take(&mut self.observed.left_over);
        dead.sort_unstable();
        debug_assert!(
            dead.iter().all(|pack| self.index.is_dead_pack(pack).unwrap_or(true)),
            "only packs that a verdict has named are swept"
        );
        self.report.packs_removed += u64_of(dead.len());
        self.report.bytes_removed +=
            dead.iter().filter_map(|pack| self.observed.stored.get(pack)).sum::<u64>();
        self.remove_all(&dead)
    }

    /// The packs among these that a verdict has named.
    pub(super) fn dead_among<'p>(&self, packs: impl Iterator<Item = &'p PackName>) -> Result<Vec<PackName>> {
        let mut buried = Vec::new();
        for pack in packs {
            if self.index.is_dead_pack(pack)? {
                buried.push(*pack);
            }
        }
        Ok(buried)
    }

    /// Acks of epochs that have their verdicts.
    fn sweep_acks(&mut self, epochs: &Epochs) -> Result<()> {
        let mut read = Vec::new();
        let open = epochs.unfinished();
        self.repository.backend().list(names::ACKS, &mut |listed| {
            let is_read = |ack: &AckName| ack.epoch <= epochs.newest() && Some(ack.epoch) != open;
            read.extend(names::parse_ack(&listed.name).filter(is_read));
        })?;
        self.report.objects_removed += u64_of(read.len());
        self.remove_all(&read)
    }

    /// Segments that list nothing but dead packs, of sessions that are fenced or forgotten.
    fn sweep_segments(&mut self, snapshots: &Snapshots) -> Result<()> {
        let ended: HashSet<SessionId> = snapshots.ended().collect();
        let mut dead = self.index.dead_segments()?;
        if dead.is_empty() {
            return Ok(());
        }
        let there = list_segments(self.repository)?;
        dead.retain(|name| ended.contains(&name.session) && there.binary_search(name).is_ok());
        self.report.objects_removed += u64_of(dead.len());
        self.remove_all(&dead)
    }
}
