//! The tables and their columns, in an order in which a table's key comes first.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Text.
    Text,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// How many of the columns are the key.
    pub key_length: usize,
    pub columns: &'static [Column],
    /// Reads all columns.
    pub select: &'static str,
    /// The key's columns.
    pub key: &'static str,
    /// What a later row's key is.
    pub after: &'static str,
}

impl Table {
    /// The columns of the key.
    pub fn key_columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns[..self.key_length].iter()
    }

    /// Whether the database numbers its rows.
    pub fn is_numbered(&self) -> bool {
        self.columns[0].name == "number"
    }
}

/// Declares tables: `name: key columns; other columns`.
macro_rules! tables {
    ($($table:ident: $first:ident $first_kind:ident $(, $key:ident $key_kind:ident)*; $($column:ident $kind:ident),*;)*) => {
        pub const TABLES: &[Table] = &[$(Table {
            name: stringify!($table),
            key_length: [stringify!($first) $(, stringify!($key))*].len(),
            columns: &[
                Column { name: stringify!($first), kind: Kind::$first_kind },
                $(Column { name: stringify!($key), kind: Kind::$key_kind },)*
                $(Column { name: stringify!($column), kind: Kind::$kind },)*
            ],
            select: concat!(
                "SELECT ", stringify!($first), $(", ", stringify!($key),)* $(", ", stringify!($column),)*
                " FROM ", stringify!($table)
            ),
            key: concat!(stringify!($first) $(, ", ", stringify!($key))*),
            after: concat!("(", stringify!($first) $(, ", ", stringify!($key))*, ") > "),
        },)*];
    };
}

tables! {
    counter: name Text; last Integer;
    plan_state: plan Text; born Integer, last_ok Integer, last_findings Integer,
        baseline Text;
    pause: number Integer; plan Text, since Integer, until Integer, paused_by Text, reason Text, ended
        Integer;
    schedule_state: schedule Text; generation Integer, document Text, changed Integer;
    followed_config: server Text; host Text, config Text, applied Integer, at Integer;
    slot: schedule Text, slot Integer; last Integer, slots Integer, outcome Text, reason Text, run Text,
        decided Integer;
    run: number Integer; id Text, kind Text, plan Text, repository Text, host Text, slot Integer, slots
        Integer, due Integer, trigger_kind Text, parent Text, root Text, attempt Integer, state Text,
        verdict Text, reason Text, created Integer, not_before Integer, started Integer, ended Integer,
        server Text, boot Text, lease Integer, lease_until Integer, beat Integer, fence Integer, config
        Text, phase Text, counters Text, waits Text, cancel_requested Integer, error_category Text,
        fingerprint Text, error Text, report Text, only_server Text, request Text, files Integer, source_bytes Integer,
        read_bytes Integer, new_bytes Integer, stored_bytes Integer, found_bytes Integer, drill Text;
    event: sequence Integer; at Integer, kind Text, subject Text, document Text;
    reader: reader Text; sequence Integer, generation Integer, document Text;
    problem: number Integer; subject Text, kind Text, opened Integer, last_seen Integer, seen Integer,
        told Integer, repeated Integer, resolved Integer, acknowledged Integer, acknowledged_by Text,
        muted_until Integer, document Text;
    delivery: number Integer; event Integer, problem Integer, target Text, document Text, state Text,
        attempts Integer, created Integer, next_attempt Integer, server Text, boot Text, lease Integer,
        fence Integer, ended Integer, last_error Text;
    undo: id Text; run Text, host Text, command Text, stored Integer, server Text, boot Text, taken
        Integer, done Integer, outcome Text;
    snapshot: repository Text, id Text; time Integer, host Text, plan Text, tags Text, files Integer,
        size_bytes Integer, new_bytes Integer, clean Integer, protected Integer, checked Text, checked_at
        Integer, drilled Text, drilled_at Integer;
    snapshot_word: word Text, time Integer, repository Text, id Text; ;
    error_pattern: fingerprint Text; category Text, message Text, first_seen Integer, last_seen Integer,
        seen Integer, first_version Text, first_config Text, last_run Text;
    error_pattern_host: fingerprint Text, host Text; ;
    log_segment: server Text, segment Integer; last_line Integer;
    log_part: run Text, part Integer; server Text, segment Integer, position Integer, stored_bytes
        Integer, plain_bytes Integer, line_count Integer, worst_level Integer, first_line Integer,
        last_line Integer;
    user_account: id Text; name Text, display Text, grants Text, is_admin Integer, created Integer,
        disabled Integer, last_login Integer, generation Integer;
    user_identity: issuer Text, subject Text; user_id Text;
    user_password: user_id Text; hash Text, changed Integer;
    user_totp: user_id Text; secret Text, pending Text, since Integer, last_step Integer;
    recovery_code: user_id Text, hash Text; used Integer;
    setup_token: hash Text; created Integer, expires Integer;
    session: number Integer; hash Text, user_id Text, created Integer, authenticated Integer, seen
        Integer, expires Integer, origin Text, agent Text;
    known_device: hash Text; user_id Text, created Integer, expires Integer;
    api_token: number Integer; hash Text, user_id Text, name Text, grants Text, created Integer,
        expires Integer, last_used Integer, last_origin Text;
    approval: id Text; action Text, object Text, document Text, state Text, requested_by Text,
        requested Integer, expires Integer, decided_by Text, decided Integer, reason Text, used
        Integer;
    preference: user_id Text, name Text; document Text, changed Integer;
    read_up_to: user_id Text; sequence Integer;
    read_event: user_id Text, sequence Integer; ;
    sent_request: user_id Text, key Text, method Text, path Text; digest Text, began Integer,
        expires Integer, status Integer, answer Text;
    audit: sequence Integer; at Integer, who Text, origin Text, action Text, object Text, before
        Text, after Text, previous Text, hash Text;
    audit_anchor: name Text; sequence Integer, hash Text;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use sqlx::Row as _;

    use super::{Kind, TABLES};
    use crate::db::Pools;
    use crate::db::tests::fresh;

    #[tokio::test]
    async fn an_export_has_every_column_of_every_table() {
        let (store, _folder) = fresh().await;
        let Pools::Sqlite { writer, .. } = store.db.pools() else { panic!("it is SQLite") };
        let sql = "SELECT t.name || '.' || c.name || ' ' || c.type AS it FROM pragma_table_list AS t \
                   JOIN pragma_table_info(t.name) AS c \
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name <> '_sqlx_migrations'";
        let rows = sqlx::query(sql).fetch_all(writer).await.unwrap();
        let mut stored: Vec<String> = rows.iter().map(|row| row.get("it")).collect();
        let mut exported = Vec::new();
        for table in TABLES {
            for column in table.columns {
                let kind = if column.kind == Kind::Integer { "INTEGER" } else { "TEXT" };
                exported.push(format!("{}.{} {kind}", table.name, column.name));
            }
        }
        stored.sort();
        exported.sort();
        assert_eq!(exported, stored);
    }
}
