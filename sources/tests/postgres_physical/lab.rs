//! A server that archives its log into a folder, and what tests do with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::num::{NonZeroU16, NonZeroU32};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;
use keepfast_process::tool::Account;
use keepfast_sources::address::{Address, Engine, Place, Tls};
use keepfast_sources::context::Context;
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::dump;
use keepfast_sources::files::{Files, FolderFiles};
use keepfast_sources::manifest::Manifest;
use keepfast_sources::postgres::physical::{
    FolderRestore, LaidOut, Recovery, RestoreCommand, Server, Target, Then, recover, restore_to_folder,
};
use keepfast_sources::postgres::wal::{Spool, SpoolLimit};
use keepfast_sources::restore::Until;
use keepfast_sources::sink::{Attributes, FolderSink, NewFile, Sink};
use keepfast_sources::{Result, SourceError};
use keepfast_testkit::servers::{PostgresServer, PostgresVersion};

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server, and folders beside its data that its user can enter.
pub struct Lab {
    pub server: PostgresServer,
    pub version: PostgresVersion,
    pub database: String,
}

impl Lab {
    /// A server that archives into a folder, with a table.
    pub fn new(version: PostgresVersion) -> Self {
        Self::with(version, &[])
    }

    pub fn with(version: PostgresVersion, settings: &[&str]) -> Self {
        let own = [
            "wal_level=replica",
            "archive_mode=on",
            "archive_command=mkdir -p ../archive && cp %p ../archive/%f.part && mv ../archive/%f.part ../archive/%f",
            "full_page_writes=on",
            "min_wal_size=32MB",
            "max_wal_size=1GB",
        ];
        let settings: Vec<&str> = own.into_iter().chain(settings.iter().copied()).collect();
        let server = PostgresServer::of(version, &settings);
        let lab = Self { server, version, database: "postgres".to_owned() };
        lab.execute("CREATE TABLE t (id bigserial PRIMARY KEY, note text NOT NULL, filler text)");
        lab
    }

    pub fn address(&self) -> Address {
        address(self.server.socket(), self.server.port())
    }

    pub fn execute(&self, sql: &str) {
        self.server.execute(&self.database, sql);
    }

    pub fn query(&self, sql: &str) -> String {
        self.server.query(&self.database, sql)
    }

    /// Adds a row.
    pub fn note(&self, note: &str) {
        self.execute(&format!("INSERT INTO t (note) VALUES ('{note}')"));
    }

    /// A path in the folder of the server.
    pub fn path(&self, name: &str) -> PathBuf {
        self.server.socket().join(name)
    }

    /// A folder of the server's user.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).expect("a folder");
        if let Some(Account { user, group }) = account() {
            chown(&path, Some(user), Some(group)).expect("root may give it away");
        }
        path
    }

    /// Makes a base backup, and returns where it is.
    pub fn backup(&self, name: &str) -> (PathBuf, Manifest) {
        let folder = self.folder(name);
        let manifest = self.backup_into(&FolderSink::new(&folder)).expect("a base backup");
        (folder, manifest)
    }

    pub fn backup_into(&self, sink: &dyn Sink) -> Result<Manifest> {
        let options = DumpOptions { physical: true, ..DumpOptions::default() };
        dump(&self.address(), &options, sink, &self.context())
    }

    pub fn context(&self) -> Context<'static> {
        self.context_of(&Cancel::new())
    }

    pub fn context_of(&self, cancel: &Cancel) -> Context<'static> {
        Context {
            cancel: cancel.clone(),
            secrets: KnownSecrets::default(),
            programs: vec![self.version.programs()],
            scratch: std::env::temp_dir(),
            progress: &|_| {},
        }
    }

    /// Ends the segment that is written, and waits until all are archived.
    pub fn archive(&self) {
        let last = self.query("SELECT pg_walfile_name(pg_switch_wal())");
        // Nothing to switch: the segment before is the last.
        let is_there = |name: &str| self.path("archive").join(name).exists();
        self.execute("CHECKPOINT");
        wait_until("the log is archived", || {
            is_there(&last) || self.query("SELECT last_archived_wal FROM pg_stat_archiver") >= last
        });
    }

    /// The files that the server has archived.
    pub fn archived(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("archive")).expect("an archive");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
        files.retain(|file| file.extension().is_none_or(|ending| ending != "part"));
        files.sort();
        files
    }

    pub fn spool(&self, name: &str) -> Spool {
        if !self.path(name).exists() {
            self.folder(name);
        }
        Spool::open(self.path(name), SpoolLimit(4 << 30)).expect("a spool")
    }

    /// All that was archived goes through a spool into an archive; returns the archive's folder.
    pub fn ship(&self, name: &str) -> PathBuf {
        self.archive();
        let spool = self.spool("spool");
        for file in self.archived() {
            spool.push(&file).expect("room");
        }
        let folder = self.path(name);
        if !folder.exists() {
            self.folder(name);
        }
        loop {
            let batch = spool.batch(64 << 20, false).expect("a batch");
            if batch.is_empty() {
                assert_owned(&self.path("spool"));
                return folder;
            }
            spool
                .confirm(batch.send(&FolderSink::new(&folder)).expect("a batch is stored"))
                .expect("a ledger");
        }
    }

    /// Restores into a folder, and recovers there.
    pub fn restore(&self, base: &Path, wal: &dyn Files, name: &str, target: Target) -> Result<Restored> {
        self.restore_along(base, wal, name, target, None)
    }

    pub fn restore_along(
        &self,
        base: &Path,
        wal: &dyn Files,
        name: &str,
        target: Target,
        timeline: Option<u32>,
    ) -> Result<Restored> {
        let laid_out = self.lay_out(base, wal, name, target, timeline)?;
        let folder = self.path(&format!("{name}s"));
        let recovery = Recovery { folder, account: account(), memory: Some(256 << 20) };
        let (server, _) = recover(&laid_out, &recovery, &self.context())?;
        Ok(Restored { server, laid_out, context: self.context() })
    }

    pub fn lay_out(
        &self,
        base: &Path,
        wal: &dyn Files,
        name: &str,
        target: Target,
        timeline: Option<u32>,
    ) -> Result<LaidOut> {
        let options = FolderRestore {
            folder: self.path(name),
            target,
            timeline: timeline.map(|number| number.to_string().parse().expect("a number")),
            command: RestoreCommand::Copied,
            then: Then::Promote,
            account: account(),
            keeps_settings: true,
            is_durable: false,
            parallel: NonZeroU16::new(2).expect("two"),
        };
        restore_to_folder(&FolderFiles::new(base), wal, &options, &self.context())
    }
}

