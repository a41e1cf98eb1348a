//! Lets a server recover in a folder, and tells a target that it didn't reach from one that it did.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_process::tool::Account;

use super::super::tools::Programs;
use super::super::wal::{SegmentName, WalName};
use super::folder::Folder;
use super::layout::LaidOut;
use super::server::{Server, Start};
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::watch::Watch;

/// What a server says when its log ends before its target.
const TOO_SHORT: &str = "recovery ended before configured recovery target was reached";
/// What it says of the last transaction before that.
const LAST: &str = "last completed transaction was at log time ";

/// The user that makes most servers.
const USUAL_USER: &str = "postgres";
/// What a server says that was made by another one.
const NO_ROLE: &str = "role \"postgres\" does not exist";

/// How a server recovers that was laid out.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// An empty folder, or one that isn't there, that only the server's user can enter: for its socket and settings.
    pub folder: PathBuf,
    /// As whom the server runs. PostgreSQL refuses to run as root.
    pub account: Option<Account>,
    /// The memory that it may take, in bytes.
    pub memory: Option<u64>,
}

/// Starts a server in what was laid out, and waits until it has reached its target and takes writes.
pub fn recover(laid_out: &LaidOut, recovery: &Recovery, context: &Context<'_>) -> Result<(Server, Duration)> {
    let watch = Watch::start();
    let major = laid_out.base.major();
    let programs = Programs::of("postgres", major, context).ok_or_else(|| SourceError::Unsupported {
        object: format!("PostgreSQL {major}"),
        why: "it isn't installed here, and no other version reads these files".to_owned(),
    })?;
    prepare(&recovery.folder, recovery.account)?;
    let settings = settings(recovery);
    let start = start(&programs, &laid_out.data, recovery, USUAL_USER, &settings);
    let mut server = Server::start(&start, context)?;
    match server.recovered(context) {
        // It has recovered, and was made by a user of another name.
        Err(SourceError::Connect { why, .. }) if why.contains(NO_ROLE) => {
            server.stop(context)?;
            let user = start.superuser(context)?;
            server = Server::start(&Start { user: &user, ..start }, context)?;
            server.recovered(context)?;
        }
        recovered => recovered.map_err(|error| explained(error, laid_out))?,
    }
    Ok((server, watch.passed()))
}

/// Writes the settings of a server of our own. None of them comes from the server that it is a copy of.
fn prepare(folder: &Path, account: Option<Account>) -> Result<()> {
    let folder = Folder::claim(folder, account)?;
    folder.write_text("postgresql.conf", "")?;
    folder.write_text("pg_ident.conf", "")?;
    // Who can enter the socket's folder is its user, or root.
    folder.write_text("pg_hba.conf", "local all all trust\n")
}

/// How a server is started in a folder that was prepared.
pub(super) fn start<'a>(
    programs: &'a Programs,
    data: &'a Path,
    recovery: &'a Recovery,
    user: &'a str,
    settings: &'a [(&'static str, String)],
) -> Start<'a> {
    Start { programs, data, folder: &recovery.folder, account: recovery.account, user, settings }
}

/// Settings with which nothing of it acts by itself or reaches another machine.
pub(super) fn settings(recovery: &Recovery) -> Vec<(&'static str, String)> {
    let on_off = |name, value: &str| (name, value.to_owned());
    let mut settings = vec![
        on_off("archive_mode", "off"),
        on_off("archive_command", ""),
        on_off("archive_library", ""),
        on_off("hot_standby", "off"),
        on_off("autovacuum", "off"),
        on_off("shared_preload_libraries", ""),
        on_off("session_preload_libraries", ""),
        on_off("local_preload_libraries", ""),
        on_off("ssl", "off"),
        on_off("logging_collector", "off"),
        on_off("log_destination", "stderr"),
        on_off("primary_conninfo", ""),
        on_off("synchronous_standby_names", ""),
        on_off("max_logical_replication_workers", "0"),
        // What is lost with the machine is a copy.
        on_off("fsync", "off"),
        on_off("full_page_writes", "off"),
        on_off("max_connections", "20"),
        // Transactions that were prepared need as much room as they had.
        on_off("max_prepared_transactions", "1000"),
        on_off("max_locks_per_transaction", "256"),
        on_off("max_wal_senders", "0"),
        on_off("wal_level", "replica"),
        on_off("huge_pages", "off"),
    ];
    let mib = recovery.memory.map_or(128, |bytes| (bytes / (4 << 20)).clamp(16, 1024));
    settings.push(("shared_buffers", format!("{mib}MB")));
    settings
}

/// Says of a target that wasn't reached where the log ends.
fn explained(error: SourceError, laid_out: &LaidOut) -> SourceError {
    let SourceError::Program { messages, .. } = &error else { return error };
    if !messages.contains(TOO_SHORT) {
        return error;
    }
    let last = messages.lines().rev().find_map(|line| line.split_once(LAST));
    let last = last.map(|(_, time)| format!("; its last transaction was at {time}")).unwrap_or_default();
    let bytes = laid_out.base.segment_bytes;
    let missing = laid_out
        .chain
        .gap
        .unwrap_or_else(|| SegmentName::new(laid_out.timeline, bytes.of(laid_out.chain.end), bytes));
    let missing = WalName::Segment(missing);
    SourceError::Missing {
        object: laid_out.target.to_string(),
        why: format!(
            "the archive of the log doesn't go that far along timeline {}: it ends at {}, and {missing} isn't there{last}. \
             If the target lies before the end of this base backup ({}), take an earlier one",
            laid_out.timeline, laid_out.chain.end, laid_out.base.stopped
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::explained;
    use crate::error::SourceError;
    use crate::postgres::base::Base;
    use crate::postgres::lsn::{Lsn, SegmentBytes, Timeline};
    use crate::postgres::physical::layout::LaidOut;
    use crate::postgres::physical::target::Target;
    use crate::postgres::wal::Chain;
    use crate::restore::Until;

    #[test]
    fn a_target_behind_the_end_of_the_log_is_told_with_where_it_ends() {
        let base = Base {
            server: "15.20".to_owned(),
            system: 1,
            timeline: Timeline::FIRST,
            start: Lsn(1),
            stop: Lsn(2),
            stopped: jiff::Timestamp::UNIX_EPOCH,
            segment_bytes: SegmentBytes::default(),
            has_checksums: false,
            tablespaces: Vec::new(),
        };
        let chain = Chain { files: Vec::new(), end: Lsn(0x500_0000), gap: None };
        let target = Target::At(Until::Time("2026-11-28T10:23:40Z".to_owned()));
        let laid_out = LaidOut {
            data: "/x".into(),
            base,
            target,
            timeline: Timeline::FIRST,
            chain,
            files: 0,
            bytes: 0,
            warnings: Vec::new(),
        };
        let program = |messages: &str| SourceError::Program {
            program: "postgres".to_owned(),
            status: "exit status: 1".to_owned(),
            messages: messages.to_owned(),
        };
        let log = "LOG:  last completed transaction was at log time 2026-11-28 10:20:00.1+00\nFATAL:  recovery ended before \
                   configured recovery target was reached\n";
        let text = explained(program(log), &laid_out).to_string();
        for part in ["2026-11-28T10:23:40Z", "0/5000000", "000000010000000000000005", "10:20:00.1+00"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let other = explained(program("FATAL:  out of memory"), &laid_out).to_string();
        assert!(other.contains("out of memory"), "{other}");
    }
}
