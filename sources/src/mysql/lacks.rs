//! What a dump would lack for want of rights, and the grants that would help. A dump without the right to see triggers or
//! bodies of routines fails nowhere: it has none of them.

use std::fmt;

use super::catalog::{Catalog, DatabaseOf, TableKind, TableOf, unreadable};
use super::client::{Client, quoted};
use super::grants::Of;
use super::names::{is_chosen, is_named};
use crate::address::{Address, Engine};
use crate::dump::{Content, DumpOptions, Selection};
use crate::error::Result;

/// Something that a dump would lack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lack {
    pub(super) what: What,
    /// Why, and what to do.
    pub(super) why: String,
}

/// What is lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Table(String, String),
    /// All triggers of a database.
    Triggers(String),
    /// All events of a database.
    Events(String),
    /// Routines of all databases.
    Routines,
    /// Users, and what they may do.
    Users,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(database, table) => write!(f, "table {database}.{table}"),
            Self::Triggers(database) => write!(f, "triggers of {database}"),
            Self::Events(database) => write!(f, "events of {database}"),
            Self::Routines => f.write_str("functions and procedures"),
            Self::Users => f.write_str("users and their rights"),
        }
    }
}

/// Whether a dump is of tables that were named: then it has neither events nor routines.
pub(super) fn is_of_tables(selection: &Selection) -> bool {
    !selection.tables.is_empty()
}

/// Whether a dump is of the whole server, and has its users therefore.
pub(super) fn is_of_server(address: &Address, selection: &Selection) -> bool {
    address.database.is_none() && selection.databases.is_empty() && !is_of_tables(selection)
}

/// Whether a table is chosen: by its name, or by `database.name`.
pub(super) fn is_table_chosen(selection: &Selection, database: &str, table: &str) -> bool {
    is_chosen(&selection.tables, table) || is_named(&selection.tables, &format!("{database}.{table}"))
}

/// Whether the rows of a table are left out.
pub(super) fn is_without_rows(selection: &Selection, database: &str, table: &str) -> bool {
    let patterns = &selection.exclude_tables;
    is_named(patterns, table) || is_named(patterns, &format!("{database}.{table}"))
}

/// What a dump would lack. Asks the server for each table, and reads no row.
pub(super) fn of(client: &Client<'_>, catalog: &Catalog, options: &DumpOptions) -> Result<Vec<Lack>> {
    let selection = &options.selection;
    let has_views = selection.content != Content::Data;
    let chosen = |(database, table): &(&DatabaseOf, &TableOf)| {
        is_table_chosen(selection, &database.name, &table.name)
            && (has_views || table.kind != TableKind::View)
    };
    let tables = || catalog.tables().filter(chosen);
    let to = &catalog.account;
    let mut lacks = Vec::new();
    for (database, table, why) in
        unreadable(client, tables().map(|(database, table)| (database.name.as_str(), table)))?
    {
        let name = format!("{}.{}", quoted(&database), quoted(&table));
        let advice = if why.contains("denied") {
            format!("GRANT SELECT ON {name} TO {to}")
        } else {
            format!("repair or drop {name}")
        };
        lacks.push(Lack { what: What::Table(database, table), why: format!("{why}: {advice}") });
    }
    if selection.content == Content::Data {
        return Ok(lacks);
    }
    for (database, view) in tables().filter(|(_, table)| table.kind == TableKind::View) {
        let what = What::Table(database.name.clone(), view.name.clone());
        let is_seen = catalog.grants.has("SHOW VIEW", Of::Table(&database.name, &view.name));
        if !is_seen && lacks.iter().all(|lack| lack.what != what) {
            let on = quoted(&database.name);
            lacks.push(Lack {
                what,
                why: format!("its definition isn't shown: GRANT SHOW VIEW ON {on}.* TO {to}"),
            });
        }
    }
    for database in &catalog.databases {
        let (name, on) = (&database.name, quoted(&database.name));
        let mut chosen = database.tables.iter().filter(|table| is_table_chosen(selection, name, &table.name));
        let of_all = catalog.grants.has("TRIGGER", Of::Database(name));
        if !of_all && !chosen.all(|table| catalog.grants.has("TRIGGER", Of::Table(name, &table.name))) {
            let why = format!("they aren't shown: GRANT TRIGGER ON {on}.* TO {to}");
            lacks.push(Lack { what: What::Triggers(name.clone()), why });
        }
        if !is_of_tables(selection) && !catalog.has_events() {
            let why = "the server's event scheduler is disabled, so that it shows none: start it with event_scheduler=OFF";
            lacks.push(Lack { what: What::Events(name.clone()), why: why.to_owned() });
        } else if !is_of_tables(selection) && !catalog.grants.has("EVENT", Of::Database(name)) {
            let why = format!("they aren't shown: GRANT EVENT ON {on}.* TO {to}");
            lacks.push(Lack { what: What::Events(name.clone()), why });
        }
    }
    if !is_of_tables(selection) && !catalog.sees_routines() {
        let right = match catalog.engine() {
            Engine::Mysql => "SHOW_ROUTINE ON *.*",
            _ => "SELECT ON mysql.proc",
        };
        let why = format!("those of others aren't shown: GRANT {right} TO {to}");
        lacks.push(Lack { what: What::Routines, why });
    }
    if is_of_server(client.address, selection) && !catalog.grants.has("SELECT", Of::Database("mysql")) {
        let why = format!("they can't be read: GRANT SELECT ON mysql.* TO {to}");
        lacks.push(Lack { what: What::Users, why });
    }
    Ok(lacks)
}
