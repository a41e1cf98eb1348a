//! A connection by the makers' client: the password reaches it in a file without a name, statements by a pipe, and answers
//! come back as rows.

use std::io::{Read, Write};
use std::time::Duration;

use keepfast_process::child::Ended;
use keepfast_process::tool::{Fed, Feed, Tool};
use zeroize::Zeroizing;

use super::feed::Feeder;
use super::program::{Program, Purpose};
use crate::address::{Address, Place, Tls};
use crate::context::Context;
use crate::error::{Result, SourceError};

/// A longer answer isn't kept: a million tables need a tenth of it.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// Programs of MySQL read option files by lines of four KiB.
const VALUE_BYTES_MAX: usize = 2000;

/// A server, and the client by which it is asked.
pub(super) struct Client<'a> {
    pub(super) address: &'a Address,
    pub(super) context: &'a Context<'a>,
    pub(super) program: Program,
    connect_timeout: Duration,
}

/// What a client that goes on after errors has answered.
pub(super) struct Forced {
    pub(super) rows: Vec<Vec<String>>,
    pub(super) messages: String,
}

impl<'a> Client<'a> {
    /// Finds the client. Connects to nothing.
    pub(super) fn new(
        address: &'a Address,
        context: &'a Context<'a>,
        connect_timeout: Duration,
    ) -> Result<Self> {
        let program = Program::find(Purpose::Client, address.engine, context)?;
        Ok(Self { address, context, program, connect_timeout })
    }

    /// One of the makers' programs that will connect to the server.
    pub(super) fn tool(&self, program: &Program) -> Result<Tool> {
        let mut tool = Tool::new(&program.path, &self.context.secrets);
        let options = self.option_file(program)?;
        let file = |source| SourceError::File { path: program.path.clone(), source };
        let path = tool.private(&options).map_err(file)?;
        Ok(tool.arg(format!("--defaults-file={path}")))
    }

    /// A client that reads statements. It follows none of a client's own commands but `DELIMITER`, since a dump may hold
    /// anything: `\!` would start a program. Comments stay, which are a part of the bodies of routines.
    pub(super) fn feeding(&self) -> Result<Tool> {
        let timeout = self.connect_timeout.as_secs().max(1);
        let tool = self.tool(&self.program)?.args([
            "--no-auto-rehash",
            "--binary-mode",
            "--comments",
            "--batch",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1073741824",
        ]);
        let tool = if self.program.has("--sandbox") { tool.arg("--sandbox") } else { tool };
        Ok(tool.arg(format!("--connect-timeout={timeout}")))
    }

    /// The rows that statements answer.
    pub(super) fn query(&self, what: &str, sql: &str) -> Result<Vec<Vec<String>>> {
        let (output, ended) = self.answer(self.feeding()?, sql)?;
        if !ended.status.success() {
            return Err(self.failure(what, &ended));
        }
        Ok(rows_of(&output))
    }

    /// The rows that those statements answer that can be run, and the messages of the others.
    pub(super) fn query_each(&self, what: &str, sql: &str) -> Result<Forced> {
        let (output, ended) = self.answer(self.feeding()?.arg("--force"), sql)?;
        let messages = ended.stderr.clone().unwrap_or_default();
        let is_connected = ended.status.success() || messages.contains(" at line ");
        if !is_connected {
            return Err(self.failure(what, &ended));
        }
        Ok(Forced { rows: rows_of(&output), messages })
    }

    /// What a query answers, as XML: the only form in which NULL and the text `NULL` differ.
    pub(super) fn query_xml(&self, what: &str, sql: &str) -> Result<Vec<u8>> {
        let (output, ended) = self.answer(self.feeding()?.arg("--xml"), sql)?;
        if ended.status.success() { Ok(output) } else { Err(self.failure(what, &ended)) }
    }

    /// Runs statements that answer nothing of interest.
    pub(super) fn execute(&self, what: &str, sql: &str) -> Result<()> {
        self.query(what, sql).map(drop)
    }

