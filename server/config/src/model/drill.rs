//! Drills: restores that prove that a plan's snapshots are of use.

use crate::decode::{Flaw, FromText, Located};
use crate::files::Facts;
use crate::model::plan::Plan;
use crate::model::reference::Reference;
use crate::model::schedule::Calendar;
use crate::model::source::{Database, Engine};
use crate::schema::TextShape;
use crate::values::address::AbsolutePath;
use crate::values::amount::{Share, Size};
use crate::values::time::{Age, Length};

table! {
    /// A restore that proves that a plan's snapshots are of use.
    pub struct Drill {
        /// What it is, for people.
        description: Option<String>,
        /// The plan.
        plan: Reference<Plan>,
        /// When.
        schedule: Calendar,
        /// Which snapshot.
        choose: Choose = "'latest'",
        /// An engine that is started from nothing, restored into, asked, and removed.
        boot: Option<Boot>,
        /// Where files are restored to, in a fresh directory that is removed afterwards; else in the server's own.
        into: Option<Located<AbsolutePath>>,
        /// A server that a database is restored into, under a name of its own.
        server: Option<Located<DrillServer>>,
        /// How much of the files is restored.
        sample: Share = "'100%'",
        /// How long a restore may take; it is told if it takes longer.
        rto: Option<Length>,
        /// What must be true of what was restored.
        expect: Vec<Expectation>,
        /// Whether a byte of a copy of the repository is flipped, too, which a check of the copy has to find.
        corrupt: Option<bool>,
        /// What is kept as proof.
        evidence: Evidence = "{}",
    }
    at_most_one_of("boot", "server");
}

/// Which snapshot a drill takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choose {
    /// The newest.
    Latest,
    /// The oldest.
    Oldest,
    /// Any one that isn't older than this.
    RandomWithin(Age),
}

impl FromText for Choose {
    const TEXT: TextShape =
        TextShape { what: "a choice of a snapshot", examples: &["latest", "oldest", "random within 30d"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        match text {
            "latest" => Ok(Self::Latest),
            "oldest" => Ok(Self::Oldest),
            _ => match text.strip_prefix("random within ") {
                Some(age) => Age::read(age, facts).map(Self::RandomWithin),
                None => Err(Flaw::default()),
            },
        }
    }
}

from_text!(Choose);

choice! {
    /// A database engine that a drill can start.
    pub enum BootEngine {
        /// PostgreSQL.
        Postgres = "postgres",
        /// MySQL.
        Mysql = "mysql",
        /// MariaDB.
        Mariadb = "mariadb",
        /// MongoDB.
        Mongodb = "mongodb",
        /// Redis or Valkey.
        Redis = "redis",
        /// SQLite.
        Sqlite = "sqlite",
    }
}

table! {
    /// An engine that is started for a drill.
    pub struct Boot {
        /// Which.
        engine: BootEngine,
        /// Its version: `match` is that of the source.
        version: String = "'match'",
        /// The memory that it may take.
        memory: Option<Size>,
        /// How long starting, restoring and asking may take in all; it is told if it takes longer.
        rto: Option<Length>,
    }
}

table! {
    /// A server that a drill restores into.
    pub struct DrillServer {
        /// PostgreSQL.
        postgres: Option<Database>,
        /// MySQL.
        mysql: Option<Database>,
        /// MariaDB.
        mariadb: Option<Database>,
        /// MongoDB.
        mongodb: Option<Database>,
        /// Redis or Valkey.
        redis: Option<Database>,
    }
    one_of("postgres", "mysql", "mariadb", "mongodb", "redis");
}

impl DrillServer {
    /// The server of an engine. MySQL and MariaDB are one: they can listen to the same port.
    #[must_use]
    pub fn database(&self, engine: Engine) -> Option<&Database> {
        match engine {
            Engine::Postgres => self.postgres.as_ref(),
            Engine::Mysql | Engine::Mariadb => self.mysql.as_ref().or(self.mariadb.as_ref()),
            Engine::Mongodb => self.mongodb.as_ref(),
            Engine::Redis => self.redis.as_ref(),
        }
    }
}

table! {
    /// What must be true of what was restored.
    pub struct Expectation {
        /// A query with one value as its answer.
        sql: Option<String>,
        /// A path that must be there.
        path: Option<String>,
        /// The least that the answer, or the path's size in bytes, may be.
        min: Option<f64>,
        /// The most.
        max: Option<f64>,
        /// What the answer must be.
        equals: Option<String>,
        /// The answer is a time, and at most this much older than the snapshot.
        newer_than_snapshot: Option<Length>,
    }
    one_of("sql", "path");
    only_with("equals", "newer_than_snapshot" => "sql");
}

table! {
    /// What is kept of a drill as proof.
    pub struct Evidence {
        /// For how long.
        keep: Length = "'2y'",
        /// Whether it is signed.
        sign: bool = "false",
    }
}

#[cfg(test)]
mod tests {
    use super::{Choose, FromText};
    use crate::testing::NoFacts;

    #[test]
    fn a_drill_takes_the_newest_the_oldest_or_any() {
        assert_eq!(Choose::read("latest", &NoFacts), Ok(Choose::Latest));
        assert!(matches!(Choose::read("random within 30d", &NoFacts), Ok(Choose::RandomWithin(_))));
        assert!(
            Choose::read("random", &NoFacts).is_err() && Choose::read("random within x", &NoFacts).is_err()
        );
    }
}
