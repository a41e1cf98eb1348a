//! Servers of their own, for a drill: started from nothing in a folder of its own, reached by a socket in it alone, as a
//! user without rights, and gone afterwards.

use std::path::PathBuf;

use keepfast_process::tool::Account;

use crate::address::Address;
use crate::check::Check;
use crate::restore::Until;

/// How to start a server.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// An empty folder that only the server's user may enter. It is on a file system that has room for the data.
    pub folder: PathBuf,
    /// Whom it runs as; none means this process's user, which must not be root for PostgreSQL.
    pub account: Option<Account>,
    /// The version that is wanted, as the dump has it, such as `15.20`: the same first number for PostgreSQL.
    pub version: String,
    /// The memory that it may take, in bytes.
    pub memory: Option<u64>,
    /// Up to which moment, for what was backed up with its log.
    pub until: Option<Until>,
}

/// A server that was started with a dump inside.
pub struct Booted {
    /// How to reach it.
    pub address: Address,
    /// The version that it says.
    pub version: String,
    /// Keeps it running; dropped, it is ended.
    pub server: Box<dyn Send>,
    /// Seconds from the start of the restore to the first answer.
    pub answered_after: std::time::Duration,
    /// What was compared while the dump was restored.
    pub checks: Vec<Check>,
}

/// What came of an attempt to start a server.
pub enum Boot {
    /// It runs, and has the dump.
    Running(Booted),
    /// It can't be tested here, such as because this version isn't installed. That says nothing about the dump.
    NotHere(String),
}
