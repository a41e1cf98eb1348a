//! Why Vault, KMS or a keyring doesn't give a secret. No message has the secret, a token or what a server wrote.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::printed::printed;

/// What would have to change for a secret to be had: whether it helps to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretErrorKind {
    /// A server or the way to it: it may work later.
    Network,
    /// What this program proves its rights by: it works once they are renewed.
    Credentials,
    /// The reference, or what it leads to: it fails until a person changes it.
    Configuration,
    /// It isn't known, such as with a command that fails.
    Unknown,
}

/// Why a secret can't be fetched from what keeps it. `server` is a host and a port.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// No answer comes.
    #[error("{server} can't be reached: {why}")]
    Unreachable {
        /// The server.
        server: String,
        /// What the system says.
        why: String,
    },
    /// An answer began and didn't end.
    #[error("the answer of {server} ended early: {why}")]
    CutOff {
        /// The server.
        server: String,
        /// What the system says.
        why: String,
    },
    /// It takes too long.
    #[error("no answer came within {} s", .limit.as_secs_f64())]
    TooSlow {
        /// How long an answer may take.
        limit: Duration,
    },
    /// The server does its work at another time.
    #[error("{server} answers with {status}{}", if *.is_sealed { ": it is sealed" } else { "" })]
    Unavailable {
        /// The server.
        server: String,
        /// The status of HTTP.
        status: u16,
        /// Whether it is there, and has to be unsealed.
        is_sealed: bool,
    },
    /// The answer is an error without a meaning here.
    #[error("{server} answers with {status}{}", code.as_ref().map_or_else(String::new, |code| format!(" ({code})")))]
    Refused {
        /// The server.
        server: String,
        /// The status of HTTP.
        status: u16,
        /// The name of the error, if there is one.
        code: Option<String>,
    },
    /// The server refers to another one.
    #[error(
        "{server} refers to another address, which isn't followed: give the address of the active server"
    )]
    Redirected {
        /// The server.
        server: String,
    },
    /// The answer can't be a secret's.
    #[error("the answer of {server} has more than {bytes_max} bytes")]
    AnswerTooLarge {
        /// The server.
        server: String,
        /// How many it may have.
        bytes_max: usize,
    },
    /// The answer isn't what the protocol says.
    #[error("the answer of {server} isn't {expected}")]
    NotUnderstood {
        /// The server.
        server: String,
        /// What it should be.
        expected: &'static str,
    },
    /// There is no address to ask.
    #[error("no address is given, and VAULT_ADDR isn't set")]
    NoAddress,
    /// The address to ask isn't one.
    #[error("the {what} can't be used: it must begin with https:// or http://, and have no password in it")]
    Address {
        /// Which one.
        what: &'static str,
    },
    /// The address leads to another machine, and what is sent there could be read on the way.
    #[error(
        "the address of Vault begins with http://, and leads to another machine: its token and the secret could be read on \
         the way; let it begin with https://, or ask an agent of this machine"
    )]
    Unprotected,
    /// What goes into a header can't.
    #[error("the {what} has characters in it that can't be sent")]
    Header {
        /// What it is.
        what: &'static str,
    },
    /// Vault doesn't let the token read it.
    #[error("{server} denies it: the token is wrong, has expired, or may not read this path")]
    Denied {
        /// The server.
        server: String,
    },
    /// Vault wants a token.
    #[error("{server} wants a token: none is given, and VAULT_TOKEN isn't set")]
    NoToken {
        /// The server.
        server: String,
    },
    /// The path can't be one.
    #[error("the path has an empty part, `.` or `..`")]
    Path,
    /// There is nothing at the path.
    #[error(
        "{server} has nothing at this path (that of a secret of KV version 2 has `data` behind the name of its engine)"
    )]
    NoSuchPath {
        /// The server.
        server: String,
    },
    /// The newest version is deleted.
    #[error("the newest version of the secret is deleted")]
    Deleted,
    /// The secret lacks the field.
    #[error("the secret has no field of this name")]
    NoSuchField,
    /// The field isn't text.
    #[error("the field isn't text")]
    NotText,
    /// The ciphertext isn't one.
    #[error("the ciphertext isn't Base64 of 1 to {bytes_max} bytes")]
    Ciphertext {
        /// How many KMS takes.
        bytes_max: usize,
    },
    /// No region of AWS is known, or it can't be one.
    #[error(
        "no region of AWS is known: neither the reference nor AWS_REGION nor a profile says one that can be used"
    )]
    Region,
    /// There are no credentials of AWS.
    #[error("no credentials of AWS can be had: {why}")]
    NoAwsCredentials {
        /// Why, of each place that was looked at.
        why: String,
    },
    /// KMS doesn't let these credentials decrypt.
    #[error(
        "{server} denies it ({code}): the credentials are wrong or have expired, or may not decrypt with this key"
    )]
    DeniedByKms {
        /// The server.
        server: String,
        /// The name of the error.
        code: String,
    },
    /// KMS can't decrypt the ciphertext.
    #[error(
        "{server} can't decrypt the ciphertext ({code}): it was made with another encryption context or in another \
         region, or is damaged"
    )]
    Undecryptable {
        /// The server.
        server: String,
        /// The name of the error.
        code: String,
    },
    /// The key can't be used.
    #[error("{server} can't use the key ({code}): it is gone, disabled, or another one's")]
    Key {
        /// The server.
        server: String,
        /// The name of the error.
        code: String,
    },
    /// A request can't be signed.
    #[error("the request can't be signed: {why}")]
    NotSigned {
        /// Why.
        why: String,
    },
    /// The program that asks the keyring isn't there.
    #[error("the program {program} isn't there: install it (Debian has it in {package})")]
    NoProgram {
        /// The program.
        program: &'static str,
        /// The package of Debian that has it.
        package: &'static str,
    },
    /// The program that asks the keyring can't be run.
    #[error("{program} can't be run")]
    ProgramNotRun {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The program that asks the keyring failed.
    #[error("{program} failed: {status}{}", printed(Some(stderr)))]
    ProgramFailed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last of what it printed to standard error.
        stderr: String,
    },
    /// The keyring has no such entry.
    #[error("the keyring has no entry with service = {service} and username = {name}")]
    NoSuchEntry {
        /// What all entries for this program have as `service`.
        service: &'static str,
        /// The entry's name.
        name: String,
    },
    /// The system gives no thread or socket.
    #[error("the system can't do it")]
    System(#[source] io::Error),
}

