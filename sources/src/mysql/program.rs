//! The makers' programs: which are installed, and what those can do. MariaDB's and MySQL's differ by version, and Debian
//! has MariaDB's under MySQL's names too, so that they are asked and not guessed by their names.

use std::io::Read;
use std::path::PathBuf;

use keepfast_process::tool::{Feed, Tool, find};

use crate::address::Engine;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::survey::ToolFound;

/// What a program says of its options is shorter.
const HELP_BYTES_MAX: u64 = 1 << 20;

/// A program that was found.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// Its own name, such as `mariadb-dump`.
    pub(super) name: &'static str,
    /// Where it is.
    pub(super) path: PathBuf,
    /// The version that it says, such as `10.11.19-MariaDB`.
    pub(super) version: String,
    help: String,
}

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Asks a server, and feeds it with statements.
    Client,
    /// Dumps.
    Dump,
    /// Reads binary logs.
    Binlog,
    /// Checks tables.
    Check,
    /// Copies a server's files.
    Physical,
    /// Makes a server's first files.
    Install,
    /// The server.
    Server,
}

impl Purpose {
    /// Its names, those of MariaDB first.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Client => &["mariadb", "mysql"],
            Self::Dump => &["mariadb-dump", "mysqldump"],
            Self::Binlog => &["mariadb-binlog", "mysqlbinlog"],
            Self::Check => &["mariadb-check", "mysqlcheck"],
            Self::Physical => &["mariadb-backup", "mariabackup"],
            Self::Install => &["mariadb-install-db", "mysql_install_db"],
            Self::Server => &["mariadbd", "mysqld"],
        }
    }
}

impl Program {
    /// Finds the program for a purpose, that of this engine's maker if both are installed.
    pub(super) fn find(purpose: Purpose, engine: Engine, context: &Context<'_>) -> Result<Self> {
        let names = purpose.names();
        let found = |name: &&'static str| find(name, &context.programs).map(|path| (*name, path));
        let first = if engine == Engine::Mysql { names.iter().rev().find_map(found) } else { None };
        let (name, path) = first
            .or_else(|| names.iter().find_map(found))
            .ok_or(SourceError::NoProgram { program: names[0], engine })?;
        let mut program = Self { name, path, version: String::new(), help: String::new() };
        program.version = version_of(&program.answer_to("--version", context)?);
        // The script that makes a server's first files, and the server itself, are started in one way only.
        if !matches!(purpose, Purpose::Install | Purpose::Server) {
            program.help = program.answer_to("--help", context)?;
        }
        Ok(program)
    }

    /// Whether it is of MariaDB.
    pub(super) fn is_mariadb(&self) -> bool {
        // Some name their maker in their help alone.
        self.version.contains("MariaDB") || self.help.contains("MariaDB")
    }

    /// Whether a text stands in what it says of its options.
    pub(super) fn says_of_itself(&self, text: &str) -> bool {
        self.help.contains(text)
    }

    /// Whether it has an option, by what it says itself: `--gtid`.
    pub(super) fn has(&self, option: &str) -> bool {
        let is_option = |line: &str| {
            let words = line.split(|letter: char| letter.is_whitespace() || letter == '=' || letter == '[');
            words.take(6).any(|word| word.trim_end_matches(',') == option)
        };
        self.help.lines().filter(|line| line.trim_start().starts_with('-')).any(is_option)
    }

    /// As a survey tells of it.
    pub(super) fn found(&self) -> ToolFound {
        ToolFound { program: self.path.display().to_string(), version: self.version.clone() }
    }

    fn answer_to(&self, question: &str, context: &Context<'_>) -> Result<String> {
        let file = |source| SourceError::File { path: self.path.clone(), source };
        let tool = Tool::new(&self.path, &context.secrets).args(["--no-defaults", question]);
        // The order is that of the program's parser: `--no-defaults` comes first, or it reads the machine's settings.
        let started = tool.start(Feed::Nothing, &context.cancel).map_err(file)?.started;
        let mut text = Vec::new();
        let mut output = started.output;
        let read = (&mut output).take(HELP_BYTES_MAX).read_to_end(&mut text);
        // A program that says more than that would wait for a reader.
        drop(output);
        match read {
            Err(_) if context.cancel.is_cancelled() => return Err(SourceError::Cancelled),
            read => read.map_err(file)?,
        };
        started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// `mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)`, `mysql  Ver 8.0.36 for Linux`,
/// `mariadb from 11.8.9-MariaDB, client 15.2`.
fn version_of(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).map(|word| word.trim_end_matches(',').to_owned())
    };
    let is_version = |word: &&&str| word.starts_with(|first: char| first.is_ascii_digit());
    let by_name = after("Distrib").or_else(|| after("from")).or_else(|| after("Ver"));
    by_name.or_else(|| words.iter().find(is_version).map(|word| (*word).to_owned())).unwrap_or_default()
}

/// The first two numbers of a version: `10.11.19-MariaDB` is 10 and 11.
pub(super) fn numbers(version: &str) -> (u32, u32) {
    let mut parts =
        version.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{numbers, version_of};

    #[test]
    fn versions_are_read_as_programs_say_them() {
        for (line, version) in [
            ("mariadb  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)", "10.11.19-MariaDB"),
            ("mariadb-dump from 11.8.9-MariaDB, client 10.19 for debian-linux-gnu", "11.8.9-MariaDB"),
            ("mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", "8.0.36"),
            ("mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu", "10.11.19-MariaDB-0+deb12u1"),
        ] {
            assert_eq!(version_of(line), version);
        }
        assert_eq!(numbers("10.11.19-MariaDB"), (10, 11));
        assert_eq!(numbers("9"), (9, 0));
    }
}
