//! Whether a server can be backed up physically, and what would make it better.

use super::super::replication::Replication;
use crate::address::Address;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::survey::{Finding, Survey, Weight};

/// What a server says when the user may not replicate: in versions up to 15, and later.
const NO_RIGHT: &[&str] = &["replication role", "permission denied to start WAL sender"];
/// What it says when no line of its rules lets the user in.
const NO_RULE: &str = "no pg_hba.conf entry for replication connection";

/// Connects as a base backup does, and looks at settings.
pub(crate) fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    let mut findings = Vec::new();
    let mut find = |weight: Weight, text: String| findings.push(Finding { weight, text });
    let user = of.user.as_deref().unwrap_or("postgres");
    let mut replication = match Replication::connect(of, options.connect_timeout, &context.cancel) {
        Ok(replication) => replication,
        Err(SourceError::Connect { why, .. }) if NO_RIGHT.iter().any(|words| why.contains(words)) => {
            find(Weight::Impossible, format!("{user} may not replicate: ALTER ROLE \"{user}\" REPLICATION"));
            return Ok(found(of, String::new(), findings));
        }
        Err(SourceError::Connect { why, .. }) if why.contains(NO_RULE) => {
            let advice = "add a line for the database `replication` to pg_hba.conf, and reload the server";
            find(Weight::Impossible, format!("{why}: {advice}"));
            return Ok(found(of, String::new(), findings));
        }
        Err(SourceError::Unsupported { why, .. }) => {
            find(Weight::Impossible, why);
            return Ok(found(of, String::new(), findings));
        }
        Err(error) => return Err(error),
    };
    if replication.show("wal_level")? == "minimal" {
        let text = "wal_level is minimal: set it to `replica`, and restart the server";
        find(Weight::Impossible, text.to_owned());
    }
    if replication.show("archive_mode")? == "off" {
        let text = "archive_mode is off: without an archive or a receiver of the log, only the moments of base backups can be \
                    restored";
        find(Weight::Advice, text.to_owned());
    } else if replication.show("archive_timeout")? == "0" {
        let text = "archive_timeout is 0: a server that writes little archives its log late; set it to 60";
        find(Weight::Advice, text.to_owned());
    }
    if replication.show("data_checksums")? == "off" {
        let text = "pages have no checksums: a damaged page is backed up unseen; `pg_checksums --enable` adds them while \
                    the server is stopped";
        find(Weight::Advice, text.to_owned());
    }
    if replication.show("max_slot_wal_keep_size")? == "-1" {
        let text = "max_slot_wal_keep_size is -1: a receiver that is away for long fills the server's disk";
        find(Weight::Advice, text.to_owned());
    }
    for setting in ["fsync", "full_page_writes"] {
        if replication.show(setting)? == "off" {
            let text =
                format!("{setting} is off: a crash of the server's machine can damage what is backed up");
            find(Weight::Advice, text);
        }
    }
    Ok(found(of, replication.version(), findings))
}

fn found(of: &Address, server: String, findings: Vec<Finding>) -> Survey {
    Survey { address: of.to_string(), server, tools: Vec::new(), databases: Vec::new(), findings }
}
