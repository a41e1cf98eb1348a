//! What is there, what a dump would lack, and what would make it better.

use super::catalog::{Catalog, TableKind, TableOf};
use super::client::Client;
use super::grants::Of;
use super::lacks::{self, is_table_chosen};
use super::program::{Program, Purpose};
use crate::address::{Address, Engine};
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::survey::{DatabaseFound, Finding, Survey, Weight};

/// More names aren't listed in one finding.
const NAMED_MAX: usize = 10;

/// Connects, and looks.
pub(crate) fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    let client = Client::new(of, context, options.connect_timeout)?;
    let catalog = Catalog::read(&client, &options.selection)?;
    let mut findings = Vec::new();
    let mut tools = vec![client.program.found()];
    let purposes = if options.physical {
        [Purpose::Physical, Purpose::Binlog].as_slice()
    } else {
        [Purpose::Dump, Purpose::Binlog].as_slice()
    };
    for purpose in purposes {
        match Program::find(*purpose, catalog.engine(), context) {
            Ok(program) => tools.push(program.found()),
            Err(missing @ SourceError::NoProgram { .. }) => {
                let is_needed = *purpose != Purpose::Binlog;
                let weight = if is_needed { Weight::Impossible } else { Weight::Advice };
                findings.push(Finding { weight, text: missing.to_string() });
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(name) = of.database.as_ref().filter(|_| catalog.databases.is_empty()) {
        let text = format!("there is no database {name}, or {} may not see it", catalog.account);
        findings.push(Finding { weight: Weight::Impossible, text });
    }
    if options.physical {
        findings.extend(of_files(&catalog));
    } else {
        for lack in lacks::of(&client, &catalog, options)? {
            let text = format!("{}: {}", lack.what, lack.why);
            findings.push(Finding { weight: Weight::Incomplete, text });
        }
    }
    findings.extend(inconsistent(&catalog, options));
    findings.extend(of_the_log(&catalog));
    let databases = catalog.databases.iter().map(|database| DatabaseFound {
        name: database.name.clone(),
        tables: u64::try_from(database.tables.len()).unwrap_or(u64::MAX),
        bytes: Some(database.tables.iter().map(|table| table.bytes).sum()),
    });
    Ok(Survey {
        address: of.to_string(),
        server: catalog.version(),
        tools,
        databases: databases.collect(),
        findings,
    })
}

/// What keeps the server's files from being copied.
fn of_files(catalog: &Catalog) -> Vec<Finding> {
    let mut texts = Vec::new();
    if catalog.engine() != Engine::Mariadb {
        texts
            .push("files are copied by MariaDB's program, and this is MySQL: make a logical dump".to_owned());
    }
    let data = catalog.setting("datadir").unwrap_or_default();
    if let Err(error) = std::fs::read_dir(data) {
        texts.push(format!(
            "{data}, the server's folder, can't be read ({error}): run on its machine, as its user or root"
        ));
    }
    for right in ["RELOAD", "PROCESS", "LOCK TABLES"] {
        if !catalog.grants.has(right, Of::Server) {
            texts.push(format!("files can't be copied: GRANT {right} ON *.* TO {}", catalog.account));
        }
    }
    texts.into_iter().map(|text| Finding { weight: Weight::Impossible, text }).collect()
}

/// Tables that a transaction doesn't hold still.
fn inconsistent(catalog: &Catalog, options: &DumpOptions) -> Option<Finding> {
    let is_loose = |table: &TableOf| !table.is_transactional() && table.kind != TableKind::View;
    let names: Vec<String> = catalog
        .tables()
        .filter(|(database, table)| {
            is_loose(table) && is_table_chosen(&options.selection, &database.name, &table.name)
        })
        .map(|(database, table)| format!("{}.{} ({})", database.name, table.name, table.engine))
        .collect();
    let first = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let others = names.len().saturating_sub(NAMED_MAX);
    let more = if others > 0 { format!(" and {others} more") } else { String::new() };
    (!names.is_empty() && !options.physical).then(|| Finding {
        weight: Weight::Advice,
        text: format!(
            "{first}{more}: a transaction doesn't hold these tables still, so that a dump may show them at another moment \
             than the others: ALTER TABLE … ENGINE=InnoDB"
        ),
    })
}

/// What keeps the log of changes from being of use for a restore to a point in time.
fn of_the_log(catalog: &Catalog) -> Vec<Finding> {
    let mut texts = Vec::new();
    if !catalog.has_log() {
        texts.push(
            "the server writes no binary log, so that no restore to a point in time is possible: set log_bin"
                .to_owned(),
        );
        return vec![Finding { weight: Weight::Advice, text: texts.remove(0) }];
    }
    if let Some(format) = catalog.setting("binlog_format").filter(|format| *format != "ROW") {
        texts.push(format!(
            "binlog_format is {format}: a statement that is run again may have another result: set binlog_format=ROW"
        ));
    }
    let is_without_gtid = match catalog.engine() {
        Engine::Mariadb => catalog.setting("gtid_binlog_pos").is_none(),
        _ => catalog.setting("gtid_mode").is_none_or(|mode| mode != "ON"),
    };
    if is_without_gtid {
        texts.push("the binary log has no GTID, by which a gap in it would be noticed".to_owned());
    }
    let to = &catalog.account;
    if !catalog.grants.has_one(&["BINLOG MONITOR", "REPLICATION CLIENT"], Of::Server) {
        let right = if catalog.engine() == Engine::Mariadb { "BINLOG MONITOR" } else { "REPLICATION CLIENT" };
        texts.push(format!("the binary log can't be looked at: GRANT {right} ON *.* TO {to}"));
    }
    if !catalog.grants.has_one(&["REPLICATION SLAVE", "REPLICATION REPLICA"], Of::Server) {
        texts.push(format!("the binary log can't be received: GRANT REPLICATION SLAVE ON *.* TO {to}"));
    }
    texts.into_iter().map(|text| Finding { weight: Weight::Advice, text }).collect()
}
