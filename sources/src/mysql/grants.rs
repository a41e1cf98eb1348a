//! What an account may do, from what `SHOW GRANTS` answers. Two rights have to be looked up there, because a dump without
//! them fails nowhere and lacks triggers or routines.

use std::collections::BTreeSet;

use super::names::like;

/// The rights of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grants(Vec<Grant>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    rights: BTreeSet<String>,
    on: On,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    Everything,
    /// A pattern, with `%`, `_` and `\`.
    Database(String),
    Table(String, String),
}

/// On what a right is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Of<'a> {
    Server,
    Database(&'a str),
    Table(&'a str, &'a str),
}

impl Grants {
    /// Reads the lines. What isn't understood grants nothing.
    pub(super) fn read<'l>(lines: impl IntoIterator<Item = &'l str>) -> Self {
        Self(lines.into_iter().filter_map(grant).collect())
    }

    /// Whether the account has a right on this.
    pub(super) fn has(&self, right: &str, of: Of<'_>) -> bool {
        self.0.iter().any(|grant| grant.gives(right) && grant.reaches(of))
    }

    /// Whether it has one of these rights on this.
    pub(super) fn has_one(&self, rights: &[&str], of: Of<'_>) -> bool {
        rights.iter().any(|right| self.has(right, of))
    }
}

impl Grant {
    fn gives(&self, right: &str) -> bool {
        self.rights.contains(right)
            || self.rights.contains("ALL PRIVILEGES")
            || matches!(self.on, On::Everything) && self.rights.contains("SUPER") && is_part_of_super(right)
    }

    fn reaches(&self, of: Of<'_>) -> bool {
        match (&self.on, of) {
            (On::Everything, _) => true,
            (On::Database(pattern), Of::Database(name) | Of::Table(name, _)) => like(pattern, name),
            (On::Table(database, table), Of::Table(of_database, of_table)) => {
                database == of_database && table == of_table
            }
            _ => false,
        }
    }
}

fn is_part_of_super(right: &str) -> bool {
    matches!(right, "BINLOG MONITOR" | "REPLICATION CLIENT")
}

/// `GRANT SELECT, INSERT (`a`) ON `shop`.* TO …`. Rights on some columns alone aren't enough for a dump, and a grant of a
/// role or on a routine is of no use to it.
fn grant(line: &str) -> Option<Grant> {
    let rest = line.strip_prefix("GRANT ")?;
    let at = outside_of_quotes(rest, " ON ")?;
    let (rights, object) = (rest.get(..at)?, rest.get(at + 4..)?);
    let object = object.get(..outside_of_quotes(object, " TO ")?)?;
    let object = object.strip_prefix("TABLE ").unwrap_or(object);
    let rights = rights.split(',').map(|right| right.trim().to_uppercase());
    let rights: BTreeSet<String> = rights.filter(|right| !right.contains(['(', ')', '`'])).collect();
    let (database, table) = split_name(object)?;
    let on = match (database.as_str(), table.as_str()) {
        ("*", "*") => On::Everything,
        (_, "*") => On::Database(database),
        _ => On::Table(database, table),
    };
    Some(Grant { rights, on })
}

fn outside_of_quotes(text: &str, wanted: &str) -> Option<usize> {
    let mut is_quoted = false;
    text.char_indices().find_map(|(at, letter)| {
        is_quoted ^= letter == '`';
        (!is_quoted && text.get(at..)?.starts_with(wanted)).then_some(at)
    })
}

/// `` `a``b`.* ``, `*.*`
fn split_name(object: &str) -> Option<(String, String)> {
    let dot = outside_of_quotes(object, ".")?;
    let name = |part: &str| {
        let inner = part.strip_prefix('`').and_then(|part| part.strip_suffix('`'));
        inner.map_or_else(|| part.to_owned(), |inner| inner.replace("``", "`"))
    };
    let (database, table) = (object.get(..dot)?, object.get(dot + 1..)?);
    (!database.contains(' ') || database.starts_with('`')).then(|| (name(database), name(table)))
}

#[cfg(test)]
mod tests {
    use super::{Grants, Of};

    #[test]
    fn rights_are_found_where_they_reach() {
        let grants = Grants::read([
            "GRANT RELOAD, BINLOG MONITOR ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*D8'",
            "GRANT SELECT, SHOW VIEW ON `sh_p\\_x`.* TO `u`@`%`",
            "GRANT SELECT ON `o``d`.`a. ON b` TO `u`@`%`",
            "GRANT SELECT (`a`, `b`), UPDATE ON `one`.`t` TO `u`@`%`",
            "GRANT EXECUTE, SELECT ON PROCEDURE `one`.`p` TO `u`@`%`",
            "GRANT `clerk` TO `u`@`%`",
        ]);
        assert!(grants.has("RELOAD", Of::Server) && !grants.has("SELECT", Of::Server));
        assert!(
            grants.has("SELECT", Of::Table("shop_x", "t")) && grants.has("SELECT", Of::Database("shap_x"))
        );
        assert!(!grants.has("SELECT", Of::Database("shopyx")));
        assert!(
            grants.has("SELECT", Of::Table("o`d", "a. ON b")) && !grants.has("SELECT", Of::Table("o`d", "b"))
        );
        assert!(!grants.has("SELECT", Of::Table("one", "t")), "some columns aren't a table");
        assert!(grants.has("UPDATE", Of::Table("one", "t")) && !grants.has("SELECT", Of::Table("one", "p")));
    }

    #[test]
    fn all_is_every_right() {
        let root = Grants::read(["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]);
        assert!(root.has_one(&["SHOW ROUTINE", "SELECT"], Of::Table("mysql", "proc")));
        let lead = Grants::read(["GRANT ALL PRIVILEGES ON `shop`.* TO `u`@`%`"]);
        assert!(lead.has("TRIGGER", Of::Database("shop")) && !lead.has("PROCESS", Of::Server));
    }
}
