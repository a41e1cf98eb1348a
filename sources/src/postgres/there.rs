//! What a restore finds before it begins: of the dump, which tables are meant; of the server, what is in their place.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::job::archive_file;
use super::load::{TableName, name_of};
use super::names::{literal, matches_table, qualified};
use super::session::{Login, Purpose, Session};
use super::target::{self, State};
use super::tools::{Programs, Version};
use crate::address::Address;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Database, Manifest, Table};
use crate::restore::RestoreOptions;

/// A database of the dump, and where it goes.
pub struct Piece<'m> {
    /// Its name in the dump.
    pub source: &'m str,
    /// Its folder in the dump.
    pub folder: &'m str,
    /// What is known of it.
    pub facts: Facts,
    /// Its name on the server.
    pub target: String,
    /// What is there.
    pub state: State,
    /// All tables that are restored, those without rows too.
    pub tables: Vec<&'m Table>,
    /// Of these, those that are there, and whether they have rows.
    pub existing: BTreeMap<TableName, bool>,
    /// Whether only schemas or tables are restored.
    pub is_part: bool,
    /// Whether the dump has definitions.
    pub has_archive: bool,
}

/// What is there.
pub struct There<'m> {
    /// The databases.
    pub pieces: Vec<Piece<'m>>,
    /// Roles whose objects the user may create.
    pub roles: BTreeSet<String>,
    /// Extensions that can be created.
    pub extensions: BTreeSet<String>,
    /// Tablespaces.
    pub tablespaces: BTreeSet<String>,
    /// The server's version.
    pub version: Version,
    /// The lengths of the dump's files.
    pub files: BTreeMap<String, u64>,
}

impl Piece<'_> {
    /// The bytes of the files of its tables.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().filter_map(|table| table.bytes).sum()
    }

    /// The roles of this list that the server lacks.
    pub fn lacking<'f>(wanted: &'f [String], there: &BTreeSet<String>) -> Vec<&'f str> {
        wanted.iter().filter(|name| !there.contains(*name)).map(String::as_str).collect()
    }
}

/// Looks.
pub fn look<'m>(
    manifest: &'m Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    login: &Login<'_>,
) -> Result<There<'m>> {
    if options.until.is_some() {
        let why = "a dump without the server's log shows one moment, and no other can be chosen".to_owned();
        return Err(SourceError::Unsupported { object: to.to_string(), why });
    }
    let listed =
        files.list().map_err(|source| SourceError::Transfer { object: "the dump".to_owned(), source })?;
    let listed: BTreeMap<String, u64> = listed.into_iter().map(|file| (file.path, file.bytes)).collect();
    let databases = databases(manifest, to, options)?;
    let avoided = to.database.as_deref().unwrap_or_default();
    let administrator = target::administrator(login, avoided)?;
    let names = |sql: &str| -> Result<BTreeSet<String>> {
        let what = "what the server has";
        administrator.rows(what, sql, &[])?.iter().map(|row| administrator.column(what, row, 0)).collect()
    };
    let major = administrator.version() / 10_000;
    let mut there = There {
        pieces: Vec::new(),
        roles: names(
            "SELECT rolname::text FROM pg_catalog.pg_roles WHERE pg_catalog.pg_has_role(current_user, oid, 'MEMBER')",
        )?,
        extensions: names("SELECT name::text FROM pg_catalog.pg_available_extensions")?,
        tablespaces: names("SELECT spcname::text FROM pg_catalog.pg_tablespace")?,
        version: Version::of(&administrator.version_text()?).unwrap_or(Version { major, minor: 0 }),
        files: listed,
    };
    for database in databases {
        let target = to.database.clone().unwrap_or_else(|| database.name.clone());
        let state = target::state(&administrator, login, &target)?;
        let piece = piece(database, target, state, options, files, &there, login)?;
        there.pieces.push(piece);
    }
    Ok(there)
}

fn databases<'m>(
    manifest: &'m Manifest,
    to: &Address,
    options: &RestoreOptions,
) -> Result<Vec<&'m Database>> {
    let names =
        || manifest.databases.iter().map(|database| database.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(name) = &options.database {
        let found = manifest.databases.iter().find(|database| database.name == *name);
        let why = || format!("the dump has these databases: {}", names());
        let missing = || SourceError::Missing { object: format!("database {name}"), why: why() };
        return Ok(vec![found.ok_or_else(missing)?]);
    }
    if to.database.is_some() && manifest.databases.len() != 1 {
        let why = format!("the dump has several databases, and one of them must be chosen: {}", names());
        return Err(SourceError::Missing { object: to.to_string(), why });
    }
    Ok(manifest.databases.iter().collect())
}

