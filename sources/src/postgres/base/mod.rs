//! Base backups: all files of a server, read from a running one over the replication protocol.
//!
//! A base backup has the part of the log that makes its files one state, so that it can be restored by itself. What
//! happened after it is in the archive of the log ([`wal`](super::wal)).

mod described;
mod dump;
mod stream;
mod survey;
mod tarball;
mod verified;

pub use described::{Base, Tablespace};
pub(crate) use dump::dump;
pub(crate) use survey::survey;

/// The folder of a dump with the server's data.
pub(crate) const DATA: &str = "data";
/// The folder of a dump with the tablespaces that lie elsewhere: a folder for each, by its number.
pub(crate) const TABLESPACES: &str = "tablespaces";
/// The file of a dump with the folders that a server needs, even if nothing is in them.
pub(crate) const FOLDERS: &str = "folders.json";
/// What the server says of the files that it sent.
pub(crate) const BACKUP_MANIFEST: &str = "backup_manifest";
