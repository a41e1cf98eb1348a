//! A backend with hooks around each call: a test can act as another writer does at that moment, or make the call
//! fail.

use std::io;
use std::sync::Arc;

use keepfast_backend::{Backend, BackendError, Created, Found, Listed, Operation};

/// What happens before a call. It gets the inner store, the operation and the object's name.
type Before = dyn Fn(&dyn Backend, Operation, &str) -> Option<io::ErrorKind> + Send + Sync;
/// What happens after a call that worked.
type After = dyn Fn(Operation, &str) + Send + Sync;

/// Calls the hooks around each call, and passes the call on unless the one before it makes it fail.
pub struct HookedBackend {
    inner: Arc<dyn Backend>,
    before: Box<Before>,
    after: Box<After>,
    far: bool,
}

impl HookedBackend {
    /// Calls `before` ahead of each call to `inner`. If it returns a kind of error, the call fails with it.
    #[must_use]
    pub fn new(
        inner: Arc<dyn Backend>,
        before: impl Fn(&dyn Backend, Operation, &str) -> Option<io::ErrorKind> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { far: inner.is_far(), inner, before: Box::new(before), after: Box::new(|_, _| {}) })
    }

    /// As [`HookedBackend::new`]; it says that it is beyond a network.
    #[must_use]
    pub fn far(
        inner: Arc<dyn Backend>,
        before: impl Fn(&dyn Backend, Operation, &str) -> Option<io::ErrorKind> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { far: true, inner, before: Box::new(before), after: Box::new(|_, _| {}) })
    }

    /// Calls `after` when a call to `inner` has worked, before the caller learns of it.
    #[must_use]
    pub fn after(
        inner: Arc<dyn Backend>,
        after: impl Fn(Operation, &str) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            far: inner.is_far(),
            inner,
            before: Box::new(|_, _, _| None),
            after: Box::new(after),
        })
    }

    fn call<T>(
        &self,
        operation: Operation,
        name: &str,
        call: impl FnOnce(&dyn Backend) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        if let Some(kind) = (self.before)(&*self.inner, operation, name) {
            return Err(BackendError::of_system(operation, name, kind.into()));
        }
        let result = call(&*self.inner)?;
        (self.after)(operation, name);
        Ok(result)
    }
}

impl Backend for HookedBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.call(Operation::Create, name, |inner| inner.create(name, parts))
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.call(Operation::Sync, "", |inner| inner.sync())
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.call(Operation::Read, name, |inner| inner.read_into(name, bytes_max, bytes))
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        self.call(Operation::Read, name, |inner| inner.read_range_into(name, offset, length, bytes))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        self.call(Operation::List, prefix, |inner| inner.list(prefix, found))
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.call(Operation::List, "", |inner| inner.survey(found))
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.call(Operation::Remove, name, |inner| inner.remove(name))
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
