//! The files of a configuration, back from a snapshot: below the folder of the first one, and over nothing that is there.

use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use keepfast_config::files::Limits;
use keepfast_engine::run::RunContext;
use keepfast_operations::open::SharedRepository;
use serde::Serialize;

use super::copy::new_file;
use super::fetch::{read_part, wrong};
use super::find::Found;
use super::{ABOUT, CONFIGURATION, RecoveryError};
use crate::error::Result;
use crate::state;

/// What became of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigurationReport {
    /// The first file.
    pub file: PathBuf,
    /// Where it was on the machine that was backed up.
    pub was: PathBuf,
    /// The files that were written; none if the first one was there already.
    pub written: Vec<PathBuf>,
    /// Whether the first file was there, with another text than the snapshot has.
    pub differs: bool,
}

/// Writes the files of the configuration that a snapshot has, unless the first one is there: then a person has put it
/// there, and it counts. The first file comes last, so that it is there only with all others.
pub fn restore(
    found: &Found,
    first: &Path,
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<ConfigurationReport> {
    let limits = Limits::default();
    let names = names(found, limits.files)?;
    let bytes_max = u64::try_from(limits.file_bytes).unwrap_or(u64::MAX);
    let read = |name: &str| read_part(&found.id, &format!("{CONFIGURATION}/{name}"), bytes_max, shared, run);
    let mut report = ConfigurationReport {
        file: first.to_owned(),
        was: PathBuf::from(&found.about.first_file),
        written: Vec::new(),
        differs: false,
    };
    let Some((first_name, others)) = names.split_first() else { return Ok(report) };
    let first_text = read(first_name)?;
    match fs::read(first) {
        Ok(there) => {
            report.differs = there != first_text.as_bytes();
            return Ok(report);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed(first, "read", source).into()),
    }
    let folder = first.parent().unwrap_or(Path::new("."));
    for name in others {
        let text = read(name)?;
        write(&folder.join(name), &text, &mut report.written)?;
    }
    write(first, &first_text, &mut report.written)?;
    Ok(report)
}

/// The names of the files, each a path that stays below a folder. The first one has the name that it had.
fn names(found: &Found, files_max: usize) -> Result<Vec<&str>, RecoveryError> {
    let refuse = |why: &str| wrong(&found.id, ABOUT, why);
    let files = &found.about.files;
    if files.is_empty() || files.len() > files_max {
        return Err(refuse("it names no files of a configuration, or too many"));
    }
    let stays_below = |name: &str| {
        let mut parts = Path::new(name).components();
        !name.is_empty() && !name.contains('\0') && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    match files.iter().find(|name| !stays_below(name)) {
        Some(_) => Err(refuse("it names a file that isn't below the folder of the configuration")),
        None => Ok(files.iter().map(String::as_str).collect()),
    }
}

/// Writes a file whole, or not at all. One that is there with the same text is as it should be.
fn write(path: &Path, text: &str, written: &mut Vec<PathBuf>) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        state::make_folder(folder)?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".recovering");
    let partial = PathBuf::from(partial);
    let done = fs::remove_file(&partial).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    let done = done.and_then(|()| {
        let mut file = new_file(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    done.map_err(|source| failed(&partial, "written", source))?;
    // A link is made only where nothing is.
    let linked = fs::hard_link(&partial, path);
    fs::remove_file(&partial).map_err(|source| failed(&partial, "removed", source))?;
    match linked {
        Ok(()) => {
            written.push(path.to_owned());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
                true => Ok(()),
                false => Err(RecoveryError::FileThere { file: path.to_owned() }.into()),
            }
        }
        Err(source) => Err(failed(path, "written", source).into()),
    }
}

fn failed(path: &Path, doing: &'static str, source: io::Error) -> RecoveryError {
    RecoveryError::File { file: path.to_owned(), doing, source }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{Found, fs, names, write};
    use crate::recovery::About;

    fn found(files: &[&str]) -> Found {
        Found {
            id: "1a2b".to_owned(),
            time: String::new(),
            host: String::new(),
            is_ahead: false,
            about: About {
                format: 1,
                program: String::new(),
                made: jiff::Timestamp::UNIX_EPOCH,
                host: String::new(),
                machine: String::new(),
                run: None,
                first_file: "/etc/keepfast/keepfast.toml".to_owned(),
                files: files.iter().map(|name| (*name).to_owned()).collect(),
            },
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folder_of_the_configuration() {
        assert_eq!(names(&found(&["keepfast.toml", "conf.d/a.toml"]), 9).unwrap().len(), 2);
        for wrong in ["../a.toml", "/etc/cron.d/a", "conf.d/../../a", "", ".", "a\0b", "./../a"] {
            assert!(names(&found(&["keepfast.toml", wrong]), 9).is_err(), "{wrong:?}");
        }
        assert!(names(&found(&[]), 9).is_err() && names(&found(&["a", "b"]), 1).is_err());
    }

    #[test]
    fn nothing_is_written_over_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf.d/a.toml");
        let mut written = Vec::new();
        write(&path, "one", &mut written).unwrap();
        write(&path, "one", &mut written).unwrap();
        assert_eq!((written.len(), &written[0]), (1, &path));
        assert!(write(&path, "two", &mut written).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("link")).unwrap();
        assert!(write(&folder.path().join("link"), "x", &mut written).is_err(), "a link isn't followed");
        assert!(!elsewhere.exists());
        assert_eq!(fs::read_dir(folder.path().join("conf.d")).unwrap().count(), 1);
    }
}
