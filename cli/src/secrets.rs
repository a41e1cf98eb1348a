//! The repository's password: where it comes from, and that it goes nowhere else.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use keepfast_engine::EngineError;
use zeroize::Zeroizing;

use crate::args::Common;
use crate::usage::Usage;

const PASSWORD: &str = "KEEPFAST_PASSWORD";
/// What no other program inherits: the password, and how to get at it.
const WITHHELD: [&str; 3] = [PASSWORD, "KEEPFAST_PASSWORD_FILE", "KEEPFAST_PASSWORD_COMMAND"];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To open a repository.
    Open,
    /// To make one: such a password has to be good, and is asked for twice.
    Make,
}

/// Keeps the repository's password from a program that is started.
pub fn withhold(command: &mut Command) -> &mut Command {
    for name in WITHHELD {
        command.env_remove(name);
    }
    command
}

/// The password, from wherever it is given.
pub fn password(common: &Common, purpose: Purpose) -> Result<Zeroizing<String>> {
    if let Some(file) = &common.password_file {
        let what = format!("the password file {}", file.display());
        let content = Zeroizing::new(std::fs::read(file).with_context(|| format!("{what} can't be read"))?);
        return first_line(&content, &what, purpose);
    }
    if let Some(command) = &common.password_command {
        // The command itself may hold a secret, so no message has it.
        let what = "the password command";
        let output = withhold(Command::new("/bin/sh").args(["-c", command]))
            .stdin(Stdio::inherit())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("{what} can't be run"))?;
        let printed = Zeroizing::new(output.stdout);
        if !output.status.success() {
            bail!("{what} failed: {}", output.status);
        }
        return first_line(&printed, &format!("{what}'s output"), purpose);
    }
    if let Some(value) = std::env::var_os(PASSWORD) {
        let password = value.into_string().map_err(|_| anyhow!("the password in {PASSWORD} isn't UTF-8"))?;
        if password.is_empty() {
            bail!("the password in {PASSWORD} is empty: give the variable a value, or unset it to be asked");
        }
        return checked(Zeroizing::new(password), &format!("the password in {PASSWORD}"), purpose);
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

fn first_line(content: &Zeroizing<Vec<u8>>, what: &str, purpose: Purpose) -> Result<Zeroizing<String>> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        bail!("{what} is in UTF-16: write it in UTF-8");
    }
    let text = str::from_utf8(content).map_err(|_| anyhow!("{what} isn't UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("{what} has no password in its first line");
    }
    checked(Zeroizing::new(line.to_owned()), what, purpose)
}

/// No new repository gets a password that no one can type.
fn checked(password: Zeroizing<String>, what: &str, purpose: Purpose) -> Result<Zeroizing<String>> {
    if purpose == Purpose::Make && password.starts_with(BYTE_ORDER_MARK) {
        bail!(
            "{what} begins with a byte-order mark (U+FEFF), which an editor has put there and no one can type: write \
             it without the mark"
        );
    }
    if password.trim_start_matches(BYTE_ORDER_MARK).is_empty() {
        bail!("{what} is empty but for a byte-order mark");
    }
    Ok(password)
}

/// Why a repository can't be opened with this password. One with a byte-order mark is tried as it is, since
/// a repository may have been made with it.
pub fn explain(error: EngineError, password: &str) -> anyhow::Error {
    let has_mark = password.starts_with(BYTE_ORDER_MARK);
    if has_mark && matches!(error, EngineError::WrongPassword { .. }) {
        return anyhow::Error::new(error).context(
            "the password begins with a byte-order mark (U+FEFF), which an editor has put there: write it without",
        );
    }
    error.into()
}
