//! A backend that fails as told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keepfast_backend::{Backend, BackendError, Created, Found, Listed, Operation};

/// How a backend fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Every call from the `call`th on (counted from 1) fails and does nothing: the process is dead.
    From {
        /// Which call.
        call: u64,
    },
    /// As [`Fault::From`], but what the `call`th call asks for is done before it fails.
    DoneThenFrom {
        /// Which call.
        call: u64,
    },
    /// The first `good` calls of one kind work, all later ones of that kind fail; others work.
    Only {
        /// What fails.
        operation: Operation,
        /// How many work before.
        good: u64,
        /// How it fails.
        kind: io::ErrorKind,
    },
    /// One call of a kind (counted from 1) fails, and all others work.
    Once {
        /// What fails.
        operation: Operation,
        /// Which call of that kind.
        call: u64,
    },
}

/// What becomes of a call.
enum Fate {
    Works,
    Fails(io::ErrorKind),
    DoneButFails,
}

/// Passes calls on until it fails.
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    fault: Fault,
    calls: AtomicU64,
    failures: AtomicU64,
}

impl FaultyBackend {
    /// Makes `inner` fail.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, fault, calls: AtomicU64::new(0), failures: AtomicU64::new(0) })
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Whether any call has failed.
    pub fn has_failed(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }

    fn fate(&self, operation: Operation) -> Fate {
        let counts = match self.fault {
            Fault::Only { operation: only, .. } | Fault::Once { operation: only, .. } => only == operation,
            Fault::From { .. } | Fault::DoneThenFrom { .. } => true,
        };
        if !counts {
            return Fate::Works;
        }
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let fate = match self.fault {
            Fault::From { call } if number >= call => Fate::Fails(io::ErrorKind::ConnectionReset),
            Fault::DoneThenFrom { call } if number == call => Fate::DoneButFails,
            Fault::DoneThenFrom { call } if number > call => Fate::Fails(io::ErrorKind::ConnectionReset),
            Fault::Only { good, kind, .. } if number > good => Fate::Fails(kind),
            Fault::Once { call, .. } if number == call => Fate::Fails(io::ErrorKind::ConnectionReset),
            _ => return Fate::Works,
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        fate
    }

    fn run<T>(
        &self,
        operation: Operation,
        name: &str,
        work: impl FnOnce() -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let failed = |kind: io::ErrorKind| BackendError::of_system(operation, name, kind.into());
        match self.fate(operation) {
            Fate::Works => work(),
            Fate::Fails(kind) => Err(failed(kind)),
            Fate::DoneButFails => {
                work()?;
                Err(failed(io::ErrorKind::ConnectionReset))
            }
        }
    }
}

impl Backend for FaultyBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.run(Operation::Create, name, || self.inner.create(name, parts))
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.run(Operation::Sync, "", || self.inner.sync())
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.run(Operation::Read, name, || self.inner.read_into(name, bytes_max, bytes))
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        self.run(Operation::Read, name, || self.inner.read_range_into(name, offset, length, bytes))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        self.run(Operation::List, prefix, || self.inner.list(prefix, found))
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.run(Operation::List, "", || self.inner.survey(found))
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.run(Operation::Remove, name, || self.inner.remove(name))
    }

    fn expect_one_writer(&self) {
        self.inner.expect_one_writer();
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}
