//! The store behind a history: objects in memory, cheap to copy.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use keepfast_backend::{BackendErrorKind, Created, Listed, MemoryBackend, Unusable};

use super::random::Random;

/// A store's objects. A copy is cheap: it shares the bytes.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// With a number for each that was made, one after the other.
    by_name: BTreeMap<Arc<str>, (u64, Arc<[u8]>)>,
    made: u64,
}

impl Objects {
    /// As a store in which nothing goes wrong.
    #[must_use]
    pub fn to_store(&self) -> Arc<MemoryBackend> {
        let store = MemoryBackend::default();
        for (name, (_, bytes)) in &self.by_name {
            store.tamper(name, bytes.to_vec());
        }
        Arc::new(store)
    }

    /// Whether there is an object of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn create(&mut self, name: &str, bytes: Arc<[u8]>) -> Created {
        if self.has(name) {
            return Created::AlreadyThere;
        }
        self.by_name.insert(name.into(), (self.made, bytes));
        self.made += 1;
        Created::New
    }

    pub(super) fn read(&self, name: &str, bytes_max: u64) -> Result<Arc<[u8]>, BackendErrorKind> {
        match self.by_name.get(name) {
            None => Err(BackendErrorKind::NotFound),
            Some((_, bytes)) if bytes.len() as u64 > bytes_max => {
                Err(BackendErrorKind::Unusable(Unusable::TooLarge))
            }
            Some((_, bytes)) => Ok(Arc::clone(bytes)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// At most `count` of the objects whose names begin with `prefix`, from a place in the order
    /// on, and where the next ones begin. The order is another one for each `salt`; what is made
    /// during a listing may come before or after what was listed already. Names are of no use
    /// as an order: they hang on the inode numbers of files that were backed up, and so differ
    /// from run to run.
    pub(super) fn list(
        &self,
        prefix: &str,
        salt: u64,
        from: u64,
        count: usize,
    ) -> (Vec<Listed>, Option<u64>) {
        let mut found: Vec<(u64, Listed)> = self
            .by_name
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .map(|(name, (made, bytes))| {
                (
                    Random::new(made ^ salt).number(),
                    Listed { name: name.to_string(), bytes: bytes.len() as u64 },
                )
            })
            .filter(|(place, _)| *place >= from)
            .collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        let next = found.get(count).map(|(place, _)| *place);
        found.truncate(count);
        (found.into_iter().map(|(_, listed)| listed).collect(), next)
    }
}
