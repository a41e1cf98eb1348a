//! What can go wrong with a database. Errors name the object and the cause; who shows them adds the advice.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::engine::Engine;

/// The result of something that needs a database.
pub type Result<T, E = SourceError> = std::result::Result<T, E>;

/// Why a dump, a restore or a test couldn't be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A text isn't an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The server can't be reached, or doesn't let the user in.
    #[error("{server}: can't connect: {why}")]
    Connect {
        /// The address, without the password.
        server: String,
        /// What the client was told.
        why: String,
    },
    /// The server refuses a request, or answers what no server should.
    #[error("{server}: {what}: {why}")]
    Server {
        /// The address.
        server: String,
        /// What was asked.
        what: String,
        /// What it said.
        why: String,
    },
    /// A program that is needed isn't installed.
    #[error("the program {program} isn't installed, which reads and writes {engine}")]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// For which databases.
        engine: Engine,
    },
    /// A program has failed.
    #[error("{program} has failed ({status}){}", of_messages(.messages))]
    Program {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The last of its messages, without secrets.
        messages: String,
    },
    /// The run was cancelled.
    #[error("interrupted")]
    Cancelled,
    /// Something of what was asked for isn't in the dump.
    #[error("{object}: {why}")]
    Missing {
        /// What.
        object: String,
        /// Why.
        why: String,
    },
    /// What a dump says of itself isn't so.
    #[error("{object} isn't as a dump has it: {why}")]
    Dump {
        /// The file of the dump.
        object: String,
        /// What is wrong.
        why: String,
    },
    /// What is to be restored into has something that would be lost.
    #[error("{object} is there, and isn't empty")]
    Occupied {
        /// The database or file.
        object: String,
    },
    /// Something would mix what belongs to two servers, or take the place of what must stay.
    #[error("{object}: {why}")]
    Refused {
        /// What.
        object: String,
        /// Why.
        why: String,
    },
    /// A place has reached its limit.
    #[error("{} is full: {why}", .path.display())]
    Full {
        /// The place.
        path: PathBuf,
        /// Which limit, and what happens now.
        why: String,
    },
    /// This version, format or choice isn't supported.
    #[error("{object}: {why}")]
    Unsupported {
        /// What.
        object: String,
        /// Why.
        why: String,
    },
    /// A file or pipe of this machine.
    #[error("{}: {source}", .path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What takes the dump, or gives it, has failed.
    #[error("{object}: {source}")]
    Transfer {
        /// The file of the dump.
        object: String,
        /// Why.
        source: io::Error,
    },
}

/// Why a text isn't an address.
#[derive(Debug, Error)]
#[error("{text} isn't the address of a database: {why}")]
pub struct AddressError {
    /// The text, without a password.
    pub text: String,
    /// What is wrong.
    pub why: String,
}

fn of_messages(messages: &str) -> String {
    let messages = messages.trim();
    if messages.is_empty() { String::new() } else { format!(": {messages}") }
}
