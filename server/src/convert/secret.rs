//! References to secrets.

use std::ffi::OsString;

use keepfast_config::config::Config;
use keepfast_config::model::repository::Repository;
use keepfast_config::model::secret::{AddressOrSecret, Command, SecretReference};
use keepfast_config::model::target::Webhook;
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

/// The variables of the environment that secrets of a configuration are in.
#[must_use]
pub fn variables(config: &Config) -> Vec<String> {
    let of_repository = config.repositories.values().flat_map(|repository| {
        let Repository { password, access_key, secret_key, .. } = &repository.value;
        std::iter::once(password).chain(access_key).chain(secret_key)
    });
    let server = &config.server.value;
    let of_state = server.state.postgres.iter().filter_map(|database| database.password.as_ref());
    let of_metrics = server.metrics.iter().filter_map(|metrics| metrics.token.as_ref());
    let of_sign_in = server.oidc.iter().map(|oidc| &oidc.client_secret);
    let of_mail = config.targets.values().filter_map(|target| target.value.smtp.as_ref()?.password.as_ref());
    let of_webhooks =
        config.targets.values().filter_map(|target| target.value.webhook.as_ref()).flat_map(|hook| {
            let Webhook { url, token, hmac, .. } = hook;
            of_address(&url.value).into_iter().chain(token).chain(hmac)
        });
    let of_heartbeat = server.heartbeat.iter().filter_map(|heartbeat| of_address(&heartbeat.url));
    let all = of_repository.chain(of_state).chain(of_metrics).chain(of_sign_in);
    let all = all.chain(of_mail).chain(of_webhooks).chain(of_heartbeat);
    all.filter_map(|reference| match reference {
        SecretReference::Environment(name) => Some(name.clone()),
        _ => None,
    })
    .collect()
}

fn of_address(address: &AddressOrSecret) -> Option<&SecretReference> {
    match address {
        AddressOrSecret::Secret(reference) => Some(reference),
        AddressOrSecret::Address(_) => None,
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
