//! The dump of one database: one state, held by a transaction that the others share, with the locks that keep tables from
//! being changed in their form meanwhile.

use std::io::Seek;

use keepfast_process::Cancel;
use keepfast_process::child::Ends;
use tempfile::NamedTempFile;
use tokio_postgres::error::SqlState;

use super::archive::WithoutTime;
use super::catalog::{
    Relation, Sequence, large_objects, loaded_by_root, relations, schemas, sequences, unknown,
};
use super::facts::Facts;
use super::job::{Job, archive_file, large_objects_file, write};
use super::names::{matches_any, matches_table, qualified, quoted};
use super::sequences as values;
use super::session::{Login, Purpose, Session};
use super::tables::{self, Work};
use super::tools::{ChildReader, source_error};
use crate::context::Progress;
use crate::dump::{Content, DumpOptions, OnMissing};
use crate::error::{Result, SourceError};
use crate::manifest::{Database, Missing, Table};

/// How long a table that someone changes in its form is waited for.
const LOCK_WAIT: &str = "20s";
/// pg_dump waits as long.
const LOCK_WAIT_OF_PG_DUMP: &str = "--lock-wait-timeout=20s";
/// A table that is dropped or emptied between the state and its lock makes another state necessary.
const ATTEMPTS: u32 = 3;

/// What came of it.
pub struct Done {
    /// The database as the manifest has it.
    pub database: Database,
    /// What isn't there.
    pub missing: Vec<Missing>,
    /// The moment of the state, by the server's clock.
    pub moment: String,
    /// Where it stands in the server's log.
    pub lsn: Option<String>,
    /// Names of the selection that aren't in this database.
    pub unknown: Vec<String>,
}

/// A state, and what is in it.
pub struct Held {
    snapshot: String,
    moment: String,
    lsn: Option<String>,
    /// Tables of the selection, those that can't be read too.
    pub tables: Vec<Relation>,
    sequences: Vec<Sequence>,
    /// What the user may not read.
    pub missing: Vec<Missing>,
    has_large_objects: bool,
    /// Names of the selection that aren't there.
    pub unknown: Vec<String>,
}

/// Dumps a database.
pub fn dump(job: &Job<'_>, is_only: bool) -> Result<Done> {
    let group = Cancel::new();
    let ends = Ends { run: job.login.ends.run.clone(), group: group.clone() };
    let login = Login { ends, ..job.login.clone() };
    let session = Session::connect(&login, job.name, Purpose::Reading)?;
    let (held, definitions) = hold(&session, job)?;
    if is_only && let Some(object) = held.unknown.first() {
        let why = format!("the database {} doesn't have it", job.name);
        return Err(SourceError::Missing { object: object.clone(), why });
    }
    let content = job.options.selection.content;
    let has_rows = |table: &&Relation| {
        let excluded = &job.options.selection.exclude_tables;
        table.has_rows && content != Content::Schema && !matches_table(excluded, &table.schema, &table.name)
    };
    let readable: Vec<&Relation> = held.tables.iter().filter(|table| table.unreadable.is_none()).collect();
    let facts = Facts::of(&session, &held.tables, !job.options.selection.tables.is_empty())?;
    let mut work = Work::new(job, &held.snapshot, &facts.encoding, loaded_by_root(&session)?, group);
    work.tables = readable.iter().copied().filter(has_rows).cloned().collect();
    work.tables.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.oid.cmp(&other.oid)));
    let written = tables::write_all(&work, &login, &session, || {
        beside_rows(job, &session, &held, &facts, definitions)
    })?;
    // Only now is it known that the transaction, with its state and its locks, has held.
    session.execute("the end of the transaction", "COMMIT")?;
    let mut written = written.into_iter().collect::<std::collections::BTreeMap<u32, Table>>();
    let table = |table: &&Relation| {
        written.remove(&table.oid).unwrap_or_else(|| Table {
            schema: Some(table.schema.clone()),
            name: table.name.clone(),
            ..Table::default()
        })
    };
    let tables: Vec<Table> =
        readable.iter().filter(|table| !table.is_extensions || has_rows(table)).map(table).collect();
    let database = Database { name: job.name.to_owned(), folder: Some(job.folder.clone()), tables };
    let Held { missing, moment, lsn, unknown, .. } = held;
    Ok(Done { database, missing, moment, lsn, unknown })
}

