//! The way back of a logical dump: roles, then each database beside what is there, and in its place when it is whole.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

use keepfast_process::child::Ends;
use tempfile::NamedTempFile;

use super::dump::GLOBALS;
use super::globals;
use super::job::{archive_file, large_objects_file};
use super::load::{Load, name_of};
use super::names::quoted;
use super::sequences;
use super::session::{Login, Purpose, Session};
use super::target::{self, State, Unfinished};
use super::there::{Piece, There, look, programs};
use super::toc;
use super::tools::{Programs, Version, fed, printed, source_error};
use crate::address::Address;
use crate::check::Check;
use crate::context::{Context, Progress};
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Manifest, Table};
use crate::restore::{Existing, RestoreOptions, RestoreReport};

/// A longer text of roles isn't read: a hundred thousand roles take a tenth of it.
const GLOBALS_BYTES_MAX: u64 = 256 << 20;
/// What pg_restore says when it went on after errors.
const WENT_ON: &str = "errors ignored on restore";

/// What a drill does otherwise than a restore.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leniency {
    /// A database may be created without its language, and nothing goes into tablespaces.
    pub is_elsewhere: bool,
}

/// All that a restore works with.
struct Run<'a> {
    files: &'a dyn Files,
    options: &'a RestoreOptions,
    context: &'a Context<'a>,
    login: &'a Login<'a>,
    programs: &'a Programs,
    there: &'a There<'a>,
    /// Errors of definitions are told of, and don't end the restore: something that they need isn't in the dump, or this
    /// version doesn't know it.
    goes_on: bool,
    is_elsewhere: bool,
    bytes: AtomicU64,
}

/// Restores.
pub fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    leniency: Leniency,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    let login = login(to, context);
    let mut there = look(manifest, files, to, options, &login)?;
    refuse(&there, options)?;
    let programs = programs(manifest, there.version, context)?;
    let mut report = RestoreReport {
        databases: 0,
        tables: 0,
        rows: 0,
        bytes: 0,
        checks: Vec::new(),
        warnings: Vec::new(),
    };
    if options.globals && there.files.contains_key(GLOBALS) {
        report.warnings.extend(roles(files, to, &login, !leniency.is_elsewhere, context)?);
        there = look(manifest, files, to, options, &login)?;
    }
    let source = Version::of(&manifest.server).map_or(there.version.major, |version| version.major);
    let run = Run {
        files,
        options,
        context,
        login: &login,
        programs: &programs,
        there: &there,
        goes_on: source > there.version.major || !manifest.missing.is_empty(),
        is_elsewhere: leniency.is_elsewhere,
        bytes: AtomicU64::new(0),
    };
    for piece in &there.pieces {
        let (checks, warnings) = run.piece(piece)?;
        report.databases += 1;
        report.tables += u64::try_from(piece.tables.len()).unwrap_or(u64::MAX);
        report.rows += piece.tables.iter().filter_map(|table| table.rows).sum::<u64>();
        report.checks.extend(checks);
        report.warnings.extend(warnings);
    }
    report.bytes = run.bytes.into_inner();
    Ok(report)
}

/// Who connects for a restore.
pub fn login<'a>(to: &'a Address, context: &Context<'_>) -> Login<'a> {
    let timeout = DumpOptions::default().connect_timeout;
    Login { address: to, timeout, ends: Ends::from(&context.cancel) }
}

/// Nothing is lost without being told so.
fn refuse(there: &There<'_>, options: &RestoreOptions) -> Result<()> {
    if options.existing == Existing::Replace {
        return Ok(());
    }
    for piece in &there.pieces {
        if !piece.is_part && piece.state == State::Occupied {
            return Err(SourceError::Occupied { object: format!("the database {}", piece.target) });
        }
        if let Some(((schema, name), _)) = piece.existing.iter().find(|(_, has_rows)| **has_rows) {
            return Err(SourceError::Occupied {
                object: format!("the table {}.{schema}.{name}", piece.target),
            });
        }
    }
    Ok(())
}

