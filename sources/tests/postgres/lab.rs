//! A server with databases, a place for dumps, and what compares two databases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;
use keepfast_sources::address::{Address, Engine, Place, Tls};
use keepfast_sources::context::{Context, Progress};
use keepfast_sources::dump::{DumpOptions, dump};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::{MANIFEST, Manifest};
use keepfast_sources::restore::{RestoreOptions, RestoreReport, restore};
use keepfast_sources::sink::FolderSink;
use keepfast_sources::{Result, SourceError};
use keepfast_testkit::servers::{PostgresServer, PostgresVersion};

/// A server and a folder.
pub struct Lab {
    pub server: PostgresServer,
    pub folder: tempfile::TempDir,
    pub cancel: Cancel,
}

impl Lab {
    pub fn of(version: PostgresVersion) -> Self {
        Self::with(version, &[])
    }

    pub fn with(version: PostgresVersion, settings: &[&str]) -> Self {
        let server = PostgresServer::of(version, settings);
        Self { server, folder: tempfile::tempdir().expect("a folder"), cancel: Cancel::new() }
    }

    /// The address of a database, through the socket.
    pub fn address(&self, database: &str) -> Address {
        Address {
            engine: Engine::Postgres,
            place: Place::Socket {
                path: self.server.socket().to_owned(),
                port: self.server.port().try_into().expect("a port"),
            },
            user: Some(self.server.user().to_owned()),
            database: Some(database.to_owned()),
            password: None,
            tls: Tls::Off,
            ca_file: None,
        }
    }

    /// The address of the server, for all of its databases.
    pub fn whole(&self) -> Address {
        Address { database: None, ..self.address("") }
    }

    pub fn context(&self) -> Context<'static> {
        self.context_with(&|_: Progress<'_>| {})
    }

    pub fn context_with<'a>(&self, progress: &'a (dyn Fn(Progress<'_>) + Sync)) -> Context<'a> {
        Context {
            cancel: self.cancel.clone(),
            secrets: KnownSecrets::default(),
            programs: vec![self.server.programs().to_owned()],
            scratch: self.folder.path().to_owned(),
            progress,
        }
    }

    /// A folder of the lab.
    pub fn place(&self, name: &str) -> PathBuf {
        let place = self.folder.path().join(name);
        std::fs::create_dir_all(&place).expect("a folder");
        place
    }

    pub fn dump(&self, from: &Address, options: &DumpOptions, name: &str) -> Result<Manifest> {
        dump(from, options, &FolderSink::new(self.place(name)), &self.context())
    }

    pub fn restore(&self, name: &str, to: &Address, options: &RestoreOptions) -> Result<RestoreReport> {
        restore(&self.files(name), to, options, &self.context())
    }

    pub fn files(&self, name: &str) -> FolderFiles {
        FolderFiles::new(self.place(name))
    }

    /// All files of a dump but the manifest.
    pub fn contents(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let place = self.place(name);
        let mut contents = BTreeMap::new();
        read(&place, &place, &mut contents);
        contents.remove(MANIFEST);
        contents
    }

    /// What pg_dump says of a database: with the rows in an order of their own.
    pub fn said_by_pg_dump(&self, database: &str) -> Vec<String> {
        said_by_pg_dump(&self.server, database)
    }
}

/// All that pg_dump writes, in lines; those of rows are sorted, as their order is no property of a table.
pub fn said_by_pg_dump(server: &PostgresServer, database: &str) -> Vec<String> {
    let mut command: Command = server.command("pg_dump");
    command.arg("--host").arg(server.socket()).args(["--port", &server.port().to_string()]);
    command.args(["--username", server.user(), "--restrict-key=x"]).arg(database);
    let output = command.output().expect("pg_dump starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut begin = None;
    let (mut is_hashed, mut hashed) = (false, Vec::new());
    for at in 0..lines.len() {
        if lines[at].starts_with("COPY ") {
            begin = Some(at + 1);
            is_hashed = lines[at].starts_with("COPY public.hashed");
        } else if lines[at] == "\\."
            && let Some(begin) = begin.take()
        {
            lines[begin..at].sort();
            if is_hashed {
                hashed.push(begin..at);
            }
        }
    }
    // Which partition has which row is no property of the table.
    for rows in hashed.into_iter().rev() {
        lines.drain(rows);
    }
    lines
}

fn read(root: &Path, folder: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(root, &path, into);
        } else {
            let name = path.strip_prefix(root).expect("below").display().to_string();
            into.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}

/// The text of an error that must come.
pub fn error_of<T>(result: Result<T>) -> (SourceError, String) {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => {
            let text = error.to_string();
            (error, text)
        }
    }
}

/// Two texts are the same, or their first lines that differ are shown.
pub fn assert_same(one: &[String], other: &[String]) {
    let differs = one.iter().zip(other).find(|(one, other)| one != other);
    assert!(differs.is_none(), "{differs:#?}");
    assert_eq!(one.len(), other.len());
}
