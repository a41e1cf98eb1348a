//! Secrets: references that say where one is, and how it is had when it is needed.
//!
//! A reference is plain data and holds no secret, but for a command line, which may. What it leads to is never shown
//! and is wiped from memory. One of two modules that ask the system: the environment, for the references that mean it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use keepfast_backend::Cancel;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::child::{Children, CommandLine, Started};
use crate::error::{Result, SecretError};

/// A secret is no larger than this.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
const BYTE_ORDER_MARK: char = '\u{feff}';
/// Where a service manager puts the credentials of a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// A command prints it.
    Command(CommandLine),
    /// In the variable of this name.
    Environment(String),
    /// In the credential of this name that systemd passes to a service (`LoadCredential=` and others).
    SystemdCredential(String),
    /// Behind this open descriptor. A pipe is read to its end, and then there is nothing in it any more; a file is read
    /// from its beginning.
    FileDescriptor(i32),
}

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To open what was made with it.
    Open,
    /// To make something with it: no one shall be unable to type it.
    Make,
}

/// Gets secrets.
#[derive(Debug, Clone, Copy)]
pub struct SecretReader<'a> {
    /// What the secret is, for messages: "password".
    pub what: &'a str,
    /// How a command is started.
    pub children: &'a Children,
    /// Ends a command that takes too long.
    pub cancel: &'a Cancel,
}

impl SecretReader<'_> {
    /// All bytes of the secret.
    pub fn bytes(&self, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>> {
        Ok(self.bytes_in(source, &|name| std::env::var_os(name))?)
    }

    /// A password: the first line of a file, a credential or an output, and all of a variable. It isn't empty, and a new
    /// one doesn't begin with a byte-order mark; an old one may have been made with it.
    pub fn password(&self, source: &SecretSource, purpose: Purpose) -> Result<Zeroizing<String>> {
        Ok(self.password_in(source, purpose, &|name| std::env::var_os(name))?)
    }

    fn password_in(
        &self,
        source: &SecretSource,
        purpose: Purpose,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Zeroizing<String>, SecretError> {
        let content = self.bytes_in(source, variable)?;
        let mut place = self.place_of(source);
        let password = if matches!(source, SecretSource::Environment(_)) {
            let text = str::from_utf8(&content).map_err(|_| SecretError::NotUtf8 { place: place.clone() })?;
            if text.is_empty() {
                return Err(SecretError::Empty { place });
            }
            Zeroizing::new(text.to_owned())
        } else {
            if matches!(source, SecretSource::Command(_)) {
                place.push_str("'s output");
            }
            self.first_line(&content, &place)?
        };
        if purpose == Purpose::Make && password.starts_with(BYTE_ORDER_MARK) {
            return Err(SecretError::Marked { place });
        }
        if password.trim_start_matches(BYTE_ORDER_MARK).is_empty() {
            return Err(SecretError::OnlyMark { place });
        }
        Ok(password)
    }

    fn first_line(&self, content: &[u8], place: &str) -> Result<Zeroizing<String>, SecretError> {
        let place = || place.to_owned();
        if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
            return Err(SecretError::Utf16 { place: place() });
        }
        let text = str::from_utf8(content).map_err(|_| SecretError::NotUtf8 { place: place() })?;
        match text.lines().next() {
            None | Some("") => Err(SecretError::EmptyLine { place: place(), what: self.what.to_owned() }),
            Some(line) => Ok(Zeroizing::new(line.to_owned())),
        }
    }

    fn bytes_in(
        &self,
        source: &SecretSource,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        match source {
            SecretSource::File(file) => self.read_file(file, source),
            SecretSource::FileDescriptor(number) => {
                self.read_file(Path::new(&format!("/proc/self/fd/{number}")), source)
            }
            SecretSource::SystemdCredential(name) => {
                let mut parts = Path::new(name).components();
                if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name.as_str())
                {
                    return Err(SecretError::CredentialName { place: self.place_of(source) });
                }
                let folder = variable(CREDENTIALS_DIRECTORY)
                    .filter(|folder| !folder.is_empty())
                    .ok_or_else(|| SecretError::NoCredentials { place: self.place_of(source) })?;
                self.read_file(&Path::new(&folder).join(name), source)
            }
            SecretSource::Environment(name) => {
                let value =
                    variable(name).ok_or_else(|| SecretError::NotSet { place: self.place_of(source) })?;
                Ok(Zeroizing::new(value.into_vec()))
            }
            SecretSource::Command(command) => self.printed_by(command, source),
        }
    }

    fn read_file(&self, path: &Path, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let unreadable = |error| SecretError::Unreadable { place: self.place_of(source), source: error };
        let file = File::open(path).map_err(unreadable)?;
        self.bounded(read_bounded(file).map_err(unreadable)?, source)
    }

    fn printed_by(
        &self,
        command: &CommandLine,
        source: &SecretSource,
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let place = || self.place_of(source);
        let not_run = |error| SecretError::NotRun { place: place(), source: error };
        let Started { output, running } =
            self.children.start(command, self.children.input, self.cancel).map_err(not_run)?;
        let printed = read_bounded(output).map_err(not_run)?;
        // Before the program's end is waited for: one that goes on printing would wait as well.
        let printed = self.bounded(printed, source)?;
        let ended = running.wait().map_err(not_run)?;
        let ended = ended.ok_or_else(|| not_run(io::Error::from(io::ErrorKind::Interrupted)))?;
        if !ended.status.success() {
            return Err(SecretError::Failed { place: place(), status: ended.status, stderr: ended.stderr });
        }
        Ok(printed)
    }

    fn bounded(
        &self,
        bytes: Zeroizing<Vec<u8>>,
        source: &SecretSource,
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        if bytes.len() > SECRET_BYTES_MAX {
            let (place, what) = (self.place_of(source), self.what.to_owned());
            return Err(SecretError::TooLarge { place, what, bytes_max: SECRET_BYTES_MAX });
        }
        Ok(bytes)
    }

    /// Where a secret is, for messages. A command may hold a secret itself, so none has it.
    fn place_of(&self, source: &SecretSource) -> String {
        let what = self.what;
        match source {
            SecretSource::File(file) => format!("the {what} file {}", file.display()),
            SecretSource::Command(_) => format!("the {what} command"),
            SecretSource::Environment(name) => format!("the {what} in {name}"),
            SecretSource::SystemdCredential(name) => format!("the {what} in the credential {name}"),
            SecretSource::FileDescriptor(number) => format!("the {what} behind descriptor {number}"),
        }
    }
}

