//! Diagnostics as text, with the line that each is about, and as JSON for editors and other programs.

use std::collections::BTreeSet;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin as Header, Renderer, Snippet};
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::code::{Code, Severity};
use crate::diagnostic::mask::{Shown, key_before, strings};
use crate::diagnostic::{Diagnostic, Diagnostics, Label};
use crate::source::{FileId, Origin, SourceFile, Sources, floor_boundary};

/// A line is shown up to this many bytes.
const LINE_BYTES_MAX: usize = 400;
/// And this many before the place that it is about.
const LINE_BYTES_BEFORE: usize = 40;
const WIDTH: usize = 120;

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// It has none.
    Plain,
    /// For a terminal.
    Coloured,
}

/// Diagnostics with the files that they are about.
#[derive(Debug, Clone)]
pub struct Report {
    diagnostics: Diagnostics,
    sources: Sources,
    /// Keys that never take a secret.
    open_keys: BTreeSet<&'static str>,
}

impl Report {
    pub(crate) fn new(
        mut diagnostics: Diagnostics,
        sources: Sources,
        open_keys: BTreeSet<&'static str>,
    ) -> Self {
        diagnostics.sort();
        Self { diagnostics, sources, open_keys }
    }

    /// What was found.
    #[must_use]
    pub fn diagnostics(&self) -> &Diagnostics {
        &self.diagnostics
    }

