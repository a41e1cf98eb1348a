//! Checking what garbage collection has left in the store: epochs, answers, decisions, the
//! catalogue. A program that obeys one of them verifies it, and refuses it if it is damaged; a
//! check names it before that happens.

use keepfast_format::catalogue::Catalogue;
use keepfast_format::epoch::{Ack, Condemned, StoredVerdict};
use keepfast_format::names::{self, EpochPart, ObjectName};
use keepfast_format::standing::Decision;
use keepfast_format::{FormatError, limits};

use super::Check;
use crate::error::{EngineError, Result};
use crate::repo::{Applied, Epochs, Index, judge, read_object};

impl Check<'_> {
    /// Applies all verdicts that are authentic, so that what they name isn't missed. Returns the newest
    /// epoch with one. What is wrong with the others is said where objects are looked at one by one.
    pub(super) fn verdicts(&mut self, index: &Index) -> Result<u32> {
        let epochs = Epochs::list(self.repository)?;
        let applied = epochs.apply_authentic_verdicts(self.repository, index)?;
        if applied == Applied::IndexIsAhead && !self.is_set_back {
            self.is_set_back = true;
            let what = "epochs are gone that this machine knows of: the repository was set back to an earlier \
                        state, or someone has removed them";
            self.finding(names::EPOCHS.to_owned(), what);
        }
        Ok(epochs.newest_finished())
    }

    /// Opens each object, and looks whether any is missing.
    pub(super) fn collection(&mut self) -> Result<()> {
        for flaw in Epochs::list(self.repository)?.flaws().iter().filter(|flaw| flaw.is_missing) {
            self.finding(flaw.finding.object.clone(), flaw.finding.what.clone());
        }
        for prefix in [names::EPOCHS, names::ACKS, names::STATES, names::CATALOGUE] {
            let mut found = Vec::new();
            self.repository.backend().list(prefix, &mut |listed| found.push(listed.name))?;
            // Names that aren't the format's are reported with all others.
            found.retain(|name| ObjectName::parse(name).is_some());
            for name in found {
                self.report.objects += 1;
                match judge(|| self.open(&name)) {
                    // Removed since it was listed, as answers and decisions are.
                    Err(EngineError::Backend(error)) if error.is_not_found() => {}
                    Err(error) => self.unread(name, error)?,
                    Ok(Err(error)) => self.finding_once(name, error.to_string()),
                    Ok(Ok(())) => self.outage.is_over(),
                }
            }
        }
        Ok(())
    }

    fn open(&self, name: &str) -> Result<()> {
        let bytes = read_object(self.repository.backend(), name, limits::EPOCH_OBJECT_BYTES_MAX)?;
        let (id, owners) = (self.repository.id(), self.repository.identity().owners());
        let opened = if let Some((epoch, part)) = names::parse_epoch(name) {
            match part {
                EpochPart::Condemned => Condemned::open(&bytes, id, epoch, owners).map(drop),
                EpochPart::Done => StoredVerdict::open(&bytes, id, epoch, owners).map(drop),
            }
        } else if let Some(ack) = names::parse_ack(name) {
            let writer = |holder| self.repository.writer_key(holder);
            Ack::open(&bytes, id, ack.epoch, ack.session, writer).map(drop)
        } else if let Some((snapshot, n)) = names::parse_state(name) {
            Decision::open(&bytes, id, snapshot, n, owners).map(drop)
        } else if let Some(n) = names::parse_numbered(names::CATALOGUE, name) {
            Catalogue::open(&bytes, id, n, owners).map(drop)
        } else {
            Err(FormatError::Malformed { what: "object", why: "its name isn't one of the format's" })
        };
        opened.map_err(EngineError::damaged(name))
    }
}
