//! What these tests share: addresses, contexts, folders with dumps, and a shop whose contents are hostile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;
use keepfast_sources::address::{Address, Engine, Password, Place, Tls};
use keepfast_sources::context::{Context, Progress};
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::dump;
use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::Manifest;
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::MariaDbServer;
use tempfile::TempDir;

/// A folder for one test, and how it can be cancelled.
pub struct Lab {
    folder: TempDir,
    pub cancel: Cancel,
}

fn quiet(_: Progress<'_>) {}

impl Lab {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), cancel: Cancel::new() }
    }

    pub fn context(&self) -> Context<'static> {
        Context {
            cancel: self.cancel.clone(),
            secrets: KnownSecrets::default(),
            programs: Vec::new(),
            scratch: self.folder.path().to_owned(),
            progress: &quiet,
        }
    }

    /// A new folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).expect("a folder");
        path
    }

    /// Dumps into a new folder.
    pub fn dump(&self, from: &Address, name: &str) -> (Manifest, PathBuf) {
        self.dump_with(from, name, &DumpOptions::default())
    }

    pub fn dump_with(&self, from: &Address, name: &str, options: &DumpOptions) -> (Manifest, PathBuf) {
        let folder = self.folder(name);
        let manifest = dump(from, options, &FolderSink::new(&folder), &self.context()).expect("it is dumped");
        (manifest, folder)
    }
}

pub fn files(folder: &Path) -> FolderFiles {
    FolderFiles::new(folder)
}

/// How to reach a server as its administrator.
pub fn address(server: &MariaDbServer) -> Address {
    Address {
        engine: Engine::Mariadb,
        place: Place::Socket { path: server.socket(), port: Engine::Mariadb.usual_port().expect("a port") },
        user: Some(server.user().to_owned()),
        database: None,
        password: None,
        tls: Tls::Off,
        ca_file: None,
    }
}

/// How to reach it as another user.
pub fn address_of(server: &MariaDbServer, user: &str, password: &str) -> Address {
    let password = Some(Password::new(password.to_owned().into()));
    Address { user: Some(user.to_owned()), password, ..address(server) }
}

/// All files of a folder, but the manifest, which names the moment.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    use keepfast_sources::files::Files;
    let listed = files(folder).list().expect("a list");
    let read = |path: &str| fs::read(folder.join(path)).expect("a file");
    let all = listed.into_iter().filter(|file| file.path != "keepfast.json");
    all.map(|file| (file.path.clone(), read(&file.path))).collect()
}

/// Everything of a server that a restore should bring back, as text.
pub fn picture(server: &MariaDbServer, database: &str) -> String {
    let quoted = format!("`{}`", database.replace('`', "``"));
    let text = database.replace('\\', "\\\\").replace('\'', "''");
    let names = server.query(&format!(
        "SELECT CONCAT('`', REPLACE(table_name, '`', '``'), '`') FROM information_schema.tables \
         WHERE table_schema = '{text}' AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1;"
    ));
    let mut sql = format!("SHOW CREATE DATABASE {quoted}; USE {quoted};");
    for name in names.lines() {
        sql += &format!("SHOW CREATE TABLE {name}; CHECKSUM TABLE {name} EXTENDED; SELECT * FROM {name};");
    }
    sql += &format!(
        "SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = '{text}' ORDER BY 1;
         SELECT routine_name, routine_definition, sql_mode FROM information_schema.routines \
             WHERE routine_schema = '{text}' ORDER BY 1;
         SELECT trigger_name, event_object_table, action_statement FROM information_schema.triggers \
             WHERE trigger_schema = '{text}' ORDER BY 1;
         SELECT event_name, event_definition, interval_value FROM information_schema.events \
             WHERE event_schema = '{text}' ORDER BY 1;"
    );
    server
        .query(&sql)
        .replace(&quoted, "`ITSELF`")
        .replace(&format!("\n{database}."), "\nITSELF.")
        .replacen(database, "ITSELF", 1)
}

/// Waits for something, and fails if it doesn't come.
pub fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if is_there() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("{what} hasn't come");
}

/// A shop whose names, rows and programs have what a dump is cut by.
pub const SHOP: &str = include_str!("shop.sql");
