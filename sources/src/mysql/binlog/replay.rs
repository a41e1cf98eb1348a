//! Plays binary logs into a server, from where a dump ends up to a moment.
//!
//! All logs are read in one run of one program: a temporary table, or a transaction, may reach from one into the next.
//! They have to be files for that, so that they are written into the scratch folder, and checked on the way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use keepfast_process::tool::{Fed, Feed, Tool};

use super::read::{LogFacts, LogName, examine, in_order};
use crate::context::Progress;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::mysql::client::Client;
use crate::mysql::feed::Feeder;
use crate::mysql::layout::LOGS;
use crate::mysql::program::{Program, Purpose};
use crate::restore::Until;

/// How much is passed from one program to the other at once.
const STEP_BYTES: usize = 64 << 10;
/// The makers' programs take a later time, in seconds since 1970, for one before all that is in a log, and play nothing.
const STOP_TIME_MAX: i64 = i32::MAX as i64;
/// What a program says that starts at a GTID, and so notices that something before it is missing: MariaDB's since 10.8.
const STARTS_AT_GTID: &str = "GTID list";

/// Of which databases changes are played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Of all that the log has.
    All,
    /// Of one. Statements are chosen by the database in which they were run.
    One(String),
}

/// A moment in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Seconds since 1970: what was changed in that second isn't played.
    Time(i64),
    /// A byte of a log.
    Byte(LogName, u64),
    /// Up to these transactions, and with them.
    Gtid(String),
}

/// Reads a moment. `binlog.000007:4711` is a position, and so is a list of GTIDs.
pub(crate) fn until_of(until: &Until) -> Result<Moment> {
    let refused = |object: &str, why: &str| {
        Err(SourceError::Unsupported { object: object.to_owned(), why: why.to_owned() })
    };
    match until {
        Until::Time(text) => match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Moment::Time(time.as_second())),
            Err(_) => refused(text, "it isn't a time such as `2026-11-28T10:44:36Z`"),
        },
        Until::Position(text) => {
            let parts = text.rsplit_once(':').and_then(|(name, at)| {
                Some(Moment::Byte(LogName::read(name)?, at.parse().ok().filter(|at| *at >= 4)?))
            });
            match parts {
                Some(moment) => Ok(moment),
                None if is_gtids(text) => Ok(Moment::Gtid(text.clone())),
                None => refused(
                    text,
                    "it is neither a position such as `binlog.000007:4711` nor a GTID such as `0-1-5`",
                ),
            }
        }
        Until::Transaction(text) if is_gtids(text) => Ok(Moment::Gtid(text.clone())),
        Until::Transaction(text) => refused(text, "it isn't a GTID such as `0-1-5`"),
        Until::Name(text) => refused(text, "binary logs have no restore points with names"),
    }
}

fn is_gtids(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    text.split(',').all(|gtid| {
        gtid.split('-').filter(|part| is_number(part)).count() == 3 && gtid.split('-').count() == 3
    })
}

/// Plays the logs of a dump. Returns what a person should know.
pub(crate) fn replay(
    client: &Client<'_>,
    files: &dyn Files,
    manifest: &Manifest,
    moment: &Moment,
    scope: &Scope,
) -> Result<Vec<String>> {
    let context = client.context;
    let program = Program::find(Purpose::Binlog, manifest.engine, context)?;
    let start = Start::of(manifest, &program)?;
    refuse_before(manifest, moment)?;
    let failed = |source| SourceError::File { path: context.scratch.clone(), source };
    let scratch = tempfile::Builder::new().prefix("binlogs-").tempdir_in(&context.scratch).map_err(failed)?;
    let logs = Logs::fetch(files, &start, moment, scratch.path(), client)?;
    let tool = tool(&program, client, &start, moment, scope, &logs);
    pump(client, tool, &program)?;
    Ok(logs.warning(moment).into_iter().collect())
}

/// Where the dump ends.
struct Start {
    file: LogName,
    position: u64,
    gtid: Option<String>,
}

impl Start {
    fn of(manifest: &Manifest, program: &Program) -> Result<Self> {
        let part = |name: &str| manifest.position.get(name);
        let parts = part("file").and_then(|file| LogName::read(file)).zip(part("position"));
        let Some((file, position)) = parts.and_then(|(file, at)| Some((file, at.parse().ok()?))) else {
            return Err(SourceError::Missing {
                object: "the dump's position in the binary log".to_owned(),
                why: "the server had no binary log, or the account could not see it".to_owned(),
            });
        };
        let can_start = program.says_of_itself(STARTS_AT_GTID);
        let gtid = part("gtid").filter(|gtid| can_start && is_gtids(gtid)).cloned();
        Ok(Self { file, position, gtid })
    }
}

