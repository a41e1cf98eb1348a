//! Checking what garbage collection has left in the store: epochs, answers, decisions, the
//! catalogue. A program that obeys one of them verifies it, and refuses it if it is damaged; a
//! check names it before that happens.

use keepfast_format::catalogue::Catalogue;
use keepfast_format::decision::Decision;
use keepfast_format::epoch::{Ack, Condemned, StoredVerdict};
use keepfast_format::names::{self, AckName, DecisionName, EpochPart, ObjectName};
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
            self.finding(names::EPOCHS, what);
        }
        Ok(epochs.newest_finished())
    }

    /// Opens each object, and looks whether any is missing.
    pub(super) fn collection(&mut self) -> Result<()> {
        for flaw in Epochs::list(self.repository)?.flaws().iter().filter(|flaw| flaw.is_missing) {
            self.finding(flaw.finding.object, flaw.finding.what.clone());
        }
        for prefix in [names::EPOCHS, names::ACKS, names::DECISIONS, names::CATALOGUE] {
            let mut found = Vec::new();
            // Names that aren't the format's are reported with all others.
            self.repository.backend().list(prefix, &mut |listed| {
                found.extend(ObjectName::parse(&listed.name));
            })?;
            for name in found {
                self.report.objects += 1;
                match judge(|| self.open(name)) {
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

    fn open(&self, name: ObjectName) -> Result<()> {
        let bytes = read_object(self.repository.backend(), name, limits::EPOCH_OBJECT_BYTES_MAX)?;
        let (id, owners) = (self.repository.id(), self.repository.identity().owners());
        let opened = match name {
            ObjectName::Epoch(epoch, EpochPart::Condemned) => {
                Condemned::open(&bytes, id, epoch, owners).map(drop)
            }
            ObjectName::Epoch(epoch, EpochPart::Done) => {
                StoredVerdict::open(&bytes, id, epoch, owners).map(drop)
            }
            ObjectName::Ack(AckName { epoch, session, .. }) => {
                let writer = |holder| self.repository.writer_key(holder);
                Ack::open(&bytes, id, epoch, session, writer).map(drop)
            }
            ObjectName::Decision(DecisionName { snapshot, n }) => {
                Decision::open(&bytes, id, snapshot, n, owners).map(drop)
            }
            ObjectName::Catalogue(n) => Catalogue::open(&bytes, id, n, owners).map(drop),
            _ => Err(FormatError::Malformed { what: "object", why: "its name isn't one of this folder's" }),
        };
        opened.map_err(EngineError::damaged(name))
    }
}
