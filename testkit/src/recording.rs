//! A backend that writes down what it is asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keepfast_backend::{Backend, BackendError, Created, Found, Listed, Operation};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// The object, or the prefix of a listing.
    pub name: String,
    /// Bytes that went in or out.
    pub bytes: u64,
}

/// Passes everything on, and remembers it.
pub struct RecordingBackend {
    inner: Arc<dyn Backend>,
    calls: Mutex<Vec<Call>>,
    far: bool,
}

impl RecordingBackend {
    /// Records what goes to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self { far: inner.is_far(), inner, calls: Mutex::default() })
    }

    /// As [`RecordingBackend::new`]; it says that it is beyond a network.
    #[must_use]
    pub fn far(inner: Arc<dyn Backend>) -> Arc<Self> {
        Arc::new(Self { far: true, inner, calls: Mutex::default() })
    }

    /// Takes the calls so far; the record is empty afterwards.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.lock())
    }

    /// Takes the calls so far; of these the creates, as the folders that objects were made in.
    pub fn take_created_folders(&self) -> Vec<String> {
        let folder = |call: &Call| call.name.split('/').next().unwrap_or_default().to_owned();
        self.take().iter().filter(|call| call.operation == Operation::Create).map(folder).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, operation: Operation, name: &str, bytes: usize) {
        self.lock().push(Call { operation, name: name.to_owned(), bytes: bytes as u64 });
    }
}

/// The bytes of the creates among calls whose names begin with `prefix`.
#[must_use]
pub fn bytes_created(calls: &[Call], prefix: &str) -> u64 {
    calls
        .iter()
        .filter(|call| call.operation == Operation::Create && call.name.starts_with(prefix))
        .map(|call| call.bytes)
        .sum()
}

impl Backend for RecordingBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.note(Operation::Create, name, parts.iter().map(|part| part.len()).sum());
        self.inner.create(name, parts)
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.note(Operation::Sync, "", 0);
        self.inner.sync()
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        let read = self.inner.read_into(name, bytes_max, bytes);
        self.note(Operation::Read, name, if read.is_ok() { bytes.len() } else { 0 });
        read
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        let read = self.inner.read_range_into(name, offset, length, bytes);
        self.note(Operation::Read, name, if read.is_ok() { bytes.len() } else { 0 });
        read
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        self.note(Operation::List, prefix, 0);
        self.inner.list(prefix, found)
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.note(Operation::List, "", 0);
        self.inner.survey(found)
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.note(Operation::Remove, name, 0);
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
