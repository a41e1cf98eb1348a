//! What a program printed, as the end of a message.

/// The end of a message: what a program printed.
pub(super) fn printed(stderr: Option<&str>) -> String {
    match stderr.map(str::trim) {
        None => String::new(),
        Some("") => "; it printed nothing to standard error".to_owned(),
        Some(text) => format!("; it printed: {text}"),
    }
}