/// A server that was restored.
pub struct Restored {
    pub server: Server,
    pub laid_out: LaidOut,
    context: Context<'static>,
}

impl Restored {
    pub fn query(&self, sql: &str) -> String {
        // Tests keep their table in the database `postgres`; the server is asked by this crate's own client.
        let found = self.server.query_in("postgres", sql, &self.context).expect(sql);
        found.unwrap_or_default()
    }

    pub fn notes(&self) -> String {
        self.query("SELECT string_agg(note, ' ' ORDER BY id) FROM t WHERE filler IS NULL")
    }
}

/// All of a spool belongs to the user that the server runs as, who must be able to go on with it.
fn assert_owned(folder: &Path) {
    let owner = account().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.user);
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let found = fs::symlink_metadata(&path).expect("it is there");
        assert_eq!(found.uid(), owner, "{}", path.display());
        if found.is_dir() {
            assert_owned(&path);
        }
    }
}

/// The user that servers run as.
pub fn account() -> Option<Account> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the system's users");
    let user = users.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
    let number =
        |field: usize| user.split(':').nth(field).and_then(|text| text.parse().ok()).expect("a number");
    Some(Account { user: number(2), group: number(3) })
}

pub fn address(folder: &Path, port: u16) -> Address {
    Address {
        engine: Engine::Postgres,
        place: Place::Socket { path: folder.to_owned(), port: NonZeroU16::new(port).expect("a port") },
        user: Some("postgres".to_owned()),
        database: None,
        password: None,
        tls: Tls::Off,
        ca_file: None,
    }
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn at_time(time: &str) -> Target {
    Target::At(Until::Time(time.to_owned()))
}

/// The text of an error.
pub fn refusal<T>(result: Result<T, SourceError>) -> String {
    match result {
        Ok(_) => panic!("it isn't refused"),
        Err(error) => error.to_string(),
    }
}

/// All files of a folder with their bytes.
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = FolderFiles::new(folder).list().expect("a folder");
    let read = |path: String| {
        let bytes = fs::read(folder.join(&path)).expect("a file");
        (path, bytes)
    };
    files.into_iter().map(|file| read(file.path)).collect()
}

/// A folder that notes how files are to be cut, and does something before the first.
pub struct WatchedSink<'a> {
    pub folder: FolderSink,
    pub pages: Mutex<BTreeMap<String, Option<NonZeroU32>>>,
    pub before: &'a (dyn Fn(&str) -> io::Result<()> + Sync),
}

impl Sink for WatchedSink<'_> {
    fn file(&self, file: &NewFile<'_>, content: &mut dyn Read) -> io::Result<u64> {
        (self.before)(file.path)?;
        self.pages.lock().expect("a map").insert(file.path.to_owned(), file.page_bytes);
        self.folder.file(file, content)
    }

    fn folder(&self, path: &str, attributes: Attributes) -> io::Result<()> {
        self.folder.folder(path, attributes)
    }

    fn link(&self, path: &str, target: &str, attributes: Attributes) -> io::Result<()> {
        self.folder.link(path, target, attributes)
    }
}
