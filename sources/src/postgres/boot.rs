//! A server of its own for a drill: a new cluster in a folder, reached by a socket in it, into which a dump is restored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use keepfast_process::Cancel;
use keepfast_process::child::{CancellableReader, Ended, Ends};
use keepfast_process::tool::{Account, Feed, Tool};

use super::dump::connect_to_any;
use super::facts::Facts;
use super::restore::{Leniency, login, restore};
use super::session::{Login, Purpose, Session};
use super::tools::{Programs, Version, finished, printed};
use crate::address::{Address, Engine, Place};
use crate::boot::{Boot, BootOptions, Booted};
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{Existing, RestoreOptions};
use crate::served::SOCKET_PATH_BYTES_MAX;

/// The part of the socket's name; nothing listens on it.
const PORT: u16 = 5432;
/// The superuser of the new server.
const USER: &str = "postgres";
/// How long a server that doesn't answer is left alone before it is asked again.
const POLL: Duration = Duration::from_millis(20);
/// A new server answers within a second; a machine that is busy takes longer.
const POLLS_MAX: u32 = 3000;
/// Nothing of it is kept, and nothing that is restored may act: no other server, no program, no background work.
const SETTINGS: [&str; 17] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "archive_mode=off",
    "autovacuum=off",
    "ssl=off",
    "logging_collector=off",
    "log_destination=stderr",
    "shared_preload_libraries=",
    "max_logical_replication_workers=0",
    "max_connections=50",
    "hot_standby=off",
    "lc_messages=C",
];
/// What a server takes if nothing is said of memory, and the least.
const BUFFERS_MIB: std::ops::RangeInclusive<u64> = 16..=256;

/// A server that runs. Dropped, it is stopped at once.
struct Server {
    stop: Option<Tool>,
    group: Cancel,
    waiting: Option<JoinHandle<std::io::Result<Option<Ended>>>>,
    _output: CancellableReader,
}

impl Server {
    fn has_ended(&self) -> bool {
        self.waiting.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What it said at its end.
    fn last_words(&mut self) -> String {
        let ended = self.waiting.take().and_then(|waiting| waiting.join().ok());
        ended.and_then(Result::ok).flatten().and_then(|ended| ended.stderr).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its processes are no group, so that the first of them has to end the others.
        if !self.has_ended()
            && let Some(stop) = self.stop.take()
        {
            drop(finished(stop, &Ends::default()));
        }
        self.group.cancel();
        drop(self.last_words());
    }
}

/// Starts a server and restores a logical dump into it.
pub fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let manifest = Manifest::read(files)?;
    let Some(version) = Version::of(&options.version).or_else(|| Version::of(&manifest.server)) else {
        return Ok(Boot::NotHere(format!("the dump says no version, but {}", options.version)));
    };
    let Some(programs) = Programs::of("initdb", version.major, context) else {
        return Ok(Boot::NotHere(format!("PostgreSQL {} isn't installed here", version.major)));
    };
    if let Some(why) = cannot(&programs, options, context) {
        return Ok(Boot::NotHere(why));
    }
    let place = Place::Socket {
        path: options.folder.clone(),
        port: const { std::num::NonZeroU16::new(PORT).expect("a port isn't zero") },
    };
    let address = Address::local(Engine::Postgres, place, Some(USER));
    initialise(&programs, options, context)?;
    let mut server = start(&programs, options, context)?;
    let login = login(&address, context);
    let session = answered(&mut server, &login)?;
    if let Some(why) = lacking(&manifest, files, &session)? {
        return Ok(Boot::NotHere(why));
    }
    let text = session.version_text()?;
    drop(session);
    let wanted = RestoreOptions { globals: true, existing: Existing::Replace, ..RestoreOptions::default() };
    let report = restore(&manifest, files, &address, &wanted, Leniency { is_elsewhere: true }, context)?;
    let mut checks = report.checks;
    if !report.warnings.is_empty() {
        let (name, found) = ("warnings of the restore".to_owned(), report.warnings.join("; "));
        checks.push(Check { name, expected: None, found, is_right: true });
    }
    let (session, _) = connect_to_any(&login, Purpose::Reading)?;
    // The server's own clock tells it.
    let sql = "SELECT extract(epoch FROM clock_timestamp() - pg_catalog.pg_postmaster_start_time())::float8";
    let seconds: f64 = session.value("how long it runs", sql, &[])?;
    let answered_after = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Ok(Boot::Running(Booted { address, version: text, server: Box::new(server), answered_after, checks }))
}

