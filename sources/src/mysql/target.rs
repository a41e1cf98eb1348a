//! What is in the server that a dump is restored into.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::catalog::{Catalog, DatabaseOf, TableKind};
use super::client::{Client, quoted};
use super::wanted::{Wanted, WantedDatabase};
use crate::check::Check;
use crate::error::{Result, SourceError};

/// More names aren't listed in one sentence.
const NAMED_MAX: usize = 20;

/// What is there.
pub(super) struct Target {
    pub(super) catalog: Catalog,
    /// Routines and events of databases that may have no table.
    programs: BTreeMap<String, u64>,
}

impl Target {
    /// Looks, and changes nothing.
    pub(super) fn look(client: &Client<'_>) -> Result<Self> {
        let catalog = Catalog::read_all(client)?;
        let mut sql =
            "SELECT routine_schema, COUNT(*) FROM information_schema.routines GROUP BY routine_schema;"
                .to_owned();
        if catalog.has_events() {
            sql += "SELECT event_schema, COUNT(*) FROM information_schema.events GROUP BY event_schema;";
        }
        let rows = client.query("reading what is there", &sql)?;
        let mut programs: BTreeMap<String, u64> = BTreeMap::new();
        for row in rows {
            if let [database, count] = row.as_slice() {
                *programs.entry(database.clone()).or_default() += count.parse::<u64>().unwrap_or(1);
            }
        }
        Ok(Self { catalog, programs })
    }

    /// Databases that belong to no part of what is restored.
    pub(super) fn others(&self, wanted: &Wanted) -> Vec<&str> {
        let is_other = |name: &&str| wanted.databases.iter().all(|database| database.target != *name);
        self.catalog.databases.iter().map(|database| database.name.as_str()).filter(is_other).collect()
    }

    fn database(&self, name: &str) -> Option<&DatabaseOf> {
        self.catalog.databases.iter().find(|database| database.name == name)
    }

    /// What would be lost.
    pub(super) fn occupied(&self, client: &Client<'_>, wanted: &Wanted) -> Result<Vec<Occupied>> {
        let mut all = Vec::new();
        for database in &wanted.databases {
            if wanted.has_only_rows {
                all.extend(self.filled(client, database)?);
            } else {
                all.extend(self.occupied_by(database));
            }
        }
        Ok(all)
    }

    /// The tables with rows, of those that rows are restored into. All of them have to be there.
    fn filled(&self, client: &Client<'_>, wanted: &WantedDatabase) -> Result<Option<Occupied>> {
        let there = self.database(&wanted.target).map_or(&[][..], |found| &found.tables);
        let mut sql = String::new();
        let mut emptying = Vec::new();
        for (number, table) in wanted.tables.iter().enumerate() {
            let name = format!("{}.{}", quoted(&wanted.target), quoted(&table.name));
            let Some(found) = there.iter().find(|found| found.name == table.name) else {
                let why = "the dump has rows alone, and the table that they belong in isn't there".to_owned();
                return Err(SourceError::Missing { object: format!("table {name}"), why });
            };
            let is_versioned = found.kind == TableKind::Versioned;
            let of_all = if is_versioned { " FOR SYSTEM_TIME ALL" } else { "" };
            let _ = writeln!(sql, "SELECT {number} FROM {name}{of_all} LIMIT 1;");
            emptying.push(match is_versioned {
                true => format!("DELETE FROM {name}; DELETE HISTORY FROM {name};\n"),
                false => format!("TRUNCATE TABLE {name};\n"),
            });
        }
        let rows = client.query("looking which tables are empty", &sql)?;
        let filled: Vec<usize> = rows.iter().filter_map(|row| row.first()?.parse().ok()).collect();
        let statements = filled.iter().filter_map(|number| emptying.get(*number)).cloned().collect();
        let tables = filled.iter().filter_map(|number| Some(wanted.tables.get(*number)?.name.clone()));
        Ok((!filled.is_empty()).then(|| Occupied {
            database: wanted.target.clone(),
            tables: tables.collect(),
            programs: 0,
            way: Way::Emptied(statements),
        }))
    }

    fn occupied_by(&self, wanted: &WantedDatabase) -> Option<Occupied> {
        let name = &wanted.target;
        let found = self.database(name)?;
        let is_meant = |table: &str| wanted.tables.iter().any(|meant| meant.name.eq_ignore_ascii_case(table));
        let tables = found.tables.iter().map(|table| table.name.clone());
        let tables: Vec<String> = tables.filter(|table| !wanted.is_of_tables || is_meant(table)).collect();
        let programs = if wanted.is_of_tables { 0 } else { self.programs.get(name).copied().unwrap_or(0) };
        (!tables.is_empty() || programs > 0).then(|| Occupied {
            database: name.clone(),
            tables,
            programs,
            way: if wanted.is_of_tables { Way::DroppedByDump } else { Way::Dropped },
        })
    }
}

