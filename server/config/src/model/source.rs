//! What a plan backs up: files, outputs of commands, databases.

use std::num::NonZeroU16;

use crate::decode::{Located, OneOrMore};
use crate::model::secret::{Command, SecretReference};
use crate::values::address::{AbsolutePath, Host};
use crate::values::amount::Chunking;
use crate::values::name::ExcludePattern;
use crate::values::time::Length;

table! {
    /// A part of what a plan backs up. All parts of a plan are in one snapshot.
    pub struct Source {
        /// Files and directories.
        files: Option<OneOrMore<Located<AbsolutePath>>>,
        /// The output of a command.
        stream: Option<Stream>,
        /// A database of PostgreSQL.
        postgres: Option<Database>,
        /// A database of MySQL.
        mysql: Option<Database>,
        /// A database of MariaDB.
        mariadb: Option<Database>,
        /// A database of MongoDB.
        mongodb: Option<Database>,
        /// A Redis or Valkey server.
        redis: Option<Database>,
        /// A file of SQLite.
        sqlite: Option<SqliteFile>,
        /// With `files`: patterns of what to leave out of these, in addition to the plan's.
        exclude: Vec<ExcludePattern>,
        /// With `files` of one path: its path in the snapshot.
        stored_as: Option<AbsolutePath>,
        /// With `files`: take what symbolic links point to, and not the links.
        follow: bool = "false",
        /// With `files`: take the content of block devices and named pipes that are named.
        read_special: bool = "false",
        /// With `files`: where these are cut into chunks; else `auto`: at their pages what begins as a file of SQLite,
        /// PostgreSQL or InnoDB does, and everything else by content.
        chunking: Option<Chunking>,
        /// With a database: how it is dumped.
        format: DumpFormat = "'logical'",
        /// With a database: the name of its dump in the snapshot; else it is made of the engine and the database.
        name: Option<String>,
    }
    one_of("files", "stream", "postgres", "mysql", "mariadb", "mongodb", "redis", "sqlite");
    only_with("exclude", "stored_as", "follow", "read_special", "chunking" => "files");
    only_with("format" => "postgres", "mysql", "mariadb");
    only_with("name" => "postgres", "mysql", "mariadb", "mongodb", "redis", "sqlite");
}

table! {
    /// A command whose output becomes a file of the snapshot.
    pub struct Stream {
        /// The file's name in the snapshot.
        name: String,
        /// A program and its arguments, or a script for a shell. It is for the host's own files.
        command: Command,
        /// Whether no output is an empty file, and not a failure.
        may_be_empty: bool = "false",
    }
}

table! {
    /// How to reach a database.
    pub struct Database {
        /// The server.
        host: Host = "'localhost'",
        /// Its port; else the engine's own.
        port: Option<NonZeroU16>,
        /// A socket in the file system, instead of host and port.
        socket: Option<AbsolutePath>,
        /// The database; else all of them.
        dbname: Option<String>,
        /// Who reads it.
        user: Option<String>,
        /// The user's password.
        password: Option<SecretReference>,
        /// Whether the connection must be encrypted, and the server's name be right.
        tls: Tls = "'prefer'",
        /// Certificates in PEM, of authorities to trust in addition to the system's.
        ca_file: Option<AbsolutePath>,
        /// Of all databases only these; `*` and `?` stand for any letters. Not beside `dbname`.
        databases: Vec<String>,
        /// Only these schemas, where the engine has such.
        schemas: Vec<String>,
        /// Only these tables or collections: `name`, or `schema.name` where the engine has schemas.
        tables: Vec<String>,
        /// Tables or collections whose rows are left out.
        exclude_tables: Vec<String>,
        /// What of the tables.
        content: DumpContent = "'all'",
        /// Connections that read at once.
        parallel: NonZeroU16 = "2",
        /// What becomes of a run if a part can't be read.
        on_missing: OnMissing = "'fail'",
        /// More arguments for the program that dumps, where a program does.
        options: Vec<String>,
        /// Folders in which programs of the database are looked for before the usual ones.
        programs: Vec<AbsolutePath>,
        /// How long the server may take to answer a connection.
        timeout: Length = "'10s'",
    }
}

choice! {
    /// How a database is dumped.
    pub enum DumpFormat {
        /// What it answers to queries: any version can read it, and single tables can be restored.
        Logical = "logical",
        /// The server's own files: with the log of changes they can be restored to any moment.
        Physical = "physical",
    }
}

choice! {
    /// What of the tables of a database is dumped.
    pub enum DumpContent {
        /// Definitions and rows.
        All = "all",
        /// Definitions alone.
        Schema = "schema",
        /// Rows alone.
        Data = "data",
    }
}

choice! {
    /// What becomes of a run if a part of a database can't be read.
    pub enum OnMissing {
        /// It fails, and there is no snapshot.
        Fail = "fail",
        /// The rest is backed up. The run has a finding for each part that is missing, and the snapshot says which.
        Report = "report",
    }
}

choice! {
    /// Whether a connection is encrypted.
    pub enum Tls {
        /// It never is.
        Off = "off",
        /// If the server can.
        Prefer = "prefer",
        /// Always, and the server's certificate must be right.
        Verify = "verify",
    }
}

table! {
    /// A file of SQLite, which is read as one consistent state while others write to it.
    pub struct SqliteFile {
        /// The file.
        path: AbsolutePath,
    }
}

choice! {
    /// How a changed file is known. Every snapshot is whole whichever is chosen: only what has to be read differs.
    pub enum ChangedBy {
        /// By its times, its size and its inode number.
        Ctime = "ctime",
        /// As before, without the ctime: where another program changes it all the time.
        Mtime = "mtime",
        /// As before, without the inode number: where a file system gives others at each mount.
        Inode = "no-inode",
        /// By its content: every file is read.
        Content = "content",
    }
}

/// Which database a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
    /// MongoDB.
    Mongodb,
    /// Redis or Valkey.
    Redis,
}

impl Engine {
    /// The port that it listens to unless told otherwise.
    #[must_use]
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::Mysql | Self::Mariadb => 3306,
            Self::Mongodb => 27017,
            Self::Redis => 6379,
        }
    }
}

impl Source {
    /// The database server, if it is one.
    #[must_use]
    pub fn database(&self) -> Option<(Engine, &Database)> {
        let of = |engine, database: &'_ Option<Database>| database.is_some().then_some(engine);
        let engine = of(Engine::Postgres, &self.postgres)
            .or_else(|| of(Engine::Mysql, &self.mysql))
            .or_else(|| of(Engine::Mariadb, &self.mariadb))
            .or_else(|| of(Engine::Mongodb, &self.mongodb))
            .or_else(|| of(Engine::Redis, &self.redis))?;
        let database = match engine {
            Engine::Postgres => &self.postgres,
            Engine::Mysql => &self.mysql,
            Engine::Mariadb => &self.mariadb,
            Engine::Mongodb => &self.mongodb,
            Engine::Redis => &self.redis,
        };
        Some((engine, database.as_ref()?))
    }

    /// The paths, if it is files.
    pub fn paths(&self) -> impl Iterator<Item = &Located<AbsolutePath>> {
        self.files.iter().flat_map(|files| &files.0)
    }
}
