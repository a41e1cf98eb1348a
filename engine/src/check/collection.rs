//! Checking what garbage collection has left in the store: epochs, answers, decisions, the
//! catalogue. Whoever obeys one of them verifies it, and refuses it if it is damaged; here it is
//! named before that happens.

use keepfast_format::catalogue::Catalogue;
use keepfast_format::epoch::{Ack, Condemned, StoredVerdict};
use keepfast_format::names::{self, EpochPart, ObjectName};
use keepfast_format::standing::Decision;
use keepfast_format::{FormatError, limits};

use super::Check;
use crate::error::{EngineError, Result};
use crate::repo::{Epochs, Index, until};

impl Check<'_> {
    /// Hears all verdicts, so that what they name isn't missed. Returns the newest epoch with one.
    pub(super) fn verdicts(&mut self, index: &Index) -> Result<u32> {
        let told = Epochs::list(self.repository)
            .and_then(|epochs| epochs.tell_all(self.repository, index).map(|()| epochs.newest_finished()));
        match told {
            // That there is such a hole is found once, with the objects that are looked at one by one.
            Err(EngineError::Missing { .. } | EngineError::Damaged { .. }) => Ok(0),
            other => other,
        }
    }

    /// Opens each object, and looks whether any is missing.
    pub(super) fn collection(&mut self) -> Result<()> {
        if let Err(EngineError::Missing { object, .. }) = Epochs::list(self.repository) {
            self.finding(object, "it is missing");
        }
        for prefix in [names::EPOCHS, names::ACKS, names::STATES, names::CATALOGUE] {
            let mut found = Vec::new();
            self.repository.backend().list(prefix, &mut |listed| found.push(listed.name))?;
            // Names that aren't the format's are told of with all others.
            found.retain(|name| ObjectName::parse(name).is_some());
            for name in found {
                self.report.objects += 1;
                let opened = until(|| self.open(&name), |opened| !matches!(opened, Ok(Err(_))));
                match opened {
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

    fn open(&self, name: &str) -> Result<Result<(), FormatError>> {
        let bytes = self.repository.backend().read(name, limits::EPOCH_OBJECT_BYTES_MAX)?;
        let (id, owners) = (self.repository.id(), self.repository.identity().owners());
        Ok(if let Some((epoch, part)) = names::parse_epoch(name) {
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
        })
    }
}
