//! What a database has: tables, sequences and large objects, and who may read them. All is asked in the transaction whose
//! state is dumped.

use tokio_postgres::Row;

use super::names::{matches_any, matches_table, qualified, quoted};
use super::session::Session;
use crate::dump::Selection;
use crate::error::Result;

/// Columns that are generated came with this version.
const WITH_GENERATED: u32 = 120_000;
/// Schemas of PostgreSQL itself, and what lies in them.
const IS_USERS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
/// Which extension an object belongs to, and what of its rows isn't the extension's own: NULL if it is no member, and if
/// none of its rows are the database's.
const EXTENSION: &str = "LEFT JOIN LATERAL (
        SELECT e.oid, e.extconfig, e.extcondition FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
          AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e') e ON true";

/// A table, or what is like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its number.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether rows are in it, and not in its partitions.
    pub has_rows: bool,
    /// The columns that are read; generated ones aren't.
    pub columns: Vec<String>,
    /// Which rows are the database's, for a table of an extension.
    pub condition: Option<String>,
    /// Whether an extension makes it.
    pub is_extensions: bool,
    /// The table of which it is a partition.
    pub parent: Option<u32>,
    /// The bytes of its rows, as the server keeps them.
    pub bytes: u64,
    /// Why it can't be read, and what would help.
    pub unreadable: Option<Unreadable>,
}

/// Why something can't be read, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The cause.
    pub why: String,
    /// A statement for an administrator.
    pub cure: String,
}

impl Relation {
    /// Its name for people.
    pub fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// Its name in SQL.
    pub fn in_sql(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// The list of its columns in SQL. Without any, a row is an empty line.
    fn column_list(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
        if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) }
    }

    /// How its rows are read, in the database's own encoding.
    pub fn read_statement(&self, encoding: &str) -> String {
        let from = match &self.condition {
            Some(condition) => {
                let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
                format!("(SELECT {} FROM ONLY {} {condition})", columns.join(", "), self.in_sql())
            }
            None => format!("{}{}", self.in_sql(), self.column_list()),
        };
        format!("COPY {from} TO STDOUT WITH (ENCODING '{encoding}')")
    }

    /// How its rows are written back: into this table.
    pub fn load_statement(&self, into: &str, encoding: &str) -> String {
        format!("COPY {into}{} FROM STDIN WITH (ENCODING '{encoding}')", self.column_list())
    }
}

/// A sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether its value may be read.
    pub is_readable: bool,
    /// The schema and the name of the table that it belongs to.
    pub table: Option<(String, String)>,
}

/// All tables of users that a selection has. Those that belong to partitioned tables that it has, too.
pub fn relations(session: &Session, selection: &Selection, is_standby: bool) -> Result<Vec<Relation>> {
    let generated = if session.version() >= WITH_GENERATED { "AND a.attgenerated = ''" } else { "" };
    let sql = format!(
        "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
            coalesce((SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped {generated}), '{{}}'),
            e.oid IS NOT NULL, e.extcondition[array_position(e.extconfig, c.oid)],
            CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) END,
            CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END,
            pg_catalog.has_table_privilege(c.oid, 'SELECT'), pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
            pg_catalog.row_security_active(c.oid), current_user::text,
            e.oid IS NOT NULL AND coalesce(c.oid <> ALL (e.extconfig), true)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace {EXTENSION}
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {IS_USERS}
        ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
    );
    let rows = session.rows("the list of its tables", &sql, &[])?;
    let all: Vec<(Relation, bool)> =
        rows.iter().map(|row| relation(session, row, is_standby)).collect::<Result<_>>()?;
    // A member of an extension whose rows are all the extension's own is no business of a dump.
    let all: Vec<Relation> = all.into_iter().filter(|(_, is_own)| *is_own).map(|(table, _)| table).collect();
    Ok(selected(all, selection))
}

fn relation(session: &Session, row: &Row, is_standby: bool) -> Result<(Relation, bool)> {
    let what = "the list of its tables";
    let text = |index| session.column::<String>(what, row, index);
    let flag = |index| session.column::<bool>(what, row, index);
    let (schema, name, kind, persistence) = (text(1)?, text(2)?, text(3)?, text(4)?);
    let user = text(13)?;
    let unreadable = if !flag(11)? {
        let cure = format!("GRANT USAGE ON SCHEMA {} TO {}", quoted(&schema), quoted(&user));
        Some(Unreadable { why: format!("{user} may not use the schema {schema}"), cure })
    } else if !flag(10)? {
        let cure = format!("GRANT SELECT ON {} TO {}", qualified(&schema, &name), quoted(&user));
        Some(Unreadable { why: format!("{user} may not read it"), cure })
    } else if flag(12)? {
        let cure = format!("ALTER ROLE {} BYPASSRLS", quoted(&user));
        Some(Unreadable { why: format!("row security keeps rows of it from {user}"), cure })
    } else {
        None
    };
    let bytes: i64 = session.column::<Option<i64>>(what, row, 9)?.unwrap_or(0);
    let table = Relation {
        oid: session.column(what, row, 0)?,
        has_rows: kind == "r" && !(is_standby && persistence == "u"),
        schema,
        name,
        columns: session.column(what, row, 5)?,
        is_extensions: flag(6)?,
        condition: session.column::<Option<String>>(what, row, 7)?,
        parent: session.column(what, row, 8)?,
        bytes: u64::try_from(bytes).unwrap_or(0),
        unreadable,
    };
    let is_own = !flag(14)?;
    Ok((table, is_own))
}

