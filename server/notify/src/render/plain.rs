//! Plain text: the body of mails, and services that take nothing else.

use serde_json::{Value, json};

use crate::message::Tone;
use crate::text::{clip, clip_bytes};

use super::View;

/// Servers of ntfy make a file of what is longer than 4096 bytes.
const NTFY_BYTES_MAX: usize = 4_000;
const NTFY_TITLE_CHARS_MAX: usize = 200;
const GOTIFY_BYTES_MAX: usize = 16_000;
/// Facts stand below one another where their names are at most this long.
const NAME_CHARS_MAX: usize = 22;

/// All of a message as text, without its title.
#[must_use]
pub fn text(view: &View) -> String {
    let mut parts: Vec<String> = Vec::new();
    let many = view.items.len() > 1;
    for item in &view.items {
        let mut part = Vec::new();
        let title = format!("{}: {}", item.tone.word(), item.title);
        if many {
            part.push(title);
        } else {
            parts.push(title);
        }
        if !item.summary.is_empty() {
            part.push(item.summary.clone());
        }
        let width =
            item.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(NAME_CHARS_MAX);
        let facts = item
            .facts
            .iter()
            .map(|(name, value)| format!("  {:<w$}  {value}", format!("{name}:"), w = width + 1));
        let facts: Vec<String> = facts.collect();
        let lines = [
            (!facts.is_empty()).then(|| facts.join("\n")),
            item.advice.as_ref().map(|advice| format!("What to do: {advice}")),
            item.link.clone(),
            item.log.as_ref().map(|log| match log.as_str() {
                "" => "(The end of the log has no room here.)".to_owned(),
                log => format!(
                    "The end of the log:\n{}",
                    log.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
                ),
            }),
        ];
        part.extend(lines.into_iter().flatten());
        parts.push(part.join(if many { "\n" } else { "\n\n" }));
    }
    parts.extend(view.notes());
    let mut text = parts.join("\n\n");
    if many && let Some(link) = &view.link {
        text.push_str("\n\n");
        text.push_str(link);
    }
    text
}

/// The body of a request to a server of ntfy, for a topic.
#[must_use]
pub fn ntfy(view: &View, topic: &str) -> Value {
    let view = view.clone().fitted(|view| text(view).len() <= NTFY_BYTES_MAX);
    let (priority, tag) = match view.tone {
        Tone::Info => (2, "information_source"),
        Tone::Resolved => (3, "white_check_mark"),
        Tone::Warning => (3, "warning"),
        Tone::Error => (4, "x"),
        Tone::Critical => (5, "rotating_light"),
    };
    let mut body = json!({
        "topic": topic,
        "title": clip(&view.title, NTFY_TITLE_CHARS_MAX),
        "message": clip_bytes(&text(&view), NTFY_BYTES_MAX),
        "priority": priority,
        "tags": [tag],
    });
    if let Some(page) = view.page() {
        body["click"] = page.into();
    }
    body
}

/// The body of a request to a server of Gotify.
#[must_use]
pub fn gotify(view: &View) -> Value {
    let view = view.clone().fitted(|view| text(view).len() <= GOTIFY_BYTES_MAX);
    let priority = match view.tone {
        Tone::Info => 2,
        Tone::Resolved => 4,
        Tone::Warning => 5,
        Tone::Error => 8,
        Tone::Critical => 10,
    };
    let mut body = json!({
        "title": view.title,
        "message": clip_bytes(&text(&view), GOTIFY_BYTES_MAX),
        "priority": priority,
        "extras": { "client::display": { "contentType": "text/plain" } },
    });
    if let Some(page) = view.page() {
        body["extras"]["client::notification"] = json!({ "click": { "url": page } });
    }
    body
}
