//! The drill of a database: a server of its own is started with the dump inside, examined by the engine's own means, and
//! asked what the plan expects.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_process::tool::Account;
use keepfast_sources::address::{Address, Engine};
use keepfast_sources::boot::{Boot, BootOptions};
use keepfast_sources::check::Check;
use keepfast_sources::context::Context;
use keepfast_sources::engines;
use keepfast_sources::files::Files;
use keepfast_sources::manifest::Manifest;
use keepfast_sources::{Result, SourceError};

use crate::expect::{Expectation, Question};
use crate::verdict::Part;

/// How a dump is tested.
#[derive(Debug)]
pub struct DatabaseDrill<'d> {
    /// The folder of the dump, for people.
    pub name: &'d str,
    /// An empty folder for the server, which only this user may enter.
    pub folder: PathBuf,
    /// Whom the server runs as.
    pub account: Option<Account>,
    /// The memory that it may take, in bytes.
    pub memory: Option<u64>,
    /// The version that is wanted; none for that of the dump.
    pub version: Option<&'d str>,
    /// When the snapshot was begun.
    pub moment: Timestamp,
    /// The kind of database that queries are meant for; none if they are for all.
    pub asked: Option<Engine>,
    /// What is expected of the answers. Only queries count here.
    pub expect: &'d [Expectation],
}

/// What came of it.
#[derive(Debug)]
pub struct DatabaseProof {
    /// What was asked, and what came of it.
    pub part: Part,
    /// Which kind of database, and the version that the dump has; none if the dump doesn't say.
    pub dumped: Option<(Engine, String)>,
    /// The version that was started.
    pub booted: Option<String>,
    /// From the beginning of its restore until the server has answered.
    pub answered_after: Option<Duration>,
}

/// What starts and asks servers.
pub trait Engines {
    /// Starts a server and restores a dump into it.
    fn boot(
        &self,
        engine: Engine,
        files: &dyn Files,
        options: &BootOptions,
        context: &Context<'_>,
    ) -> Result<Boot>;

    /// Looks whether its data is sound.
    fn examine(&self, server: &Address, context: &Context<'_>) -> Result<Vec<Check>>;

    /// The one value that a query answers.
    fn ask(&self, server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>>;
}

/// The engines that are installed.
#[derive(Debug, Clone, Copy)]
pub struct Installed;

impl Engines for Installed {
    fn boot(
        &self,
        engine: Engine,
        files: &dyn Files,
        options: &BootOptions,
        context: &Context<'_>,
    ) -> Result<Boot> {
        engines::boot(engine, files, options, context)
    }

    fn examine(&self, server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
        engines::examine(server, context)
    }

    fn ask(&self, server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
        engines::ask(server, query, context)
    }
}

/// Tests a dump.
///
/// # Errors
/// The run was cancelled. Everything else is a verdict: a fault of the dump is a failure; what this machine lacks, such as
/// a program or room, says nothing about the dump.
pub fn prove(
    engines: &dyn Engines,
    files: &dyn Files,
    drill: DatabaseDrill<'_>,
    context: &Context<'_>,
) -> Result<DatabaseProof> {
    let name = format!("database {}", drill.name);
    let mut proof = DatabaseProof {
        part: Part::not_tested(&name, "nothing was asked"),
        dumped: None,
        booted: None,
        answered_after: None,
    };
    let manifest = match Manifest::read(files) {
        Ok(manifest) => manifest,
        Err(error) => return judged(proof, &name, error),
    };
    proof.dumped = Some((manifest.engine, manifest.server.clone()));
    let wanted = drill.version.map_or_else(|| manifest.server.clone(), str::to_owned);
    let DatabaseDrill { folder, account, memory, moment, asked, expect, .. } = drill;
    let options = BootOptions { folder, account, version: wanted, memory, until: None };
    let booted = match engines.boot(manifest.engine, files, &options, context) {
        Ok(Boot::Running(booted)) => booted,
        Ok(Boot::NotHere(why)) => {
            proof.part = Part::not_tested(&name, why);
            return Ok(proof);
        }
        Err(error) => return judged(proof, &name, error),
    };
    proof.booted = Some(booted.version.clone());
    proof.answered_after = Some(booted.answered_after);
    let missing = manifest.missing.iter().map(|missing| {
        Check::sound(
            format!("dump of {}", missing.object),
            Some(format!("it isn't in the dump: {}", missing.why)),
        )
    });
    let mut checks: Vec<Check> = missing.chain(booted.checks.iter().cloned()).collect();
    match engines.examine(&booted.address, context) {
        Ok(found) => checks.extend(found),
        Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
        Err(error) => checks.push(Check::sound("examination", Some(error.to_string()))),
    }
    for expectation in expect.iter().filter(|_| is_asked(asked, manifest.engine)) {
        let Question::Sql(query) = &expectation.ask else { continue };
        match engines.ask(&booted.address, query, context) {
            Ok(answer) => checks.push(expectation.judge_answer(answer.as_deref(), moment)),
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(error) => checks.push(Check::sound(query, Some(error.to_string()))),
        }
    }
    drop(booted);
    proof.part = Part::of(name, checks);
    Ok(proof)
}

/// Whether queries that are meant for one kind of database are for another. MySQL and MariaDB are one.
#[must_use]
pub fn is_asked(asked: Option<Engine>, engine: Engine) -> bool {
    let is_mysql = |engine| matches!(engine, Engine::Mysql | Engine::Mariadb);
    asked.is_none_or(|asked| asked == engine || is_mysql(asked) && is_mysql(engine))
}

fn judged(proof: DatabaseProof, name: &str, error: SourceError) -> Result<DatabaseProof> {
    let part = match error {
        SourceError::Cancelled => return Err(error),
        // They are about this machine and this program, and not about the dump.
        SourceError::NoProgram { .. } | SourceError::Unsupported { .. } | SourceError::File { .. } => {
            Part::not_tested(name, error.to_string())
        }
        other => Part::failed(name, other.to_string()),
    };
    Ok(DatabaseProof { part, ..proof })
}