/// Something that a restore would take the place of.
pub(super) struct Occupied {
    pub(super) database: String,
    tables: Vec<String>,
    programs: u64,
    way: Way,
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// With its database.
    Dropped,
    /// Table by table: the dump drops each before it makes it.
    DroppedByDump,
    /// Its rows go, by these statements.
    Emptied(String),
}

impl Occupied {
    /// The statements that make room for what is restored.
    pub(super) fn making_room(&self) -> Option<String> {
        match &self.way {
            Way::Dropped => Some(format!("DROP DATABASE {};", quoted(&self.database))),
            Way::DroppedByDump => None,
            Way::Emptied(statements) => Some(format!("SET SESSION foreign_key_checks = 0;\n{statements}")),
        }
    }

    /// As a sentence says it.
    pub(super) fn text(&self) -> String {
        let mut names = self.tables.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
        let others = self.tables.len().saturating_sub(NAMED_MAX);
        if others > 0 {
            let _ = write!(names, " and {others} more");
        }
        let database = &self.database;
        let programs = match self.programs {
            0 => String::new(),
            count => format!(" and {count} routines and events"),
        };
        match &self.way {
            Way::Dropped if self.tables.is_empty() => {
                format!("database {database}, which has no table,{programs}")
            }
            Way::Dropped => {
                format!(
                    "database {database} with its {} tables and views ({names}){programs}",
                    self.tables.len()
                )
            }
            Way::DroppedByDump => format!("the tables {names} of database {database}"),
            Way::Emptied(_) => format!("the rows of {names} in database {database}"),
        }
    }

    /// The object as an error names it.
    pub(super) fn object(&self) -> String {
        match self.tables.first().filter(|_| self.way != Way::Dropped) {
            Some(table) => format!("table {}.{table}", self.database),
            None => format!("database {}", self.database),
        }
    }
}

/// Counts the rows of the tables that were restored, and compares them with those of the dump.
pub(super) fn count(client: &Client<'_>, wanted: &Wanted) -> Result<Vec<Check>> {
    let catalog = Catalog::read_all(client)?;
    let kinds: BTreeMap<(&str, &str), TableKind> = catalog
        .tables()
        .map(|(database, table)| ((database.name.as_str(), table.name.as_str()), table.kind))
        .collect();
    let mut sql = String::new();
    let mut counted = Vec::new();
    let mut checks = Vec::new();
    for database in &wanted.databases {
        for table in &database.tables {
            let Some(rows) = table.rows else { continue };
            let name = format!("{}.{}", database.target, table.name);
            // Older rows of a table are rows of the dump too.
            let is_versioned = kinds.get(&(database.target.as_str(), table.name.as_str()));
            let of_all =
                if is_versioned == Some(&TableKind::Versioned) { " FOR SYSTEM_TIME ALL" } else { "" };
            let place = format!("{}.{}", quoted(&database.target), quoted(&table.name));
            let _ = writeln!(sql, "SELECT {}, COUNT(*) FROM {place}{of_all};", counted.len());
            counted.push((name, rows));
        }
        let lacking = database.tables.iter().filter(|table| {
            table.rows.is_none() && !kinds.contains_key(&(database.target.as_str(), table.name.as_str()))
        });
        checks.extend(lacking.map(|table| {
            Check::sound(format!("{}.{}", database.target, table.name), Some("it isn't there".to_owned()))
        }));
    }
    let rows = if counted.is_empty() { Vec::new() } else { client.query("counting rows", &sql)? };
    let found: BTreeMap<usize, String> = rows
        .into_iter()
        .filter_map(|row| Some((row.first()?.parse().ok()?, row.into_iter().nth(1)?)))
        .collect();
    for (number, (name, rows)) in counted.into_iter().enumerate() {
        let found = found.get(&number).cloned().unwrap_or_else(|| "nothing".to_owned());
        checks.push(Check::equal(format!("rows of {name}"), rows, found));
    }
    Ok(checks)
}

/// An error for something that is there and would be lost.
pub(super) fn refuse(occupied: &[Occupied]) -> Result<()> {
    occupied.first().map_or(Ok(()), |first| Err(SourceError::Occupied { object: first.object() }))
}