    fn answer(&self, tool: Tool, sql: &str) -> Result<(Vec<u8>, Ended)> {
        let file = |source| SourceError::File { path: self.program.path.clone(), source };
        let cancel = &self.context.cancel;
        let Fed { input, started } = tool.start(Feed::Pipe, cancel).map_err(file)?;
        let mut output = started.output;
        let mut answer = Vec::new();
        let read = std::thread::scope(|scope| {
            let feeding = scope.spawn(move || {
                // A client that has ended says why.
                input
                    .map_or(Ok(()), |input| Feeder::new(input, cancel)?.write_all(sql.as_bytes()))
                    .unwrap_or_default();
            });
            let read = (&mut output).take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer);
            drop(output);
            let _ = feeding.join();
            read
        });
        if cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        read.map_err(file)?;
        if u64::try_from(answer.len()).is_ok_and(|bytes| bytes > ANSWER_BYTES_MAX) {
            return Err(self.wrong_answer("a list", "it is longer than any that is read"));
        }
        let ended = started.running.wait().map_err(file)?.ok_or(SourceError::Cancelled)?;
        Ok((answer, ended))
    }

    /// The error of a program that has connected to the server, or tried to.
    pub(super) fn failure(&self, what: &str, ended: &Ended) -> SourceError {
        let messages = ended.stderr.as_deref().unwrap_or_default();
        let server = self.address.to_string();
        let Some(error) = error_of(messages) else {
            return SourceError::Program {
                program: self.program.name.to_owned(),
                status: ended.status.to_string(),
                messages: messages.trim().to_owned(),
            };
        };
        if error.contains(" at line ") {
            SourceError::Server { server, what: what.to_owned(), why: error }
        } else {
            SourceError::Connect { server, why: error }
        }
    }

    /// An answer that no server should give.
    pub(super) fn wrong_answer(&self, what: &str, why: &str) -> SourceError {
        SourceError::Server { server: self.address.to_string(), what: what.to_owned(), why: why.to_owned() }
    }

    /// The options by which a program connects. What isn't here comes from nowhere: a program that reads this file reads
    /// no other.
    fn option_file(&self, program: &Program) -> Result<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(Vec::with_capacity(16 << 10));
        text.extend_from_slice(b"[client]\n");
        let mut add = |name: &str, value: &str| -> Result<()> {
            if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
                let why = format!("its {name} is longer than the makers' programs can read");
                return Err(SourceError::Unsupported { object: self.address.to_string(), why });
            }
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=\"");
            for byte in value.bytes() {
                match byte {
                    b'\\' => text.extend_from_slice(b"\\\\"),
                    b'"' => text.extend_from_slice(b"\\\""),
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'\r' => text.extend_from_slice(b"\\r"),
                    b'\t' => text.extend_from_slice(b"\\t"),
                    other => text.push(other),
                }
            }
            text.extend_from_slice(b"\"\n");
            Ok(())
        };
        if let Some(user) = &self.address.user {
            add("user", user)?;
        }
        if let Some(password) = &self.address.password {
            add("password", password.reveal())?;
        }
        match &self.address.place {
            Place::Server { host, port } => {
                add("protocol", "tcp")?;
                add("host", host)?;
                add("port", &port.to_string())?;
            }
            Place::Socket { path, .. } | Place::File(path) => {
                let path = path.to_str().ok_or_else(|| SourceError::Unsupported {
                    object: self.address.to_string(),
                    why: "the path of its socket isn't text".to_owned(),
                })?;
                add("protocol", "socket")?;
                add("socket", path)?;
            }
        }
        if let Some(ca) = self.address.ca_file.as_ref().and_then(|path| path.to_str()) {
            add("ssl-ca", ca)?;
        }
        if matches!(self.address.place, Place::Server { .. }) {
            text.extend_from_slice(tls_options(self.address.tls, program.is_mariadb()).as_bytes());
        }
        Ok(text)
    }
}

/// MariaDB's programs encrypt if the server can, unless they must verify; MySQL's have a mode for each.
fn tls_options(tls: Tls, is_mariadb: bool) -> &'static str {
    match (tls, is_mariadb) {
        (Tls::Off, true) => "skip-ssl\n",
        (Tls::Prefer, true) => "ssl\nskip-ssl-verify-server-cert\n",
        (Tls::Verify, true) => "ssl\nssl-verify-server-cert\n",
        (Tls::Off, false) => "ssl-mode=DISABLED\n",
        (Tls::Prefer, false) => "ssl-mode=PREFERRED\n",
        (Tls::Verify, false) => "ssl-mode=VERIFY_IDENTITY\n",
    }
}

/// The first error of a client among its messages: it repeats the statement before.
fn error_of(messages: &str) -> Option<String> {
    let at = if messages.starts_with("ERROR ") { 0 } else { messages.find("\nERROR ")? + 1 };
    Some(messages.get(at..)?.trim().to_owned())
}

/// Rows of the client's batch form: fields are separated by tabs, and what would break that is escaped.
fn rows_of(output: &[u8]) -> Vec<Vec<String>> {
    let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| line.split(|byte| *byte == b'\t').map(unescaped).collect()).collect()
}

fn unescaped(field: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(other) => *other,
                None => b'\\',
            },
            other => *other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A name in a statement.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::{error_of, quoted, rows_of};

    #[test]
    fn rows_have_what_the_client_escapes() {
        let rows = rows_of(b"a\\tb\tc\\nd\n\\\\\t\\0\n");
        assert_eq!(rows, [["a\tb", "c\nd"], ["\\", "\0"]]);
    }

    #[test]
    fn an_error_is_found_behind_the_statement_that_the_client_repeats() {
        let said =
            "--------------\nselect x\n--------------\n\nERROR 1054 (42S22) at line 1: Unknown column 'x'\n";
        assert_eq!(error_of(said).as_deref(), Some("ERROR 1054 (42S22) at line 1: Unknown column 'x'"));
        assert_eq!(error_of("mariadb: unknown option"), None);
    }

    #[test]
    fn names_end_where_they_end() {
        assert_eq!(quoted("a`b"), "`a``b`");
    }
}
