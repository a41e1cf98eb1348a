//! One database that is to be dumped, and where its files go.

use std::io::Read;

use super::session::Login;
use super::tools::{Programs, source_error};
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::Result;
use crate::sink::{NewFile, Sink};

/// What is to be dumped, and how.
pub struct Job<'a> {
    /// Who connects.
    pub login: &'a Login<'a>,
    /// The database.
    pub name: &'a str,
    /// Its folder in the dump.
    pub folder: String,
    /// The programs that fit the server.
    pub programs: &'a Programs,
    /// How.
    pub options: &'a DumpOptions,
    /// Where it goes.
    pub sink: &'a dyn Sink,
    /// The surroundings.
    pub context: &'a Context<'a>,
}

/// Gives a file to the sink; errors of who reads come back as they were.
pub fn write(sink: &dyn Sink, path: &str, content: &mut dyn Read) -> Result<u64> {
    sink.file(&NewFile::new(path), content).map_err(|error| source_error(path, error))
}

/// The archive of a database's definitions in a dump.
pub fn archive_file(folder: &str) -> String {
    format!("{folder}/definitions.dump")
}

/// The archive of its large objects.
pub fn large_objects_file(folder: &str) -> String {
    format!("{folder}/large-objects.dump")
}
