//! References to secrets.

use std::ffi::OsString;

use keepfast_config::model::secret::{Command, SecretReference};
use keepfast_operations::child::CommandLine;
use keepfast_operations::secret::SecretSource;

use super::unsupported;
use crate::error::Result;

/// A reference as operations take it. `definition` names what it stands in, for errors.
pub fn source(reference: &SecretReference, definition: &str) -> Result<SecretSource> {
    Ok(match reference {
        SecretReference::File(path) => SecretSource::File(path.clone()),
        SecretReference::Environment(name) => SecretSource::Environment(name.clone()),
        SecretReference::Command(line) => SecretSource::Command(command(line)),
        SecretReference::Credential(name) => SecretSource::SystemdCredential(name.clone()),
        SecretReference::Descriptor(number) => SecretSource::FileDescriptor(i32::from(*number)),
        SecretReference::Vault { .. } => return Err(unsupported(definition, "a secret in Vault")),
        SecretReference::Kms { .. } => return Err(unsupported(definition, "a secret that KMS decrypts")),
        SecretReference::Keyring(_) => return Err(unsupported(definition, "a secret in a keyring")),
        _ => return Err(unsupported(definition, "such a reference to a secret")),
    })
}

/// A command as operations take it.
#[must_use]
pub fn command(command: &Command) -> CommandLine {
    match command {
        Command::Arguments(words) => CommandLine::Arguments(words.iter().map(OsString::from).collect()),
        Command::Shell(script) => CommandLine::Shell(script.clone()),
    }
}