/// Whether a password begins with a byte-order mark, which an editor has put there.
#[must_use]
pub fn begins_with_mark(password: &str) -> bool {
    password.starts_with(BYTE_ORDER_MARK)
}

/// Reads at most one byte more than a secret may have, into memory that never moves: what is left behind by a vector
/// that grows isn't wiped.
fn read_bounded(input: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES_MAX + 1]);
    let mut input = input;
    let mut filled = 0;
    while filled < bytes.len() {
        match input.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;

    use super::{
        Cancel, Children, CommandLine, OsString, Purpose, SECRET_BYTES_MAX, SecretReader, SecretSource,
    };

    /// A password from a source, where the environment is this folder of credentials and one variable.
    fn read(source: &SecretSource, purpose: Purpose, value: &str) -> Result<String, String> {
        let (children, cancel) = (Children::default(), Cancel::new());
        let reader = SecretReader { what: "password", children: &children, cancel: &cancel };
        let variable = |name: &str| match name {
            "SECRET" => Some(OsString::from(value)),
            "CREDENTIALS_DIRECTORY" => Some(OsString::from(value)).filter(|_| value.starts_with('/')),
            _ => None,
        };
        let password = reader.password_in(source, purpose, &variable);
        password.map(|password| password.to_string()).map_err(|error| error.to_string())
    }

    fn command(script: &str) -> SecretSource {
        SecretSource::Command(CommandLine::Shell(script.to_owned()))
    }

    #[test]
    fn each_kind_of_reference_leads_to_the_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("name");
        fs::write(&file, "correct horse\r\nsecond\n").expect("a file");
        let credentials = folder.path().display().to_string();
        let open = File::open(&file).expect("a file");
        for source in [
            SecretSource::File(file),
            command("echo correct horse"),
            SecretSource::SystemdCredential("name".to_owned()),
            SecretSource::FileDescriptor(open.as_raw_fd()),
        ] {
            assert_eq!(
                read(&source, Purpose::Open, &credentials),
                Ok("correct horse".to_owned()),
                "{source:?}"
            );
        }
        let variable = SecretSource::Environment("SECRET".to_owned());
        assert_eq!(read(&variable, Purpose::Make, "a\nb"), Ok("a\nb".to_owned()), "all of it");
    }

    #[test]
    fn what_is_no_password_is_refused_and_the_place_named() {
        let variable = |name: &str| SecretSource::Environment(name.to_owned());
        let credential = |name: &str| SecretSource::SystemdCredential(name.to_owned());
        for (source, value, why) in [
            (variable("SECRET"), "", "the password in SECRET is empty"),
            (variable("OTHER"), "x", "the password in OTHER isn't there"),
            (variable("SECRET"), "\u{feff}", "empty but for a byte-order mark"),
            (command("true"), "", "the password command's output has no password in its first line"),
            (command("echo"), "", "has no password"),
            (command("printf '\\377\\376x'"), "", "the password command's output is in UTF-16"),
            (command("printf '\\370'"), "", "isn't UTF-8"),
            (
                command("echo why >&2; false"),
                "",
                "the password command failed: exit status: 1; it printed: why",
            ),
            (command("yes"), "", "holds more than 65536 bytes"),
            (credential("name"), "", "passes no credentials"),
            (credential("../name"), "/", "without a slash"),
            (credential("name/"), "/", "without a slash"),
            (credential(""), "/", "without a slash"),
            (SecretSource::File("/no/such/file".into()), "", "the password file /no/such/file can't be read"),
            (SecretSource::FileDescriptor(-1), "", "descriptor -1 can't be read"),
        ] {
            let error = read(&source, Purpose::Open, value).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_byte_order_mark_begins_no_new_password_and_stays_in_an_old_one() {
        let source = command("printf '\\357\\273\\277horse'");
        assert_eq!(read(&source, Purpose::Open, ""), Ok("\u{feff}horse".to_owned()));
        assert!(read(&source, Purpose::Make, "").expect_err("a mark").contains("byte-order mark"));
    }

    #[test]
    fn the_largest_secret_is_read_and_one_byte_more_is_not() {
        let of = |bytes: usize| {
            read(&command(&format!("head -c {bytes} /dev/zero | tr '\\0' a")), Purpose::Open, "")
        };
        assert_eq!(of(SECRET_BYTES_MAX).map(|password| password.len()), Ok(SECRET_BYTES_MAX));
        assert!(of(SECRET_BYTES_MAX + 1).is_err());
    }

    #[test]
    fn references_are_data() {
        for (text, source) in [
            (r#"{"file":"/etc/pw"}"#, SecretSource::File("/etc/pw".into())),
            (r#"{"command":"pass show x"}"#, command("pass show x")),
            (r#"{"environment":"PW"}"#, SecretSource::Environment("PW".to_owned())),
            (r#"{"systemd-credential":"pw"}"#, SecretSource::SystemdCredential("pw".to_owned())),
            (r#"{"file-descriptor":3}"#, SecretSource::FileDescriptor(3)),
        ] {
            assert_eq!(serde_json::from_str::<SecretSource>(text).expect(text), source);
            assert_eq!(serde_json::to_string(&source).expect(text), text);
        }
    }

    #[test]
    fn a_cancelled_run_waits_for_no_command() {
        let (children, cancel) = (Children::default(), Cancel::new());
        let reader = SecretReader { what: "password", children: &children, cancel: &cancel };
        cancel.cancel();
        assert!(reader.password(&command("sleep 3600"), Purpose::Open).is_err());
    }
}
