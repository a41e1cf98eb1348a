//! Secrets: references that say where one is, and how it is had when it is needed.
//!
//! A reference is plain data and holds no secret, but for a command line, which may. What it leads to is never shown
//! and is wiped from memory. Where a server has to be asked for it, the caller's thread waits. One of two modules that ask the system: the environment, for the references that mean it.

mod cache;
mod descriptor;
mod http;
mod json;
mod keyring;
mod kms;
mod read_bounded;
mod source;
mod vault;
mod waiting;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};
use std::time::Duration;

use keepfast_backend::Cancel;
use zeroize::Zeroizing;

use self::descriptor::keep_from_children;
use self::read_bounded::read_bounded;
use self::waiting::Patience;
use crate::child::{Children, CommandLine, Started};
use crate::error::{FetchError, Result, SecretError};
use crate::host::wall_clock;

pub use self::cache::{Clock, SecretCache};
pub use self::source::{KmsReference, SECRET_BYTES_MAX, SecretSource, VaultReference};

const BYTE_ORDER_MARK: char = '\u{feff}';
/// Where a service manager puts the credentials of a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// How long Vault or KMS may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long a keyring may take, whose owner may have to unlock it.
const KEYRING_MAX: Duration = Duration::from_secs(120);

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
    /// Ends a command or a request that takes too long.
    pub cancel: &'a Cancel,
}

