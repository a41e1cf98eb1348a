//! The programs of PostgreSQL: which of those that are installed fits a server, how they connect, and what they print.

use std::cmp::Reverse;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use keepfast_process::child::{CancellableReader, Ends, Running};
use keepfast_process::tool::{Feed, Tool, USUAL_FOLDERS};

use super::session::{APPLICATION, Login, user_of};
use super::tls;
use crate::address::{Engine, Place, Tls};
use crate::context::Context;
use crate::error::{Result, SourceError};

/// Folders in which each version has one of its own: Debian's, and that of PostgreSQL's packages for Red Hat.
const VERSIONED: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];
/// How Red Hat's folders begin.
const RED_HAT: &str = "pgsql-";
/// What a program prints about an archive is never longer: a line for each of a million objects.
const PRINTED_BYTES_MAX: u64 = 256 << 20;
/// How much is given to a program at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A version, such as 15.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Which databases it reads and writes.
    pub major: u32,
    /// Faults are repaired.
    pub minor: u32,
}

impl Version {
    /// Reads the first number with a dot of a text, such as `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0)`.
    pub fn of(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(|word| {
            let (major, rest) = word.split_once('.').unwrap_or((word, "0"));
            let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
            // A beta is `19beta1`.
            let digits: String = major.chars().take_while(char::is_ascii_digit).collect();
            Some(Self { major: digits.parse().ok()?, minor: minor.parse().unwrap_or(0) })
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The folder of a version's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
    /// The version that they say.
    pub version: Version,
}

impl Programs {
    /// Those that can work with servers of this version: of the same one if they are installed, or else of the next newer
    /// one. What the caller names goes before what is installed.
    pub fn fitting(name: &'static str, server: u32, context: &Context<'_>) -> Result<Self> {
        let mut newest_old = None;
        for folders in [context.programs.clone(), usual_folders()] {
            let mut found: Vec<Self> =
                folders.into_iter().filter_map(|folder| Self::in_folder(folder, name, context)).collect();
            found.sort_by_key(|programs| (programs.version.major, Reverse(programs.version.minor)));
            newest_old = newest_old.max(found.last().map(|programs| programs.version));
            if let Some(fits) = found.into_iter().find(|programs| programs.version.major >= server) {
                return Ok(fits);
            }
        }
        Err(match newest_old {
            None => SourceError::NoProgram { program: name, engine: Engine::Postgres },
            Some(version) => SourceError::Unsupported {
                object: format!("{name} {version}"),
                why: format!("PostgreSQL {server} needs {name} {server} or newer, and none is installed"),
            },
        })
    }

    /// Those of this version alone.
    pub fn of(name: &'static str, major: u32, context: &Context<'_>) -> Option<Self> {
        let folders = context.programs.iter().cloned().chain(usual_folders());
        let found = folders.filter_map(|folder| Self::in_folder(folder, name, context));
        found.into_iter().find(|programs| programs.version.major == major)
    }

    fn in_folder(folder: PathBuf, name: &str, context: &Context<'_>) -> Option<Self> {
        let program = folder.join(name);
        if !program.is_file() {
            return None;
        }
        let tool = Tool::new(&program, &context.secrets).arg("--version");
        let printed = printed(tool, &(&context.cancel).into()).ok()?;
        Some(Self { folder, version: Version::of(&printed)? })
    }

    /// The path of one of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// One of them, which connects as this login does, to this database.
    pub fn client(
        &self,
        name: &str,
        login: &Login<'_>,
        database: &str,
        context: &Context<'_>,
    ) -> Result<Tool> {
        let address = login.address;
        let mut tool = Tool::new(self.path(name), &context.secrets);
        tool = match &address.place {
            Place::Server { host, port } => {
                tool.variable("PGHOST", host).variable("PGPORT", port.to_string())
            }
            Place::Socket { path, port } => {
                tool.variable("PGHOST", path).variable("PGPORT", port.to_string())
            }
            Place::File(_) => tool,
        };
        if let Some(password) = &address.password {
            let escaped = password.reveal().replace('\\', "\\\\").replace(':', "\\:");
            let line = zeroize::Zeroizing::new(format!("*:*:*:*:{escaped}\n"));
            let path = private(&mut tool, line.as_bytes())?;
            tool = tool.variable("PGPASSFILE", path);
        }
        let mode = match address.tls {
            Tls::Off => "disable",
            Tls::Prefer => "prefer",
            Tls::Verify => "verify-full",
        };
        if address.tls == Tls::Verify {
            let path = private(&mut tool, &tls::trusted_pem(address)?)?;
            tool = tool.variable("PGSSLROOTCERT", path);
        }
        Ok(tool
            .variable("PGSSLMODE", mode)
            .variable("PGGSSENCMODE", "disable")
            .variable("PGUSER", user_of(address)?)
            .variable("PGDATABASE", database)
            .variable("PGAPPNAME", APPLICATION)
            .variable("PGCONNECT_TIMEOUT", login.timeout.as_secs().max(1).to_string())
            .arg("--no-password"))
    }
}

fn private(tool: &mut Tool, content: &[u8]) -> Result<String> {
    tool.private(content).map_err(|source| SourceError::File { path: tool.program().to_owned(), source })
}

/// Whether a program knows an option.
pub fn knows(program: &Path, option: &str, context: &Context<'_>) -> bool {
    let help = printed(Tool::new(program, &context.secrets).arg("--help"), &(&context.cancel).into());
    help.is_ok_and(|help| help.contains(option))
}

fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (place, inside) in VERSIONED {
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
        let is_version = |name: &str| place != "/usr" || name.starts_with(RED_HAT);
        let versions = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_version));
        folders.extend(versions.map(|entry| entry.path().join(inside)));
    }
    folders.extend(USUAL_FOLDERS.iter().map(PathBuf::from));
    folders
}

