//! Databases: what a backup takes of them, how they are tried, and how they come back.
//!
//! The crate of sources knows databases and no repository, and the engine the other way round. Here they meet: a dump is
//! a folder of a snapshot that a program writes, and a restore reads such a folder.

mod dump;
mod restore;
mod survey;
pub mod wal;

use std::path::PathBuf;

use keepfast_process::Cancel;
use keepfast_sources::address::{Address, Password};
use keepfast_sources::context::{Context, Progress};
use keepfast_sources::dump::DumpOptions;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::child::Children;
use crate::error::{DatabaseError, Result};
use crate::secret::{Purpose, SecretCache, SecretReader, SecretSource};

pub use dump::folder_of;
pub use restore::{DatabaseRestore, DatabaseRestoreReport, dumps_in, plan_restore, restore_database};
pub(crate) use restore::{FromFolder, dump_folders};
pub use survey::survey;

use restore::path_of;

/// Where what has to be a file is put: it may be as large as a database, so that it is on a disk and not in memory.
const SCRATCH: &str = "/var/tmp";

/// A database that a backup takes, or all of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSource {
    /// The folder in the snapshot's root directory; none means one that is named for the engine, the server and the
    /// database, such as `postgres-db.example.org-shop`.
    #[serde(default)]
    pub name: Option<String>,
    /// How to reach it.
    pub address: Address,
    /// The password of its user.
    #[serde(default)]
    pub password: Option<SecretSource>,
    /// What is dumped, and how.
    #[serde(default)]
    pub options: DumpOptions,
}

impl DatabaseSource {
    /// All of what an address leads to.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { name: None, address, password: None, options: DumpOptions::default() }
    }

    /// The folder in the snapshot.
    #[must_use]
    pub fn folder(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let text = self.address.to_string();
            let (engine, rest) = text.split_once("://").unwrap_or(("database", &text));
            // Who connects is no part of what it is.
            let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
            let plain: String =
                place.chars().map(|letter| if is_usual(letter) { letter } else { '-' }).collect();
            format!("{engine}-{}", plain.trim_matches('-'))
        })
    }

    /// The address with the password that the reference leads to.
    pub fn resolve(&self, by: &Resolver<'_>) -> Result<Address> {
        by.resolve(&self.address, self.password.as_ref())
    }
}

/// Whether a letter stands for itself in the name of a folder.
fn is_usual(letter: char) -> bool {
    letter.is_alphanumeric() || ".-_".contains(letter)
}

/// Reads the passwords of databases.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// How commands are started, and who remembers what was read.
    pub children: &'a Children,
    /// Where secrets are kept for a short time.
    pub kept: Option<&'a SecretCache>,
    /// Ends a command that takes too long.
    pub cancel: &'a Cancel,
}

impl Resolver<'_> {
    /// The address with its password.
    pub fn resolve(&self, address: &Address, password: Option<&SecretSource>) -> Result<Address> {
        let Some(source) = password else { return Ok(address.clone()) };
        let reader =
            SecretReader { what: "password of the database", children: self.children, cancel: self.cancel };
        let password = reader.password_by(self.kept, source, Purpose::Open)?;
        Ok(Address { password: Some(Password::new(password)), ..address.clone() })
    }
}

/// What work with a database needs beside its address. A folder for files is made, and removed with this value.
pub struct Surroundings {
    children: Children,
    cancel: Cancel,
    programs: Vec<PathBuf>,
    scratch: TempDir,
}

impl Surroundings {
    /// For one run. Programs are looked for in these folders before the usual ones.
    pub fn new(children: &Children, cancel: &Cancel, programs: &[PathBuf]) -> Result<Self> {
        let unusable = |source| DatabaseError::Scratch { folder: SCRATCH.into(), source };
        let scratch = tempfile::Builder::new().prefix("keepfast-").tempdir_in(SCRATCH).map_err(unusable)?;
        Ok(Self { children: children.clone(), cancel: cancel.clone(), programs: programs.to_vec(), scratch })
    }

    /// As the sources take them.
    #[must_use]
    pub fn context<'a>(&self, progress: &'a (dyn Fn(Progress<'_>) + Sync)) -> Context<'a> {
        Context {
            cancel: self.cancel.clone(),
            secrets: self.children.secrets.clone(),
            programs: self.programs.clone(),
            scratch: self.scratch.path().to_owned(),
            progress,
        }
    }
}

#[cfg(test)]
mod tests {
    use keepfast_sources::address::Address;

    use super::DatabaseSource;

    #[test]
    fn a_folder_is_named_for_what_is_in_it_and_not_for_who_reads_it() {
        for (address, folder) in [
            ("postgres://ann@db.example.org/shop", "postgres-db.example.org-5432-shop"),
            ("redis://[::1]", "redis-1--6379"),
            ("mariadb://localhost?socket=/run/mysqld/mysqld.sock", "mariadb-run-mysqld-mysqld.sock"),
            ("sqlite:///srv/app/data.db", "sqlite-srv-app-data.db"),
        ] {
            let source = DatabaseSource::new(Address::parse(address).expect(address));
            assert_eq!(source.folder(), folder, "{address}");
        }
    }
}