fn selected(all: Vec<Relation>, selection: &Selection) -> Vec<Relation> {
    let is_chosen = |table: &Relation| {
        (selection.schemas.is_empty() || matches_any(&selection.schemas, &table.schema))
            && (selection.tables.is_empty() || matches_table(&selection.tables, &table.schema, &table.name))
    };
    let mut chosen: Vec<bool> = all.iter().map(is_chosen).collect();
    // Partitions can be partitioned themselves, so this goes on until none is added.
    loop {
        let parents: Vec<u32> =
            all.iter().zip(&chosen).filter(|(_, is)| **is).map(|(table, _)| table.oid).collect();
        let mut is_more = false;
        for (table, is) in all.iter().zip(&mut chosen) {
            if !*is && table.parent.is_some_and(|parent| parents.contains(&parent)) {
                (*is, is_more) = (true, true);
            }
        }
        if !is_more {
            break;
        }
    }
    all.into_iter().zip(chosen).filter(|(_, is)| *is).map(|(table, _)| table).collect()
}

/// All sequences of users, also of identity columns.
pub fn sequences(session: &Session) -> Result<Vec<Sequence>> {
    let what = "the list of its sequences";
    let sql = format!(
        "SELECT n.nspname::text, c.relname::text, pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'), o.nspname::text, o.relname::text
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace {EXTENSION}
        LEFT JOIN LATERAL (
            SELECT s.nspname, t.relname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
                JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace
            WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
              AND d.refclassid = 'pg_catalog.pg_class'::regclass LIMIT 1) o ON true
        WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND {IS_USERS} AND (e.oid IS NULL OR c.oid = ANY (e.extconfig))
        ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\""
    );
    let sequence = |row: &Row| {
        let schema: Option<String> = session.column(what, row, 3)?;
        let table: Option<String> = session.column(what, row, 4)?;
        Ok(Sequence {
            schema: session.column(what, row, 0)?,
            name: session.column(what, row, 1)?,
            is_readable: session.column(what, row, 2)?,
            table: schema.zip(table),
        })
    };
    session.rows(what, &sql, &[])?.iter().map(sequence).collect()
}

/// Tables whose rows pg_dump loads through the root of their partitions: the hash of an enum's value isn't the same in
/// another database. Pairs of a table and its root.
pub fn loaded_by_root(session: &Session) -> Result<Vec<(u32, String)>> {
    let what = "the list of its partitions";
    let sql = "WITH RECURSIVE unsafe AS (
            SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p WHERE (
                SELECT o.oid FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am a ON o.opcmethod = a.oid
                WHERE o.opcname = 'enum_ops' AND o.opcnamespace = 'pg_catalog'::regnamespace AND a.amname = 'hash'
            ) = ANY (p.partclass)
        ), below AS (
            SELECT partrelid AS oid FROM unsafe
            UNION SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
        ), above AS (
            SELECT oid AS leaf, oid AS root FROM below
            UNION SELECT a.leaf, i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.root
                JOIN pg_catalog.pg_class c ON c.oid = i.inhparent AND c.relkind = 'p'
        )
        SELECT a.leaf, n.nspname::text, c.relname::text FROM above a JOIN pg_catalog.pg_class c ON c.oid = a.root
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT c.relispartition AND a.leaf <> a.root";
    let pair = |row: &Row| {
        let (schema, name): (String, String) = (session.column(what, row, 1)?, session.column(what, row, 2)?);
        Ok((session.column(what, row, 0)?, qualified(&schema, &name)))
    };
    session.rows(what, sql, &[])?.iter().map(pair).collect()
}

/// Large objects: whether there are any, and how many of them may not be read.
pub fn large_objects(session: &Session) -> Result<(bool, u64)> {
    let what = "its large objects";
    let sql = "SELECT count(*), count(*) FILTER (WHERE NOT coalesce(
            (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
            OR current_setting('lo_compat_privileges') = 'on' OR pg_catalog.pg_has_role(lomowner, 'USAGE')
            OR (SELECT bool_or(privilege_type = 'SELECT' AND (grantee = 0 OR pg_catalog.pg_has_role(grantee, 'USAGE')))
                FROM pg_catalog.aclexplode(lomacl)), false))
        FROM pg_catalog.pg_largeobject_metadata";
    let rows = session.rows(what, sql, &[])?;
    let row = rows.first().ok_or_else(|| session.error(what, "no answer".to_owned()))?;
    let (all, closed): (i64, i64) = (session.column(what, row, 0)?, session.column(what, row, 1)?);
    Ok((all > 0, u64::try_from(closed).unwrap_or(0)))
}

/// Names without wildcards of a selection that this database doesn't have: a typing error must not make an empty dump.
pub fn unknown(selection: &Selection, tables: &[Relation], schemas: &[String]) -> Vec<String> {
    let is_name = |pattern: &&String| !pattern.contains(['*', '?']);
    let is_table = |name: &String| {
        tables.iter().any(|table| matches_table(std::slice::from_ref(name), &table.schema, &table.name))
    };
    let named = selection.tables.iter().chain(&selection.exclude_tables);
    let tables = named.filter(is_name).filter(|&name| !is_table(name)).map(|name| format!("table {name}"));
    let schemas = selection.schemas.iter().filter(is_name).filter(|&name| !schemas.contains(name));
    schemas.map(|name| format!("schema {name}")).chain(tables).collect()
}

/// The schemas of users.
pub fn schemas(session: &Session) -> Result<Vec<String>> {
    let what = "the list of its schemas";
    let sql = format!("SELECT n.nspname::text FROM pg_catalog.pg_namespace n WHERE {IS_USERS}");
    session.rows(what, &sql, &[])?.iter().map(|row| session.column(what, row, 0)).collect()
}
