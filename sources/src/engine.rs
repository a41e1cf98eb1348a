//! Kinds of databases.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
    /// MongoDB, and what speaks like it.
    Mongodb,
    /// Redis and Valkey.
    Redis,
    /// SQLite.
    Sqlite,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Postgres, Self::Mysql, Self::Mariadb, Self::Mongodb, Self::Redis, Self::Sqlite];

    /// Its name in addresses, files and commands.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
            Self::Mongodb => "mongodb",
            Self::Redis => "redis",
            Self::Sqlite => "sqlite",
        }
    }

    /// The port that it listens to unless told otherwise. SQLite is a file.
    #[must_use]
    pub fn usual_port(self) -> Option<NonZeroU16> {
        NonZeroU16::new(match self {
            Self::Postgres => 5432,
            Self::Mysql | Self::Mariadb => 3306,
            Self::Mongodb => 27017,
            Self::Redis => 6379,
            Self::Sqlite => 0,
        })
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
            Self::Mongodb => "MongoDB",
            Self::Redis => "Redis",
            Self::Sqlite => "SQLite",
        })
    }
}
