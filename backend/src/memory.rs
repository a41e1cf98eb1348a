//! Stores objects in memory, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::{
    Backend, BackendError, BackendErrorKind, Created, Listed, NAME_BYTES_MAX, Operation, RunLink, Store,
    Unusable,
};

/// A store that ends with the process. Clones share their objects.
#[derive(Debug, Default, Clone)]
pub struct MemoryBackend {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl MemoryBackend {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock()
    }

    /// Replaces an object's bytes, as failing hardware or an attacker would.
    pub fn tamper(&self, name: &str, bytes: Vec<u8>) {
        self.objects().insert(name.to_owned(), bytes);
    }
}

impl Backend for MemoryBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let mut objects = self.objects();
        if objects.contains_key(name) {
            return Ok(Created::AlreadyThere);
        }
        objects.insert(name.to_owned(), parts.concat());
        Ok(Created::New)
    }

    fn sync(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        match self.objects().get(name) {
            None => Err(failed(name, BackendErrorKind::NotFound)),
            Some(object) if object.len() as u64 > bytes_max => {
                Err(failed(name, BackendErrorKind::Unusable(Unusable::TooLarge)))
            }
            Some(object) => {
                object.clone_into(bytes);
                Ok(())
            }
        }
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        let objects = self.objects();
        let object = objects.get(name).ok_or_else(|| failed(name, BackendErrorKind::NotFound))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(object.len());
        let end = start.saturating_add(length).min(object.len());
        object[start..end].clone_into(bytes);
        Ok(())
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let listed: Vec<Listed> = self
            .objects()
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(name, _)| name.len() <= NAME_BYTES_MAX)
            .map(|(name, bytes)| Listed { name: name.clone(), bytes: bytes.len() as u64 })
            .collect();
        listed.into_iter().for_each(found);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.objects().remove(name);
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

/// No call waits, so that a run's cancellation, limits and notices have no effect.
impl Store for MemoryBackend {
    fn for_run(&self, _link: RunLink) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    fn location(&self) -> String {
        Backend::location(self)
    }
}

fn failed(name: &str, kind: BackendErrorKind) -> BackendError {
    BackendError::of_kind(Operation::Read, name, kind)
}
