//! Where a repository's objects live: a flat namespace of immutable byte strings.
//!
//! A backend knows nothing of what the objects mean. Names are `folder/rest`, in ASCII
//! letters, digits, `/`, `.` and `-`.

mod access;
mod cancel;
mod direct;
mod error;
mod limited;
mod link;
mod local;
mod memory;
mod naming;
mod probe;
mod reserve;
mod s3;
mod throttle;
mod traffic;

use std::ops::ControlFlow;
use std::sync::Arc;

pub use access::share_with_group;
pub use cancel::Cancel;
pub use error::{BackendError, BackendErrorKind, NAME_BYTES_MAX, NotAnObject, Operation, Unusable};
pub use limited::LimitedBackend;
pub use link::{Notices, RateLimits, RunLink};
pub use local::{LocalBackend, LocalStore};
pub use memory::MemoryBackend;
pub use naming::NoExclusiveNames;
pub use probe::{Flaw, Latency, ProbeOptions, ProbeReport, probe};
pub use s3::{S3Backend, S3Credentials, S3Options, S3Store};
pub use traffic::Traffic;

/// Whether a create made the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It did.
    New,
    /// An object of this name was there already, and is as it was.
    AlreadyThere,
}

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// What a survey of a store finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// An object.
    Object(Listed),
    /// Something that isn't one.
    Odd(Odd),
}

/// Something in a store that isn't an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Its name, for messages: one that is too long is cut, and what isn't UTF-8 in it is replaced.
    pub name: String,
    /// What it is.
    pub what: NotAnObject,
}

/// A place for a repository's objects that the runs of a process share, for as long as the process lasts.
///
/// A process keeps one value for each repository, so that connections, what is known of the store, and the
/// locks that a single writer needs are there once ([`Backend::expect_one_writer`]).
pub trait Store: Send + Sync {
    /// A handle for one run: what it asks for ends with that run's [`Cancel`], keeps that run's limits, and
    /// is counted for that run alone. Cheap. A run that is cancelled disturbs no other.
    fn for_run(&self, link: RunLink) -> Arc<dyn Backend>;

    /// Where this is, for messages.
    fn location(&self) -> String;
}

/// One run's handle to a store of immutable objects. The promises are what the repository's safety rests on:
///
/// - *Atomic*: an object is never seen in part, not even after a crash or power cut.
/// - *Create if absent*: of any number of creates of one name, exactly one makes the object;
///   nothing is ever overwritten.
/// - *Seen by all*: once a create has returned, every later read and listing shows the object.
/// - *Durable after [`Backend::sync`]*: whatever was created before it survives a power cut.
pub trait Backend: Send + Sync {
    /// Creates an object from its parts, one after the other.
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError>;

    /// Makes durable what was created through this value.
    fn sync(&self) -> Result<(), BackendError>;

    /// Replaces `bytes` by a whole object. One of more than `bytes_max` bytes is refused, unread.
    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError>;

    /// Replaces `bytes` by `length` bytes of an object from `offset` on; fewer only where the object ends.
    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError>;

    /// As [`Backend::read_into`], into memory of its own.
    fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, BackendError> {
        let mut bytes = Vec::new();
        self.read_into(name, bytes_max, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`Backend::read_range_into`], into memory of its own.
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, BackendError> {
        let mut bytes = Vec::new();
        self.read_range_into(name, offset, length, &mut bytes)?;
        Ok(bytes)
    }

    /// As [`Backend::read_range_into`], in pieces: `take` gets each as it comes, until it has enough. An
    /// error may come after some of them. `memory` is room that the backend may use.
    fn read_pieces(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        memory: &mut Vec<u8>,
        take: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        self.read_range_into(name, offset, length, memory)?;
        let _ = take(memory);
        Ok(())
    }

    /// Calls `found` with every object whose name begins with `prefix`, in no particular order.
    /// `prefix` is the name of a folder with a slash at its end, or what such names begin with; the
    /// empty prefix is everything. Names of more than [`NAME_BYTES_MAX`] bytes are left out. What has
    /// taken a name and isn't an object, such as a named pipe, is listed with no bytes: whoever reads
    /// it is told what it is ([`BackendError::not_an_object`]).
    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError>;

    /// Calls `found` with everything that there is, in no particular order: all objects, and all that
    /// isn't an object, directories included. Costs as much as a listing of everything.
    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.list("", &mut |listed| found(Found::Object(listed)))
    }

    /// Removes an object; one that isn't there is fine.
    fn remove(&self, name: &str) -> Result<(), BackendError>;

    /// Says that no other process writes to the store, as the owners of some repositories declare. It counts
    /// for all handles of the same [`Store`], from now on: that one keeps its own runs from overwriting each
    /// other's objects. A store that can't create if absent otherwise, and refuses to, looks first and creates
    /// then.
    fn expect_one_writer(&self) {}

    /// Whether each answer takes its time, and may have its price: then few large reads are
    /// better than many small ones.
    fn is_far(&self) -> bool {
        false
    }

    /// Where this is, for messages.
    fn location(&self) -> String;

    /// What was asked of the store so far, if that is counted.
    fn traffic(&self) -> Option<Traffic> {
        None
    }
}
