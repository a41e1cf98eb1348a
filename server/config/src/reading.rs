//! Reads the files: the first one, and what `include` names, each once.

use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::decode::shortened;
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::files::{Facts, Files, Limits};
use crate::inherit::names;
use crate::managed::{self, is_managed};
use crate::source::{FileId, Origin, Sources};
use crate::substitute::Substitution;
use crate::tree::{Node, parse};

/// A file that was parsed.
pub(crate) struct Parsed {
    pub(crate) file: FileId,
    pub(crate) root: Node,
}

/// What was read.
pub(crate) struct Reading {
    /// The files that are TOML, in their order.
    pub(crate) files: Vec<Parsed>,
    /// Whether files are missing, so that what isn't defined may be in one of them.
    pub(crate) is_partial: bool,
}

pub(crate) struct Reader<'r> {
    pub(crate) source: &'r dyn Files,
    pub(crate) facts: &'r dyn Facts,
    pub(crate) limits: &'r Limits,
    pub(crate) diagnostics: &'r mut Diagnostics,
    pub(crate) sources: &'r mut Sources,
    /// The folder that no include leaves.
    pub(crate) top: PathBuf,
    pub(crate) reading: Reading,
    /// The files from the first one down to the one that is read, and all that were.
    pub(crate) above: Vec<PathBuf>,
    pub(crate) seen: Vec<PathBuf>,
}

