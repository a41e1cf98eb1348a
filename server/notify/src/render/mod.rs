//! What each service is sent for a message.
//!
//! Text of others (names, errors, logs) never becomes markup, a mention, a command or a header: it is cleaned of
//! control signs, and put where the service takes plain text or escaped as the service says. What is too long for a
//! service is cut, and the message says so.

use jiff::Timestamp;

use crate::message::{Message, Tone};
use crate::target::LogTail;
use crate::text::{clip, clip_end, line, lines};

mod cards;
mod generic;
mod mail;
mod plain;
mod telegram;

pub use cards::{discord, slack, teams};
pub use generic::{VERSION, generic};
pub use mail::{for_mail, html, subject};
pub use plain::{gotify, ntfy, text};
pub use telegram::telegram;

/// A message as a target sees it: clean text, and only as much of logs as the target asks for.
#[derive(Debug, Clone)]
pub struct View {
    id: String,
    thread: Option<String>,
    at: Timestamp,
    when: String,
    server: String,
    title: String,
    tone: Tone,
    items: Vec<ItemView>,
    left_out: usize,
    shortened: bool,
    remark: Option<String>,
    link: Option<String>,
}

#[derive(Debug, Clone)]
struct ItemView {
    tone: Tone,
    subject: String,
    kind: String,
    title: String,
    summary: String,
    facts: Vec<(String, String)>,
    advice: Option<String>,
    link: Option<String>,
    log: Option<String>,
}

const TITLE_CHARS_MAX: usize = 200;

impl View {
    /// The view of a target.
    #[must_use]
    pub fn new(message: &Message, log_tail: LogTail) -> Self {
        let items = message.items.iter().map(|item| ItemView {
            tone: item.tone,
            subject: line(&item.subject.to_string()),
            kind: item.kind.clone(),
            title: clip(&line(&item.title), TITLE_CHARS_MAX),
            summary: lines(&item.summary).trim().to_owned(),
            facts: item.facts.iter().map(|fact| (line(&fact.name), line(&fact.value))).collect(),
            advice: item.advice.as_ref().map(|advice| lines(advice)),
            link: item.link.as_deref().and_then(link),
            log: item.log_tail.as_ref().and_then(|log| tail(&lines(log), log_tail)),
        });
        Self {
            id: message.id.clone(),
            thread: message.thread.as_deref().map(line),
            at: message.at,
            when: line(&message.when),
            server: line(&message.server),
            title: clip(&line(&message.title), TITLE_CHARS_MAX),
            tone: message.tone,
            items: items.collect(),
            left_out: message.left_out,
            shortened: false,
            remark: message.remark.as_deref().map(line),
            link: message.link.as_deref().and_then(link),
        }
    }

    /// What stands at the end: what was left out, and remarks.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.left_out {
            0 => {}
            1 => notes.push("One more matter has no room here.".to_owned()),
            count => notes.push(format!("{count} more matters have no room here.")),
        }
        if self.shortened {
            notes.push("This message was shortened to what the service takes.".to_owned());
        }
        notes.extend(self.remark.clone());
        notes
    }

    /// Where one reads on: the page of the only item, or the server's own.
    fn page(&self) -> Option<&str> {
        match self.items.as_slice() {
            [only] if self.left_out == 0 => only.link.as_deref().or(self.link.as_deref()),
            _ => self.link.as_deref(),
        }
    }

    /// The same with less and less in it, until it fits or nothing is left to leave out.
    fn fitted(mut self, fits: impl Fn(&Self) -> bool) -> Self {
        while !fits(&self) && self.shrink() {}
        self
    }

    /// Leaves out the least important part: logs, the last items, figures, the ends of sentences.
    fn shrink(&mut self) -> bool {
        const LOG_CHARS_MIN: usize = 200;
        self.shortened = true;
        let logs = self.items.iter_mut().filter_map(|item| item.log.as_mut());
        let mut some = false;
        // All at once, as there may be many and each step costs a rendering.
        for log in logs.filter(|log| !log.is_empty()) {
            some = true;
            let half = log.chars().count() / 2;
            *log = if half < LOG_CHARS_MIN { String::new() } else { clip_end(log, half) };
        }
        if some {
            return true;
        }
        if self.items.len() > 1 {
            let kept = self.items.len() / 2;
            self.left_out += self.items.len() - kept;
            self.items.truncate(kept);
            return true;
        }
        let Some(item) = self.items.first_mut() else { return false };
        if let Some(longest) = item.facts.iter_mut().max_by_key(|(_, value)| value.len())
            && longest.1.chars().count() > 60
        {
            longest.1 = clip(&longest.1, 60);
            return true;
        }
        if item.facts.pop().is_some() {
            return true;
        }
        let half = |text: &str| clip(text, (text.chars().count() / 2).max(80));
        let parts =
            [Some(&mut item.summary), item.advice.as_mut(), Some(&mut item.title), self.remark.as_mut()];
        for part in parts.into_iter().flatten() {
            if part.chars().count() > 80 {
                *part = half(part);
                return true;
            }
        }
        false
    }
}

/// An address that a person may be led to.
fn link(url: &str) -> Option<String> {
    let known = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    let plain = url
        .chars()
        .all(|sign| sign.is_ascii_graphic() && !matches!(sign, '"' | '<' | '>' | '\\' | '`' | '|'));
    (known && plain).then(|| url.to_owned())
}

fn tail(log: &str, wanted: LogTail) -> Option<String> {
    let LogTail::Lines(count) = wanted else { return None };
    let all: Vec<&str> = log.trim_end().lines().collect();
    let kept = &all[all.len().saturating_sub(usize::from(count))..];
    (!kept.is_empty()).then(|| kept.join("\n"))
}

/// The colour of a tone, as a number of three bytes.
fn colour(tone: Tone) -> u32 {
    match tone {
        Tone::Info => 0x004a_6fa5,
        Tone::Resolved => 0x001f_8a4c,
        Tone::Warning => 0x00b4_7500,
        Tone::Error => 0x00c9_302c,
        Tone::Critical => 0x0099_0f3d,
    }
}
