//! A backend with a hook before each call: a test can act as another writer does at that moment, or make
//! the call fail.

use std::io;
use std::sync::Arc;

use keepfast_backend::{Backend, BackendError, Created, Found, Listed, Operation};

/// What happens before a call. It gets the inner store, the operation and the object's name.
type Before = dyn Fn(&dyn Backend, Operation, &str) -> Option<io::ErrorKind> + Send + Sync;

/// Calls the hook before each call, and passes the call on unless the hook makes it fail.
pub struct MeddledBackend {
    inner: Arc<dyn Backend>,
    before: Box<Before>,
    far: bool,
}

impl MeddledBackend {
    /// Calls `before` ahead of each call to `inner`. If it returns a kind of error, the call fails with it.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Backend>,
        before: impl Fn(&dyn Backend, Operation, &str) -> Option<io::ErrorKind> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { far: inner.is_far(), inner, before: Box::new(before) })
    }

    /// As [`MeddledBackend::new`]; it says that it is beyond a network.
    #[must_use]
    pub fn far(
        inner: Arc<dyn Backend>,
        before: impl Fn(&dyn Backend, Operation, &str) -> Option<io::ErrorKind> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { far: true, inner, before: Box::new(before) })
    }

    fn meddle(&self, operation: Operation, name: &str) -> Result<(), BackendError> {
        match (self.before)(&*self.inner, operation, name) {
            None => Ok(()),
            Some(kind) => Err(BackendError::of_system(operation, name, kind.into())),
        }
    }
}

impl Backend for MeddledBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.meddle(Operation::Create, name)?;
        self.inner.create(name, parts)
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.meddle(Operation::Sync, "")?;
        self.inner.sync()
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.meddle(Operation::Read, name)?;
        self.inner.read_into(name, bytes_max, bytes)
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        self.meddle(Operation::Read, name)?;
        self.inner.read_range_into(name, offset, length, bytes)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        self.meddle(Operation::List, prefix)?;
        self.inner.list(prefix, found)
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.meddle(Operation::List, "")?;
        self.inner.survey(found)
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.meddle(Operation::Remove, name)?;
        self.inner.remove(name)
    }

    fn expect_one_writer(&self) {
        self.inner.expect_one_writer();
    }

    fn is_far(&self) -> bool {
        self.far
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}
