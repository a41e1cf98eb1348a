//! A server of its own that loads a dump, and what is asked of it.

use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keepfast_process::child::Ended;
use keepfast_process::tool::{Feed, Tool, find};

use crate::address::{Address, Engine, Place};
use crate::boot::{Boot, BootOptions, Booted};
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::served::{Served, end_of, make, socket_in};
use crate::watch::Watch;

use super::connection::Connection;
use super::dump::{Picture, begin};
use super::rdb::FILE;
use super::rdb::stored::{self, Stored};
use super::server::{Info, is_valkey, release};

/// Files in the server's folder.
const SOCKET: &str = "redis.sock";
const CONFIGURATION: &str = "redis.conf";
const LOG: &str = "redis.log";
/// How long a server of this machine may take to take a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How often one looks whether the server has loaded its data.
const LOOK: Duration = Duration::from_millis(20);
/// What all that such a program prints has, at most.
const PRINTED_BYTES_MAX: u64 = 1 << 20;
/// Since this version, all values are looked through while they are loaded.
const SANITIZES: (u32, u32) = (6, 2);
/// What a server says of a dump that is newer than itself.
const TOO_NEW: &str = "Can't handle RDB format version";

/// Starts a server that loads the dump.
pub fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let watch = Watch::start();
    let socket = socket_in(&options.folder, SOCKET)?;
    let Some((program, version)) = server_for(&options.version, context)? else {
        return Ok(Boot::NotHere("neither redis-server nor valkey-server is installed".to_owned()));
    };
    let is_same_kind = is_valkey(&version) == is_valkey(&options.version);
    if is_same_kind && release(&version) < release(&options.version) {
        return Ok(Boot::NotHere(format!(
            "the dump is of version {}, and {version} is installed, which is older",
            options.version
        )));
    }
    let stored = unpack(files, options, context)?;
    let mut checks = vec![Check::sound("checksum of the dump", None)];
    if let Some(check) = check_program(&program) {
        let said = run(Tool::new(check, &context.secrets).arg(FILE), options, context)?;
        match said {
            Ok(_) => checks.push(Check::sound("redis-check-rdb", None)),
            Err(said) if said.contains(TOO_NEW) => return Ok(too_new(&version)),
            Err(said) => return Err(stored::wrong(&format!("redis-check-rdb finds a fault: {said}"))),
        }
    }
    configure(options, &version)?;
    let server = start(&program, options, context)?;
    let address = address(&socket);
    let mut connection = match wait(&server, &address, options, context)? {
        Ok(connection) => connection,
        Err(said) if said.contains(TOO_NEW) => return Ok(too_new(&version)),
        Err(said) => return Err(stored::wrong(&format!("{} doesn't load it: {said}", program.display()))),
    };
    let answered_after = watch.passed();
    checks.extend(loaded(&mut connection, &stored)?);
    Ok(Boot::Running(Booted { address, version, server: Box::new(server), answered_after, checks }))
}

fn too_new(version: &str) -> Boot {
    Boot::NotHere(format!("the dump has a newer format than {version} reads, which is installed"))
}

fn address(socket: &Path) -> Address {
    let place =
        Place::Socket { path: socket.to_owned(), port: const { NonZeroU16::new(6379).expect("isn't zero") } };
    Address::local(Engine::Redis, place, None)
}

/// The server's program that is the best for a version, and its own version.
fn server_for(wanted: &str, context: &Context<'_>) -> Result<Option<(PathBuf, String)>> {
    let mut names = ["redis-server", "valkey-server"];
    if is_valkey(wanted) {
        names.reverse();
    }
    let Some(program) = names.into_iter().find_map(|name| find(name, &context.programs)) else {
        return Ok(None);
    };
    // `Redis server v=7.0.15 sha=…`
    let said = printed(Tool::new(&program, &context.secrets).arg("-v"), context)?;
    let version = said.1.split_ascii_whitespace().find_map(|word| word.strip_prefix("v="));
    let version = version.ok_or_else(|| SourceError::Program {
        program: program.display().to_string(),
        status: "it says no version".to_owned(),
        messages: said.1.clone(),
    })?;
    let kind = if said.1.starts_with("Valkey") { "valkey " } else { "" };
    Ok(Some((program.clone(), format!("{kind}{version}"))))
}

/// The program that looks at dumps, which lies beside the server.
fn check_program(server: &Path) -> Option<PathBuf> {
    let name = server.file_name()?.to_str()?.replace("-server", "-check-rdb");
    Some(server.with_file_name(name)).filter(|program| program.exists())
}

