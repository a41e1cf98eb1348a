//! References that say where a secret is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::child::CommandLine;

/// A secret is no larger than this.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// How much of the end of a ciphertext names it in messages.
const CIPHERTEXT_CHARS_SHOWN: usize = 8;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Behind this open descriptor, which no program inherits any more once it was read. A pipe is read to its end, and
    /// then there is nothing in it any more; a file is read from its beginning.
    FileDescriptor(i32),
    /// A field of a secret in Vault or OpenBao.
    Vault(VaultReference),
    /// AWS KMS decrypts it.
    Kms(KmsReference),
    /// In the keyring of the desktop, with the attributes `service` = `keepfast` and `username` = this name.
    Keyring(String),
}

/// A field of a secret in Vault or OpenBao, in an engine of the kind KV, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultReference {
    /// The path of the secret in the server's interface, with `data` behind the name of the engine:
    /// `kv/data/keepfast`.
    pub path: String,
    /// The field.
    pub field: String,
    /// The server; else that in `VAULT_ADDR`.
    #[serde(default)]
    pub address: Option<String>,
    /// The namespace that the path is in; else that in `VAULT_NAMESPACE`, if any.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its token; else that in `VAULT_TOKEN`. An agent that is asked instead of the server needs none.
    #[serde(default)]
    pub token: Option<Box<SecretSource>>,
}

/// A ciphertext that AWS KMS decrypts with credentials from the usual places of AWS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KmsReference {
    /// What is decrypted, in Base64.
    pub ciphertext: String,
    /// The key's region; else from the usual places of AWS.
    #[serde(default)]
    pub region: Option<String>,
    /// The address of KMS; else from the usual places, else that of the region.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The encryption context, which must be that with which the secret was encrypted. It isn't secret.
    #[serde(default)]
    pub context: BTreeMap<String, String>,
}

impl SecretSource {
    /// Where a secret is, for messages; `what` is what it should be, such as "password". A command may hold a secret
    /// itself, so none has it.
    #[must_use]
    pub fn place(&self, what: &str) -> String {
        match self {
            Self::File(file) => format!("the {what} file {}", file.display()),
            Self::Command(_) => format!("the {what} command"),
            Self::Environment(name) => format!("the {what} in {name}"),
            Self::SystemdCredential(name) => format!("the {what} in the credential {name}"),
            Self::FileDescriptor(number) => format!("the {what} behind descriptor {number}"),
            Self::Vault(VaultReference { path, field, .. }) => {
                format!("the {what} in Vault at {path}#{field}")
            }
            Self::Kms(reference) => {
                let ciphertext = &reference.ciphertext;
                let begin =
                    ciphertext.char_indices().rev().nth(CIPHERTEXT_CHARS_SHOWN - 1).map_or(0, |(at, _)| at);
                format!("the {what} in the KMS ciphertext that ends with {}", &ciphertext[begin..])
            }
            Self::Keyring(name) => format!("the {what} in the keyring entry {name}"),
        }
    }
}
