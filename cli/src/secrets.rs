//! The repository's password: where it comes from, and that it goes nowhere else.

use std::ffi::OsString;
use std::io::IsTerminal;

use anyhow::{Context, Result, bail};
use keepfast_backend::Cancel;
use keepfast_engine::EngineError;
use keepfast_operations::child::{ChildGroup, ChildInput, ChildMessages, Children, CommandLine};
pub use keepfast_operations::secret::Purpose;
use keepfast_operations::secret::{SecretReader, SecretSource, begins_with_mark};
use zeroize::Zeroizing;

use crate::args::Common;
use crate::usage::Usage;

const PASSWORD: &str = "KEEPFAST_PASSWORD";
/// What no other program inherits: the password, and how to get at it.
const WITHHELD: [&str; 3] = [PASSWORD, "KEEPFAST_PASSWORD_FILE", "KEEPFAST_PASSWORD_COMMAND"];

/// How programs are started: they may ask on the terminal, and what they say of errors goes there.
pub fn children() -> Children {
    Children {
        withheld: WITHHELD.map(OsString::from).to_vec(),
        input: ChildInput::Inherited,
        messages: ChildMessages::Inherited,
        group: ChildGroup::Shared,
    }
}

/// The password, from wherever it is given.
pub fn password(common: &Common, purpose: Purpose) -> Result<Zeroizing<String>> {
    if let Some(source) = source(common) {
        // A signal of the terminal goes to the command too, and a second one ends this program.
        let (children, cancel) = (children(), Cancel::new());
        let reader = SecretReader { what: "password", children: &children, cancel: &cancel };
        return Ok(reader.password(&source, purpose)?);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Usage(
            "no password given: set KEEPFAST_PASSWORD, or use --password-file or --password-command"
                .to_owned(),
        )
        .into());
    }
    ask(purpose)
}

/// Where the password is, if that was said.
fn source(common: &Common) -> Option<SecretSource> {
    if let Some(file) = &common.password_file {
        return Some(SecretSource::File(file.clone()));
    }
    if let Some(command) = &common.password_command {
        return Some(SecretSource::Command(CommandLine::Shell(command.clone())));
    }
    std::env::var_os(PASSWORD).map(|_| SecretSource::Environment(PASSWORD.to_owned()))
}

fn ask(purpose: Purpose) -> Result<Zeroizing<String>> {
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map(Zeroizing::new);
    let password = ask("Password: ").context("the password can't be read")?;
    // One that opens nothing is told so. An empty one may open what was made with an empty one once.
    if purpose == Purpose::Open {
        return Ok(password);
    }
    if password != ask("Password again: ").context("the password can't be read")? {
        bail!("the two passwords differ: run the command again");
    }
    if password.is_empty() {
        bail!("the password is empty: without one anyone who can read the repository can read your data");
    }
    Ok(password)
}

/// Why a repository can't be opened with this password. One with a byte-order mark is tried as it is, since
/// a repository may have been made with it.
pub fn explain(error: EngineError, password: &str) -> anyhow::Error {
    if begins_with_mark(password) && matches!(error, EngineError::WrongPassword { .. }) {
        return anyhow::Error::new(error).context(
            "the password begins with a byte-order mark (U+FEFF), which an editor has put there: write it without",
        );
    }
    error.into()
}
