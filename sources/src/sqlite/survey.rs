//! What a dump of a database would have.

use std::fs;

use crate::address::Address;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::survey::{DatabaseFound, Finding, Survey, Weight};

use super::dump::{Snapshot, gives_pages, is_whole_file};
use super::open::{failed, path_of};
use super::tables::tables;

/// Opens it, and looks.
pub fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    let path = path_of(of)?;
    let mut survey = Survey {
        address: of.to_string(),
        server: rusqlite::version().to_owned(),
        tools: Vec::new(),
        databases: Vec::new(),
        findings: Vec::new(),
    };
    let mut found = |weight, text: String| survey.findings.push(Finding { weight, text });
    if let Err(SourceError::Unsupported { why, .. }) = is_whole_file(path, &options.selection) {
        found(Weight::Impossible, why);
    }
    let snapshot = match Snapshot::begin(path, options.connect_timeout, context) {
        Ok(snapshot) => snapshot,
        Err(SourceError::Server { why, .. }) => {
            found(Weight::Impossible, why);
            return Ok(survey);
        }
        Err(error) => return Err(error),
    };
    let unread = |error| failed(path, "it can't be read", error);
    if snapshot.journal() != "wal" {
        let text = "while it is dumped, programs that write to it wait: `PRAGMA journal_mode=WAL` lets them go on, \
                    if it lies on a disk of this machine";
        found(Weight::Advice, text.to_owned());
    }
    if !gives_pages(snapshot.connection()).map_err(unread)? {
        let text =
            "this program was built with a SQLite that doesn't give pages, so a dump needs room for a copy";
        found(Weight::Advice, text.to_owned());
    }
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        found(Weight::Advice, "it is a symbolic link: what it leads to is dumped".to_owned());
    }
    let tables = tables(snapshot.connection(), "main").map_err(unread)?;
    survey.databases.push(DatabaseFound {
        name: "main".to_owned(),
        tables: u64::try_from(tables.len()).unwrap_or_default(),
        bytes: Some(snapshot.bytes()),
    });
    Ok(survey)
}
