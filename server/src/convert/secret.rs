//! References to secrets.

use std::ffi::OsString;

use keepfast_config::config::Config;
use keepfast_config::model::secret::{Command, SecretReference};
use keepfast_operations::child::CommandLine;
use keepfast_operations::secret::{KmsReference, SecretSource, VaultReference};

use super::references::all;
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
        SecretReference::Vault { path, field, address, token, namespace } => {
            let token = token.as_deref().map(|token| source(token, definition)).transpose()?;
            SecretSource::Vault(VaultReference {
                path: path.clone(),
                field: field.clone(),
                address: address.as_ref().map(|url| url.0.clone()),
                namespace: namespace.clone(),
                token: token.map(Box::new),
            })
        }
        SecretReference::Kms { ciphertext, region, endpoint, context } => SecretSource::Kms(KmsReference {
            ciphertext: ciphertext.clone(),
            region: region.clone(),
            endpoint: endpoint.as_ref().map(|url| url.0.clone()),
            context: context.clone(),
        }),
        SecretReference::Keyring(name) => SecretSource::Keyring(name.clone()),
        _ => return Err(unsupported(definition, "such a reference to a secret")),
    })
}

/// The variables of the environment that secrets of a configuration are in.
#[must_use]
pub fn variables(config: &Config) -> Vec<String> {
    all(config).into_iter().filter_map(|referred| variable(referred.reference)).collect()
}

/// The variable that a secret is in, or that a token for it is in.
fn variable(reference: &SecretReference) -> Option<String> {
    match reference {
        SecretReference::Environment(name) => Some(name.clone()),
        SecretReference::Vault { token: Some(token), .. } => variable(token),
        SecretReference::Vault { token: None, .. } => Some("VAULT_TOKEN".to_owned()),
        _ => None,
    }
}

/// A command as operations take it.
#[must_use]
pub fn command(command: &Command) -> CommandLine {
    match command {
        Command::Arguments(words) => CommandLine::Arguments(words.iter().map(OsString::from).collect()),
        Command::Shell(script) => CommandLine::Shell(script.clone()),
    }
}
