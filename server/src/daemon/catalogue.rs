//! When the catalogue of snapshots is compared with which repository.

use std::collections::{BTreeMap, BTreeSet};

use keepfast_operations::error::with_causes;
use keepfast_store::{EventKind, PageSize, RunKind, Sequence, Store};
use tokio::time::Instant;

use crate::catalogue::{EVERY, Refreshed};
use crate::error::Result;

/// Events that are read at once.
const EVENTS_AT_ONCE: usize = 200;

/// Which repositories are to be looked at.
#[derive(Debug, Default)]
pub struct Due {
    /// Up to where the events were heard.
    heard: Option<Sequence>,
    /// When each of those that were looked at is looked at again.
    next: BTreeMap<String, Instant>,
    /// Those that are being looked at, and whether they have changed since that began.
    working: BTreeMap<String, bool>,
    /// What was said last about those that can't be looked at.
    said: BTreeMap<String, String>,
}

impl Due {
    /// Hears which runs have ended that changed a repository.
    pub async fn hear(&mut self, store: &Store) -> Result<()> {
        let Some(mut heard) = self.heard else {
            self.heard = Some(store.last_event().await?);
            return Ok(());
        };
        loop {
            let read = store.events_after(heard, PageSize::at_most(EVENTS_AT_ONCE)).await?;
            if read.has_gap {
                self.next.clear();
            }
            let Some(last) = read.events.last() else { break };
            heard = last.sequence;
            self.heard = Some(heard);
            for event in read.events.iter().filter(|event| event.kind == EventKind::RUN_ENDED) {
                let text = |name: &str| event.document.get(name).and_then(|value| value.as_str());
                let kind = text("kind").and_then(RunKind::parse);
                if let (
                    Some(RunKind::Backup | RunKind::Forget | RunKind::Prune | RunKind::Copy | RunKind::Drill),
                    Some(repository),
                ) = (kind, text("repository"))
                {
                    self.changed(repository);
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, repository: &str) {
        self.next.remove(repository);
        if let Some(has_changed) = self.working.get_mut(repository) {
            *has_changed = true;
        }
    }

    /// Takes repositories that are due, at most this many. One of which a look is under way isn't taken: there is one
    /// connection at a time to each.
    pub fn take<'n>(
        &mut self,
        defined: impl Iterator<Item = &'n String>,
        now: Instant,
        at_most: usize,
    ) -> Vec<String> {
        let mut taken = Vec::new();
        let mut all = BTreeSet::new();
        for name in defined {
            all.insert(name.clone());
            let is_due = self.next.get(name).is_none_or(|at| *at <= now);
            if is_due && taken.len() < at_most && !self.working.contains_key(name) {
                self.working.insert(name.clone(), false);
                taken.push(name.clone());
            }
        }
        self.next.retain(|name, _| all.contains(name));
        taken
    }

    /// A look has ended. Returns what is to be said about it.
    pub fn ended(&mut self, repository: &str, done: Result<Refreshed>, now: Instant) -> Option<String> {
        if self.working.remove(repository) != Some(true) {
            self.next.insert(repository.to_owned(), now + EVERY);
        }
        let Err(error) = done else {
            self.said.remove(repository);
            return None;
        };
        let text = with_causes(&error);
        let is_new = self.said.insert(repository.to_owned(), text.clone()).as_ref() != Some(&text);
        is_new.then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Due, EVERY, Instant, Refreshed};

    #[tokio::test]
    async fn a_repository_is_looked_at_once_at_a_time_and_again_after_a_change() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let (mut due, now) = (Due::default(), Instant::now());
        assert_eq!(due.take(names.iter(), now, 2), ["a", "b"]);
        assert_eq!(due.take(names.iter(), now, 0), Vec::<String>::new());
        due.changed("a");
        assert_eq!(due.ended("a", Ok(Refreshed::default()), now), None);
        assert_eq!(due.ended("b", Ok(Refreshed::default()), now), None);
        assert_eq!(due.take(names.iter(), now, 3), ["a", "c"], "a has changed while it was looked at");
        due.changed("b");
        assert_eq!(due.take(names.iter(), now, 3), ["b"]);
        for name in &names {
            due.ended(name, Ok(Refreshed::default()), now);
        }
        assert!(due.take(names.iter(), now, 3).is_empty());
        assert_eq!(due.take(names.iter(), now + EVERY, 3), names);
    }
}
