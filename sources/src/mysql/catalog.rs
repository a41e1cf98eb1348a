//! What a server has: its version, settings, the account's rights, and databases with their tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::client::{Client, quoted};
use super::grants::{Grants, Of};
use super::names::is_chosen;
use crate::address::Engine;
use crate::dump::Selection;
use crate::error::Result;

/// Databases that belong to the server, and are none of a dump.
pub(super) const OF_THE_SERVER: &[&str] = &["information_schema", "performance_schema", "mysql", "sys"];

/// A server at one moment.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// Settings and states, by their names.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) grants: Grants,
    /// The server's clock (RFC 3339, UTC).
    pub(super) now: String,
    /// The account, as a grant names it.
    pub(super) account: String,
    pub(super) databases: Vec<DatabaseOf>,
}

/// A database of a server.
#[derive(Debug, Default)]
pub(super) struct DatabaseOf {
    pub(super) name: String,
    pub(super) tables: Vec<TableOf>,
}

/// A table, view or sequence.
#[derive(Debug, Default, Clone)]
pub(super) struct TableOf {
    pub(super) name: String,
    pub(super) kind: TableKind,
    pub(super) engine: String,
    /// As the server estimates it.
    pub(super) bytes: u64,
}

/// What has rows, and what hasn't.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    #[default]
    Table,
    /// A table of which the server keeps older rows.
    Versioned,
    View,
    Sequence,
}

impl Catalog {
    /// Reads what a dump is to have.
    pub(super) fn read(client: &Client<'_>, selection: &Selection) -> Result<Self> {
        let of_address = client.address.database.as_ref();
        Self::read_those(client, &|name| {
            of_address.is_none_or(|only| only == name) && is_chosen(&selection.databases, name)
        })
    }

    /// Reads all that is there.
    pub(super) fn read_all(client: &Client<'_>) -> Result<Self> {
        Self::read_those(client, &|_| true)
    }

    fn read_those(client: &Client<'_>, is_wanted: &dyn Fn(&str) -> bool) -> Result<Self> {
        let what = "reading what is there";
        let names = "'version','version_comment','server_uid','server_uuid','server_id','hostname','log_bin',\
            'binlog_format','gtid_binlog_pos','gtid_strict_mode','gtid_mode','datadir','innodb_page_size','event_scheduler'";
        let grants = client.query(what, "SHOW GRANTS;")?;
        let settings =
            client.query(what, &format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names});"))?;
        let rows = client.query(
            what,
            "SELECT 'now', DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ'), CURRENT_USER();
             SELECT 'database', schema_name FROM information_schema.schemata;
             SELECT 'table', table_schema, table_name, table_type, COALESCE(engine, ''),
                 COALESCE(data_length, 0) + COALESCE(index_length, 0)
             FROM information_schema.tables ORDER BY table_schema, table_name;",
        )?;
        let lines = grants.iter().filter_map(|row| row.first()).map(String::as_str);
        let mut catalog = Self { grants: Grants::read(lines), ..Self::default() };
        let pairs = settings.into_iter().filter_map(|row| <[String; 2]>::try_from(row).ok());
        catalog.settings = pairs.map(|[name, value]| (name, value)).collect();
        let mut databases: BTreeMap<String, DatabaseOf> = BTreeMap::new();
        for row in rows {
            let fields: Vec<&str> = row.iter().map(String::as_str).collect();
            match fields.as_slice() {
                ["now", now, account] => {
                    catalog.now = (*now).to_owned();
                    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
                    catalog.account = format!("{}@{}", quoted(user), quoted(host));
                }
                ["database", name] if !is_of_the_server(name) && is_wanted(name) => {
                    let database = DatabaseOf { name: (*name).to_owned(), tables: Vec::new() };
                    databases.insert(database.name.clone(), database);
                }
                ["table", database, name, kind, engine, bytes] => {
                    if let Some(database) = databases.get_mut(*database) {
                        let (name, engine) = ((*name).to_owned(), (*engine).to_owned());
                        let bytes = bytes.parse().unwrap_or(0);
                        database.tables.push(TableOf { name, kind: kind_of(kind), engine, bytes });
                    }
                }
                _ => {}
            }
        }
        catalog.databases = databases.into_values().collect();
        Ok(catalog)
    }

    /// A setting that the server has.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The version that the server says.
    pub(super) fn version(&self) -> String {
        self.setting("version").unwrap_or("of no version").to_owned()
    }

    /// Which of the two it is, whatever the address says.
    pub(super) fn engine(&self) -> Engine {
        let is_mariadb =
            |name| self.setting(name).is_some_and(|text| text.to_lowercase().contains("mariadb"));
        if is_mariadb("version") || is_mariadb("version_comment") { Engine::Mariadb } else { Engine::Mysql }
    }

    /// Whether it logs changes.
    pub(super) fn has_log(&self) -> bool {
        self.setting("log_bin").is_some_and(|value| value == "ON" || value == "1")
    }

    /// What tells this server from others.
    pub(super) fn server_id(&self) -> Option<String> {
        self.setting("server_uuid").or_else(|| self.setting("server_uid")).map(str::to_owned)
    }

    /// Whether the account sees routines of others with their bodies. Without that they aren't dumped, and no program
    /// says so.
    pub(super) fn sees_routines(&self) -> bool {
        self.grants.has("SELECT", Of::Table("mysql", "proc"))
            || self.grants.has_one(&["SHOW CREATE ROUTINE", "SHOW_ROUTINE"], Of::Server)
    }

    /// Whether the server answers anything about events.
    pub(super) fn has_events(&self) -> bool {
        self.setting("event_scheduler") != Some("DISABLED")
    }

    /// The bytes of all databases, as the server estimates them.
    pub(super) fn bytes(&self) -> u64 {
        self.databases.iter().flat_map(|database| &database.tables).map(|table| table.bytes).sum()
    }

    /// All tables and views, with their databases.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&DatabaseOf, &TableOf)> {
        self.databases.iter().flat_map(|database| database.tables.iter().map(move |table| (database, table)))
    }
}

