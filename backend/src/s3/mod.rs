//! Stores objects in S3, or in any store that speaks its protocol.
//!
//! A create carries `If-None-Match: *`, so that the store itself lets exactly one create win. The SDK is
//! asynchronous; its runtime stays in this module, and callers' threads wait. This module repeats failed
//! requests, and the SDK doesn't: only then is it known what a request may already have done, and what a run
//! costs. An object is durable as soon as the store has confirmed it.
//!
//! [`S3Store`] is connected once and shared. Each run has a handle ([`S3Backend`]) that cancels, limits and
//! counts the run's own requests.

mod arrival;
mod backoff;
mod body;
mod bounded;
mod budget;
mod client;
mod create;
mod digest;
mod failure;
mod grace;
mod knowledge;
mod multipart;
mod options;
mod read;
mod requests;

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::budget::RetryBudget;
use self::failure::{Class, Failure};
use self::knowledge::{Checksum, ETags};
use self::read::{PieceByPiece, Range};
use self::requests::{Connection, Requests};
use crate::error::Failed;
use crate::traffic::Traffic;
use crate::{Backend, BackendError, Created, Found, Listed, Operation, RunLink, Store};

pub use self::options::{S3Credentials, S3Options};

/// The number of threads that move bytes. Callers' threads only wait.
const RUNTIME_THREADS: usize = 2;

/// A repository's part of a bucket, for all runs of a process. Clones share one pool of connections.
#[derive(Clone)]
pub struct S3Store(Arc<Connection>);

/// One run's handle to a repository's part of a bucket.
pub struct S3Backend(Requests);

impl S3Store {
    /// Prepares to talk to a store. No request is made yet.
    pub fn connect(options: S3Options) -> Result<Self, BackendError> {
        let failed = |why: Failed| why.at(Operation::Connect, options.location());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|error: io::Error| failed(error.into()))?;
        let client = runtime.block_on(client::client(&options)).map_err(failed)?;
        Ok(Self(Arc::new(Connection {
            client,
            checksum: Checksum::default(),
            e_tags: ETags::default(),
            retry_budget: RetryBudget::default(),
            has_answered: AtomicBool::new(false),
            runtime: Some(runtime),
            options,
        })))
    }

    /// Makes a handle for one run.
    #[must_use]
    pub fn for_run(&self, link: RunLink) -> S3Backend {
        S3Backend(Requests::new(Arc::clone(&self.0), link))
    }
}

impl Store for S3Store {
    fn for_run(&self, link: RunLink) -> Arc<dyn Backend> {
        Arc::new(Self::for_run(self, link))
    }

    fn location(&self) -> String {
        self.0.options.location()
    }
}

impl S3Backend {
    /// Runs an operation while the caller's thread waits.
    fn wait_for<T>(
        &self,
        operation: Operation,
        name: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, BackendError> {
        let result = match &self.0.connection.runtime {
            Some(runtime) => runtime.block_on(self.0.grace.within(work)),
            None => Err(Failure::new(Class::Unknown, "the connection was closed")),
        };
        result.map_err(|failure| {
            Failed::new(failure.class.kind(), failure.message)
                .at(operation, format!("{}/{name}", self.location()))
        })
    }
}

impl Backend for S3Backend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.wait_for(Operation::Create, name, self.0.create(name, parts))
    }

    fn sync(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.wait_for(Operation::Read, name, self.0.get(name, bytes_max, bytes))
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        bytes.clear();
        bytes.reserve_exact(length);
        self.wait_for(Operation::Read, name, self.0.get_range(name, Range::of(offset, length), bytes))?;
        bytes.truncate(length);
        Ok(())
    }

    fn read_pieces(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        _memory: &mut Vec<u8>,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        let mut pieces = PieceByPiece(take);
        self.wait_for(Operation::Read, name, self.0.get_range(name, Range::of(offset, length), &mut pieces))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let mut take = |entry| match entry {
            Found::Object(listed) => found(listed),
            Found::Odd(_) => {}
        };
        self.wait_for(Operation::List, prefix, self.0.list(prefix, &mut take))
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.wait_for(Operation::List, "", self.0.list("", found))
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.wait_for(Operation::Remove, name, self.0.remove(name))
    }

    fn is_far(&self) -> bool {
        true
    }

    fn location(&self) -> String {
        self.0.options().location()
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.0.counters.traffic())
    }
}
