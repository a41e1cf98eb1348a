//! Stores a repository's objects: immutable byte strings in a flat namespace.
//!
//! A [`Store`] is connected once and shared by all runs of a process. Each run has a [`Backend`]: its handle to
//! the store. Neither knows what the objects mean. Names are `folder/rest`, in ASCII letters, digits, `/`, `.`
//! and `-`.

mod access;
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
pub use error::{
    BackendError, BackendErrorKind, NAME_BYTES_MAX, NoExclusiveNames, NotAnObject, Operation, Unusable,
};
pub use keepfast_process::Cancel;
pub use limited::LimitedBackend;
pub use link::{LiveLimits, Notices, RateLimits, RunLink};
pub use local::{LocalBackend, LocalStore};
pub use memory::MemoryBackend;
pub use probe::{Flaw, Latency, ProbeOptions, ProbeReport, probe};
pub use s3::{S3Backend, S3Credentials, S3Options, S3Store};
pub use traffic::Traffic;

/// Whether a create made the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The create made the object.
    New,
    /// An object of this name was there already, and is unchanged.
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
    /// Something that isn't an object.
    Odd(Odd),
}

/// Something in a store that isn't an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// Its name, for messages: a name that is too long is cut, and bytes that aren't UTF-8 are replaced.
    pub name: String,
    /// What it is.
    pub what: NotAnObject,
}

/// A store that all runs of a process share, for as long as the process lasts.
///
/// A process must keep one value for each repository: connections, knowledge of the store, and the locks that a
/// single writer needs ([`Backend::expect_one_writer`]) must exist only once.
pub trait Store: Send + Sync {
    /// Makes a handle for one run. It is cheap. The requests of the handle end with the run's [`Cancel`], keep
    /// the run's limits, and are counted for this run alone. A cancelled run doesn't disturb other runs.
    fn for_run(&self, link: RunLink) -> Arc<dyn Backend>;

    /// The store's address, for messages.
    fn location(&self) -> String;
}

/// One run's handle to a store of immutable objects. A repository's safety rests on these promises:
///
/// - *Atomic*: an object is never seen in part, not even after a crash or power cut.
/// - *Create if absent*: of any number of creates of one name, exactly one makes the object;
///   nothing is ever overwritten.
/// - *Seen by all*: once a create has returned, every later read and listing shows the object.
/// - *Durable after [`Backend::sync`]*: whatever was created before it survives a power cut.
pub trait Backend: Send + Sync {
    /// Creates an object from its parts, one after the other.
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError>;

    /// Makes durable what was created or listed through any handle of the same [`Store`].
    fn sync(&self) -> Result<(), BackendError>;

    /// Replaces `bytes` by a whole object. An object of more than `bytes_max` bytes is refused, unread.
    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError>;

    /// Replaces `bytes` by `length` bytes of an object from `offset` on; by fewer only if the object ends.
    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError>;

    /// Reads as [`Backend::read_into`] does, into new memory.
    fn read(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, BackendError> {
        let mut bytes = Vec::new();
        self.read_into(name, bytes_max, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads as [`Backend::read_range_into`] does, into new memory.
    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, BackendError> {
        let mut bytes = Vec::new();
        self.read_range_into(name, offset, length, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads as [`Backend::read_range_into`] does, in pieces: `take` gets each piece as it arrives, until it has
    /// enough. An error may follow some pieces. `memory` is a buffer that the backend may use.
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
    /// `prefix` is the name of a folder with a slash at its end, or the beginning of such names; the
    /// empty prefix lists everything. Names of more than [`NAME_BYTES_MAX`] bytes are left out. Something
    /// that has taken a name and isn't an object, such as a named pipe, is listed with a size of 0: reading
    /// it fails and says what it is ([`BackendError::not_an_object`]).
    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError>;

    /// Calls `found` with everything in the store, in no particular order: all objects, and everything that
    /// isn't an object, directories included. It costs as much as a listing of everything.
    fn survey(&self, found: &mut dyn FnMut(Found)) -> Result<(), BackendError> {
        self.list("", &mut |listed| found(Found::Object(listed)))
    }

    /// Removes an object. It isn't an error if the object isn't there.
    fn remove(&self, name: &str) -> Result<(), BackendError>;

    /// Declares that no other process writes to the store, as the owners of some repositories do. From now on
    /// the declaration holds for all handles of the same [`Store`]: the store itself keeps its runs from
    /// overwriting each other's objects. A store that can't create if absent refuses to create without the
    /// declaration; with it, the store first checks that the name is free, and then creates the object.
    fn expect_one_writer(&self) {}

    /// Whether each request is slow and may cost money: then few large reads are better than many small
    /// ones.
    fn is_far(&self) -> bool {
        false
    }

    /// The store's address, for messages.
    fn location(&self) -> String;

    /// The requests of this run so far, if the store counts requests.
    fn traffic(&self) -> Option<Traffic> {
        None
    }
}
