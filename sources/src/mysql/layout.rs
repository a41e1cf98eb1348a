//! Where the parts of a dump lie: `databases/shop/tables/orders.sql`, and so on.

use std::collections::BTreeMap;

use super::names::as_file;
use super::split::Heading;

/// The file with users and what they may do.
pub(super) const USERS: &str = "users.sql";
/// The first file of a dump.
pub(super) const HEAD: &str = "head.sql";
/// The last file of a dump.
pub(super) const TAIL: &str = "tail.sql";
/// Where binary logs lie that go on where the dump ends.
pub(super) const LOGS: &str = "binlogs";

/// A file of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) path: String,
    /// The database that it is of.
    pub(super) database: Option<String>,
}

/// Gives each part its file.
#[derive(Debug, Default)]
pub(super) struct Layout {
    database: Option<String>,
    used: BTreeMap<String, u32>,
}

impl Layout {
    /// The folder of a database.
    pub(super) fn folder(database: &str) -> String {
        format!("databases/{}", as_file(database))
    }

    /// The file of the next part. No two have the same.
    pub(super) fn part(&mut self, heading: &Heading) -> Part {
        let ended = *heading == Heading::Tail;
        if let Heading::Database(name) = heading {
            self.database = Some(name.clone());
        } else if ended {
            self.database = None;
        }
        let folder = self.database.as_deref().map_or_else(|| "others".to_owned(), Self::folder);
        let path = match heading {
            Heading::Head => HEAD.to_owned(),
            Heading::Tail => TAIL.to_owned(),
            Heading::Database(_) if self.used.contains_key(&format!("{folder}/database.sql")) => {
                format!("{folder}/again.sql")
            }
            Heading::Database(_) => format!("{folder}/database.sql"),
            Heading::Table(Some(name)) => format!("{folder}/tables/{}.sql", as_file(name)),
            Heading::Table(None) => format!("{folder}/unnamed.sql"),
            Heading::Sequence(name) => format!("{folder}/sequences/{}.sql", as_file(name)),
            Heading::StandIn(name) => format!("{folder}/stand-ins/{}.sql", as_file(name)),
            Heading::View(name) => format!("{folder}/views/{}.sql", as_file(name)),
            Heading::Events => format!("{folder}/events.sql"),
            Heading::Routines => format!("{folder}/routines.sql"),
        };
        let count = self.used.entry(path.clone()).or_default();
        *count += 1;
        let path = match *count {
            1 => path,
            again => format!("{}%{again}.sql", path.trim_end_matches(".sql")),
        };
        Part { path, database: self.database.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;
    use crate::mysql::split::Heading;

    #[test]
    fn each_part_has_a_file_of_its_own() {
        let mut layout = Layout::default();
        let shop = Heading::Database("shop".to_owned());
        let table = Heading::Table(Some("a/b".to_owned()));
        let headings = [&Heading::Head, &shop, &table, &table, &Heading::Events, &shop, &Heading::Tail];
        let paths = headings.map(|heading| layout.part(heading).path);
        assert_eq!(
            paths,
            [
                "head.sql",
                "databases/shop/database.sql",
                "databases/shop/tables/a%2Fb.sql",
                "databases/shop/tables/a%2Fb%2.sql",
                "databases/shop/events.sql",
                "databases/shop/again.sql",
                "tail.sql"
            ]
        );
    }
}
