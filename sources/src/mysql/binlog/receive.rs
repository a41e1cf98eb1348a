//! Receives the log of changes from a server while it is written, into a folder.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use keepfast_process::Cancel;
use keepfast_process::child::Ends;
use keepfast_process::tool::Feed;

use super::read::{LogFacts, LogName, examine, in_order};
use crate::address::Address;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::mysql::client::Client;
use crate::mysql::program::{Program, Purpose};
use crate::mysql::server::end_of;

/// How to receive.
#[derive(Debug, Clone)]
pub struct ReceiveOptions {
    /// A folder that only this user enters, for one server alone. What is in it stays there until [`Receiver::forget`].
    pub spool: PathBuf,
    /// The number by which the server knows this receiver. No replica and no other receiver may have it.
    pub server_id: NonZeroU32,
    /// The first log that is wanted: that of the dump which the logs go on from. None means the oldest that is there.
    pub from: Option<String>,
    /// How long the server may take to answer a connection.
    pub connect_timeout: Duration,
}

/// A log that won't change any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its name.
    pub name: LogName,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What it says of itself.
    pub facts: LogFacts,
}

/// A program that receives. Dropped, it ends.
pub struct Receiver {
    spool: PathBuf,
    /// Logs that were told of.
    told: Vec<LogName>,
    stop: Cancel,
    ended: mpsc::Receiver<SourceError>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts to receive, behind what the spool has: its last log is received again from its beginning, since it may have
    /// been cut off. If the server has removed a log that is needed, there is a gap, which is an error.
    pub fn start(from: &Address, options: &ReceiveOptions, context: &Context<'_>) -> Result<Self> {
        let client = Client::new(from, context, options.connect_timeout)?;
        let there: Vec<String> = client
            .query("looking which binary logs there are", "SHOW BINARY LOGS;")?
            .into_iter()
            .filter_map(|row| row.into_iter().next())
            .collect();
        let spooled = spooled(&options.spool)?;
        let oldest = there.first().cloned();
        let wanted = spooled.last().map(|name| name.as_str().to_owned()).or_else(|| options.from.clone());
        let first = wanted.or_else(|| oldest.clone()).ok_or_else(|| SourceError::Missing {
            object: from.to_string(),
            why: "the server has no binary log".to_owned(),
        })?;
        if !there.contains(&first) {
            return Err(SourceError::Missing {
                object: format!("the binary log {first}"),
                why: format!(
                    "the server has none older than {}: what was changed in between is lost for a restore to a point in \
                     time, until there is a new dump",
                    oldest.unwrap_or_default()
                ),
            });
        }
        let program = Program::find(Purpose::Binlog, from.engine, context)?;
        let file = |source| SourceError::File { path: program.path.clone(), source };
        let id_option = if program.has("--stop-never-slave-server-id") {
            "--stop-never-slave-server-id"
        } else {
            "--connection-server-id"
        };
        let tool = client
            .tool(&program)?
            .args(["--read-from-remote-server", "--raw", "--stop-never"])
            .arg(format!("{id_option}={}", options.server_id))
            .arg(format!("--result-file={}/", options.spool.display()))
            .arg(&first)
            .folder(&options.spool);
        let stop = Cancel::new();
        let ends = Ends { run: context.cancel.clone(), group: stop.clone() };
        let started = tool.start(Feed::Nothing, ends).map_err(file)?.started;
        let (tell, ended) = mpsc::channel();
        let name = program.name;
        let thread = std::thread::spawn(move || {
            // No one may hear it any more.
            let _ = tell.send(end_of(started, name));
        });
        Ok(Self { spool: options.spool.clone(), told: Vec::new(), stop, ended, thread: Some(thread) })
    }

    /// The logs that have become final since this was asked last, in their order. An error if the program has ended, or if
    /// a log is damaged or missing; what was received before stays in the spool.
    pub fn finished(&mut self) -> Result<Vec<Received>> {
        let ended = match self.ended.try_recv() {
            Ok(error) => Some(error),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(SourceError::Cancelled),
        };
        let names = spooled(&self.spool)?;
        let mut finished = Vec::new();
        // The next log begins when the one before is whole, so the last of them isn't final.
        for pair in names.windows(2).filter(|pair| !self.told.contains(&pair[0])) {
            let path = self.spool.join(pair[0].as_str());
            let file = |source| SourceError::File { path: path.clone(), source };
            let mut log = fs::File::open(&path).map_err(file)?;
            let bytes = log.metadata().map_err(file)?.len();
            let facts = examine(pair[0].as_str(), &mut std::io::BufReader::new(&mut log))?;
            if facts.next.as_ref().is_some_and(|next| next != pair[1].as_str()) {
                return Err(SourceError::Missing {
                    object: format!("the binary log {}", facts.next.unwrap_or_default()),
                    why: format!("{} is followed by {}", pair[0], pair[1]),
                });
            }
            finished.push(Received { name: pair[0].clone(), path, bytes, facts });
        }
        if let Some(error) = ended {
            if finished.is_empty() {
                return Err(error);
            }
            // It is told when this is asked for the next time.
            let (tell, ended) = mpsc::channel();
            let _ = tell.send(error);
            self.ended = ended;
        }
        self.told.extend(finished.iter().map(|log| log.name.clone()));
        Ok(finished)
    }

    /// Removes a log from the spool that is kept elsewhere.
    pub fn forget(&mut self, log: &Received) -> Result<()> {
        let path = self.spool.join(log.name.as_str());
        self.told.retain(|told| *told != log.name);
        fs::remove_file(&path).map_err(|source| SourceError::File { path, source })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The logs in a spool, in their order, without a gap.
fn spooled(spool: &Path) -> Result<Vec<LogName>> {
    let file = |source| SourceError::File { path: spool.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(spool).map_err(file)? {
        names.extend(entry.map_err(file)?.file_name().into_string());
    }
    in_order(names.iter().map(String::as_str))
}
