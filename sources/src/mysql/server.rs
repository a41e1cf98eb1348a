//! A server of its own, in a folder of its own: reached by a socket in it, and gone when it isn't needed any more.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use keepfast_process::Cancel;
use keepfast_process::child::{Ends, Started};
use keepfast_process::tool::{Account, Feed, Tool};

use super::client::Client;
use super::program::{Program, Purpose};
use super::restore::CONNECT_TIMEOUT;
use crate::address::{Address, Engine, Place};
use crate::boot::BootOptions;
use crate::context::Context;
use crate::error::{Result, SourceError};

/// How long it is waited between two questions whether a server answers.
const NAP: Duration = Duration::from_millis(50);
/// How long a server that is asked to end may take, in naps. After that it is killed.
const NAPS_TO_END: u32 = 1200;
/// The least memory for pages with which a server starts.
const POOL_BYTES_MIN: u64 = 16 << 20;

/// Where a server's files are.
pub(super) struct Home<'a> {
    pub(super) options: &'a BootOptions,
    pub(super) context: &'a Context<'a>,
    pub(super) program: Program,
    /// Arguments without which the server doesn't read what is in the folder.
    pub(super) settings: Vec<String>,
}

/// Whether each user who reaches the socket may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// The server looks at its users.
    Kept,
    /// It doesn't. It then has no events, and knows no statement about users.
    Skipped,
}

