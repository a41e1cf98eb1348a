//! A machine of files in memory, with variables and facts, and short ways to ask what comes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Style;
use keepfast_config::files::{Facts, Files, Limits};
use keepfast_config::load::{Loaded, load};

/// The first file's name.
pub const FIRST: &str = "keepfast.toml";

/// Files, variables and facts.
#[derive(Debug, Clone, Default)]
pub struct Desk {
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub variables: BTreeMap<String, OsString>,
    pub readable_by_others: BTreeSet<PathBuf>,
    pub limits: Limits,
}

impl Files for Desk {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let bytes = self.files.get(path).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        Ok(bytes[..bytes.len().min(bytes_max + 1)].to_vec())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = BTreeSet::new();
        for path in self.files.keys() {
            found.extend(path.ancestors().find(|above| above.parent() == Some(folder)).map(Path::to_owned));
        }
        // The other way round: an order that no one should rely on.
        Ok(found.into_iter().rev().collect())
    }
}

impl Facts for Desk {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn is_readable_by_others(&self, path: &Path) -> Option<bool> {
        Some(self.readable_by_others.contains(path))
    }

    fn check_pattern(&self, pattern: &str) -> Result<(), String> {
        if pattern.contains("[]") { Err("a set is empty".to_owned()) } else { Ok(()) }
    }

    fn is_zone(&self, name: &str) -> bool {
        self.zones().iter().any(|zone| zone == name)
    }

    fn zones(&self) -> Vec<String> {
        ["UTC", "Europe/Paris", "America/New_York"].map(str::to_owned).to_vec()
    }
}

impl Desk {
    /// With this first file.
    pub fn new(text: &str) -> Self {
        Self::default().file(FIRST, text)
    }

    /// With this first file, and `version = 1` in front of it.
    pub fn of(text: &str) -> Self {
        Self::new(&format!("version = 1\n{text}"))
    }

    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(PathBuf::from(path), text.as_bytes().to_vec());
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), OsString::from(value));
        self
    }

    pub fn load(&self) -> Loaded {
        load(Path::new(FIRST), self, self, &self.limits)
    }

    /// The configuration; panics with the diagnostics if there is none.
    #[track_caller]
    pub fn config(&self) -> Config {
        let Loaded { config, report } = self.load();
        config.unwrap_or_else(|| panic!("{}", report.render(Style::Plain)))
    }

    /// All diagnostics as text.
    pub fn told(&self) -> String {
        self.load().report.render(Style::Plain)
    }

    /// The codes of all errors, in the order of files and lines.
    pub fn errors(&self) -> Vec<String> {
        let report = self.load().report;
        let all = report.diagnostics().all().iter().filter(|found| found.is_error());
        all.map(|found| found.code.to_string()).collect()
    }

    /// The codes of all warnings, in the order of files and lines.
    pub fn warnings(&self) -> Vec<String> {
        let report = self.load().report;
        let all = report.diagnostics().all().iter().filter(|found| !found.is_error());
        all.map(|found| found.code.to_string()).collect()
    }
}
