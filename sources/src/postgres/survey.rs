//! Whether a server can be dumped: its version, the programs that fit it, its databases, and what the user may not read.

use keepfast_process::child::Ends;

use super::database::look;
use super::dump::{connect_to_any, databases, may_read_passwords};
use super::names::quoted;
use super::session::{Login, Purpose, Session};
use super::tools::Programs;
use crate::address::Address;
use crate::context::Context;
use crate::dump::{Content, DumpOptions, OnMissing};
use crate::error::{Result, SourceError};
use crate::survey::{DatabaseFound, Finding, Survey, ToolFound, Weight};

/// From this many tables on that can't be read, one right for all of them is the better advice.
const MANY: usize = 3;
/// Since this version there is a role that may read everything.
const WITH_READ_ALL: u32 = 140_000;

/// Looks.
pub fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    let login = Login { address: of, timeout: options.connect_timeout, ends: Ends::from(&context.cancel) };
    let (session, _) = connect_to_any(&login, Purpose::Reading)?;
    let mut survey = Survey {
        address: of.to_string(),
        server: session.version_text()?,
        tools: Vec::new(),
        databases: Vec::new(),
        findings: Vec::new(),
    };
    for name in ["pg_dump", "pg_dumpall"] {
        match Programs::fitting(name, session.version() / 10_000, context) {
            Ok(programs) => survey.tools.push(ToolFound {
                program: programs.path(name).display().to_string(),
                version: programs.version.to_string(),
            }),
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(error) => survey.found(Weight::Impossible, error.to_string()),
        }
    }
    let user: String = session.value("its user", "SELECT current_user::text", &[])?;
    if options.selection.content != Content::Data && !may_read_passwords(&session)? {
        let text = format!(
            "roles are dumped without their passwords: {user} is neither a superuser nor a member of pg_read_all_data"
        );
        survey.found(Weight::Advice, text);
    }
    // What can't be read is told of here, and doesn't end it.
    let options = DumpOptions { on_missing: OnMissing::Report, ..options.clone() };
    let mut unknown: Option<Vec<String>> = None;
    let mut unread = 0;
    for (name, may_connect) in databases(&session, of, &options)? {
        if !may_connect {
            let cure = format!("GRANT CONNECT ON DATABASE {} TO {}", quoted(&name), quoted(&user));
            survey.found(
                Weight::Incomplete,
                format!("database {name}: {user} may not connect to it; this lets it: {cure}"),
            );
            continue;
        }
        let session = Session::connect(&login, &name, Purpose::Reading)?;
        session.execute("a transaction", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let held = look(&session, &name, &options)?;
        let size = "SELECT pg_catalog.pg_database_size(current_database())";
        let bytes: i64 = session.value("its size", size, &[])?;
        survey.databases.push(DatabaseFound {
            name,
            tables: u64::try_from(held.tables.len()).unwrap_or(u64::MAX),
            bytes: u64::try_from(bytes).ok(),
        });
        for missing in held.missing {
            unread += 1;
            survey.found(Weight::Incomplete, format!("{}: {}", missing.object, missing.why));
        }
        let here = held.unknown;
        unknown =
            Some(unknown.map_or(here.clone(), |before| {
                before.into_iter().filter(|name| here.contains(name)).collect()
            }));
    }
    if unread >= MANY && session.version() >= WITH_READ_ALL {
        let text = format!(
            "{user} may read all tables and sequences after: GRANT pg_read_all_data TO {}",
            quoted(&user)
        );
        survey.found(Weight::Advice, text);
    }
    for object in unknown.unwrap_or_default() {
        survey.found(Weight::Impossible, format!("{object}: no database that is dumped has it"));
    }
    if survey.databases.is_empty() {
        survey.found(Weight::Impossible, "there is no database that could be dumped".to_owned());
    }
    Ok(survey)
}

impl Survey {
    fn found(&mut self, weight: Weight, text: String) {
        self.findings.push(Finding { weight, text });
    }
}
