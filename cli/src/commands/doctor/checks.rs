//! Checks, what came of them, and how they are told: a line each.

use serde::Serialize;

use crate::colour::Colour;
use crate::{lines, render};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    Ok,
    Warning,
    Failed,
}

impl Finding {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    const fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Good,
            Self::Warning => Colour::Doubtful,
            Self::Failed => Colour::Bad,
        }
    }
}

/// A check.
#[derive(Debug, Clone, Serialize)]
struct Check {
    /// What was looked at: `repository main`.
    subject: String,
    finding: Finding,
    /// What was found.
    text: String,
    /// What to do.
    next: Option<String>,
}

/// All checks so far. People see each as soon as it is done.
pub struct Checks {
    json: bool,
    all: Vec<Check>,
}

impl Checks {
    /// None yet.
    pub fn new(json: bool) -> Self {
        Self { json, all: Vec::new() }
    }

    /// Something is as it should be.
    pub fn ok(&mut self, subject: &str, text: impl Into<String>) {
        self.add(subject, Finding::Ok, text.into(), None);
    }

    /// A person should look at something.
    pub fn warning(&mut self, subject: &str, text: impl Into<String>, next: impl Into<String>) {
        self.add(subject, Finding::Warning, text.into(), Some(next.into()));
    }

    /// Backups can't go well.
    pub fn failed(&mut self, subject: &str, text: impl Into<String>, next: impl Into<String>) {
        self.add(subject, Finding::Failed, text.into(), Some(next.into()));
    }

    fn add(&mut self, subject: &str, finding: Finding, text: String, next: Option<String>) {
        let next = next.filter(|next| !next.is_empty());
        if !self.json {
            let further = next.as_ref().map_or_else(String::new, |next| format!(" — {next}"));
            let word = finding.word();
            let gap = " ".repeat(8_usize.saturating_sub(word.len()));
            lines::result_marked(finding.colour(), word, &format!("{gap}{subject}: {text}{further}"));
        }
        self.all.push(Check { subject: subject.to_owned(), finding, text, next });
    }

    /// Tells all to scripts. Returns how many have failed.
    pub fn end(&self) -> u64 {
        if self.json {
            render::document(&serde_json::json!({ "checks": self.all }));
        }
        let failed = self.all.iter().filter(|check| check.finding == Finding::Failed).count();
        u64::try_from(failed).unwrap_or(u64::MAX)
    }

    /// Whether nothing was found.
    pub fn are_all_well(&self) -> bool {
        self.all.iter().all(|check| check.finding == Finding::Ok)
    }
}
