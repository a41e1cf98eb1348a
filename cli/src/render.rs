//! How values look in results and messages, for people or as JSON.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};
use jiff::tz::TimeZone;
use keepfast_backend::Traffic;
use keepfast_format::ids::HolderId;
use keepfast_format::node::Timestamp;
use serde_json::{Value, json};

use crate::lines;

/// An error with its causes.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    // Some errors name their causes themselves.
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Prints an error.
pub fn error(error: &anyhow::Error, code: u8, json: bool) {
    let message = with_causes(error);
    if json {
        lines::message_document(&json!({ "type": "error", "message": message, "exit_code": code }));
    } else {
        lines::message(&format!("keepfast: {message}"));
    }
}

/// Prints a line on standard error that is no result: a note, a warning.
pub fn note(kind: &str, text: &str, json: bool) {
    if json {
        lines::message_document(&json!({ "type": kind, "object": "keepfast", "message": text }));
    } else {
        lines::message(&format!("{kind}: {text}"));
    }
}

/// What a run asked of its store, for people.
pub fn traffic(traffic: Traffic) -> String {
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
        "store   {} requests{kinds}, {} up, {} down",
        count(traffic.requests()),
        bytes(traffic.bytes_up),
        bytes(traffic.bytes_down)
    )
}

/// The same for scripts; null where nothing is counted.
pub fn traffic_json(traffic: Option<Traffic>) -> Value {
    traffic.map_or(Value::Null, |traffic| {
        json!({
            "requests": traffic.requests(), "puts": traffic.puts, "gets": traffic.gets, "lists": traffic.lists,
            "deletes": traffic.deletes, "retries": traffic.retries,
            "bytes_up": traffic.bytes_up, "bytes_down": traffic.bytes_down,
        })
    })
}

/// Prints a line of a result.
pub fn line(text: &str) {
    lines::result(text);
}

/// Prints a result as one JSON document.
pub fn document(value: &Value) {
    lines::document(value);
}

/// A time as RFC 3339 in UTC.
pub fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::new(time.seconds, time.nanos as i32)
        .map_or_else(|_| time.seconds.to_string(), |time| time.to_string())
}

/// A writer for people: the start of its id, which `--writer` takes.
pub fn short_writer(writer: HolderId) -> String {
    writer.to_string().chars().take(8).collect()
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

/// A count for people.
pub fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// Bytes per second for people.
pub fn rate(bytes: u64, time: Duration) -> String {
    format!("{}/s", HumanBytes((bytes as f64 / time.as_secs_f64().max(0.001)) as u64))
}

/// How many times as large, for people; nothing when there is nothing to compare.
pub fn factor(large: u64, small: u64) -> Option<String> {
    (small > 0 && large > 0).then(|| format!("{:.1}×", large as f64 / small as f64))
}

/// A path for JSON: text where it is UTF-8, and otherwise with its bytes beside it.
pub fn json_path(path: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(path) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => {
            let hex = path.iter().map(|byte| format!("{byte:02x}")).collect();
            (String::from_utf8_lossy(path).into_owned(), Some(hex))
        }
    }
}
