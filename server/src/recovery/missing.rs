//! Secrets that a configuration refers to and that aren't on this machine, as far as that can be seen without running a
//! command or asking a server: the configuration may have come from a snapshot a moment ago.

use std::path::{Path, PathBuf};

use keepfast_config::config::Config;
use keepfast_config::files::Facts;
use keepfast_config::model::secret::SecretReference;
use serde::Serialize;

use crate::convert::references::all;
use crate::definitions::ThisMachine;

/// Where systemd looks for the credentials of services.
const CREDENTIALS: [&str; 2] = ["/etc/credstore", "/etc/credstore.encrypted"];

/// A secret that has to be put back, or to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretToSee {
    /// What refers to it: `repository main`.
    pub definition: String,
    /// What it is: `password`.
    pub what: &'static str,
    /// Where it is read from: `the file /etc/keepfast/password`.
    pub place: String,
    /// Whether it isn't there. Otherwise it has to be tried.
    pub is_missing: bool,
}

/// All secrets of a configuration that aren't there, or of which that can't be seen.
#[must_use]
pub fn secrets(config: &Config) -> Vec<SecretToSee> {
    let seen = all(config).into_iter().filter_map(|referred| {
        let (place, is_missing) = look(referred.reference)?;
        Some(SecretToSee { definition: referred.definition(), what: referred.what, place, is_missing })
    });
    seen.collect()
}

/// Where a secret is and whether it is missing; nothing if it is there.
fn look(reference: &SecretReference) -> Option<(String, bool)> {
    Some(match reference {
        SecretReference::File(path) if path.exists() => return None,
        SecretReference::File(path) => (format!("the file {}", path.display()), true),
        SecretReference::Environment(name) if ThisMachine.variable(name).is_some() => return None,
        SecretReference::Environment(name) => (format!("the variable {name} of the environment"), true),
        SecretReference::Credential(name) => {
            let is_there = |folder: &str| PathBuf::from(folder).join(Path::new(name)).exists();
            if CREDENTIALS.into_iter().any(is_there) {
                return None;
            }
            (format!("the credential {name} of systemd"), true)
        }
        SecretReference::Command(_) => ("a command".to_owned(), false),
        SecretReference::Descriptor(number) => (format!("the open descriptor {number}"), false),
        SecretReference::Vault { path, field, .. } => (format!("vault {path}#{field}"), false),
        SecretReference::Kms { .. } => ("AWS KMS".to_owned(), false),
        SecretReference::Keyring(name) => (format!("the entry {name} of the keyring"), false),
        _ => ("another place".to_owned(), false),
    })
}