/// A dump shows its own moment, and none before.
fn refuse_before(manifest: &Manifest, moment: &Moment) -> Result<()> {
    let Moment::Time(until) = moment else { return Ok(()) };
    let shown = manifest.moment.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    match shown.filter(|shown| shown.as_second() > *until) {
        Some(shown) => Err(SourceError::Unsupported {
            object: "the moment to restore to".to_owned(),
            why: format!("this dump shows {shown}, which is later: choose an older dump"),
        }),
        None => Ok(()),
    }
}

/// Logs that were written into files.
struct Logs {
    paths: Vec<PathBuf>,
    latest: Option<u32>,
    last: LogName,
}

impl Logs {
    /// Writes all logs from the start to the moment into a folder. Each is whole, and none is missing between them.
    fn fetch(
        files: &dyn Files,
        start: &Start,
        moment: &Moment,
        folder: &Path,
        client: &Client<'_>,
    ) -> Result<Self> {
        let missing = |name: &LogName, why: &str| SourceError::Missing {
            object: format!("the binary log {name}"),
            why: why.to_owned(),
        };
        let listed =
            files.list().map_err(|source| SourceError::Transfer { object: LOGS.to_owned(), source })?;
        let prefix = format!("{LOGS}/");
        let names = listed.iter().filter_map(|file| file.path.strip_prefix(&prefix));
        let names = names.filter_map(LogName::read).filter(|name| *name >= start.file);
        let names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
        let names = in_order(names.iter().map(String::as_str))?;
        if names.first() != Some(&start.file) {
            return Err(missing(&start.file, "the dump ends in it, and it isn't there"));
        }
        let mut logs = Self { paths: Vec::new(), latest: None, last: start.file.clone() };
        let mut next: Option<String> = None;
        for (done, name) in (0..).zip(&names) {
            if next.as_ref().is_some_and(|next| next != name.as_str()) {
                return Err(missing(
                    &logs.last,
                    "it names another log as the next than the one that is there",
                ));
            }
            let total = u64::try_from(names.len()).ok();
            let progress = Progress { phase: "binary logs", object: name.as_str(), done, total };
            (client.context.progress)(progress);
            let path = folder.join(name.as_str());
            let facts = fetch(files, &format!("{prefix}{name}"), &path, client)?;
            logs.paths.push(path);
            logs.latest = logs.latest.max(facts.latest);
            logs.last = name.clone();
            next = facts.next;
            if is_reached(moment, name, facts.latest) {
                break;
            }
        }
        match moment {
            Moment::Byte(name, _) if logs.last != *name => Err(missing(name, "it isn't there")),
            _ => Ok(logs),
        }
    }

    /// Whether the logs are known to reach the moment.
    fn warning(&self, moment: &Moment) -> Option<String> {
        let Moment::Time(until) = moment else { return None };
        let latest = i64::from(self.latest?);
        let show = |second| {
            jiff::Timestamp::from_second(second).map_or_else(|_| String::new(), |time| time.to_string())
        };
        (latest < *until).then(|| {
            format!(
                "the last change in the binary logs is of {}: what was changed between then and {} would not be there",
                show(latest),
                show(*until)
            )
        })
    }
}

/// Whether logs after this one have nothing before the moment.
fn is_reached(moment: &Moment, log: &LogName, latest: Option<u32>) -> bool {
    match moment {
        Moment::Time(until) => latest.is_some_and(|latest| i64::from(latest) >= *until),
        Moment::Byte(name, _) => log == name,
        Moment::Gtid(_) => false,
    }
}

fn fetch(files: &dyn Files, from: &str, to: &Path, client: &Client<'_>) -> Result<LogFacts> {
    let transfer = |source| SourceError::Transfer { object: from.to_owned(), source };
    let file = |source| SourceError::File { path: to.to_owned(), source };
    let input = files.open(from).map_err(transfer)?;
    let output = File::create_new(to).map_err(file)?;
    let mut copying = Copying { input, output, client, failure: None };
    let facts = examine(from, &mut copying);
    if let Some(source) = copying.failure.take() {
        return Err(file(source));
    }
    if client.context.cancel.is_cancelled() { Err(SourceError::Cancelled) } else { facts }
}

