//! The way back: a dump is fed to the makers' client, and what it has made is counted.

use std::io::{self, Read, Write};
use std::time::Duration;

use keepfast_process::tool::{Fed, Feed};

use super::binlog::{Scope, replay, until_of};
use super::client::{Client, quoted};
use super::feed::Feeder;
use super::layout::USERS;
use super::program::numbers;
use super::rename::Renamer;
use super::target::{Occupied, Target, count, refuse};
use super::wanted::Wanted;
use crate::address::Address;
use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Form, Manifest};
use crate::restore::{Existing, RestoreOptions, RestorePlan, RestoreReport};

/// How long a server may take to answer a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How much is fed at once.
const STEP_BYTES: usize = 256 << 10;

/// What would happen.
pub(crate) fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    refuse_physical(manifest, to)?;
    let client = Client::new(to, context, CONNECT_TIMEOUT)?;
    let wanted = Wanted::choose(manifest, files, to, options)?;
    let target = Target::look(&client)?;
    let occupied = target.occupied(&client, &wanted)?;
    let mut steps = Vec::new();
    if wanted.has_users {
        steps.push(
            "Makes the users of the dump that aren't there, and gives all of them their rights.".to_owned(),
        );
    }
    for database in &occupied {
        steps.push(format!("Removes {}.", database.text()));
    }
    for database in &wanted.databases {
        let tables = database.tables.len();
        let (name, there) = (&database.name, &database.target);
        let of = if database.is_of_tables { " alone of those" } else { "" };
        let as_other = if name == there { String::new() } else { format!(" as {there}") };
        steps.push(format!(
            "Restores database {name}{as_other}, {tables} tables and views{of}, and counts their rows."
        ));
    }
    if let Some(until) = &options.until {
        until_of(until)?;
        scope(manifest, &wanted)?;
        steps.push("Plays the binary logs up to the moment that was asked for.".to_owned());
    }
    Ok(RestorePlan {
        steps,
        warnings: warnings(manifest, &wanted, &target, options),
        replaces: occupied.iter().map(Occupied::text).collect(),
        bytes: wanted.bytes,
    })
}

fn warnings(manifest: &Manifest, wanted: &Wanted, target: &Target, options: &RestoreOptions) -> Vec<String> {
    let mut texts = Vec::new();
    let there = target.catalog.version();
    if manifest.engine != target.catalog.engine() {
        texts.push(format!(
            "The dump is of {} {}, and the server is {} {there}: types, collations or statements may differ.",
            manifest.engine,
            manifest.server,
            target.catalog.engine()
        ));
    } else if numbers(&manifest.server) > numbers(&there) {
        texts.push(format!(
            "The dump is of version {}, which is newer than the server's {there}: it may have what the server doesn't know.",
            manifest.server
        ));
    }
    texts.extend(
        manifest
            .missing
            .iter()
            .map(|missing| format!("The dump has no {}: {}.", missing.object, missing.why)),
    );
    if options.globals && !wanted.has_users {
        texts.push("The dump has no users.".to_owned());
    }
    if let Some(database) = wanted.renamed() {
        texts.push(format!(
            "Views, triggers and routines that name {} themselves go on naming it.",
            quoted(&database.name)
        ));
    }
    if wanted.parts.iter().any(|path| path.ends_with("/events.sql")) {
        texts.push("Events of the dump will run in the server, if its event scheduler is on.".to_owned());
    }
    texts
}

fn refuse_physical(manifest: &Manifest, to: &Address) -> Result<()> {
    match manifest.form {
        Form::Logical => Ok(()),
        Form::Physical => Err(SourceError::Unsupported {
            object: to.to_string(),
            why: "the dump is a copy of a server's files, which can't be loaded into a running server: restore it to a \
                  folder, and start a server there"
                .to_owned(),
        }),
    }
}

/// Of which databases the logs are played.
fn scope(manifest: &Manifest, wanted: &Wanted) -> Result<Scope> {
    let refused = |why: &str| {
        Err(SourceError::Unsupported { object: "a restore up to a moment".to_owned(), why: why.to_owned() })
    };
    if wanted.renamed().is_some() {
        return refused(
            "statements in the binary log name the databases themselves, so that they keep their names",
        );
    }
    if !wanted.is_all {
        return refused(
            "the binary log is one for all databases: restore all that the dump has, into an empty server",
        );
    }
    match (manifest.position.get("databases").map(String::as_str), wanted.databases.as_slice()) {
        (Some("all"), _) => Ok(Scope::All),
        (_, [only]) => Ok(Scope::One(only.name.clone())),
        _ => refused(
            "the dump has some of the server's databases, and the binary log can be played for one or for all",
        ),
    }
}