fn piece<'m>(
    database: &'m Database,
    target: String,
    state: State,
    options: &RestoreOptions,
    files: &dyn Files,
    there: &There<'_>,
    login: &Login<'_>,
) -> Result<Piece<'m>> {
    let folder = database.folder.as_deref().unwrap_or_default();
    let facts = Facts::read(files, folder)?;
    let has_archive = there.files.contains_key(&archive_file(folder));
    let is_chosen = !options.schemas.is_empty() || !options.tables.is_empty();
    let is_part = is_chosen || !has_archive;
    let tables =
        if is_chosen { chosen(database, &facts, options)? } else { database.tables.iter().collect() };
    let mut existing = BTreeMap::new();
    if is_part && state == State::Occupied {
        let session = Session::connect(login, &target, Purpose::Reading)?;
        for table in &tables {
            let name = name_of(table);
            if let Some(has_rows) = rows_of(&session, &name)? {
                existing.insert(name, has_rows);
            }
        }
    }
    if !has_archive && let Some(table) = tables.iter().find(|table| !existing.contains_key(&name_of(table))) {
        let (schema, name) = name_of(table);
        let why = "the dump has rows and no definitions, so that each table must be there".to_owned();
        return Err(SourceError::Missing { object: format!("table {target}.{schema}.{name}"), why });
    }
    let source = &database.name;
    Ok(Piece { source, folder, facts, target, state, tables, existing, is_part, has_archive })
}

/// The tables that are meant, and the partitions of those that have some.
fn chosen<'m>(database: &'m Database, facts: &Facts, options: &RestoreOptions) -> Result<Vec<&'m Table>> {
    let is_meant = |schema: &str, name: &str| {
        options.schemas.iter().any(|meant| meant == schema) || matches_table(&options.tables, schema, name)
    };
    let meant = facts.tables.iter().filter(|table| is_meant(&table.schema, &table.name));
    let mut numbers: BTreeSet<u32> = meant.map(|table| table.oid).collect();
    loop {
        let before = numbers.len();
        let below =
            facts.tables.iter().filter(|table| table.parent.is_some_and(|parent| numbers.contains(&parent)));
        let below: Vec<u32> = below.map(|table| table.oid).collect();
        numbers.extend(below);
        if numbers.len() == before {
            break;
        }
    }
    let names: BTreeSet<(&str, &str)> = facts
        .tables
        .iter()
        .filter(|table| numbers.contains(&table.oid))
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .collect();
    let is_named =
        |table: &&Table| names.contains(&(table.schema.as_deref().unwrap_or("public"), &table.name));
    let unknown = options.tables.iter().find(|&name| {
        let only = std::slice::from_ref(name);
        !facts.tables.iter().any(|table| matches_table(only, &table.schema, &table.name))
    });
    if let Some(name) = unknown {
        let why = format!("the dump of the database {} doesn't have it", database.name);
        return Err(SourceError::Missing { object: format!("table {name}"), why });
    }
    Ok(database.tables.iter().filter(is_named).collect())
}

/// Whether a table has rows; none if it isn't there.
fn rows_of(session: &Session, (schema, name): &TableName) -> Result<Option<bool>> {
    let what = format!("the table {schema}.{name}");
    let place = qualified(schema, name);
    let sql = format!("SELECT pg_catalog.to_regclass({}) IS NOT NULL", literal(&place));
    let is_there: bool = session.value(&what, &sql, &[])?;
    if !is_there {
        return Ok(None);
    }
    session.value(&what, &format!("SELECT EXISTS (SELECT FROM {place})"), &[]).map(Some)
}

/// The programs that can read the dump, and write to the server if there are such.
pub fn programs(manifest: &Manifest, version: Version, context: &Context<'_>) -> Result<Programs> {
    let wrote =
        manifest.tools.get("pg_dump").and_then(|text| Version::of(text)).map_or(0, |version| version.major);
    Programs::fitting("pg_restore", wrote.max(version.major), context)
        .or_else(|_| Programs::fitting("pg_restore", wrote, context))
}
