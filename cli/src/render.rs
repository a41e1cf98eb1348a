//! How values look in results and messages, for people or as JSON.

use std::time::Duration;

use indicatif::HumanBytes;
use jiff::tz::TimeZone;
pub use keepfast_engine::nouns::{agreeing, counted, grouped as count};
use keepfast_format::node::Timestamp;
use keepfast_operations::reports::TrafficDocument;
use serde::Serialize;
use serde_json::json;

use crate::colour::Colour;
use crate::lines;

/// An error with its causes.
pub fn with_causes(error: &anyhow::Error) -> String {
    keepfast_operations::error::with_causes(error.as_ref())
}

/// Prints an error.
pub fn error(error: &anyhow::Error, code: u8, json: bool) {
    let message = with_causes(error);
    if json {
        lines::message_document(&json!({ "type": "error", "message": message, "exit_code": code }));
    } else {
        lines::message_marked(Colour::Bad, "keepfast:", &format!(" {message}"));
    }
}

/// Prints a line on standard error that is no result: a note, a warning.
pub fn note(kind: &str, text: &str, json: bool) {
    if json {
        lines::message_document(&json!({ "type": kind, "object": "keepfast", "message": text }));
    } else {
        match kind {
            "warning" => lines::message_marked(Colour::Doubtful, "warning:", &format!(" {text}")),
            _ => lines::message(&format!("{kind}: {text}")),
        }
    }
}

/// What a run asked of its store, for people.
pub fn traffic(traffic: TrafficDocument) -> String {
    let kinds = [
        (traffic.puts, "put"),
        (traffic.gets, "get"),
        (traffic.lists, "list"),
        (traffic.deletes, "delete"),
        (traffic.retries, "repeated"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{} {kind}", count(*number)))
        .collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    format!(
        "store   {}{kinds}, {} up, {} down",
        counted(traffic.requests, "request"),
        bytes(traffic.bytes_up),
        bytes(traffic.bytes_down)
    )
}

/// Prints a line of a result.
pub fn line(text: &str) {
    lines::result(text);
}

/// Prints a result as one JSON document.
pub fn document(value: &impl Serialize) {
    lines::document(value);
}

/// A snapshot for people: the start of its id.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// A writer for people: the start of its id, which `--writer` takes.
pub fn short_writer(writer: &str) -> &str {
    short(writer)
}

/// A time for people, in their time zone, to the second.
pub fn local_time(time: Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, 0).map_or_else(
        |_| time.seconds.to_string(),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
    HumanBytes(count).to_string()
}

/// Bytes per second for people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no quotient here is negative, and one that is too large becomes the largest number"
)]
pub fn rate(bytes: u64, time: Duration) -> String {
    format!("{}/s", HumanBytes((bytes as f64 / time.as_secs_f64().max(0.001)) as u64))
}

/// How many times as large, for people; nothing when there is nothing to compare.
pub fn factor(large: u64, small: u64) -> Option<String> {
    (small > 0 && large > 0).then(|| format!("{:.1}×", large as f64 / small as f64))
}