impl FetchError {
    /// What would have to change for it to succeed.
    #[must_use]
    pub fn kind(&self) -> SecretErrorKind {
        match self {
            Self::Unreachable { .. }
            | Self::CutOff { .. }
            | Self::TooSlow { .. }
            | Self::Unavailable { .. } => SecretErrorKind::Network,
            Self::Denied { .. }
            | Self::NoToken { .. }
            | Self::NoAwsCredentials { .. }
            | Self::DeniedByKms { .. } => SecretErrorKind::Credentials,
            Self::Cancelled | Self::ProgramFailed { .. } | Self::System(_) => SecretErrorKind::Unknown,
            Self::Refused { .. }
            | Self::Redirected { .. }
            | Self::AnswerTooLarge { .. }
            | Self::NotUnderstood { .. }
            | Self::NoAddress
            | Self::Address { .. }
            | Self::Unprotected
            | Self::Header { .. }
            | Self::Path
            | Self::NoSuchPath { .. }
            | Self::Deleted
            | Self::NoSuchField
            | Self::NotText
            | Self::Ciphertext { .. }
            | Self::Region
            | Self::Undecryptable { .. }
            | Self::Key { .. }
            | Self::NotSigned { .. }
            | Self::NoProgram { .. }
            | Self::ProgramNotRun { .. }
            | Self::NoSuchEntry { .. } => SecretErrorKind::Configuration,
        }
    }
}
