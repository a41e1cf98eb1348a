//! Questions to a person in the terminal, or to a script that gives its answers through a pipe.
//!
//! The crates for prompts draw on a terminal and read keys from it, so that none of them takes answers from a pipe;
//! plain lines do for the few questions that there are.

use std::io::{self, BufRead, IsTerminal, Read};

use anyhow::{Context, Result};
use keepfast_engine::EngineError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::lines;
use crate::usage::Usage;

/// Bytes that an answer may have.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Asks for answers, a line each.
pub struct Prompt {
    is_terminal: bool,
}

impl Prompt {
    /// Answers come from standard input.
    pub fn new() -> Self {
        Self { is_terminal: io::stdin().is_terminal() }
    }

    /// Whether a person can answer.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// An answer that passes a check; an empty one is the default. A person is asked again until an answer passes; of a
    /// script, one that doesn't pass is an error, because the answers after it belong to other questions.
    pub fn checked<T>(
        &self,
        question: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T> {
        self.answered(question, question, default, check)
    }

    /// As [`Self::checked`]; `shown` is what stands before the answer.
    fn answered<T>(
        &self,
        question: &str,
        shown: &str,
        default: Option<&str>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T> {
        loop {
            let answer = self.line(question, shown, default)?;
            let answer = if answer.is_empty() { default.unwrap_or_default() } else { &answer };
            match check(answer) {
                Ok(value) => return Ok(value),
                Err(why) if self.is_terminal => lines::message(&format!("  {why}")),
                Err(why) => {
                    return Err(Usage(format!(
                        "{answer:?} is no answer to the question {question:?}: {why}"
                    ))
                    .into());
                }
            }
        }
    }

    /// Any text; only an optional answer may be empty.
    pub fn text(&self, question: &str, default: Option<&str>) -> Result<String> {
        self.checked(question, default, |answer| match answer {
            "" => Err("an answer is needed".to_owned()),
            answer => Ok(answer.to_owned()),
        })
    }

    /// Any text, or none.
    pub fn optional(&self, question: &str) -> Result<Option<String>> {
        self.checked(question, None, |answer| Ok(Some(answer.to_owned()).filter(|answer| !answer.is_empty())))
    }

    /// Yes or no.
    pub fn yes(&self, question: &str, default: bool) -> Result<bool> {
        let default = if default { "yes" } else { "no" };
        self.checked(question, Some(default), |answer| match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("answer yes or no".to_owned()),
        })
    }

    /// One of some choices, by its number or its word; the first one is the default.
    pub fn choose<T: Copy>(&self, question: &str, choices: &[(&str, &str, T)]) -> Result<T> {
        lines::message(question);
        for (number, (word, text, _)) in choices.iter().enumerate() {
            lines::message(&format!("  {} {word:<10} {text}", number + 1));
        }
        let default = choices.first().map(|(word, ..)| *word);
        self.answered(question, "  a word or a number", default, |answer| {
            let by_word = choices.iter().find(|(word, ..)| word.eq_ignore_ascii_case(answer));
            let number = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let by_number = || choices.get(number?);
            by_word.or_else(by_number).map(|(.., value)| *value).ok_or_else(|| {
                let words: Vec<&str> = choices.iter().map(|(word, ..)| *word).collect();
                format!("answer {}", words.join(", "))
            })
        })
    }

    fn line(&self, question: &str, shown: &str, default: Option<&str>) -> Result<String> {
        let text = match default {
            Some(default) => format!("{shown} [{default}]: "),
            None => format!("{shown}: "),
        };
        // A transcript of answers from a pipe has no line breaks of its own.
        if self.is_terminal {
            lines::prompt(&text)
        } else {
            lines::message(text.trim_end())
        }
        if self.is_terminal {
            wait()?;
        }
        let mut answer = Vec::new();
        // No more than one line is taken: what follows may be for another program.
        let mut limited = io::stdin().lock().take(ANSWER_BYTES_MAX);
        limited.read_until(b'\n', &mut answer).context("the answers can't be read")?;
        if answer.is_empty() {
            return Err(Usage(format!("the answers end before the question {question:?}")).into());
        }
        let answer = String::from_utf8(answer)
            .map_err(|_| Usage(format!("the answer to the question {question:?} isn't UTF-8")))?;
        Ok(answer.trim().to_owned())
    }
}

/// Waits until something was typed, or a signal says that nothing will be. Where a run has begun, the first signal only
/// cancels it, and reading would go on.
fn wait() -> Result<()> {
    let stdin = io::stdin();
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
        Err(Errno::INTR) => Err(EngineError::Interrupted.into()),
        // What else is wrong, reading says.
        _ => Ok(()),
    }
}
