//! References to secrets. A secret itself is never part of a configuration: one that is written there is an error that
//! doesn't show it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::decode::{Context, Decode, OneOrMore};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::code::Code;
use crate::schema::Shape;
use crate::substitute::{is_lone_variable, is_variable};
use crate::tree::Node;
use crate::values::address::{AbsolutePath, Url};

/// What to write instead of a secret.
const FIX: &str = "write a reference: `{ file = \"/run/secrets/NAME\" }`, `{ env = \"NAME\" }`, `{ command = [\"pass\", \
                   \"show\", \"NAME\"] }` or `{ credential = \"NAME\" }`";

/// A program and its arguments, or a script for a shell. It may hold a secret, so it isn't shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments.
    Arguments(Vec<String>),
    /// For `/bin/sh -c`.
    Shell(String),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = match self {
            Self::Arguments(words) => words.first().map_or("", String::as_str),
            Self::Shell(_) => "/bin/sh",
        };
        write!(f, "Command({program} …)")
    }
}

impl Decode for Command {
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::List { of: Box::new(String::shape()), least: 1 }, String::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.text().is_some() {
            return String::decode(node, context).map(Self::Shell);
        }
        if node.list().is_none() {
            context.wrong_kind(node, &Self::shape());
            return None;
        }
        OneOrMore::decode(node, context).map(|words| Self::Arguments(words.0))
    }
}

table! {
    /// Where a secret is. Secrets never stand in the file itself. They are read when they are needed, kept for minutes,
    /// and read again when they are refused.
    pub struct SecretTable {
        /// A file; its first line. Only its owner should be able to read it.
        file: Option<AbsolutePath>,
        /// A variable of the server's environment. A lone `"${NAME}"` means the same.
        env: Option<String>,
        /// A command that prints it: a program and its arguments, or a script for a shell.
        command: Option<Command>,
        /// A credential that systemd passes to the service (`LoadCredential=`).
        credential: Option<String>,
        /// An open descriptor.
        fd: Option<u16>,
        /// A field of a secret in Vault or OpenBao: `kv/data/keepfast#password`.
        vault: Option<String>,
        /// With `vault`: the address of the server; else that in `VAULT_ADDR`.
        address: Option<Url>,
        /// With `vault`: its token; else that in `VAULT_TOKEN`.
        auth: Option<SecretReference>,
        /// With `vault`: the namespace; else that in `VAULT_NAMESPACE`, if any.
        namespace: Option<String>,
        /// A ciphertext that AWS KMS decrypts, in Base64.
        kms: Option<String>,
        /// With `kms`: the region of the key; else that of the environment or the profile.
        region: Option<String>,
        /// With `kms`: the address of KMS; else that of the region.
        endpoint: Option<Url>,
        /// With `kms`: the encryption context with which the secret was encrypted. It isn't secret.
        context: BTreeMap<String, String>,
        /// An entry of the desktop's keyring, put there by
        /// `secret-tool store --label=NAME service keepfast username NAME`.
        keyring: Option<String>,
    }
    one_of("file", "env", "command", "credential", "fd", "vault", "kms", "keyring");
    only_with("address", "auth", "namespace" => "vault");
    only_with("region", "endpoint", "context" => "kms");
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretReference {
    /// In a file.
    File(PathBuf),
    /// In the variable of this name.
    Environment(String),
    /// A command prints it.
    Command(Command),
    /// In the credential of this name that systemd passes to a service.
    Credential(String),
    /// Behind this open descriptor.
    Descriptor(u16),
    /// In Vault or OpenBao.
    Vault {
        /// The path of the secret.
        path: String,
        /// Its field.
        field: String,
        /// The server; else that in `VAULT_ADDR`.
        address: Option<Url>,
        /// Its token; else that in `VAULT_TOKEN`.
        token: Option<Box<SecretReference>>,
        /// Its namespace; else that in `VAULT_NAMESPACE`.
        namespace: Option<String>,
    },
    /// AWS KMS decrypts it.
    Kms {
        /// What it decrypts, in Base64.
        ciphertext: String,
        /// The key's region; else from the usual places.
        region: Option<String>,
        /// The address of KMS; else that of the region.
        endpoint: Option<Url>,
        /// The encryption context.
        context: BTreeMap<String, String>,
    },
    /// In the desktop's keyring, by this name.
    Keyring(String),
}

impl Decode for SecretReference {
    fn shape() -> Shape {
        Shape::Secret(SecretTable::TABLE)
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        // In a template, a lone substitution is left to what inherits it.
        if context.is_template && node.text().is_some_and(is_lone_variable) {
            return None;
        }
        if node.table().is_none() {
            context.hide(node);
            let message = "a secret is written into the file";
            context.tell(Diagnostic::new(Code::SecretLiteral, message).at(node.origin).help(FIX));
            return None;
        }
        let table = SecretTable::decode(node, context)?;
        of_table(table, node, context)
    }
}

fn of_table(table: SecretTable, node: &Node, context: &mut Context<'_>) -> Option<SecretReference> {
    let SecretTable { file, env, command, credential, fd, vault, address, auth, namespace, .. } = table;
    let SecretTable { kms, region, endpoint, context: encrypted_with, keyring, .. } = table;
    let mut refuse = |key: &str, why: &str| {
        let origin = node
            .table()
            .and_then(|table| table.entries.get(key))
            .map_or(node.origin, |entry| entry.node.origin);
        context.tell(Diagnostic::new(Code::Value, why.to_owned()).at(origin));
    };
    if let Some(vault) = vault {
        let parts = vault.split_once('#').filter(|(path, field)| !path.is_empty() && !field.is_empty());
        let Some((path, field)) = parts else {
            refuse("vault", "this is not a path and a field, as `kv/data/keepfast#password`");
            return None;
        };
        let (path, field) = (path.to_owned(), field.to_owned());
        return Some(SecretReference::Vault { path, field, address, token: auth.map(Box::new), namespace });
    }
    if env.as_deref().is_some_and(|name| !is_variable(name)) {
        // Most likely the secret itself.
        let entry = node.table().and_then(|table| table.entries.get("env"));
        if let Some(entry) = entry {
            context.hide(&entry.node);
            let message = "this is no name of a variable";
            context.tell(
                Diagnostic::new(Code::SecretLiteral, message)
                    .at(entry.node.origin)
                    .help("`env` takes the name of a variable, and not what is in it"),
            );
        }
        return None;
    }
    file.map(|path| SecretReference::File(path.0))
        .or(env.map(SecretReference::Environment))
        .or(command.map(SecretReference::Command))
        .or(credential.map(SecretReference::Credential))
        .or(fd.map(SecretReference::Descriptor))
        .or(kms.map(|ciphertext| SecretReference::Kms {
            ciphertext,
            region,
            endpoint,
            context: encrypted_with,
        }))
        .or(keyring.map(SecretReference::Keyring))
}

/// An address, or a reference to one that is a secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressOrSecret {
    /// An address that everyone may see.
    Address(Url),
    /// A reference to one.
    Secret(SecretReference),
}

impl Decode for AddressOrSecret {
    fn shape() -> Shape {
        Shape::AnyOf(vec![Url::shape(), SecretReference::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.table().is_some() {
            return SecretReference::decode(node, context).map(Self::Secret);
        }
        if node.text().is_none_or(|text| text.contains('@')) {
            context.hide(node);
        }
        Url::decode(node, context).map(Self::Address)
    }
}