impl Reader<'_> {
    /// Reads a file and what it includes. `origin` is what named it.
    pub(crate) fn read(&mut self, path: &Path, origin: Option<Origin>) {
        if self.above.iter().any(|other| other == path) {
            let way =
                self.above.iter().skip_while(|other| *other != path).map(|path| path.display().to_string());
            let way: Vec<String> = way.chain([path.display().to_string()]).collect();
            self.tell(
                Code::IncludeCircle,
                format!("files include each other in a circle: {}", way.join(" → ")),
                origin,
            );
            return;
        }
        if self.seen.iter().any(|other| other == path) {
            return;
        }
        if self.seen.len() >= self.limits.files {
            self.reading.is_partial = true;
            self.tell(Code::TooManyFiles, format!("there are more than {} files", self.limits.files), None);
            return;
        }
        self.seen.push(path.to_owned());
        let Some(text) = self.text(path, origin) else {
            self.reading.is_partial = true;
            return;
        };
        let file = self.sources.add(path.to_owned(), text);
        let text = self.sources.file(file).map(|file| file.text().to_owned()).unwrap_or_default();
        match parse(&text, file, self.limits.levels) {
            Err(flaw) => {
                self.reading.is_partial = true;
                let code = if flaw.too_deep { Code::TooDeep } else { Code::Syntax };
                let mut diagnostic = Diagnostic::new(code, flaw.message).at(flaw.origin);
                if let Some(first) = flaw.first {
                    diagnostic = diagnostic.related(first, "it is here first");
                }
                if looks_like_a_date(&text, flaw.origin) {
                    diagnostic = diagnostic.help("dates and times stand in quotation marks");
                }
                self.diagnostics.add(diagnostic);
            }
            Ok(root) => {
                let mut includes =
                    root.table().and_then(|table| table.get("include")).map(names).unwrap_or_default();
                if is_managed(path, &self.top) {
                    managed::check(&root, self.diagnostics);
                    includes.clear();
                }
                self.reading.files.push(Parsed { file, root });
                self.above.push(path.to_owned());
                for include in includes {
                    let mut substitution = Substitution {
                        facts: self.facts,
                        diagnostics: self.diagnostics,
                        text_bytes_max: self.limits.text_bytes,
                    };
                    match substitution.text(&include.value, include.origin, false) {
                        Some((pattern, _)) => self.include(path, &pattern, include.origin),
                        None => self.reading.is_partial = true,
                    }
                }
                self.above.pop();
            }
        }
    }

    fn text(&mut self, path: &Path, origin: Option<Origin>) -> Option<String> {
        let bytes = match self.source.read(path, self.limits.file_bytes) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.tell(Code::Unreadable, format!("{} can't be read: {error}", path.display()), origin);
                return None;
            }
        };
        if bytes.len() > self.limits.file_bytes {
            let message = format!("{} has more than {} bytes", path.display(), self.limits.file_bytes);
            self.tell(Code::TooLarge, message, origin);
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
                self.tell(Code::NotUtf8, format!("{} isn't UTF-8: see line {line}", path.display()), origin);
                None
            }
        }
    }

    /// Reads what a pattern names, in the order of names.
    fn include(&mut self, from: &Path, pattern: &str, origin: Origin) {
        let folder = from.parent().unwrap_or(Path::new(""));
        let Some(whole) = below(&folder.join(pattern), &self.top) else {
            self.reading.is_partial = true;
            let message = format!("`{}` leads out of {}", shortened(pattern), shown(&self.top));
            self.tell(Code::IncludeOutside, message, Some(origin));
            return;
        };
        if !pattern.contains(['*', '?', '[', '{']) {
            match self.source.list(whole.parent().unwrap_or(Path::new(""))) {
                Ok(found) if !found.contains(&whole) => self.no_such_file(&whole, &found, origin),
                _ => self.read(&whole, Some(origin)),
            }
            return;
        }
        let found = match self.matching(&whole) {
            Ok(found) => found,
            Err(why) => {
                self.reading.is_partial = true;
                self.tell(
                    Code::Pattern,
                    format!("`{}` can't be used: {why}", shortened(pattern)),
                    Some(origin),
                );
                return;
            }
        };
        for path in found {
            self.read(&path, Some(origin));
        }
    }

    fn no_such_file(&mut self, whole: &Path, found: &[PathBuf], origin: Origin) {
        self.reading.is_partial = true;
        let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let names: Vec<String> =
            found.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
        let known = nearest(&name, names.iter().map(String::as_str));
        let diagnostic =
            Diagnostic::new(Code::IncludeNothing, format!("there is no file {}", whole.display()));
        self.diagnostics.add(diagnostic.at(origin).suggest(known));
    }

    /// The files of a pattern, part by part, so that no folder is listed that can't have one.
    fn matching(&self, whole: &Path) -> Result<Vec<PathBuf>, String> {
        let mut found = vec![PathBuf::new()];
        let mut is_found = false;
        for part in whole.components() {
            let part = part.as_os_str().to_string_lossy();
            let is_pattern = part.contains(['*', '?', '[', '{']);
            if !is_pattern && !is_found {
                found.iter_mut().for_each(|path| path.push(&*part));
                continue;
            }
            if part.contains("**") {
                return Err("`**` isn't known here: name the folders".to_owned());
            }
            let matcher = if is_pattern { Some(matcher(&part)?) } else { None };
            let is_match = |path: &PathBuf| match &matcher {
                Some(matcher) => is_match(matcher, path),
                None => path.file_name().is_some_and(|name| name.to_string_lossy() == part),
            };
            let mut next = Vec::new();
            for folder in &found {
                next.extend(self.listed(folder)?.into_iter().filter(is_match));
                // More than are read anyway.
                if next.len() > self.limits.files {
                    break;
                }
            }
            next.sort();
            (found, is_found) = (next, true);
        }
        Ok(found)
    }

    /// What is in a folder; nothing if it isn't there, or is none.
    fn listed(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        match self.source.list(folder) {
            Ok(paths) => Ok(paths),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            Err(error) => Err(format!("{} can't be listed: {error}", shown(folder))),
        }
    }

    fn tell(&mut self, code: Code, message: String, origin: Option<Origin>) {
        let diagnostic = Diagnostic::new(code, message);
        self.diagnostics.add(match origin {
            Some(origin) => diagnostic.at(origin),
            None => diagnostic,
        });
    }
}

fn matcher(part: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(part).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// Hidden files, as those that editors leave behind, match nothing.
fn is_match(matcher: &GlobMatcher, path: &Path) -> bool {
    path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.') && matcher.is_match(name))
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "this folder".to_owned() } else { folder.display().to_string() }
}

/// A path without `.` and `..`, if it stays below a folder.
fn below(path: &Path, top: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            other => plain.push(other),
        }
    }
    (plain.starts_with(top) && plain.is_absolute() == top.is_absolute()).then_some(plain)
}

/// Whether what can't be read begins like a date: TOML has dates, and this configuration has none.
fn looks_like_a_date(text: &str, origin: Origin) -> bool {
    let Some(word) = text.get(origin.range().start..) else { return false };
    let bytes = word.as_bytes();
    bytes.len() > 5 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}