fn is_of_the_server(name: &str) -> bool {
    OF_THE_SERVER.iter().any(|own| own.eq_ignore_ascii_case(name))
}

fn kind_of(text: &str) -> TableKind {
    match text {
        "VIEW" | "SYSTEM VIEW" => TableKind::View,
        "SEQUENCE" => TableKind::Sequence,
        "SYSTEM VERSIONED" => TableKind::Versioned,
        _ => TableKind::Table,
    }
}

impl TableOf {
    /// Whether a transaction sees one state of it. Aria's tables are crash-safe, and not transactional.
    pub(super) fn is_transactional(&self) -> bool {
        let engines = ["InnoDB", "RocksDB", "TokuDB", "NDBCLUSTER", "ndbcluster", "SEQUENCE", "BLACKHOLE"];
        self.kind == TableKind::View || self.engine.is_empty() || engines.contains(&self.engine.as_str())
    }
}

/// Which of these tables and views can't be read, and what the server says of each. No row is read.
pub(super) fn unreadable<'a>(
    client: &Client<'_>,
    tables: impl Iterator<Item = (&'a str, &'a TableOf)>,
) -> Result<Vec<(String, String, String)>> {
    let mut sql = String::from("SET SESSION lock_wait_timeout = 10;\n");
    let mut asked: Vec<(&str, &str, usize)> = Vec::new();
    let mut line = 2;
    for (database, table) in tables {
        let name = format!("{}.{}", quoted(database), quoted(&table.name));
        let statement = format!("SELECT COUNT(*) + {} FROM (SELECT * FROM {name} LIMIT 0) q;\n", asked.len());
        asked.push((database, &table.name, line));
        line += statement.matches('\n').count();
        let _ = sql.write_str(&statement);
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let answer = client.query_each("looking which tables can be read", &sql)?;
    let readable: std::collections::BTreeSet<usize> =
        answer.rows.iter().filter_map(|row| row.first()?.parse().ok()).collect();
    let why = |line: usize| {
        let start = format!(" at line {line}: ");
        let found = answer.messages.lines().find_map(|message| message.split_once(&start));
        found.map_or_else(|| "it can't be read".to_owned(), |(_, why)| why.trim().to_owned())
    };
    let others = asked.iter().enumerate().filter(|(number, _)| !readable.contains(number));
    Ok(others
        .map(|(_, (database, table, line))| ((*database).to_owned(), (*table).to_owned(), why(*line)))
        .collect())
}
