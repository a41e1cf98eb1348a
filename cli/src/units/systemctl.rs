//! Asking systemd to do something.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use crate::secrets;

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It did it; this is what it printed.
    Done(String),
    /// It didn't, and says why; this is what it printed.
    Refused { why: String, printed: String },
    /// There is no systemd here.
    Missing,
}

/// Runs `systemctl` with these words.
pub fn systemctl(words: &[&str]) -> Answer {
    let mut command = Command::new("systemctl");
    command.args(words).stdin(Stdio::null());
    for name in secrets::children().withheld {
        command.env_remove(name);
    }
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => Answer::Missing,
        Err(error) => Answer::Refused { why: error.to_string(), printed: String::new() },
        Ok(output) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            let printed = text(&output.stdout);
            if output.status.success() {
                return Answer::Done(printed);
            }
            let said = text(&output.stderr);
            let why = if said.is_empty() { output.status.to_string() } else { said };
            Answer::Refused { why, printed }
        }
    }
}

/// The one word that `systemctl is-active` and `systemctl is-enabled` print, whatever their exit code.
pub fn word(question: &str, unit: &str) -> Option<String> {
    let printed = match systemctl(&[question, unit]) {
        Answer::Done(printed) | Answer::Refused { printed, .. } => printed,
        Answer::Missing => return None,
    };
    printed.lines().next().map(str::to_owned).filter(|word| !word.is_empty())
}
