//! What is wrong with a configuration: a stable code, a message, and the places that it is about.

use std::collections::HashSet;

use crate::diagnostic::code::{Code, Severity};
use crate::source::Origin;

pub mod code;
mod mask;
pub mod render;

/// A place that a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// Where.
    pub origin: Origin,
    /// What is there; nothing where the message says it.
    pub text: String,
}

impl Label {
    /// A place, with what is there.
    pub fn new(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, text: text.into() }
    }
}

/// Something that is wrong, or most likely not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of thing it is.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where; a fault of a whole file or definition may have no place.
    pub at: Option<Label>,
    /// Other places that it is about.
    pub related: Vec<Label>,
    /// What to do, a sentence each.
    pub help: Vec<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), at: None, related: Vec::new(), help: Vec::new() }
    }

    pub(crate) fn at(self, origin: Origin) -> Self {
        self.labelled(origin, "")
    }

    pub(crate) fn labelled(mut self, origin: Origin, text: impl Into<String>) -> Self {
        self.at = Some(Label::new(origin, text));
        self
    }

    pub(crate) fn related(mut self, origin: Origin, text: impl Into<String>) -> Self {
        self.related.push(Label::new(origin, text));
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds that a name may have been meant, if there is one.
    pub(crate) fn suggest(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// Whether the configuration can't be used because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }
}

/// All that was found, and what must never be shown of the files.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    seen: HashSet<(Code, Option<Origin>, String)>,
    secret: Vec<Origin>,
    kept_max: usize,
    has_errors: bool,
    left_out: usize,
}

impl Diagnostics {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { kept_max, ..Self::default() }
    }

    /// Adds one. A template's value that several plans inherit is told once.
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        self.has_errors |= diagnostic.is_error();
        if self.found.len() >= self.kept_max {
            self.left_out += 1;
            return;
        }
        let at = diagnostic.at.as_ref().map(|label| label.origin);
        if self.seen.insert((diagnostic.code, at, diagnostic.message.clone())) {
            self.found.push(diagnostic);
        }
    }

    /// Nothing of this place is ever shown.
    pub(crate) fn hide(&mut self, origin: Origin) {
        self.secret.push(origin);
    }

    /// In the order of files and lines; those without a place first.
    pub(crate) fn sort(&mut self) {
        self.found.sort_by_key(|found| (found.at.as_ref().map(|label| label.origin), found.code));
    }

    /// What was found.
    #[must_use]
    pub fn all(&self) -> &[Diagnostic] {
        &self.found
    }

    /// How many more there are than are kept.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.has_errors
    }
}

/// The name among these that is nearest to what was written, if one is near enough to have been meant.
pub(crate) fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let written = written.to_lowercase();
    let letters = written.chars().count();
    // Comparing takes time by the square of the length.
    if letters > 64 {
        return None;
    }
    let distance = |name: &str| strsim::osa_distance(&written, &name.to_lowercase());
    let near = candidates.into_iter().map(|name| (distance(name), name));
    let near = near.filter(|(distance, _)| *distance <= 1.max(letters / 3));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_name_is_suggested_if_it_is_near() {
        let names = ["retention", "retry", "rpo"];
        assert_eq!(nearest("retension", names), Some("retention"));
        assert_eq!(nearest("Retry", names), Some("retry"));
        assert_eq!(nearest("rop", names), Some("rpo"));
        assert_eq!(nearest("schedule", names), None);
        assert_eq!(nearest(&"r".repeat(100_000), names), None);
    }
}
