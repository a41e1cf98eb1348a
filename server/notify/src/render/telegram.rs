//! Messages to Telegram: its HTML, in which text of others becomes no mention, command or link.

use serde_json::{Value, json};

use crate::message::Tone;

use super::View;

/// Telegram takes 4096 units of UTF-16, markup not counted.
const UNITS_MAX: usize = 4_000;
/// Stops words from being taken for mentions, hashtags, commands and addresses.
const BREAK: char = '\u{2060}';

/// The body of a request that sends a message to a chat.
#[must_use]
pub fn telegram(view: &View, chat: &str) -> Value {
    let units = |view: &View| html(view).encode_utf16().count();
    let view = view.clone().fitted(|view| units(view) <= UNITS_MAX);
    json!({
        "chat_id": chat,
        "text": html(&view),
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
        "disable_notification": view.tone <= Tone::Info,
    })
}

fn html(view: &View) -> String {
    let mut parts = Vec::new();
    let many = view.items.len() > 1;
    if many {
        parts.push(format!("<b>{}</b>", escape(&view.title)));
    }
    for item in &view.items {
        let mut lines =
            vec![format!("{} <b>{}</b>", sign(item.tone), escape(&item.title)), escape(&item.summary)];
        lines.extend(
            item.facts.iter().map(|(name, value)| format!("<i>{}:</i> {}", escape(name), escape(value))),
        );
        lines.extend(item.advice.as_ref().map(|advice| format!("<b>What to do:</b> {}", escape(advice))));
        if let Some(log) = item.log.as_ref().filter(|log| !log.is_empty()) {
            lines.push(format!("<pre>{}</pre>", escape(log)));
        }
        if let Some(link) = &item.link {
            lines.push(format!("<a href=\"{}\">Open</a>", markup(link)));
        }
        parts.push(lines.join("\n"));
    }
    parts.extend(view.notes().iter().map(|note| escape(note)));
    parts.push(format!("<i>{}</i>", escape(&view.server)));
    parts.join("\n\n")
}

fn sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Info => "ℹ️",
        Tone::Resolved => "✅",
        Tone::Warning => "⚠️",
        Tone::Error => "❌",
        Tone::Critical => "🚨",
    }
}

fn markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in markup(text).chars() {
        out.push(sign);
        // Between letters a full stop may make a host's name, which becomes a link by itself.
        if matches!(sign, '@' | '#' | '/' | '$' | ':' | '.') {
            out.push(BREAK);
        }
    }
    out
}
