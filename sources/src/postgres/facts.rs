//! What a restore has to know of a database beside its archive: how it was created, its own settings and rights, and which
//! roles, extensions and tablespaces it needs. It lies beside the archive as JSON.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::catalog::Relation;
use super::session::Session;
use crate::error::{Result, SourceError};
use crate::files::Files;

/// The name of the file in a database's folder.
const FILE: &str = "database.json";
/// A longer file isn't read: a million tables take a tenth of it.
const BYTES_MAX: u64 = 256 << 20;

/// What is known of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Whose it is.
    pub owner: String,
    /// Its encoding, such as `UTF8`.
    pub encoding: String,
    /// How texts are ordered.
    pub collate: String,
    /// What letters are.
    pub ctype: String,
    /// Whose rules of languages it has: `c` for the system's library, `i` for ICU, `b` for PostgreSQL's own.
    pub provider: String,
    /// The name of the rules, if they aren't of the system's library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Rules of ICU in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    /// What people say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// How many connections it takes; -1 means any number.
    pub connections_max: i32,
    /// Settings of the database, some for a role in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Setting>,
    /// Rights, if they aren't those that a new database has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<Vec<Right>>,
    /// Roles that own something in it.
    pub owners: Vec<String>,
    /// Roles that were given rights in it.
    pub grantees: Vec<String>,
    /// Extensions and their versions.
    pub extensions: BTreeMap<String, String>,
    /// Tablespaces that it uses.
    pub tablespaces: Vec<String>,
    /// Whether only some tables were asked for: then the archive doesn't have their schemas.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_part: bool,
    /// Tables, with what the archive calls them.
    pub tables: Vec<TableFacts>,
}

/// A setting, as `SET` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The role for which it is; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A right to a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Who has it; none means everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Which, such as `CONNECT`.
    pub right: String,
    /// Whether it may be given on.
    pub may_grant: bool,
}

/// A table as the archive knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its number.
    pub oid: u32,
    /// The table of which it is a partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
}

impl Facts {
    /// Asks for them.
    pub fn of(session: &Session, tables: &[Relation], is_part: bool) -> Result<Self> {
        let what = "what the database is";
        // The columns came with versions 15, 16 and 17.
        let (locale, icu_rules, provider) = match session.version() {
            ..150_000 => ("NULL::text", "NULL::text", "'c'"),
            150_000..160_000 => ("d.daticulocale", "NULL::text", "d.datlocprovider::text"),
            160_000..170_000 => ("d.daticulocale", "d.daticurules", "d.datlocprovider::text"),
            _ => ("d.datlocale", "d.daticurules", "d.datlocprovider::text"),
        };
        let sql = format!(
            "SELECT pg_catalog.pg_get_userbyid(d.datdba)::text, pg_catalog.pg_encoding_to_char(d.encoding)::text,
                d.datcollate::text, d.datctype::text, {provider}, {locale}, {icu_rules},
                pg_catalog.shobj_description(d.oid, 'pg_database'), d.datconnlimit, d.datacl IS NOT NULL
            FROM pg_catalog.pg_database d WHERE d.datname = current_database()"
        );
        let rows = session.rows(what, &sql, &[])?;
        let row = rows.first().ok_or_else(|| session.error(what, "no answer".to_owned()))?;
        let text = |index| session.column::<String>(what, row, index);
        let maybe = |index| session.column::<Option<String>>(what, row, index);
        let has_rights: bool = session.column(what, row, 9)?;
        let table = |table: &Relation| TableFacts {
            schema: table.schema.clone(),
            name: table.name.clone(),
            oid: table.oid,
            parent: table.parent,
        };
        Ok(Self {
            owner: text(0)?,
            encoding: text(1)?,
            collate: text(2)?,
            ctype: text(3)?,
            provider: text(4)?,
            locale: maybe(5)?,
            icu_rules: maybe(6)?,
            comment: maybe(7)?,
            connections_max: session.column(what, row, 8)?,
            settings: settings(session)?,
            rights: if has_rights { Some(rights(session)?) } else { None },
            owners: roles(session, OWNERS)?,
            grantees: roles(session, GRANTEES)?,
            extensions: extensions(session)?,
            tablespaces: roles(session, TABLESPACES)?,
            is_part,
            tables: tables.iter().map(table).collect(),
        })
    }

