//! Files of units: written as a whole or not at all, and known again by their first lines. No other file is replaced or
//! removed.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use keepfast_observe::service::UnitFile;
use tempfile::NamedTempFile;

use super::Choices;

/// The first line of each file that this program has written.
const SIGNATURE: &str = "# Written by `keepfast service install`, which replaces it; `keepfast service uninstall` removes \
                         it. Changes of your own belong into `systemctl edit`.";
/// The start of the second one, after which the choices stand as JSON.
const CHOICES: &str = "# Chosen: ";
/// No unit is larger than this.
const UNIT_BYTES_MAX: u64 = 1 << 20;
/// Everyone may read units: no secret is in them.
const MODE: u32 = 0o644;

/// A unit that this program has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its file.
    pub path: PathBuf,
    /// The name of the unit.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What was chosen for it; nothing if another version of the program has written something else there.
    pub choices: Option<Choices>,
}

/// The unit with the lines by which it is known again.
pub fn signed(unit: UnitFile, choices: &Choices) -> Result<UnitFile> {
    let choices = serde_json::to_string(choices).context("the choices for a unit can't be written")?;
    Ok(UnitFile { name: unit.name, text: format!("{SIGNATURE}\n{CHOICES}{choices}\n\n{}", unit.text) })
}

/// Whether a file may be written there: there is none, or one that this program has written.
pub fn is_replaceable(path: &Path) -> Result<bool> {
    Ok(read(path)?.is_none_or(|text| is_signed(&text)))
}

fn is_signed(text: &str) -> bool {
    text.lines().next() == Some(SIGNATURE)
}

fn read(path: &Path) -> Result<Option<String>> {
    let unreadable = || format!("the unit {} can't be read", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(unreadable)?,
    };
    let mut bytes = Vec::new();
    file.take(UNIT_BYTES_MAX).read_to_end(&mut bytes).with_context(unreadable)?;
    // What isn't UTF-8 isn't ours.
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes a unit. Returns whether that changed anything.
pub fn write(directory: &Path, unit: &UnitFile) -> Result<bool> {
    let path = directory.join(&unit.name);
    if read(&path)?.is_some_and(|text| text == unit.text) {
        return Ok(false);
    }
    let unwritable = || format!("the unit {} can't be written", path.display());
    let mut file = NamedTempFile::new_in(directory).with_context(unwritable)?;
    file.write_all(unit.text.as_bytes()).with_context(unwritable)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(MODE)).with_context(unwritable)?;
    file.as_file().sync_all().with_context(unwritable)?;
    file.persist(&path).with_context(unwritable)?;
    Ok(true)
}

/// The units that this program has written into a directory, timers first, so that none starts what is stopped.
pub fn installed(directory: &Path) -> Result<Vec<Installed>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        entries => entries.with_context(|| format!("{} can't be listed", directory.display()))?,
    };
    for entry in entries {
        let path = entry.with_context(|| format!("{} can't be listed", directory.display()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let is_unit = name.ends_with(".service") || name.ends_with(".timer");
        let is_ours = name == "keepfast.service" || name.starts_with("keepfast-");
        if !is_unit || !is_ours || !path.is_file() {
            continue;
        }
        if let Some(text) = read(&path)?.filter(|text| is_signed(text)) {
            let choices = text.lines().nth(1).and_then(|line| line.strip_prefix(CHOICES));
            let choices = choices.and_then(|choices| serde_json::from_str(choices).ok());
            found.push(Installed { path, name, text, choices });
        }
    }
    found.sort_by(|one, other| {
        let key = |unit: &Installed| (!unit.name.ends_with(".timer"), unit.name.clone());
        key(one).cmp(&key(other))
    });
    Ok(found)
}