fn roles(
    files: &dyn Files,
    to: &Address,
    login: &Login<'_>,
    with_tablespaces: bool,
    context: &Context<'_>,
) -> Result<Vec<String>> {
    (context.progress)(Progress { phase: "roles", object: GLOBALS, done: 0, total: None });
    let mut text = String::new();
    let read = files.open(GLOBALS).and_then(|file| file.take(GLOBALS_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| source_error(GLOBALS, error))?;
    let administrator = target::administrator(login, to.database.as_deref().unwrap_or_default())?;
    globals::apply(&administrator, &text, with_tablespaces)
}

impl Run<'_> {
    fn piece(&self, piece: &Piece<'_>) -> Result<(Vec<Check>, Vec<String>)> {
        if piece.state == State::Empty || piece.state == State::Occupied && piece.is_part {
            return self.fill(piece, &piece.target);
        }
        let administrator = target::administrator(self.login, &piece.target)?;
        let (made, told) =
            Unfinished::create(self.login, &administrator, &piece.target, &piece.facts, self.is_elsewhere)?;
        let (checks, mut warnings) = self.fill(piece, made.name())?;
        warnings.extend(told);
        warnings.extend(target::adorn(&administrator, made.name(), &piece.facts)?);
        warnings.extend(made.finish()?);
        Ok((checks, warnings))
    }

    fn fill(&self, piece: &Piece<'_>, into: &str) -> Result<(Vec<Check>, Vec<String>)> {
        let mut warnings = Vec::new();
        let archive = if piece.has_archive { Some(self.archive(piece)?) } else { None };
        let choice = match &archive {
            Some(archive) if piece.is_part => Some(self.choose(piece, archive)?),
            _ => None,
        };
        if let Some(archive) = &archive {
            self.tell("definitions", piece);
            self.make_schemas(piece, into)?;
            if let Some((_, needed)) = &choice {
                // Much of it may be there, which is no news.
                let news = self.definitions(piece, into, archive, Section::Before, Some(needed), true)?;
                warnings.extend(news.into_iter().filter(|line| !line.contains("already exists")));
            }
            let chosen = choice.as_ref().map(|(chosen, _)| chosen);
            warnings.extend(self.definitions(piece, into, archive, Section::Before, chosen, self.goes_on)?);
        }
        let load = Load {
            login: self.login,
            into,
            name: &piece.target,
            files: self.files,
            parallel: usize::from(self.options.parallel.get()),
            context: self.context,
            bytes: &self.bytes,
            total: self.there.pieces.iter().map(Piece::bytes).sum(),
        };
        let with_rows = piece.tables.iter().copied().filter(|table| table.file.is_some());
        let (old, new): (Vec<&Table>, Vec<&Table>) =
            with_rows.partition(|table| piece.existing.contains_key(&name_of(table)));
        let mut checks = load.fill(&new)?;
        checks.extend(load.replace(&old)?);
        self.values(piece, into)?;
        if !piece.is_part {
            self.large_objects(piece, into)?;
        }
        if let Some(archive) = &archive {
            self.tell("indexes", piece);
            let chosen = choice.as_ref().map(|(chosen, _)| chosen);
            warnings.extend(self.definitions(piece, into, archive, Section::After, chosen, self.goes_on)?);
        }
        checks.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((checks, warnings))
    }

    fn tell(&self, phase: &'static str, piece: &Piece<'_>) {
        (self.context.progress)(Progress { phase, object: &piece.target, done: 0, total: None });
    }

    /// pg_restore can make several indexes at once only from a file.
    fn archive(&self, piece: &Piece<'_>) -> Result<NamedTempFile> {
        let path = archive_file(piece.folder);
        let scratch = |source| SourceError::File { path: self.context.scratch.clone(), source };
        let mut archive = NamedTempFile::new_in(&self.context.scratch).map_err(scratch)?;
        let mut content = self.files.open(&path).map_err(|error| source_error(&path, error))?;
        let bytes =
            std::io::copy(&mut content, archive.as_file_mut()).map_err(|error| source_error(&path, error))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(archive)
    }

    /// A dump of some tables doesn't have their schemas.
    fn make_schemas(&self, piece: &Piece<'_>, into: &str) -> Result<()> {
        if !piece.facts.is_part {
            return Ok(());
        }
        let session = Session::connect(self.login, into, Purpose::Writing)?;
        let schemas: BTreeSet<String> = piece.tables.iter().map(|table| name_of(table).0).collect();
        for schema in schemas {
            let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", quoted(&schema));
            session.execute(&format!("the schema {schema}"), &sql)?;
        }
        Ok(())
    }

    /// Lists of what is chosen, and of what that needs.
    fn choose(&self, piece: &Piece<'_>, archive: &NamedTempFile) -> Result<(NamedTempFile, NamedTempFile)> {
        let tool = keepfast_process::tool::Tool::new(self.programs.path("pg_restore"), &self.context.secrets);
        let listing = printed(tool.args(["--list", "--verbose"]).arg(archive.path()), &self.login.ends)?;
        let entries = toc::entries(&listing);
        let names: BTreeSet<_> = piece.tables.iter().map(|table| name_of(table)).collect();
        let absent = piece.facts.tables.iter().filter(|table| {
            let name = (table.schema.clone(), table.name.clone());
            names.contains(&name) && !piece.existing.contains_key(&name)
        });
        let schemas = if piece.existing.is_empty() { &self.options.schemas[..] } else { &[] };
        let choice = toc::choose(&entries, &absent.map(|table| table.oid).collect(), schemas);
        let write = |text: String| -> std::io::Result<NamedTempFile> {
            let file = NamedTempFile::new_in(&self.context.scratch)?;
            std::fs::write(file.path(), text)?;
            Ok(file)
        };
        let failed = |source| SourceError::File { path: self.context.scratch.clone(), source };
        let chosen = write(toc::list(&entries, &choice.chosen)).map_err(failed)?;
        Ok((chosen, write(toc::list(&entries, &choice.needed)).map_err(failed)?))
    }

    /// What comes before the rows, or after them. Returns errors that didn't end it.
    fn definitions(
        &self,
        piece: &Piece<'_>,
        into: &str,
        archive: &NamedTempFile,
        section: Section,
        list: Option<&NamedTempFile>,
        goes_on: bool,
    ) -> Result<Vec<String>> {
        let mut tool = self.pg_restore(piece, into)?;
        tool = match section {
            Section::Before => tool.arg("--section=pre-data"),
            // Indexes take most of the time.
            Section::After => {
                tool.arg("--section=post-data").arg(format!("--jobs={}", self.options.parallel))
            }
        };
        if let Some(list) = list {
            tool = tool.arg("--use-list").arg(list.path());
        }
        if !goes_on {
            tool = tool.arg("--exit-on-error");
        }
        match printed(tool.arg(archive.path()), &self.login.ends) {
            Err(SourceError::Program { messages, .. }) if goes_on && messages.contains(WENT_ON) => {
                let errors = messages.lines().filter(|line| line.contains("ERROR:"));
                Ok(errors.map(|line| line.trim_start_matches("pg_restore: error: ").to_owned()).collect())
            }
            other => other.map(|_| Vec::new()),
        }
    }

    fn pg_restore(&self, piece: &Piece<'_>, into: &str) -> Result<keepfast_process::tool::Tool> {
        let mut tool = self.programs.client("pg_restore", self.login, into, self.context)?;
        let escaped = into.replace('\\', "\\\\").replace('\'', "\\'");
        tool = tool.arg(format!("--dbname=dbname='{escaped}'"));
        if !Piece::lacking(&piece.facts.owners, &self.there.roles).is_empty() {
            tool = tool.arg("--no-owner");
        }
        if !Piece::lacking(&piece.facts.grantees, &self.there.roles).is_empty() {
            tool = tool.arg("--no-privileges");
        }
        if self.is_elsewhere || !Piece::lacking(&piece.facts.tablespaces, &self.there.tablespaces).is_empty()
        {
            tool = tool.arg("--no-tablespaces");
        }
        Ok(tool)
    }

    fn values(&self, piece: &Piece<'_>, into: &str) -> Result<()> {
        if !self.there.files.contains_key(&sequences::file(piece.folder)) {
            return Ok(());
        }
        let mut values = sequences::read(self.files, piece.folder)?;
        if piece.is_part {
            let names: BTreeSet<_> = piece.tables.iter().map(|table| name_of(table)).collect();
            let schemas = &self.options.schemas;
            values.retain(|value| match &value.table {
                Some(table) => names.contains(table),
                None => schemas.contains(&value.schema),
            });
        }
        let session = Session::connect(self.login, into, Purpose::Writing)?;
        sequences::set(&session, &values)
    }

    fn large_objects(&self, piece: &Piece<'_>, into: &str) -> Result<()> {
        let path = large_objects_file(piece.folder);
        let Some(bytes) = self.there.files.get(&path) else { return Ok(()) };
        self.tell("large objects", piece);
        let tool = self.pg_restore(piece, into)?.args(["--section=data", "--exit-on-error"]);
        let mut content = self.files.open(&path).map_err(|error| source_error(&path, error))?;
        fed(tool, &mut content, &self.login.ends)?;
        self.bytes.fetch_add(*bytes, Ordering::Relaxed);
        Ok(())
    }
}

/// A part of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    /// What comes before the rows.
    Before,
    /// Indexes, keys, triggers and rights.
    After,
}