/// Restores.
pub(crate) fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    refuse_physical(manifest, to)?;
    let client = Client::new(to, context, CONNECT_TIMEOUT)?;
    let wanted = Wanted::choose(manifest, files, to, options)?;
    let target = Target::look(&client)?;
    let until = match &options.until {
        Some(until) => Some((until_of(until)?, scope(manifest, &wanted)?)),
        None => None,
    };
    let others = target.others(&wanted);
    if let (Some(_), Some(other)) = (&until, others.first()) {
        return Err(SourceError::Unsupported {
            object: to.to_string(),
            why: format!(
                "a restore up to a moment needs a server without other databases, because statements in the binary log \
                 may change them, and it has {other}"
            ),
        });
    }
    let occupied = target.occupied(&client, &wanted)?;
    if options.existing == Existing::Refuse {
        refuse(&occupied)?;
    }
    let mut warnings = warnings(manifest, &wanted, &target, options);
    if wanted.has_users {
        load(&client, files, &[USERS.to_owned()], None, "restoring users")?;
    }
    for statements in occupied.iter().filter_map(Occupied::making_room) {
        client.execute("making room", &statements)?;
    }
    let renamer = wanted.renamed().map(|database| Renamer::new(&database.name, &database.target));
    let names =
        wanted.databases.iter().map(|database| database.target.as_str()).collect::<Vec<_>>().join(", ");
    let bytes = load(&client, files, &wanted.parts, renamer, &format!("restoring {names}"))?;
    let checks = count(&client, &wanted)?;
    if let Some((moment, scope)) = until {
        warnings.extend(replay(&client, files, manifest, &moment, &scope)?);
    }
    let tables = || wanted.databases.iter().flat_map(|database| &database.tables);
    Ok(RestoreReport {
        databases: u64::try_from(wanted.databases.len()).unwrap_or(u64::MAX),
        tables: u64::try_from(tables().filter(|table| table.rows.is_some()).count()).unwrap_or(u64::MAX),
        rows: tables().filter_map(|table| table.rows).sum(),
        bytes,
        checks,
        warnings,
    })
}

/// Feeds files to one client, which ends at the first error. Returns how many bytes they have.
fn load(
    client: &Client<'_>,
    files: &dyn Files,
    parts: &[String],
    mut renamer: Option<Renamer>,
    what: &str,
) -> Result<u64> {
    let context = client.context;
    let file = |source| SourceError::File { path: client.program.path.clone(), source };
    let Fed { input, started } = client.feeding()?.start(Feed::Pipe, &context.cancel).map_err(file)?;
    let input = input.ok_or_else(|| file(io::Error::other("the client has no input")))?;
    let mut feeder = Feeder::new(input, &context.cancel).map_err(file)?;
    let mut answers = started.output;
    // It answers little, and waits for a reader all the same.
    let reading = std::thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut io::sink());
    });
    let mut lines = Lines::default();
    let mut done = 0;
    let mut buffer = vec![0; STEP_BYTES];
    let mut out = Vec::with_capacity(2 * STEP_BYTES);
    let mut is_open = true;
    for path in parts {
        (context.progress)(Progress { phase: "tables", object: path, done, total: None });
        let transfer = |source| SourceError::Transfer { object: path.clone(), source };
        let mut content = files.open(path).map_err(transfer)?;
        lines.begin(path);
        loop {
            if context.cancel.is_cancelled() {
                return Err(SourceError::Cancelled);
            }
            // An error here ends the client before it sees an end of its input, which it would take for that of the dump.
            let count = content.read(&mut buffer).map_err(transfer)?;
            done += u64::try_from(count).unwrap_or_default();
            lines.pass(&buffer[..count]);
            is_open = is_open
                && match &mut renamer {
                    Some(renamer) => {
                        out.clear();
                        renamer.pass(&buffer[..count], count == 0, &mut out);
                        feeder.write_all(&out).is_ok()
                    }
                    None => feeder.write_all(&buffer[..count]).is_ok(),
                };
            if count == 0 || !is_open {
                break;
            }
        }
        if !is_open {
            break;
        }
    }
    if context.cancel.is_cancelled() {
        return Err(SourceError::Cancelled);
    }
    drop(feeder);
    let ended = started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
    let _ = reading.join();
    if ended.status.success() && is_open {
        return Ok(done);
    }
    Err(lines.named(client.failure(what, &ended)))
}

/// Which file of a dump a line of the whole is in.
#[derive(Default)]
struct Lines<'p> {
    count: usize,
    begun: Vec<(usize, &'p str)>,
}

impl<'p> Lines<'p> {
    fn begin(&mut self, path: &'p str) {
        self.begun.push((self.count, path));
    }

    fn pass(&mut self, bytes: &[u8]) {
        self.count += memchr::memchr_iter(b'\n', bytes).count();
    }

    /// An error of the client with the file that it is about.
    fn named(&self, error: SourceError) -> SourceError {
        let SourceError::Server { server, what, why } = error else { return error };
        let number =
            why.split_once(" at line ").and_then(|(_, rest)| rest.split(':').next()?.parse::<usize>().ok());
        let place = number.and_then(|number| {
            let at = self.begun.partition_point(|(first, _)| *first < number).checked_sub(1)?;
            let (first, path) = self.begun.get(at)?;
            Some(format!("line {} of {path}", number - first))
        });
        let place = place.map_or_else(String::new, |place| format!(" ({place})"));
        let why = format!("{why}{place}; what was restored before stays there, and is incomplete");
        SourceError::Server { server, what, why }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use crate::error::SourceError;

    #[test]
    fn an_error_names_the_file_of_its_line() {
        let mut lines = Lines::default();
        for (path, text) in [("head.sql", "a\nb\n"), ("t.sql", "c\nd\n"), ("u.sql", "e\n")] {
            lines.begin(path);
            lines.pass(text.as_bytes());
        }
        let of = |line: u32| {
            let why = format!("ERROR 1062 (23000) at line {line}: Duplicate entry");
            let error = SourceError::Server { server: "s".to_owned(), what: "w".to_owned(), why };
            lines.named(error).to_string()
        };
        assert!(of(1).contains("line 1 of head.sql") && of(4).contains("line 2 of t.sql"), "{}", of(4));
        assert!(of(5).contains("line 1 of u.sql"));
    }
}