/// Runs a program to its end, and returns what it prints.
pub fn printed(tool: Tool, ends: &Ends) -> Result<String> {
    let mut output = ChildReader::start(tool, ends)?;
    let mut text = Vec::new();
    let program = output.program.clone();
    output
        .by_ref()
        .take(PRINTED_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| source_error(&program, error))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// How a program ended, and what it printed and said.
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub printed: String,
    /// The last of its messages.
    pub messages: String,
}

/// Runs a program to its end, whatever that is.
pub fn finished(tool: Tool, ends: &Ends) -> Result<Finished> {
    let mut output = ChildReader::start(tool, ends)?;
    let program = output.program.clone();
    let failed = |error| source_error(&program, error);
    let mut text = Vec::new();
    let running = output.running.take();
    output.by_ref().take(PRINTED_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    let ended = running.map(Running::wait).transpose().map_err(failed)?.flatten();
    let ended = ended.ok_or(SourceError::Cancelled)?;
    Ok(Finished {
        code: ended.status.code(),
        printed: String::from_utf8_lossy(&text).into_owned(),
        messages: ended.stderr.unwrap_or_default(),
    })
}

/// Runs a program that reads `content`, to its end. A program that ends well need not read all. Returns how it ended
/// and its messages.
pub fn fed(tool: Tool, content: &mut dyn Read, ends: &Ends) -> Result<()> {
    let program = tool.program().display().to_string();
    let failed = |source| SourceError::File { path: PathBuf::from(&program), source };
    let mut fed = tool.start(Feed::Pipe, ends.clone()).map_err(failed)?;
    let mut output = ChildReader {
        output: fed.started.output,
        running: Some(fed.started.running),
        program,
        ends: ends.clone(),
    };
    let input = fed.input.take();
    // A program that prints while no one reads waits forever.
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || io::copy(&mut output, &mut io::sink()));
        let given = input.map_or(Ok(()), |mut input| give(content, &mut input));
        let read = reader.join().unwrap_or_else(|_| Err(io::Error::other("a thread has failed")));
        read.map_err(|error| source_error("", error))?;
        given.map_err(|error| source_error("", error))
    })
}

fn give(content: &mut dyn Read, into: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(()),
            count => match into.write_all(&buffer[..count]) {
                // Its end says whether that was right.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            },
        }
    }
}

/// What a program prints, as a file. At its end the program must have ended well.
pub struct ChildReader {
    output: CancellableReader,
    running: Option<Running>,
    program: String,
    ends: Ends,
}

impl ChildReader {
    /// Starts a program.
    pub fn start(tool: Tool, ends: &Ends) -> Result<Self> {
        let program = tool.program().display().to_string();
        let started = tool.start(Feed::Nothing, ends.clone());
        let started =
            started.map_err(|source| SourceError::File { path: PathBuf::from(&program), source })?;
        Ok(Self {
            output: started.started.output,
            running: Some(started.started.running),
            program,
            ends: ends.clone(),
        })
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let ended = running.wait()?.ok_or_else(|| io::Error::other(SourceError::Cancelled))?;
        if ended.status.success() {
            return Ok(());
        }
        Err(io::Error::other(SourceError::Program {
            program: self.program.clone(),
            status: ended.status.to_string(),
            messages: ended.stderr.unwrap_or_default(),
        }))
    }
}

impl Read for ChildReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.output.read(buffer) {
            Ok(0) if !buffer.is_empty() => self.end().map(|()| 0),
            Err(_) if self.ends.is_over() => Err(io::Error::other(SourceError::Cancelled)),
            read => read,
        }
    }
}

/// The error that came through a file of the dump: our own as it was, or that of who takes or gives the file.
pub fn source_error(object: &str, error: io::Error) -> SourceError {
    if !error.get_ref().is_some_and(|inner| inner.is::<SourceError>()) {
        return SourceError::Transfer { object: object.to_owned(), source: error };
    }
    let kind = error.kind();
    let inner = error.into_inner().and_then(|inner| inner.downcast::<SourceError>().ok());
    inner.map_or_else(
        || SourceError::Transfer { object: object.to_owned(), source: kind.into() },
        |inner| *inner,
    )
}