/// Why no server can be started here.
fn cannot(programs: &Programs, options: &BootOptions, context: &Context<'_>) -> Option<String> {
    if options.account.is_none() && rustix::process::geteuid().is_root() {
        return Some("PostgreSQL doesn't run as root, and no other user is named".to_owned());
    }
    let socket = options.folder.join(format!(".s.PGSQL.{PORT}"));
    if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Some(format!("the path {} is too long for a socket", socket.display()));
    }
    let path = programs.path("initdb");
    let tool = own(&path, options.account, &options.folder, context).arg("--version");
    let started = printed(tool, &Ends::from(&context.cancel));
    started.err().map(|error| format!("the user of the drill can't start {}: {error}", path.display()))
}

/// A program that runs as the server's user, in the server's folder.
fn own(path: &Path, account: Option<Account>, folder: &Path, context: &Context<'_>) -> Tool {
    Tool::new(path, &context.secrets).account(account).folder(folder)
}

fn data(options: &BootOptions) -> PathBuf {
    options.folder.join("data")
}

fn initialise(programs: &Programs, options: &BootOptions, context: &Context<'_>) -> Result<()> {
    let tool = own(&programs.path("initdb"), options.account, &options.folder, context)
        .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"])
        .arg(format!("--username={USER}"))
        .arg("--pgdata")
        .arg(data(options));
    printed(tool, &Ends::from(&context.cancel)).map(drop)
}

fn start(programs: &Programs, options: &BootOptions, context: &Context<'_>) -> Result<Server> {
    let path = programs.path("postgres");
    let mut tool = own(&path, options.account, &options.folder, context);
    tool = tool.arg("-D").arg(data(options)).arg("-k").arg(&options.folder).arg("-p").arg(PORT.to_string());
    let buffers = options.memory.map_or(*BUFFERS_MIB.end(), |bytes| bytes >> 22);
    let buffers = buffers.clamp(*BUFFERS_MIB.start(), *BUFFERS_MIB.end());
    let memory = [format!("shared_buffers={buffers}MB"), format!("maintenance_work_mem={buffers}MB")];
    for setting in SETTINGS.into_iter().chain(memory.iter().map(String::as_str)) {
        tool = tool.arg("-c").arg(setting);
    }
    let group = Cancel::new();
    let ends = Ends { run: context.cancel.clone(), group: group.clone() };
    let fed = tool.start(Feed::Nothing, ends).map_err(|source| SourceError::File { path, source })?;
    let running = fed.started.running;
    let stop = own(&programs.path("pg_ctl"), options.account, &options.folder, context)
        .args(["stop", "--mode=immediate", "--wait", "--timeout=20", "--silent", "--pgdata"])
        .arg(data(options));
    Ok(Server {
        stop: Some(stop),
        group,
        waiting: Some(std::thread::spawn(move || running.wait())),
        _output: fed.started.output,
    })
}

fn answered(server: &mut Server, login: &Login<'_>) -> Result<Session> {
    let mut polls = 0;
    loop {
        polls += 1;
        match Session::connect(login, USER, Purpose::Reading) {
            Ok(session) => return Ok(session),
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(_) if server.has_ended() => {
                let (program, status) = ("postgres".to_owned(), "while it started".to_owned());
                return Err(SourceError::Program { program, status, messages: server.last_words() });
            }
            Err(error) if polls > POLLS_MAX => return Err(error),
            Err(_) => drop(login.ends.run.wait(POLL)),
        }
    }
}

/// Which extensions of the dump this installation doesn't have.
fn lacking(manifest: &Manifest, files: &dyn Files, session: &Session) -> Result<Option<String>> {
    let what = "the extensions that can be created";
    let rows = session.rows(what, "SELECT name::text FROM pg_catalog.pg_available_extensions", &[])?;
    let there: BTreeSet<String> =
        rows.iter().map(|row| session.column(what, row, 0)).collect::<Result<_>>()?;
    let mut lacking = BTreeSet::new();
    for folder in manifest.databases.iter().filter_map(|database| database.folder.as_deref()) {
        let wanted = Facts::read(files, folder)?.extensions;
        lacking.extend(wanted.into_keys().filter(|name| !there.contains(name)));
    }
    if lacking.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = lacking.into_iter().collect();
    Ok(Some(format!("the extension {} isn't installed here", names.join(", "))))
}
