//! Objects in S3, or in any store that speaks its protocol.
//!
//! A create carries `If-None-Match: *`, so that the store itself lets exactly one win. The
//! SDK is asynchronous; its runtime stays in here, and callers' threads wait. All repeating is
//! done here and none by the SDK: only so is it known what may have been done already, and
//! what a run costs. What was stored is durable when the store has said so.

mod arrival;
mod body;
mod bounded;
mod client;
mod create;
mod digest;
mod failure;
mod limit;
mod multipart;
mod options;
mod patience;
mod read;
mod stop;

use std::error::Error;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::runtime::Runtime;

use self::arrival::ETags;
use self::body::{Progress, unless_stalled};
use self::create::Checksum;
use self::failure::{Class, Failure};
use self::limit::{Budget, Limit};
use self::read::{PieceByPiece, Range};
use self::stop::Stop;
use crate::traffic::{Counters, Traffic, add};
use crate::{Backend, BackendError, Created, Found, Listed, Operation};

pub use self::options::{Notice, S3Credentials, S3Options};

/// Threads that move bytes; callers' threads only wait.
const RUNTIME_THREADS: usize = 2;

/// A repository's part of a bucket.
pub struct S3Backend {
    store: Store,
    /// Always there, until it is dropped.
    runtime: Option<Runtime>,
}

/// What all requests share.
struct Store {
    client: Client,
    options: S3Options,
    counters: Counters,
    checksum: Checksum,
    e_tags: ETags,
    stop: Stop,
    budget: Budget,
    up: Limit,
    down: Limit,
    /// Whether the store has ever answered.
    answered: AtomicBool,
    /// Whether somebody was told that the store isn't well, and it hasn't been since.
    told: AtomicBool,
}

impl S3Backend {
    /// Makes ready to talk to a store. Nothing is asked of it yet.
    pub fn connect(options: S3Options) -> Result<Self, BackendError> {
        let failed = |source: io::Error| BackendError {
            operation: Operation::Connect,
            object: options.location(),
            source,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(failed)?;
        let client = runtime.block_on(client::client(&options)).map_err(failed)?;
        let (up, down) = (options.upload_limit_bytes_per_s, options.download_limit_bytes_per_s);
        let store = Store {
            client,
            counters: Counters::default(),
            checksum: Checksum::default(),
            e_tags: ETags::default(),
            stop: Stop::default(),
            budget: Budget::default(),
            up: Limit::new(up, options.clock),
            down: Limit::new(down, options.clock),
            answered: AtomicBool::new(false),
            told: AtomicBool::new(false),
            options,
        };
        Ok(Self { store, runtime: Some(runtime) })
    }

    fn run<T>(
        &self,
        operation: Operation,
        name: &str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, BackendError> {
        let result = match &self.runtime {
            Some(runtime) => runtime.block_on(self.store.stop.unless_set(&self.store.options, work)),
            None => Err(Failure::new(Class::Unknown, "the connection was closed")),
        };
        result.map_err(|failure| {
            let kind = match failure.class {
                Class::NotFound => io::ErrorKind::NotFound,
                Class::Final(kind) => kind,
                Class::StoredSpoilt => io::ErrorKind::InvalidData,
                Class::Stopped => io::ErrorKind::Interrupted,
                _ => io::ErrorKind::ConnectionAborted,
            };
            BackendError {
                operation,
                object: format!("{}/{name}", self.location()),
                source: io::Error::new(kind, failure.message),
            }
        })
    }
}

impl Drop for S3Backend {
    fn drop(&mut self) {
        // Nothing is under way that anybody waits for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Backend for S3Backend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        self.run(Operation::Create, name, self.store.create(name, parts))
    }

    fn sync(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.run(Operation::Read, name, self.store.get(name, bytes_max, bytes))
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
        self.run(Operation::Read, name, self.store.get_range(name, Range::of(offset, length), bytes))?;
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
        self.run(Operation::Read, name, self.store.get_range(name, Range::of(offset, length), &mut pieces))
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let mut take = |entry| match entry {
            Found::Object(listed) => found(listed),
            Found::Odd(_) => {}
        };
        self.run(Operation::List, prefix, self.store.list(prefix, &mut take))
    }

    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.run(Operation::List, "", self.store.list("", found))
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        self.run(Operation::Remove, name, self.store.remove(name))
    }

    fn is_far(&self) -> bool {
        true
    }

    fn location(&self) -> String {
        self.store.options.location()
    }

    fn traffic(&self) -> Option<Traffic> {
        Some(self.store.counters.traffic())
    }
}

impl Store {
    /// The bucket's name for an object.
    fn key(&self, name: &str) -> String {
        match self.options.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// Makes one request and counts it.
    async fn ask<T, E>(
        &self,
        count: &AtomicU64,
        progress: &Progress,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        add(count, 1);
        // The largest of the SDK's futures; on the heap, it isn't copied from caller to caller.
        let request = Box::pin(request);
        let answer = match unless_stalled(progress, || self.stop.stall_timeout(&self.options), request).await
        {
            Ok(answer) => answer.map_err(|error| Failure::of(&error)),
            Err(_) => Err(self.stalled()),
        };
        let status = answer.as_ref().map_or_else(|failure| failure.status, |_| Some(200));
        if status.is_some() {
            self.answered.store(true, Ordering::Relaxed);
        }
        if status.is_some_and(|status| status < 500) {
            self.told.store(false, Ordering::Relaxed);
            self.budget.earn();
        }
        answer
    }

    fn stalled(&self) -> Failure {
        let seconds = self.options.stall_timeout.as_secs();
        Failure::new(Class::Unknown, format!("nothing went on for {seconds} seconds"))
    }

    /// Tells of trouble, once until the store is well again.
    fn tell_once(&self, message: &str, limit: Duration) {
        if let Some(notice) = &self.options.notice
            && !self.told.swap(true, Ordering::Relaxed)
        {
            let place = self.options.location();
            let seconds = limit.as_secs();
            notice(&format!("{place}: {message}; trying again for up to {seconds} seconds"));
        }
    }
}