    /// The file of it in a dump.
    pub fn file(folder: &str) -> String {
        format!("{folder}/{FILE}")
    }

    /// As it is written.
    pub fn text(&self, file: &str) -> Result<Vec<u8>> {
        let failed = |error: serde_json::Error| SourceError::Transfer {
            object: file.to_owned(),
            source: error.into(),
        };
        serde_json::to_vec_pretty(self).map_err(failed)
    }

    /// Reads it from a dump.
    pub fn read(files: &dyn Files, folder: &str) -> Result<Self> {
        let file = Self::file(folder);
        let mut text = Vec::new();
        let read = files.open(&file).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text));
        read.map_err(|source| SourceError::Transfer { object: file.clone(), source })?;
        serde_json::from_slice(&text)
            .map_err(|error| SourceError::Dump { object: file, why: error.to_string() })
    }
}

/// Who owns something in this database. What the first superuser owns is written down nowhere.
const OWNERS: &str = "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE
    r.oid = 10 AND EXISTS (
        SELECT FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
            LEFT JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid AND p.proowner = 10
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND (c.relowner = 10 OR p.proowner = 10 OR n.nspowner = 10 AND n.nspname <> 'public'))
    OR r.oid IN (
        SELECT s.refobjid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
        WHERE d.datname = current_database() AND s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.deptype = 'o')
    ORDER BY r.rolname COLLATE \"C\"";
/// Who was given rights in this database, or is named by a policy.
const GRANTEES: &str = "SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid IN (
        SELECT s.refobjid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
        WHERE d.datname = current_database() AND s.refclassid = 'pg_catalog.pg_authid'::regclass AND s.deptype IN ('a', 'r', 'i'))
    ORDER BY r.rolname COLLATE \"C\"";
const TABLESPACES: &str = "SELECT DISTINCT t.spcname::text COLLATE \"C\" FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace WHERE t.spcname !~ '^pg_' ORDER BY 1";

fn roles(session: &Session, sql: &str) -> Result<Vec<String>> {
    let what = "the roles and tablespaces that it needs";
    session.rows(what, sql, &[])?.iter().map(|row| session.column(what, row, 0)).collect()
}

fn settings(session: &Session) -> Result<Vec<Setting>> {
    let what = "the settings of the database";
    let sql = "SELECT r.rolname::text, unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s
        JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
        WHERE d.datname = current_database() AND (s.setrole = 0 OR r.oid IS NOT NULL) ORDER BY 1, 2";
    let setting = |row: &Row| {
        let both: String = session.column(what, row, 1)?;
        let (name, value) = both.split_once('=').unwrap_or((&both, ""));
        Ok(Setting { role: session.column(what, row, 0)?, name: name.to_owned(), value: value.to_owned() })
    };
    session.rows(what, sql, &[])?.iter().map(setting).collect()
}

fn rights(session: &Session) -> Result<Vec<Right>> {
    let what = "the rights to the database";
    let sql = "SELECT r.rolname::text, a.privilege_type, a.is_grantable
        FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
        WHERE d.datname = current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL) ORDER BY 1, 2, 3";
    let right = |row: &Row| {
        Ok(Right {
            role: session.column(what, row, 0)?,
            right: session.column(what, row, 1)?,
            may_grant: session.column(what, row, 2)?,
        })
    };
    session.rows(what, sql, &[])?.iter().map(right).collect()
}

fn extensions(session: &Session) -> Result<BTreeMap<String, String>> {
    let what = "the extensions of the database";
    let sql = "SELECT extname::text, extversion FROM pg_catalog.pg_extension ORDER BY 1";
    let pair = |row: &Row| Ok((session.column(what, row, 0)?, session.column(what, row, 1)?));
    session.rows(what, sql, &[])?.iter().map(pair).collect()
}
