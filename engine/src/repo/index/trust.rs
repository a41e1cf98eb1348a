//! Whose segments are preferred. A segment says which pack has which chunk, and its writer may
//! be mistaken or lie. What owners say comes first, since what they have moved was verified; a pack
//! in which something was found to be wrong comes last.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use keepfast_format::ids::HolderId;
use keepfast_format::keys::holder_of;
use keepfast_format::names::PackName;

use super::super::marks::SessionMarks;
use super::super::numbers::{AgeRank, PackNumber};
use super::super::repository::Repository;
use super::{Index, Location, Wanted};
use crate::error::{EngineError, Finding, Result};
use crate::run::RunContext;

/// Whose segments are preferred.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The holder that writes in this process.
    own: HolderId,
    /// The owners that this holder knows.
    owners: Vec<HolderId>,
}

impl Trust {
    /// As the holder of the repository's keys sees it.
    pub fn of(repository: &Repository) -> Self {
        let identity = repository.identity();
        Self { own: identity.holder(), owners: identity.owners().iter().map(holder_of).collect() }
    }
}

/// Packs in which something is wrong.
#[derive(Default)]
pub(super) struct Demoted {
    /// The numbers of those whose own directories weren't read.
    unread: Vec<PackNumber>,
    /// How many there are.
    count: u64,
}

/// Which packs' own directories this process has read.
#[derive(Default)]
pub struct LookedInto {
    /// The packs that were stored when those that no segment lists were read, and their sizes in bytes.
    pub stored: Option<HashMap<PackName, u64>>,
}

/// Which of several places is tried first: the least. The fields are compared in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// The pack isn't in the store.
    is_gone: bool,
    /// Something in the pack was found to be wrong.
    is_demoted: bool,
    source: Source,
    age: AgeRank,
}

/// What says that a chunk is in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A segment of an owner.
    Owner,
    /// A segment of a writer.
    Writer,
    /// The pack itself, and no segment.
    Pack,
}

/// Where a session finds support for a reference: the least is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Support {
    /// In a pack of the session's own writer.
    Own,
    /// In one of an owner.
    Owner,
    /// In one of another writer.
    Other,
}

impl Index {
    /// Whether an owner lists a pack. A name alone proves nothing: a pack that no segment lists is
    /// no one's.
    pub(super) fn is_owners(&self, pack: PackNumber) -> bool {
        self.marks.is_owners(pack, || self.is_of(pack, |writer| self.trust.owners.contains(&writer)))
    }

    fn is_of(&self, pack: PackNumber, is_it: impl Fn(HolderId) -> bool) -> bool {
        self.writer_of(pack).is_some_and(is_it)
    }

    /// How soon a place is tried. Among owners' packs the newest comes first, because what moves a
    /// chunk is about to remove it from where it was; among writers' the oldest, because no one can
    /// lie about a chunk before it is there.
    pub(super) fn rank(&self, place: &Location, is_listed: bool) -> Rank {
        let newest_first = place.pack.newest_first();
        let (source, age) = match is_listed {
            false => (Source::Pack, newest_first),
            true if self.is_owners(place.pack) => (Source::Owner, newest_first),
            true => (Source::Writer, place.pack.oldest_first()),
        };
        Rank {
            is_gone: !self.is_readable(place.pack),
            is_demoted: self.marks.is_demoted(place.pack),
            source,
            age,
        }
    }

    /// Whether a chunk is known in a pack that a session may refer to. From then on it does.
    #[must_use]
    pub(in crate::repo) fn refer(&self, session: &SessionMarks, wanted: Wanted) -> bool {
        self.any_of(&wanted.id, |found| {
            let fitting = found.filter(|place| wanted.fits(place));
            let mut several = fitting.clone();
            match (several.next(), several.next()) {
                (None, _) => false,
                (Some(only), None) => session.refer(&self.marks, only.pack),
                _ => self.refer_to_one_of(session, fitting.collect()),
            }
        })
    }

    /// Refers to the best of several packs. Where a pack of the session's writer or of an owner has
    /// the chunk, what another writer lists doesn't replace it: if it may not be referred to, the
    /// chunk is stored again.
    fn refer_to_one_of(&self, session: &SessionMarks, mut places: Vec<Location>) -> bool {
        places.retain(|place| self.is_readable(place.pack));
        let support = |place: &Location| {
            if self.is_of(place.pack, |writer| writer == self.trust.own) {
                Support::Own
            } else if self.is_owners(place.pack) {
                Support::Owner
            } else {
                Support::Other
            }
        };
        places.sort_by_cached_key(|place| (support(place), place.pack));
        let Some(best) = places.first().map(support) else { return false };
        let replaces = |place: &&Location| best == Support::Other || support(place) < Support::Other;
        places.iter().take_while(replaces).any(|place| session.refer(&self.marks, place.pack))
    }

    /// Holds on to a chunk that something taken over refers to: to one pack of an owner that has it,
    /// or if there is none to every pack that has it. `rather_not` are packs that are only held if
    /// there is no other of an owner. Returns whether all that is needed could be held.
    pub(in crate::repo) fn hold(
        &self,
        session: &SessionMarks,
        wanted: &Wanted,
        rather_not: impl Fn(PackNumber) -> bool,
    ) -> Result<bool> {
        let mut places = self.readable_places(wanted)?;
        let is_owners = |place: &Location| !self.marks.is_demoted(place.pack) && self.is_owners(place.pack);
        let mut owners: Vec<Location> = places.listed.iter().copied().filter(is_owners).collect();
        if !owners.is_empty() {
            owners.sort_unstable_by_key(|place| (rather_not(place.pack), place.pack.newest_first()));
            return Ok(owners.iter().any(|place| session.hold(&self.marks, place.pack)));
        }
        places.listed.append(&mut places.unlisted);
        let mut all = !places.listed.is_empty();
        for place in &places.listed {
            all &= session.hold(&self.marks, place.pack);
        }
        Ok(all)
    }

    /// Says that something in a pack isn't what it should be: it is tried last from now on, and
    /// nothing new refers to it. The run that finds it reports it when it ends.
    pub fn demote(&self, number: PackNumber, error: &EngineError, run: &RunContext) -> Result<()> {
        if !self.avoid(number) {
            return Ok(());
        }
        let object = self.pack(number)?.name.into();
        let what = match error {
            EngineError::Damaged { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        let what = format!("{what}; where other packs hold the same, those are used instead");
        run.suspect(Finding { object, what });
        Ok(())
    }

    /// As [`Index::demote`], for what is reported elsewhere. Returns whether it is the first time.
    pub fn avoid(&self, number: PackNumber) -> bool {
        if !self.marks.demote(number) {
            return false;
        }
        self.doubt();
        let mut demoted = self.demoted();
        demoted.unread.push(number);
        demoted.count += 1;
        true
    }

    fn demoted(&self) -> MutexGuard<'_, Demoted> {
        self.demoted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// In how many packs something was found to be wrong so far.
    #[must_use]
    pub fn demotions(&self) -> u64 {
        self.demoted().count
    }

    /// Packs that were demoted since this was called last.
    pub(in crate::repo) fn take_unread(&self) -> Vec<PackNumber> {
        std::mem::take(&mut self.demoted().unread)
    }
}
