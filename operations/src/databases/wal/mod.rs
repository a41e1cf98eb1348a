//! The write-ahead log of a PostgreSQL server in a repository.
//!
//! A log has a name. What waits in a spool becomes a snapshot with the label `wal:NAME`, whose files are in the folder
//! `wal-NAME`. All such snapshots together, and the spool, are the archive of the log. Base backups are in other snapshots;
//! which of them belong to a log is told by the server's system identifier.

mod archive;
mod bases;
mod expire;
mod get;
mod receive;
mod restore;
mod ship;
mod status;

use std::fmt;

use serde::{Serialize, Serializer};

use super::is_usual;
use crate::error::{DatabaseError, Result};

pub use archive::Lists;
pub use expire::{Expire, ExpireReport, expire};
pub use get::{Get, get};
pub use receive::{Receive, receive};
pub use restore::{ClusterReport, ClusterRestore, restore_cluster};
pub use ship::{SetAside, Ship, ShipReport, ship};
pub use status::{BaseDocument, LogStatus, Status, status};

/// What labels of snapshots with a log begin with.
pub(crate) const LABEL: &str = "wal:";
/// The longest name of a log.
const NAME_MAX: usize = 100;

/// The name of a log in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogName(String);

impl LogName {
    /// Letters, digits, and a few signs: it becomes the name of a folder and a part of a label.
    pub fn parse(text: &str) -> Result<Self> {
        if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_usual) {
            return Ok(Self(text.to_owned()));
        }
        Err(DatabaseError::LogName { name: text.to_owned() }.into())
    }

    /// The label of its snapshots.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{LABEL}{self}")
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("wal-{self}")
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for LogName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::LogName;

    #[test]
    fn a_name_is_one_of_a_folder_and_of_a_label() {
        let name = LogName::parse("shop-db.1").expect("a name");
        assert_eq!((name.label().as_str(), name.folder().as_str()), ("wal:shop-db.1", "wal-shop-db.1"));
        for wrong in ["", "a/b", "a,b", "a b", &"x".repeat(101)] {
            assert!(LogName::parse(wrong).is_err_and(|error| error.is_wrong_input()), "{wrong}");
        }
    }
}