/// Writes the dump into the server's folder, and counts its keys.
fn unpack(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Stored> {
    let path = options.folder.join(FILE);
    let failed = |source| SourceError::File { path: path.clone(), source };
    let mut into = make(&path, options.account)?;
    stored::read(files, &mut |piece| into.write_all(piece).map_err(failed), context)
}

/// A server that no one reaches but by its socket, and that writes nothing. Paths are relative to its folder.
fn configure(options: &BootOptions, version: &str) -> Result<()> {
    let path = options.folder.join(CONFIGURATION);
    let mut text = format!(
        "port 0\nunixsocket {SOCKET}\nunixsocketperm 700\ndir .\ndbfilename {FILE}\nlogfile {LOG}\nsave \"\"\n\
         appendonly no\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\ndatabases 100000\n"
    );
    if is_valkey(version) || release(version) >= Some(SANITIZES) {
        text.push_str("sanitize-dump-payload yes\n");
    }
    let mut file = make(&path, options.account)?;
    file.write_all(text.as_bytes()).map_err(|source| SourceError::File { path, source })
}

/// What a program prints, and whether it succeeds.
fn printed(tool: Tool, context: &Context<'_>) -> Result<(bool, String)> {
    let program = tool.program().to_owned();
    let failed = |source| SourceError::File { path: program.clone(), source };
    let mut fed = tool.start(Feed::Nothing, &context.cancel).map_err(failed)?;
    let mut said = Vec::new();
    let read = fed.started.output.by_ref().take(PRINTED_BYTES_MAX).read_to_end(&mut said);
    let Ended { status, stderr } = match (read, fed.started.running.wait().map_err(failed)?) {
        (_, None) => return Err(SourceError::Cancelled),
        (Err(error), _) => return Err(failed(error)),
        (Ok(_), Some(ended)) => ended,
    };
    let said = format!("{}{}", String::from_utf8_lossy(&said), stderr.unwrap_or_default());
    Ok((status.success(), said))
}

/// Runs a program as the server's user, in its folder; the error is the end of what it says.
fn run(tool: Tool, options: &BootOptions, context: &Context<'_>) -> Result<Result<String, String>> {
    let (succeeds, said) = printed(tool.account(options.account).folder(&options.folder), context)?;
    if succeeds { Ok(Ok(said)) } else { Ok(Err(end_of(&said))) }
}

/// Starts the server, with no more memory than it may take.
fn start(program: &Path, options: &BootOptions, context: &Context<'_>) -> Result<Served> {
    let tool = match (options.memory, find("prlimit", &context.programs)) {
        (Some(bytes), Some(prlimit)) => {
            Tool::new(prlimit, &context.secrets).arg(format!("-v{bytes}")).arg(program)
        }
        _ => Tool::new(program, &context.secrets),
    };
    Served::start(tool.arg(CONFIGURATION).account(options.account).folder(&options.folder), context)
}

/// Waits until it has loaded its data; the inner error is why it has ended instead.
fn wait(
    server: &Served,
    address: &Address,
    options: &BootOptions,
    context: &Context<'_>,
) -> Result<Result<Connection, String>> {
    let log = options.folder.join(LOG);
    loop {
        // While it loads, it refuses each request.
        match Connection::open(address, CONNECT_MAX, context) {
            Ok(connection) => return Ok(Ok(connection)),
            Err(SourceError::Cancelled) => return Err(SourceError::Cancelled),
            Err(_) => {}
        }
        if let Some(said) = server.ended(&log) {
            return Ok(Err(said));
        }
        if context.cancel.wait(LOOK) {
            return Err(SourceError::Cancelled);
        }
    }
}

/// What the server says that it has loaded, and what the dump has.
fn loaded(connection: &mut Connection, stored: &Stored) -> Result<Vec<Check>> {
    let info = Info::of(connection)?;
    let Ok(counted) = &stored.keys else { return Ok(Vec::new()) };
    let mut checks = Vec::new();
    let told = (info.number("rdb_last_load_keys_loaded"), info.number("rdb_last_load_keys_expired"));
    if let (Some(loaded), Some(expired)) = told {
        let expected: u64 = counted.values().map(|keys| keys.all).sum();
        checks.push(Check::equal("keys that were loaded or have expired", expected, loaded + expired));
    }
    let found = info.databases();
    for (number, keys) in counted {
        let found = found.iter().find(|(database, _)| database == number).map_or(0, |(_, keys)| *keys);
        let (least, most) = (keys.all - keys.expiring, keys.all);
        checks.push(between(format!("keys in database {number}"), least, most, found));
    }
    Ok(checks)
}

fn between(name: String, least: u64, most: u64, found: u64) -> Check {
    let expected = if least == most { most.to_string() } else { format!("{least} to {most}") };
    Check {
        name,
        expected: Some(expected),
        found: found.to_string(),
        is_right: (least..=most).contains(&found),
    }
}

/// Lets the server write out all that it has, as for a replica: each value is read and written once.
pub fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    let mut asking = Connection::open(server, CONNECT_MAX, context)?;
    let before = Info::of(&mut asking)?.databases();
    let mut connection = Connection::open(server, CONNECT_MAX, context)?;
    let begun = begin(&mut connection)?;
    let mut picture = Picture::new(&mut connection, begun.end, None, context);
    let read = io::copy(&mut picture, &mut io::sink());
    let seen = picture.finish(read)?;
    let mut checks = vec![Check::sound("all values can be written out", None)];
    let Ok(counted) = seen.keys else { return Ok(checks) };
    for (number, keys) in before {
        let found = counted.get(&number).copied().unwrap_or_default();
        checks.push(between(
            format!("keys of database {number} that were written out"),
            keys.saturating_sub(found.expiring),
            keys,
            found.all,
        ));
    }
    Ok(checks)
}

/// The answer to a command, whose words are separated by spaces.
pub fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    let words: Vec<&str> = query.split_ascii_whitespace().collect();
    let mut connection = Connection::open(server, CONNECT_MAX, context)?;
    if let Some(database) = &server.database {
        connection.ask(&["SELECT", database])?;
    }
    if words.is_empty() {
        return Err(connection.refused("a question", "it has no words"));
    }
    connection.ask(&words).map(|reply| reply.text())
}
