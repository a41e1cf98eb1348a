//! What of a dump is restored, and under which names.

use super::catalog::OF_THE_SERVER;
use super::layout::{HEAD, Layout, TAIL, USERS};
use super::names::{as_file, is_named};
use crate::address::Address;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Manifest, Table};
use crate::restore::RestoreOptions;

/// What is restored.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) databases: Vec<WantedDatabase>,
    /// The files that are read, in order.
    pub(super) parts: Vec<String>,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Whether users are restored before.
    pub(super) has_users: bool,
    /// Whether it is all that the dump has.
    pub(super) is_all: bool,
    /// Whether the dump has rows alone, for tables that are there.
    pub(super) has_only_rows: bool,
}

/// A database of the dump.
#[derive(Debug)]
pub(super) struct WantedDatabase {
    pub(super) name: String,
    /// Its name in the server.
    pub(super) target: String,
    pub(super) tables: Vec<Table>,
    /// Whether these tables alone are restored, into a database that may have others.
    pub(super) is_of_tables: bool,
}

impl Wanted {
    /// Chooses, and looks whether the dump has all files that are needed for it.
    pub(super) fn choose(
        manifest: &Manifest,
        files: &dyn Files,
        to: &Address,
        options: &RestoreOptions,
    ) -> Result<Self> {
        let is_of_tables = !options.tables.is_empty();
        let names = names(manifest, to, options)?;
        let mut databases = Vec::new();
        for (name, target) in names {
            if OF_THE_SERVER.iter().any(|own| own.eq_ignore_ascii_case(&target)) {
                return Err(unsupported(&target, "it is the server's own database"));
            }
            let known = manifest.databases.iter().find(|database| database.name == name);
            let tables = known.map(|database| database.tables.clone()).unwrap_or_default();
            let chosen = |table: &Table| {
                !is_of_tables
                    || is_named(&options.tables, &table.name)
                    || is_named(&options.tables, &format!("{name}.{}", table.name))
            };
            let tables: Vec<Table> = tables.into_iter().filter(chosen).collect();
            databases.push(WantedDatabase { name, target, tables, is_of_tables });
        }
        if is_of_tables {
            databases.retain(|database| !database.tables.is_empty());
        }
        if databases.is_empty() {
            return Err(SourceError::Missing {
                object: options.tables.join(", "),
                why: "the dump has no such table".to_owned(),
            });
        }
        let mut wanted = Self {
            is_all: databases.len() == manifest.databases.len() && !is_of_tables,
            has_only_rows: databases
                .iter()
                .any(|database| database.tables.iter().any(|table| table.load.is_some())),
            databases,
            parts: Vec::new(),
            bytes: 0,
            has_users: false,
        };
        wanted.find_parts(manifest, files, options)?;
        Ok(wanted)
    }

    fn find_parts(&mut self, manifest: &Manifest, files: &dyn Files, options: &RestoreOptions) -> Result<()> {
        let listed =
            files.list().map_err(|source| SourceError::Transfer { object: "the dump".to_owned(), source })?;
        self.has_users = options.globals && listed.iter().any(|file| file.path == USERS);
        let folders: Vec<(String, &WantedDatabase)> = self
            .databases
            .iter()
            .map(|database| (format!("{}/", Layout::folder(&database.name)), database))
            .collect();
        let is_needed = |path: &String| {
            let of = folders.iter().find(|(folder, _)| path.starts_with(folder.as_str()));
            match of {
                _ if self.is_all => true,
                None => path == HEAD || path == TAIL,
                Some((folder, database)) if database.is_of_tables => {
                    let stand_in = |table: &Table| format!("{folder}stand-ins/{}.sql", as_file(&table.name));
                    *path == format!("{folder}database.sql")
                        || *path == format!("{folder}again.sql")
                        || database
                            .tables
                            .iter()
                            .any(|table| table.file.as_ref() == Some(path) || stand_in(table) == *path)
                }
                Some(_) => true,
            }
        };
        let parts: Vec<String> = manifest.order.iter().filter(|path| is_needed(path)).cloned().collect();
        for path in &parts {
            let bytes =
                listed.binary_search_by(|file| file.path.as_str().cmp(path)).map(|at| listed[at].bytes);
            let Ok(bytes) = bytes else {
                return Err(SourceError::Missing {
                    object: path.clone(),
                    why: "the dump says that it has this file, and it isn't there".to_owned(),
                });
            };
            self.bytes += bytes;
        }
        self.parts = parts;
        Ok(())
    }

    /// The one database that gets another name.
    pub(super) fn renamed(&self) -> Option<&WantedDatabase> {
        self.databases.iter().find(|database| database.name != database.target)
    }
}

/// Databases of the dump, and what they are called in the server.
fn names(manifest: &Manifest, to: &Address, options: &RestoreOptions) -> Result<Vec<(String, String)>> {
    let all: Vec<&String> = manifest.databases.iter().map(|database| &database.name).collect();
    let target = to.database.as_ref();
    if let Some(name) = &options.database {
        if !all.contains(&name) {
            return Err(SourceError::Missing {
                object: format!("database {name}"),
                why: "the dump hasn't got it".to_owned(),
            });
        }
        return Ok(vec![(name.clone(), target.unwrap_or(name).clone())]);
    }
    match (all.as_slice(), target) {
        ([only], _) => Ok(vec![((*only).clone(), target.unwrap_or(only).clone())]),
        (_, None) => Ok(all.into_iter().map(|name| (name.clone(), name.clone())).collect()),
        (_, Some(target)) if all.contains(&target) => Ok(vec![(target.clone(), target.clone())]),
        (_, Some(target)) => {
            let names = all.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            Err(unsupported(target, &format!("the dump has {names}: say which of them goes there")))
        }
    }
}

fn unsupported(object: &str, why: &str) -> SourceError {
    SourceError::Unsupported { object: object.to_owned(), why: why.to_owned() }
}
