//! The repository's password: where it comes from, and that it goes nowhere else.

use std::ffi::OsString;
use std::io::IsTerminal;

use keepfast_operations::OperationsError;
use keepfast_operations::child::{ChildGroup, ChildInput, ChildMessages, Children, CommandLine};
use keepfast_operations::error::SecretError;
use keepfast_operations::redact::KnownSecrets;
use keepfast_operations::secret::{Purpose, SecretSource};
use zeroize::Zeroizing;

use crate::args::Common;

const PASSWORD: &str = "KEEPFAST_PASSWORD";
/// What no other program inherits: the password, and how to get at it.
const WITHHELD: [&str; 3] = [PASSWORD, "KEEPFAST_PASSWORD_FILE", "KEEPFAST_PASSWORD_COMMAND"];

/// How programs are started: they may ask on the terminal, and what they say of errors goes there.
pub fn children() -> Children {
    Children {
        withheld: WITHHELD.map(OsString::from).to_vec(),
        variables: Vec::new(),
        input: ChildInput::Inherited,
        messages: ChildMessages::Inherited,
        group: ChildGroup::Shared,
        secrets: KnownSecrets::default(),
    }
}

/// Where the password is, if that was said.
pub fn source(common: &Common) -> Option<SecretSource> {
    if let Some(file) = &common.password_file {
        return Some(SecretSource::File(file.clone()));
    }
    if let Some(command) = &common.password_command {
        return Some(SecretSource::Command(CommandLine::Shell(command.clone())));
    }
    std::env::var_os(PASSWORD).map(|_| SecretSource::Environment(PASSWORD.to_owned()))
}

/// Asks for the password on the terminal.
pub fn ask(purpose: Purpose) -> Result<Zeroizing<String>, OperationsError> {
    if !std::io::stdin().is_terminal() {
        return Err(SecretError::NotGiven { what: "password".to_owned() }.into());
    }
    let ask = |prompt: &str| {
        let unreadable = |source| SecretError::Unreadable { place: "the password".to_owned(), source };
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(unreadable)
    };
    let password = ask("Password: ")?;
    // One that opens nothing is told so. An empty one may open what was made with an empty one once.
    if purpose == Purpose::Open {
        return Ok(password);
    }
    if password != ask("Password again: ")? {
        return Err(SecretError::Differ.into());
    }
    if password.is_empty() {
        return Err(SecretError::NoPassword.into());
    }
    Ok(password)
}
