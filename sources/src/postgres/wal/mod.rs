//! The write-ahead log: what happened after a base backup, segment by segment.
//!
//! Segments come into a [`Spool`], which is a folder of this machine with a limit: by [`Spool::push`], which a server calls
//! as `archive_command`, or by [`receive`], which reads the log while it is written. A shipper takes a [`Batch`] from
//! there into a repository, and confirms it when it is stored. The archive of the log is then the spool and all batches
//! together: a [`Union`] of [`Files`](crate::files::Files), in which segments are `wal/TIMELINE/NAME`.
//! [`fetch`](fn@fetch) gives a server a segment of it, as `restore_command` wants it, and [`Archive`] says what is there, what is
//! [missing](Archive::gaps), and what a restore [needs](Archive::chain).

mod archive;
mod batch;
mod chain;
mod fetch;
mod gaps;
mod header;
mod history;
mod ledger;
mod owner;
mod receive;
mod spool;
mod union;

pub use archive::{Archive, system_of};
pub use batch::{Batch, BatchFile, Compared, Shipped};
pub use chain::Chain;
pub use fetch::{FAILED, Fetched, NOT_THERE, exit_code, fetch};
pub use gaps::Gap;
pub use history::{Branch, History};
pub use receive::{Begin, ReceiveOptions, Received, receive};
pub use spool::{Pushed, Spool, SpoolLimit, SystemOf};
pub use union::Union;

pub use super::segment::{SegmentName, WalName};