/// Writes what is read.
struct Copying<'a> {
    input: Box<dyn Read + Send + 'a>,
    output: File,
    client: &'a Client<'a>,
    failure: Option<io::Error>,
}

impl Read for Copying<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.client.context.cancel.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.input.read(into)?;
        self.output.write_all(&into[..count]).map_err(|error| {
            let told = io::Error::new(error.kind(), "the scratch folder can't be written");
            self.failure = Some(error);
            told
        })?;
        Ok(count)
    }
}

fn tool(
    program: &Program,
    client: &Client<'_>,
    start: &Start,
    moment: &Moment,
    scope: &Scope,
    logs: &Logs,
) -> Tool {
    let mut tool = Tool::new(&program.path, &client.context.secrets)
        .args(["--no-defaults", "--verify-binlog-checksum"])
        .arg(match &start.gtid {
            Some(gtid) => format!("--start-position={gtid}"),
            None => format!("--start-position={}", start.position),
        });
    match moment {
        // The program reads it in its own zone, which is UTC here.
        Moment::Time(until) if *until >= STOP_TIME_MAX => {}
        Moment::Time(until) => {
            if let Ok(time) = jiff::Timestamp::from_second(*until) {
                tool = tool.arg(time.strftime("--stop-datetime=%Y-%m-%d %H:%M:%S").to_string());
            }
        }
        Moment::Byte(_, at) => tool = tool.arg(format!("--stop-position={at}")),
        Moment::Gtid(gtid) => tool = tool.arg(format!("--stop-position={gtid}")),
    }
    if let Scope::One(database) = scope {
        tool = tool.arg(format!("--database={database}"));
    }
    tool.arg("--").args(&logs.paths)
}

/// From the program that reads logs to the client. If either fails, neither has done its work.
fn pump(client: &Client<'_>, tool: Tool, program: &Program) -> Result<()> {
    let cancel = &client.context.cancel;
    let file = |source| SourceError::File { path: program.path.clone(), source };
    let reader = tool.start(Feed::Nothing, cancel).map_err(file)?.started;
    let Fed { input, started: writer } = client.feeding()?.start(Feed::Pipe, cancel).map_err(file)?;
    let input = input.ok_or_else(|| file(io::Error::other("the client has no input")))?;
    let mut feeder = Feeder::new(input, cancel).map_err(file)?;
    let mut answers = writer.output;
    let reading = std::thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut io::sink());
    });
    let mut logs = reader.output;
    let mut buffer = vec![0; STEP_BYTES];
    let passed = loop {
        match logs.read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) if feeder.write_all(&buffer[..count]).is_ok() => {}
            // The client has ended, or the run is cancelled.
            _ => break false,
        }
    };
    if cancel.is_cancelled() {
        return Err(SourceError::Cancelled);
    }
    // The client takes the end of its input for the end of the logs, so that it isn't shown to it before it is known.
    if passed {
        let ended = reader.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
        if !ended.status.success() {
            return Err(SourceError::Program {
                program: program.name.to_owned(),
                status: ended.status.to_string(),
                messages: ended.stderr.unwrap_or_default(),
            });
        }
    }
    drop(feeder);
    let ended = writer.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
    let _ = reading.join();
    if ended.status.success() && passed {
        return Ok(());
    }
    Err(client.failure("playing the binary logs", &ended))
}

#[cfg(test)]
mod tests {
    use super::{Moment, until_of};
    use crate::restore::Until;

    #[test]
    fn moments_are_times_positions_and_transactions() {
        let of = |until| until_of(&until).map_err(|error| error.to_string());
        assert_eq!(of(Until::Time("1970-01-01T00:01:00.9Z".to_owned())), Ok(Moment::Time(60)));
        assert!(matches!(of(Until::Position("b.000002:456".to_owned())), Ok(Moment::Byte(_, 456))));
        let gtid = Moment::Gtid("0-1-5,1-2-3".to_owned());
        assert_eq!(of(Until::Position("0-1-5,1-2-3".to_owned())), Ok(gtid.clone()));
        assert_eq!(of(Until::Transaction("0-1-5,1-2-3".to_owned())), Ok(gtid));
        for wrong in ["b.000002", "0-1", "b.000002:x", "0-1-5;"] {
            assert!(of(Until::Position(wrong.to_owned())).is_err(), "{wrong}");
        }
        assert!(of(Until::Name("before".to_owned())).is_err());
    }
}
