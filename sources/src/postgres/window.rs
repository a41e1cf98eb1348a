//! The time in which a server's files may be read as a tree of this machine, in place of a base backup from afar.
//!
//! Between the two calls the tree is read while it changes: the log repairs what is torn. The window is one session; if
//! that ends early, what was read is of no use.

use std::time::Duration;

use super::lsn::Lsn;
use super::replication::MAJOR_MIN;
use super::wire::{Connection, Mode, connect};
use crate::address::Address;
use crate::context::Context;
use crate::error::{Result, SourceError};

/// Folders of a server whose content is left out of such a tree; they themselves are needed.
pub const CONTENT_LEFT_OUT: &[&str] = &[
    "pg_dynshmem",
    "pg_notify",
    "pg_replslot",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
    "pg_wal",
];
/// Files that are left out, by patterns of names.
pub const LEFT_OUT: &[&str] = &[
    "backup_label",
    "backup_manifest",
    "pg_internal.init*",
    "pgsql_tmp*",
    "postgresql.auto.conf.tmp",
    "postmaster.opts",
    "postmaster.pid",
    "tablespace_map",
];

/// A window that is open. Dropped, the server forgets it.
pub struct Window {
    connection: Connection,
    /// From where on the log is needed.
    pub start: Lsn,
    /// The folder of the server's data on its own machine.
    pub data: String,
}

/// What belongs beside the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Where the files become one state.
    pub stop: Lsn,
    /// The content of `backup_label`.
    pub label: String,
    /// The content of `tablespace_map`; none if all tablespaces are in the server's folder.
    pub tablespace_map: Option<String>,
}

impl Window {
    /// Opens it. The server writes a checkpoint first.
    pub fn open(server: &Address, patience: Duration, context: &Context<'_>) -> Result<Self> {
        let mut connection = connect(server, Mode::Queries, patience, &context.cancel)?;
        if connection.major() < MAJOR_MIN {
            let why = format!("a backup of its files takes PostgreSQL {MAJOR_MIN}");
            return Err(SourceError::Unsupported { object: connection.server.clone(), why });
        }
        let data = value(&mut connection, "SHOW data_directory")?;
        let start = value(&mut connection, "SELECT pg_backup_start('keepfast', fast => true)")?;
        let start = start.parse().map_err(|why: String| connection.refused("pg_backup_start", why))?;
        Ok(Self { connection, start, data })
    }

    /// Closes it, when the tree was read. The log up to there has to be in the archive before it can be restored;
    /// `waits` waits for the server's own archiving.
    pub fn close(mut self, waits: bool) -> Result<Closed> {
        const WHAT: &str = "pg_backup_stop";
        let query =
            format!("SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(wait_for_archive => {waits})");
        let rows = self.connection.query(WHAT, &query)?;
        let row = rows.into_iter().next().unwrap_or_default();
        let [Some(stop), Some(label), map] = row.as_slice() else {
            return Err(self.connection.refused(WHAT, "the server answers what no server should"));
        };
        let stop = stop.parse().map_err(|why: String| self.connection.refused(WHAT, why))?;
        Ok(Closed { stop, label: label.clone(), tablespace_map: map.clone().filter(|map| !map.is_empty()) })
    }
}

fn value(connection: &mut Connection, query: &str) -> Result<String> {
    let rows = connection.query(query, query)?;
    let value = rows.into_iter().next().and_then(|row| row.into_iter().next().flatten());
    value.ok_or_else(|| connection.refused(query, "the server answers nothing"))
}
