//! As which account a unit runs, and which secrets it is given.

use std::path::PathBuf;

use crate::service::error::UnitError;

/// As which account a unit runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunAs {
    /// As root, without what the sandbox takes away. Hooks that stop services need it.
    Root,
    /// As this user and its own group.
    User(AccountName),
}

fn is_name(text: &str, longest: usize) -> bool {
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    begins && text.len() <= longest && text.bytes().all(is_inside)
}

/// The name of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountName(String);

impl AccountName {
    /// A name.
    ///
    /// # Errors
    /// It isn't one that systems take.
    pub fn new(name: &str) -> Result<Self, UnitError> {
        if is_name(name, 31) { Ok(Self(name.to_owned())) } else { Err(UnitError::Account(name.to_owned())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name under which the program finds a secret in its credentials' directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialName(String);

impl CredentialName {
    /// A name.
    ///
    /// # Errors
    /// It isn't one that can be a file.
    pub fn new(name: &str) -> Result<Self, UnitError> {
        if is_name(name, 64) {
            Ok(Self(name.to_owned()))
        } else {
            Err(UnitError::Credential(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret that systemd reads as root and hands to the unit alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name for the program.
    pub name: CredentialName,
    /// The file that has it.
    pub path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::{AccountName, CredentialName};

    #[test]
    fn names_are_those_of_accounts_and_files() {
        for name in ["keepfast", "_kf", "a.b-c_1"] {
            assert!(AccountName::new(name).is_ok() && CredentialName::new(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a b", "a:b", "a/b", "..", "a%", "a\n", "é", &"a".repeat(65)] {
            assert!(AccountName::new(name).is_err() && CredentialName::new(name).is_err(), "{name}");
        }
        assert!(AccountName::new(&"a".repeat(32)).is_err());
    }
}