impl Home<'_> {
    /// The folder of the data.
    pub(super) fn data(&self) -> PathBuf {
        self.options.folder.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.options.folder.join("s")
    }

    /// How to reach the server.
    pub(super) fn address(&self) -> Result<Address> {
        let engine = Engine::Mariadb;
        let port = engine.usual_port().ok_or_else(|| SourceError::Unsupported {
            object: engine.to_string(),
            why: "it has no port".to_owned(),
        })?;
        Ok(Address::local(engine, Place::Socket { path: self.socket(), port }, Some("root")))
    }

    /// Makes a folder in the server's, which belongs to its user.
    pub(super) fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.options.folder.join(name);
        let file = |source| SourceError::File { path: path.clone(), source };
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(file)?;
        self.give(&path)?;
        Ok(path)
    }

    /// Gives a file or folder to the server's user.
    pub(super) fn give(&self, path: &Path) -> Result<()> {
        let Some(Account { user, group }) = self.options.account else { return Ok(()) };
        chown(path, Some(user), Some(group))
            .map_err(|source| SourceError::File { path: path.to_owned(), source })
    }

    /// Makes the first files of a server without data.
    pub(super) fn install(&self) -> Result<()> {
        let program = Program::find(Purpose::Install, Engine::Mariadb, self.context)?;
        let tool = Tool::new(&program.path, &self.context.secrets)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--skip-name-resolve", "--innodb-flush-method=nosync"])
            // A server that starts removes others' temporary tables from the folder that is used for them.
            .variable("TMPDIR", self.options.folder.join("tmp"))
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--tmpdir={}", self.options.folder.join("tmp").display()));
        // The script asks for the server's user when root runs it.
        let tool = if self.options.account.is_none() { tool.arg("--user=root") } else { tool };
        run(tool.account(self.options.account).folder(&self.options.folder), &program, self.context)
    }

    /// Starts the server, and waits until it answers.
    pub(super) fn start(&self, rights: Rights, address: &Address) -> Result<ServerProcess> {
        let folder = &self.options.folder;
        let pool = self.options.memory.map(|memory| (memory / 2).max(POOL_BYTES_MIN));
        let mut tool = Tool::new(&self.program.path, &self.context.secrets)
            .arg("--no-defaults")
            .arg(format!("--datadir={}", self.data().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--tmpdir={}", folder.join("tmp").display()))
            .arg(format!("--secure-file-priv={}", folder.join("tmp").display()))
            // Nothing acts from the copy: no replica, no event, no one from elsewhere.
            .args(["--skip-networking", "--skip-slave-start", "--event-scheduler=OFF", "--skip-log-bin"])
            .args(["--local-infile=0", "--skip-name-resolve", "--max-allowed-packet=1073741824"])
            // It needn't survive a loss of power.
            .args([
                "--innodb-doublewrite=0",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync",
            ]);
        tool = tool.args(&self.settings);
        if let Some(pool) = pool {
            tool = tool.arg(format!("--innodb-buffer-pool-size={pool}"));
        }
        if rights == Rights::Skipped {
            tool = tool.arg("--skip-grant-tables");
        }
        if self.options.account.is_none() && rustix::process::geteuid().is_root() {
            tool = tool.arg("--user=root");
        }
        let file = |source| SourceError::File { path: self.program.path.clone(), source };
        let tool = tool.account(self.options.account).folder(folder);
        let server = ServerProcess::start(tool, &self.program, self.context).map_err(file)?;
        server.wait_for_answer(address, self.context)?;
        Ok(server)
    }
}

/// Runs a program that ends by itself.
pub(super) fn run(tool: Tool, program: &Program, context: &Context<'_>) -> Result<()> {
    let file = |source| SourceError::File { path: program.path.clone(), source };
    let Started { mut output, running } = tool.start(Feed::Nothing, &context.cancel).map_err(file)?.started;
    // What it prints is of no interest; a pipe that no one reads would stop it.
    let _ = std::io::copy(&mut output, &mut std::io::sink());
    let ended = running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
    if ended.status.success() {
        return Ok(());
    }
    Err(SourceError::Program {
        program: program.name.to_owned(),
        status: ended.status.to_string(),
        messages: ended.stderr.unwrap_or_default(),
    })
}

/// A server that runs. Dropped, it is killed.
pub(super) struct ServerProcess {
    stop: Cancel,
    ended: mpsc::Receiver<SourceError>,
    thread: Option<JoinHandle<()>>,
}

impl ServerProcess {
    fn start(tool: Tool, program: &Program, context: &Context<'_>) -> std::io::Result<Self> {
        let stop = Cancel::new();
        let ends = Ends { run: context.cancel.clone(), group: stop.clone() };
        let started = tool.start(Feed::Nothing, ends)?.started;
        let (tell, ended) = mpsc::channel();
        let name = program.name;
        let thread = std::thread::spawn(move || {
            // No one may ask any more.
            let _ = tell.send(end_of(started, name));
        });
        Ok(Self { stop, ended, thread: Some(thread) })
    }

    fn wait_for_answer(&self, address: &Address, context: &Context<'_>) -> Result<()> {
        let client = Client::new(address, context, CONNECT_TIMEOUT)?;
        loop {
            match self.ended.try_recv() {
                Ok(error) => return Err(error),
                Err(TryRecvError::Disconnected) => return Err(SourceError::Cancelled),
                Err(TryRecvError::Empty) => {}
            }
            match client.query("asking whether it answers", "SELECT 1;") {
                Ok(_) => return Ok(()),
                Err(SourceError::Connect { .. }) => {}
                Err(error) => return Err(error),
            }
            if context.cancel.wait(NAP) {
                return Err(SourceError::Cancelled);
            }
        }
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn end(self, address: &Address, context: &Context<'_>) -> Result<()> {
        Client::new(address, context, CONNECT_TIMEOUT)?.execute("ending the server", "SHUTDOWN;")?;
        for _ in 0..NAPS_TO_END {
            if !matches!(self.ended.try_recv(), Err(TryRecvError::Empty)) {
                return Ok(());
            }
            if context.cancel.wait(NAP) {
                return Err(SourceError::Cancelled);
            }
        }
        Ok(())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for the end of a program that doesn't end by itself.
pub(super) fn end_of(started: Started, program: &str) -> SourceError {
    let Started { mut output, running } = started;
    let mut printed = [0; 4096];
    while let Ok(1..) = output.read(&mut printed) {}
    match running.wait() {
        Ok(Some(ended)) => SourceError::Program {
            program: program.to_owned(),
            status: ended.status.to_string(),
            messages: ended.stderr.unwrap_or_default(),
        },
        Ok(None) => SourceError::Cancelled,
        Err(source) => SourceError::File { path: program.into(), source },
    }
}