/// Begins a transaction, looks at what there is in its state, and locks the tables. The definitions are written before, and
/// not into the dump: pg_dump locks each table too, and if someone waits for a stronger lock, pg_dump would wait for them, and
/// they for us. What changed between is noticed, and makes another state necessary.
fn hold(session: &Session, job: &Job<'_>) -> Result<(Held, Option<NamedTempFile>)> {
    let mut attempt = 1;
    loop {
        session.execute("a transaction", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        let held = look(session, job.name, job.options)?;
        let definitions = match job.options.selection.content {
            Content::Data => None,
            _ => Some(definitions(job, session, &held)?),
        };
        match lock(session, job, &held.tables)? {
            None => return Ok((held, definitions)),
            Some(table) if attempt == ATTEMPTS => {
                let why = "it was dropped, emptied or rewritten each time that the dump began".to_owned();
                return Err(session.error(&format!("the table {table}"), why));
            }
            Some(_) => {
                attempt += 1;
                session.execute("a transaction", "ROLLBACK")?;
            }
        }
    }
}

/// Looks at what there is in the state of a transaction.
pub fn look(session: &Session, name: &str, options: &DumpOptions) -> Result<Held> {
    let selection = &options.selection;
    let what = "its state";
    let sql = "SELECT pg_catalog.pg_export_snapshot(),
            pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
            (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_insert_lsn() END)::text, pg_catalog.pg_is_in_recovery()";
    let rows = session.rows(what, sql, &[])?;
    let row = rows.first().ok_or_else(|| session.error(what, "no answer".to_owned()))?;
    let mut held = Held {
        snapshot: session.column(what, row, 0)?,
        moment: session.column(what, row, 1)?,
        lsn: session.column(what, row, 2)?,
        tables: relations(session, selection, session.column(what, row, 3)?)?,
        sequences: sequences(session)?,
        missing: Vec::new(),
        has_large_objects: false,
        unknown: Vec::new(),
    };
    held.unknown = unknown(selection, &held.tables, &schemas(session)?);
    let is_chosen = |sequence: &Sequence| match &sequence.table {
        _ if selection.tables.is_empty() => {
            selection.schemas.is_empty() || matches_any(&selection.schemas, &sequence.schema)
        }
        Some((schema, name)) => {
            held.tables.iter().any(|table| (&table.schema, &table.name) == (schema, name))
        }
        None => false,
    };
    held.sequences.retain(is_chosen);
    let user: String = session.value("its user", "SELECT current_user::text", &[])?;
    find_missing(&mut held, session, name, options, &user)?;
    match held.missing.first() {
        Some(first) if options.on_missing == OnMissing::Fail => {
            let more = match held.missing.len() {
                1 => String::new(),
                count => format!(" (and {} more objects can't be read)", count - 1),
            };
            Err(SourceError::Missing { object: first.object.clone(), why: format!("{}{more}", first.why) })
        }
        _ => Ok(held),
    }
}

/// What the user may not read.
fn find_missing(
    held: &mut Held,
    session: &Session,
    name: &str,
    options: &DumpOptions,
    user: &str,
) -> Result<()> {
    let selection = &options.selection;
    for table in &held.tables {
        if let Some(unreadable) = &table.unreadable {
            held.missing.push(Missing {
                object: format!("table {}.{}", name, table.shown()),
                why: format!("{}; this lets it: {}", unreadable.why, unreadable.cure),
            });
        }
    }
    if selection.content == Content::Schema {
        held.sequences.clear();
        return Ok(());
    }
    for sequence in held.sequences.iter().filter(|sequence| !sequence.is_readable) {
        let place = qualified(&sequence.schema, &sequence.name);
        held.missing.push(Missing {
            object: format!("value of sequence {}.{}.{}", name, sequence.schema, sequence.name),
            why: format!(
                "{user} may not read it; this lets it: GRANT SELECT ON SEQUENCE {place} TO {}",
                quoted(user)
            ),
        });
    }
    held.sequences.retain(|sequence| sequence.is_readable);
    if selection.schemas.is_empty() && selection.tables.is_empty() {
        let (has_some, closed) = large_objects(session)?;
        held.has_large_objects = has_some && closed == 0;
        if closed > 0 {
            held.missing.push(Missing {
                object: format!("large objects of {}", name),
                why: format!("{user} may not read {closed} of them; a superuser, or their owner, may"),
            });
        }
    }
    Ok(())
}

/// Locks the tables, so that none is dropped or changed in its form while it is read. Returns one that was changed since
/// the state began in a way that its rows in that state are lost.
fn lock(session: &Session, job: &Job<'_>, tables: &[Relation]) -> Result<Option<String>> {
    if job.options.selection.content == Content::Schema {
        return Ok(None);
    }
    session.execute("its settings", &format!("SET LOCAL lock_timeout = '{LOCK_WAIT}'"))?;
    for table in tables.iter().filter(|table| table.unreadable.is_none()) {
        match session.attempt(&format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", table.in_sql()))? {
            Ok(()) => {}
            Err((Some(SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME), _)) => {
                return Ok(Some(table.shown()));
            }
            Err((Some(SqlState::LOCK_NOT_AVAILABLE), _)) => {
                let why = format!(
                    "someone has locked it for more than {LOCK_WAIT}, such as ALTER TABLE, VACUUM FULL or TRUNCATE does"
                );
                return Err(session.error(&format!("the table {}.{}", job.name, table.shown()), why));
            }
            Err((_, why)) => return Err(session.error(&format!("a lock of {}", table.shown()), why)),
        }
    }
    // The list of tables is of the state, and the files are those of this moment.
    let sql = "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = ANY ($1) AND c.relfilenode <> 0 AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
        LIMIT 1";
    let readable = tables.iter().filter(|table| table.unreadable.is_none() && table.has_rows);
    let numbers: Vec<u32> = readable.map(|table| table.oid).collect();
    let rows = session.rows("whether tables were rewritten", sql, &[&numbers])?;
    rows.first().map(|row| session.column("whether tables were rewritten", row, 0)).transpose()
}

/// What pg_dump knows of the database, in a file that is thrown away.
fn definitions(job: &Job<'_>, session: &Session, held: &Held) -> Result<NamedTempFile> {
    tell(job, job.name);
    let mut arguments: Vec<String> = match job.options.selection.content {
        Content::Schema => vec!["--schema-only".to_owned()],
        // Between them are the rows. That materialized views are filled again comes after.
        _ => ["--section=pre-data", "--section=post-data"].map(str::to_owned).to_vec(),
    };
    if !held.has_large_objects {
        arguments.push("--no-blobs".to_owned());
    }
    let scratch = |source| SourceError::File { path: job.context.scratch.clone(), source };
    let mut file = NamedTempFile::new_in(&job.context.scratch).map_err(scratch)?;
    let mut archive = archive(job, session.ends(), held, &arguments)?;
    let copied =
        std::io::copy(&mut archive, file.as_file_mut()).map_err(|error| source_error(job.name, error));
    match copied {
        Err(SourceError::Program { messages, .. }) if messages.contains("LOCK TABLE") => {
            let why = format!(
                "someone has locked a table for more than 20 seconds, such as ALTER TABLE, VACUUM FULL or TRUNCATE does: {messages}"
            );
            Err(session.error(&format!("the definitions of {}", job.name), why))
        }
        other => {
            other?;
            file.as_file_mut().rewind().map_err(scratch)?;
            Ok(file)
        }
    }
}

fn tell(job: &Job<'_>, object: &str) {
    (job.context.progress)(Progress { phase: "definitions", object, done: 0, total: None });
}

/// All but the rows of tables.
fn beside_rows(
    job: &Job<'_>,
    session: &Session,
    held: &Held,
    facts: &Facts,
    definitions: Option<NamedTempFile>,
) -> Result<()> {
    let file = Facts::file(&job.folder);
    write(job.sink, &file, &mut facts.text(&file)?.as_slice())?;
    if let Some(mut archive) = definitions {
        write(job.sink, &archive_file(&job.folder), archive.as_file_mut())?;
    }
    if job.options.selection.content != Content::Schema {
        let file = values::file(&job.folder);
        let values = values::values(session, &held.sequences)?;
        write(job.sink, &file, &mut values::text(&values, &file)?.as_slice())?;
    }
    if held.has_large_objects {
        tell(job, "large objects");
        // Without tables it locks none.
        let arguments = ["--section=data", "--exclude-table=*.*"].map(str::to_owned);
        let mut archive = archive(job, session.ends(), held, &arguments)?;
        write(job.sink, &large_objects_file(&job.folder), &mut archive)?;
    }
    Ok(())
}

fn archive(
    job: &Job<'_>,
    ends: &Ends,
    held: &Held,
    arguments: &[String],
) -> Result<WithoutTime<ChildReader>> {
    let selection = &job.options.selection;
    let mut tool = job.programs.client("pg_dump", job.login, job.name, job.context)?;
    tool = tool.args(["--format=custom", "--compress=0", LOCK_WAIT_OF_PG_DUMP]).args(arguments);
    tool = tool.arg(format!("--snapshot={}", held.snapshot));
    // In quotes a name is no pattern.
    for table in &held.tables {
        if table.unreadable.is_some() {
            tool = tool.arg(format!("--exclude-table={}", table.in_sql()));
        } else if !selection.tables.is_empty() {
            tool = tool.arg(format!("--table={}", table.in_sql()));
        }
    }
    if selection.tables.is_empty() {
        let mut schemas: Vec<&str> = Vec::new();
        if !selection.schemas.is_empty() {
            schemas.extend(held.tables.iter().map(|table| table.schema.as_str()));
            schemas.extend(
                selection.schemas.iter().filter(|name| !name.contains(['*', '?'])).map(String::as_str),
            );
            schemas.sort_unstable();
            schemas.dedup();
        }
        tool = tool.args(schemas.iter().map(|schema| format!("--schema={}", quoted(schema))));
    }
    tool = tool.args(&job.options.arguments);
    Ok(WithoutTime::new(ChildReader::start(tool, ends)?))
}
