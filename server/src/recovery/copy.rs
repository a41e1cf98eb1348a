//! The copy of the state and the configuration that is there while it is backed up, and only for its owner.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_operations::paths::absolute;
use keepfast_operations::sources::PathSources;
use keepfast_store::{RunId, Store};

use super::{ABOUT, ANCHOR, About, CONFIGURATION, FORMAT, RecoveryError, STATE, STATE_PLAN, STORED_AS};
use crate::error::{Result, ServerError};
use crate::state::{self, PlanLock};

/// The folder beside the state that the copy of a run is in.
pub const COPY: &str = "state-copy";
/// That of the copy that an estimate looks at.
pub const ESTIMATED: &str = "estimated-copy";
/// That of the last copy, before the state is removed.
pub const LAST_COPY: &str = "last-backup";

/// The folder beside the state in which a state that comes back is made.
pub const SCRATCH: &str = "recovering";

/// Who makes a copy.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// The machine's name.
    pub host: &'a str,
    /// The program's version.
    pub version: &'a str,
    /// The run that the copy is made for.
    pub run: Option<&'a RunId>,
}

/// A copy of the state and the configuration. It is removed with this value.
#[derive(Debug)]
pub struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Makes a copy, as they are at one moment: the state may be in use. `folder` is the name of its folder beside the
    /// state; what an earlier process has left there is removed.
    pub async fn make(store: &Store, config: &Config, folder: &str, maker: Maker<'_>) -> Result<Self> {
        let beside = state::folder(config);
        let machine = state::machine(&beside)?;
        let copy = Self { folder: beside.join(folder) };
        remove_folder(&copy.folder)?;
        state::make_folder(&copy.folder)?;
        let (first_file, files) = copy.configuration(config)?;
        let about = About {
            format: FORMAT,
            program: maker.version.to_owned(),
            made: Timestamp::now(),
            host: maker.host.to_owned(),
            machine,
            run: maker.run.map(ToString::to_string),
            first_file,
            files,
        };
        let document = serde_json::to_vec_pretty(&about)
            .map_err(|source| ServerError::Document { what: ABOUT.to_owned(), source })?;
        write_new(&copy.folder.join(ABOUT), &document)?;
        // Before the export, which so has the entry, whatever is added meanwhile.
        let anchor = store.audit_head().await?;
        write_new(&copy.folder.join(ANCHOR), format!("{anchor}\n").as_bytes())?;
        let file = copy.folder.join(STATE);
        let created = new_file(&file).map_err(|source| failed(&file, source))?;
        let mut out = tokio::io::BufWriter::new(tokio::fs::File::from_std(created));
        store.export(&mut out).await?;
        Ok(copy)
    }

    /// Copies the files of the configuration, as they were read. Returns where the first one is, and the names of all.
    fn configuration(&self, config: &Config) -> Result<(String, Vec<String>)> {
        let sources = config.sources.files();
        let first = sources.first().map(|file| absolute(file.path())).transpose()?.unwrap_or_default();
        let top = first.parent().unwrap_or(Path::new("/"));
        let mut names = Vec::with_capacity(sources.len());
        for source in sources {
            let path = absolute(source.path())?;
            let name = path.strip_prefix(top).ok().and_then(Path::to_str).map(str::to_owned);
            let name = name.ok_or_else(|| RecoveryError::Path { file: path.clone() })?;
            let copy = self.folder.join(CONFIGURATION).join(&name);
            state::make_folder(copy.parent().unwrap_or(&self.folder))?;
            write_new(&copy, source.text().as_bytes())?;
            names.push(name);
        }
        let first = first.to_str().ok_or_else(|| RecoveryError::Path { file: first.clone() })?;
        Ok((first.to_owned(), names))
    }

    /// What a backup takes.
    #[must_use]
    pub fn sources(&self) -> PathSources {
        sources(&self.folder)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What stays is removed by the next copy, by the next start of the server, or with the state.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder as a backup of the state takes it: always under the same path, wherever the state is.
#[must_use]
pub fn sources(folder: &Path) -> PathSources {
    PathSources {
        paths: vec![folder.to_owned()],
        stored_as: Some(PathBuf::from(STORED_AS)),
        ..PathSources::default()
    }
}

/// Removes what a process that was killed has left in the folder of the state. The caller is the machine's server.
pub fn remove_left(folder: &Path) -> Result<()> {
    remove_folder(&folder.join(SCRATCH))?;
    // A run by hand may be at it: then its lock is taken.
    if let Some(_lock) = PlanLock::take(folder, STATE_PLAN)? {
        remove_folder(&folder.join(COPY))?;
        remove_folder(&folder.join(ESTIMATED))?;
    }
    Ok(())
}

pub(super) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ServerError::StateFile { file: folder.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// A new file that only its owner can read.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    File::options().create_new(true).write(true).mode(0o600).open(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = new_file(path).and_then(|mut file| file.write_all(bytes));
    Ok(written.map_err(|source| failed(path, source))?)
}

fn failed(path: &Path, source: io::Error) -> RecoveryError {
    RecoveryError::File { file: path.to_owned(), doing: "written", source }
}
