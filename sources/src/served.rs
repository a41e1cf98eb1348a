//! Servers that a drill starts: files of theirs, the process, and what they said when they have ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use keepfast_process::Cancel;
use keepfast_process::child::Ends;
use keepfast_process::tool::{Account, Feed, Tool};

use crate::context::Context;
use crate::error::{Result, SourceError};

/// What is shown of a program that has failed.
const SAID_BYTES_MAX: u64 = 2 << 10;
/// A longer path can't be that of a socket.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A server that runs. Dropped, it is ended.
pub struct Served {
    ends: Cancel,
    /// What it printed, once it has ended.
    said: Arc<OnceLock<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Starts it.
    pub fn start(tool: Tool, context: &Context<'_>) -> Result<Self> {
        let program = tool.program().to_owned();
        let ends = Cancel::new();
        let fed = tool.start(Feed::Nothing, Ends { run: context.cancel.clone(), group: ends.clone() });
        let mut started = fed.map_err(|source| SourceError::File { path: program, source })?.started;
        let said = Arc::new(OnceLock::new());
        let over = Arc::clone(&said);
        let thread = std::thread::spawn(move || {
            // A pipe that no one reads would stop it.
            let _ = io::copy(&mut started.output, &mut io::sink());
            let ended = started.running.wait().ok().flatten();
            let _ = over.set(ended.and_then(|ended| ended.stderr).unwrap_or_default());
        });
        Ok(Self { ends, said, thread: Some(thread) })
    }

    /// If it has ended: the end of its log, or else of what it printed.
    pub fn ended(&self, log: &Path) -> Option<String> {
        let said = self.said.get()?;
        Some(end_of_file(log).ok().filter(|end| !end.is_empty()).unwrap_or_else(|| end_of(said)))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.ends.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The path of a socket in a server's folder.
pub fn socket_in(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let socket = folder.join(name);
    if socket.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok(socket);
    }
    let why = "its path is too long for a socket in it".to_owned();
    Err(SourceError::Unsupported { object: folder.display().to_string(), why })
}

/// Makes a file of the server.
pub fn make(path: &Path, account: Option<Account>) -> Result<File> {
    let failed = |source| SourceError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    give(path, account)?;
    Ok(file)
}

/// Gives a file or folder to the server's user.
pub fn give(path: &Path, account: Option<Account>) -> Result<()> {
    let Some(Account { user, group }) = account else { return Ok(()) };
    let given = chown(path, Some(user), Some(group));
    given.map_err(|source| SourceError::File { path: path.to_owned(), source })
}

/// The end of a text, for a message.
pub fn end_of(text: &str) -> String {
    let most = usize::try_from(SAID_BYTES_MAX).unwrap_or(usize::MAX);
    let mut begin = text.len().saturating_sub(most);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    text[begin..].trim().to_owned()
}

fn end_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let bytes = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(SAID_BYTES_MAX)))?;
    let mut end = Vec::new();
    file.take(SAID_BYTES_MAX).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).trim().to_owned())
}