    /// The files that were read.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// All of them as text, in the order of files and lines, and how many there are.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let renderer = renderer.term_width(WIDTH);
        let all = self.diagnostics.all();
        let mut text: String =
            all.iter().map(|diagnostic| self.one(diagnostic, &renderer) + "\n\n").collect();
        if !all.is_empty() {
            text.push_str(&self.counts());
            text.push('\n');
        }
        text
    }

    fn counts(&self) -> String {
        let count = |severity| {
            self.diagnostics.all().iter().filter(|found| found.code.severity() == severity).count()
        };
        let named = |number: usize, noun: &str| match number {
            1 => format!("1 {noun}"),
            _ => format!("{number} {noun}s"),
        };
        let mut text = format!(
            "{}, {}",
            named(count(Severity::Error), "error"),
            named(count(Severity::Warning), "warning")
        );
        if self.diagnostics.left_out() > 0 {
            text.push_str(&format!(", and {} more that aren't shown", self.diagnostics.left_out()));
        }
        text
    }

    fn one(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let level = if diagnostic.is_error() { Level::ERROR } else { Level::WARNING };
        let code = diagnostic.code.to_string();
        let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(code.as_str()));
        for Shot { header, line } in self.shots(diagnostic) {
            group = group.element(header).element(line);
        }
        for help in &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        without_gaps(&renderer.render(&[group]))
    }

    /// The lines of a diagnostic, each once, in the order in which it names them.
    fn shots(&self, diagnostic: &Diagnostic) -> Vec<Shot> {
        let primary = diagnostic.at.iter().map(|label| (label, AnnotationKind::Primary));
        let related = diagnostic.related.iter().map(|label| (label, AnnotationKind::Context));
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (label, kind) in primary.chain(related) {
            let Some((id, file)) = label.origin.file().and_then(|id| Some((id, self.sources.file(id)?)))
            else {
                continue;
            };
            let (number, range) = file.line_of(label.origin.range().start);
            match lines.iter_mut().find(|line| line.id == id && line.number == number) {
                Some(line) => line.labels.push((label, kind)),
                None => lines.push(Line { id, file, number, range, labels: vec![(label, kind)] }),
            }
        }
        let hides_strings = diagnostic.code == Code::Syntax;
        lines.iter().filter_map(|line| self.shot(line, hides_strings)).collect()
    }

    fn shot(&self, line: &Line<'_>, hides_strings: bool) -> Option<Shot> {
        let Line { id, file, number, range, labels } = line;
        let first = labels.first()?.0.origin;
        let text = file.text();
        // Only what is around the place of a line that is very long.
        let is_long = range.len() > LINE_BYTES_MAX;
        let before = first.range().start.min(range.end).saturating_sub(LINE_BYTES_BEFORE);
        let start = floor_boundary(text, if is_long { before.max(range.start) } else { range.start });
        let end = floor_boundary(text, range.end.min(start + LINE_BYTES_MAX));
        let mut hidden = self.hidden(*id, file, hides_strings);
        hidden.retain(|range| range.start < end && range.end > start);
        let shown = Shown::new(text, start..end, &hidden);
        let mut snippet = Snippet::source(shown.text.clone()).line_start(*number).fold(false);
        for (label, kind) in labels {
            let range = label.origin.range();
            let within = |byte: usize| floor_boundary(text, byte).clamp(start, end) - start;
            let annotation = kind.span(shown.range(within(range.start)..within(range.end)));
            snippet = snippet.annotation(match label.text.as_str() {
                "" => annotation,
                text => annotation.label(text.to_owned()),
            });
        }
        let position = self.sources.position(first)?;
        let header = Header::path(position.file.display().to_string());
        let header = header.line(position.start.line).char_column(position.start.column);
        Some(Shot { header, line: snippet })
    }

    fn hidden(&self, id: FileId, file: &SourceFile, hides_strings: bool) -> Vec<Range<usize>> {
        let secret = self.diagnostics.secret.iter().filter(|origin| origin.file() == Some(id));
        let mut hidden: Vec<Range<usize>> = secret.map(|origin| origin.range()).collect();
        if hides_strings {
            let is_open = |range: &Range<usize>| {
                key_before(file.text(), range.start).is_some_and(|key| self.open_keys.contains(key))
                    && !file.text()[range.clone()].contains('\n')
            };
            hidden.extend(strings(file.text()).into_iter().filter(|range| !is_open(range)));
        }
        hidden
    }

    /// All of them as JSON: `{"diagnostics": [{code, severity, message, file, line, column, end_line, end_column,
    /// help, related}], "left_out": 0}`. Those without a place have no `file`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let all: Vec<Json> = self.diagnostics.all().iter().map(|found| self.json_of(found)).collect();
        json!({ "diagnostics": all, "left_out": self.diagnostics.left_out() })
    }

    fn json_of(&self, diagnostic: &Diagnostic) -> Json {
        let mut object = Map::new();
        object.insert("code".to_owned(), diagnostic.code.to_string().into());
        object.insert("severity".to_owned(), diagnostic.code.severity().to_string().into());
        object.insert("message".to_owned(), diagnostic.message.clone().into());
        object.extend(diagnostic.at.iter().flat_map(|label| self.place(label.origin)));
        object.insert("help".to_owned(), diagnostic.help.clone().into());
        let related = diagnostic.related.iter().map(|label| {
            let mut object: Map<String, Json> = self.place(label.origin).into_iter().collect();
            object.insert("message".to_owned(), label.text.clone().into());
            Json::Object(object)
        });
        object.insert("related".to_owned(), related.collect());
        Json::Object(object)
    }

    fn place(&self, origin: Origin) -> Vec<(String, Json)> {
        let Some(position) = self.sources.position(origin) else { return Vec::new() };
        vec![
            ("file".to_owned(), position.file.display().to_string().into()),
            ("line".to_owned(), position.start.line.into()),
            ("column".to_owned(), position.start.column.into()),
            ("end_line".to_owned(), position.end.line.into()),
            ("end_column".to_owned(), position.end.column.into()),
        ]
    }
}

/// Without the lines that say nothing but that a snippet follows its place.
fn without_gaps(text: &str) -> String {
    let says_something = |line: &&str| {
        let mut signs = line.chars();
        let mut plain = String::new();
        while let Some(sign) = signs.next() {
            match sign {
                // A colour: up to its `m`.
                '\u{1b}' => while signs.next().is_some_and(|sign| sign != 'm') {},
                _ => plain.push(sign),
            }
        }
        plain.trim() != ":::"
    };
    text.lines().filter(says_something).collect::<Vec<_>>().join("\n")
}

/// A line that is shown, and what is said of it.
struct Line<'r> {
    id: FileId,
    file: &'r SourceFile,
    number: usize,
    range: Range<usize>,
    labels: Vec<(&'r Label, AnnotationKind)>,
}

/// A line as it is shown, with its place in front: what is hidden changes columns, so the place is said apart.
struct Shot {
    header: Header<'static>,
    line: Snippet<'static, Annotation<'static>>,
}