impl SecretReader<'_> {
    /// All bytes of the secret. What is read here and below is taken out of what programs print from now on.
    pub fn bytes(&self, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>> {
        let bytes = self.bytes_in(source, &|name| std::env::var_os(name))?;
        self.children.secrets.learn(bytes.trim_ascii_end());
        Ok(bytes)
    }

    /// A password: all of a variable, and the first line of anything else. It isn't empty, and a new
    /// one doesn't begin with a byte-order mark; an old one may have been made with it.
    pub fn password(&self, source: &SecretSource, purpose: Purpose) -> Result<Zeroizing<String>> {
        Ok(self.password_in(source, purpose, &|name| std::env::var_os(name))?)
    }

    /// As [`Self::password`], unless the secret was read a short time ago and is kept.
    pub fn password_by(
        &self,
        cache: Option<&SecretCache>,
        source: &SecretSource,
        purpose: Purpose,
    ) -> Result<Zeroizing<String>> {
        let Some(cache) = cache else { return self.password(source, purpose) };
        if let Some(kept) = cache.get(source) {
            return Ok(self.as_password(source, &kept, purpose)?);
        }
        let bytes = self.bytes(source)?;
        let password = self.as_password(source, &bytes, purpose)?;
        cache.keep(source, &bytes);
        Ok(password)
    }

    fn password_in(
        &self,
        source: &SecretSource,
        purpose: Purpose,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Zeroizing<String>, SecretError> {
        let content = self.bytes_in(source, variable)?;
        self.as_password(source, &content, purpose)
    }

    fn as_password(
        &self,
        source: &SecretSource,
        content: &[u8],
        purpose: Purpose,
    ) -> Result<Zeroizing<String>, SecretError> {
        let mut place = source.place(self.what);
        let password = if matches!(source, SecretSource::Environment(_)) {
            let text = str::from_utf8(content).map_err(|_| SecretError::NotUtf8 { place: place.clone() })?;
            if text.is_empty() {
                return Err(SecretError::Empty { place });
            }
            Zeroizing::new(text.to_owned())
        } else {
            if matches!(source, SecretSource::Command(_)) {
                place.push_str("'s output");
            }
            self.first_line(content, &place)?
        };
        if purpose == Purpose::Make && password.starts_with(BYTE_ORDER_MARK) {
            return Err(SecretError::Marked { place });
        }
        if password.trim_start_matches(BYTE_ORDER_MARK).is_empty() {
            return Err(SecretError::OnlyMark { place });
        }
        self.children.secrets.learn(password.as_bytes());
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
                let unreadable =
                    |error| SecretError::Unreadable { place: source.place(self.what), source: error };
                keep_from_children(*number).map_err(unreadable)?;
                self.read_file(Path::new(&format!("/proc/self/fd/{number}")), source)
            }
            SecretSource::SystemdCredential(name) => {
                let mut parts = Path::new(name).components();
                if !matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name.as_str())
                {
                    return Err(SecretError::CredentialName { place: source.place(self.what) });
                }
                let folder = variable(CREDENTIALS_DIRECTORY)
                    .filter(|folder| !folder.is_empty())
                    .ok_or_else(|| SecretError::NoCredentials { place: source.place(self.what) })?;
                self.read_file(&Path::new(&folder).join(name), source)
            }
            SecretSource::Environment(name) => {
                let value =
                    variable(name).ok_or_else(|| SecretError::NotSet { place: source.place(self.what) })?;
                Ok(Zeroizing::new(value.into_vec()))
            }
            SecretSource::Command(command) => self.printed_by(command, source),
            SecretSource::Vault(reference) => {
                let access = self.access_to_vault(reference, source, variable)?;
                self.fetched(source, ANSWER_MAX, |patience| vault::fetch(reference, access, patience))
            }
            SecretSource::Kms(reference) => {
                self.fetched(source, ANSWER_MAX, |patience| kms::fetch(reference, wall_clock(), patience))
            }
            SecretSource::Keyring(name) => {
                self.fetched(source, KEYRING_MAX, |patience| keyring::fetch(name, self.children, patience))
            }
        }
    }

    fn fetched(
        &self,
        source: &SecretSource,
        limit: Duration,
        fetch: impl FnOnce(Patience<'_>) -> Result<Zeroizing<Vec<u8>>, FetchError>,
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let patience = Patience { limit, cancel: self.cancel };
        let place = || source.place(self.what);
        let bytes = fetch(patience).map_err(|source| SecretError::NotFetched { place: place(), source })?;
        self.bounded(bytes, source)
    }

    /// The address of Vault, and what proves our rights to it: as the reference says, else as the variables say that
    /// its own programs use.
    fn access_to_vault(
        &self,
        reference: &VaultReference,
        source: &SecretSource,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<vault::Access, SecretError> {
        let text = |name: &str| variable(name)?.into_string().ok().filter(|text| !text.is_empty());
        let address = reference.address.clone().or_else(|| text("VAULT_ADDR"));
        let no_address = || {
            let place = source.place(self.what);
            SecretError::NotFetched { place, source: FetchError::NoAddress }
        };
        let token = match &reference.token {
            Some(token) => {
                let reader = SecretReader { what: "Vault token", ..*self };
                Some(reader.password_in(token, Purpose::Open, variable)?)
            }
            None => text("VAULT_TOKEN").map(Zeroizing::new),
        };
        token.iter().for_each(|token| self.children.secrets.learn(token.as_bytes()));
        Ok(vault::Access {
            address: address.ok_or_else(no_address)?,
            namespace: reference.namespace.clone().or_else(|| text("VAULT_NAMESPACE")),
            token,
        })
    }

    fn read_file(&self, path: &Path, source: &SecretSource) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let unreadable = |error| SecretError::Unreadable { place: source.place(self.what), source: error };
        let file = File::open(path).map_err(unreadable)?;
        self.bounded(read_bounded(file).map_err(unreadable)?, source)
    }

    fn printed_by(
        &self,
        command: &CommandLine,
        source: &SecretSource,
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let place = || source.place(self.what);
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
            let (place, what) = (source.place(self.what), self.what.to_owned());
            return Err(SecretError::TooLarge { place, what, bytes_max: SECRET_BYTES_MAX });
        }
        Ok(bytes)
    }
}

/// Whether a password begins with a byte-order mark, which an editor has put there.
#[must_use]
pub fn begins_with_mark(password: &str) -> bool {
    password.starts_with(BYTE_ORDER_MARK)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsRawFd;

    use super::{
        Cancel, Children, CommandLine, OsString, Purpose, SECRET_BYTES_MAX, SecretReader, SecretSource,
        VaultReference,
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
            (
                r#"{"vault":{"path":"kv/data/x","field":"y","address":null,"namespace":null,"token":{"file":"/t"}}}"#,
                SecretSource::Vault(VaultReference {
                    path: "kv/data/x".to_owned(),
                    field: "y".to_owned(),
                    address: None,
                    namespace: None,
                    token: Some(Box::new(SecretSource::File("/t".into()))),
                }),
            ),
            (r#"{"keyring":"main"}"#, SecretSource::Keyring("main".to_owned())),
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
