//! Definitions from files of this machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use keepfast_config::config::{Config, Definition};
use keepfast_config::files::{Facts, Files, Limits};
use keepfast_config::load::{Loaded, load};
use keepfast_config::model::drill::Drill;
use keepfast_config::model::plan::Plan;
use keepfast_operations::patterns;

use crate::error::{Result, ServerError};

/// Where definitions are if nothing else is said.
pub const USUAL_FILE: &str = "/etc/keepfast/keepfast.toml";
/// The mode bits of a file by which others than its owner may read it.
const READABLE_BY_OTHERS: u32 = 0o044;

/// This machine's files and facts.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThisMachine;

impl Files for ThisMachine {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }
}

impl Facts for ThisMachine {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn is_readable_by_others(&self, path: &Path) -> Option<bool> {
        let found = fs::metadata(path).ok()?;
        Some(found.mode() & READABLE_BY_OTHERS != 0)
    }

    fn has_drills(&self) -> bool {
        // Not each plan needs one: a warning for each would drown others.
        false
    }

    fn check_pattern(&self, pattern: &str) -> Result<(), String> {
        let pattern = [std::ffi::OsStr::from_bytes(pattern.as_bytes()).to_owned()];
        patterns::compile_with_files(&pattern, &[]).map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Where the first file of definitions is: where it is said, else the usual place, else the user's own.
#[must_use]
pub fn first_file(said: Option<PathBuf>, user_config: Option<PathBuf>) -> PathBuf {
    let usual = PathBuf::from(USUAL_FILE);
    said.unwrap_or_else(|| {
        let own = user_config.map(|folder| folder.join("keepfast/keepfast.toml"));
        if usual.exists() { usual } else { own.filter(|own| own.exists()).unwrap_or(usual) }
    })
}

/// Reads the definitions, and says all that is wrong with them.
#[must_use]
pub fn read(first: &Path) -> Loaded {
    load(first, &ThisMachine, &ThisMachine, &Limits::default())
}

/// A plan by its name.
pub fn plan<'c>(config: &'c Config, name: &str) -> Result<&'c Definition<Plan>> {
    config.plans.get(name).ok_or_else(|| ServerError::NoPlan {
        name: name.to_owned(),
        known: config.plans.keys().cloned().collect(),
    })
}

/// A drill by its name.
pub fn drill<'c>(config: &'c Config, name: &str) -> Result<&'c Definition<Drill>> {
    config.drills.get(name).ok_or_else(|| ServerError::NoDrill {
        name: name.to_owned(),
        known: config.drills.keys().cloned().collect(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs;

    use keepfast_config::diagnostic::render::Style;

    use super::read;

    /// What `config check` says of a plan, on this machine.
    fn warnings(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keepfast.toml");
        fs::write(&file, text).unwrap();
        let report = read(&file).report;
        let told = report.render(Style::Plain);
        let all = report.diagnostics().all().iter();
        all.inspect(|found| assert!(!found.is_error(), "{told}"))
            .map(|found| found.code.to_string())
            .collect()
    }

    #[test]
    fn the_first_plan_of_the_documentation_deserves_no_warning() {
        let text = include_str!("../../docs/plans.md");
        let sample = text.split("    version = 1\n").nth(1).unwrap();
        let lines = sample.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
        let lines: Vec<&str> = lines.map(str::trim_start).collect();
        let sample = format!("version = 1\n{}\n", lines.join("\n"));
        assert!(sample.contains("[plan.www]") && sample.contains("[[route]]"), "{sample}");
        assert_eq!(warnings(&sample), [""; 0]);
        // No one asks for a drill of each plan.
        let silent = sample.split("[target.ops]").next().unwrap();
        assert_eq!(warnings(silent), ["C040"]);
    }
}
