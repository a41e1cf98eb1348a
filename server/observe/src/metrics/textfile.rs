//! Metrics as a file that node_exporter's textfile collector reads: how a run without a server is observed.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::metrics::observation::Observation;
use crate::metrics::text::{MetricsError, prometheus_text};

/// Why the file isn't there, or is the old one.
#[derive(Debug, thiserror::Error)]
pub enum TextfileError {
    /// The collector reads only files with this ending.
    #[error("the metrics' file {0} has to end in .prom: the collector reads no others")]
    Ending(PathBuf),
    /// The observation can't be exposed.
    #[error("the metrics' file {path} isn't written")]
    Metrics {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: MetricsError,
    },
    /// The file system refused.
    #[error("the metrics' file {path} can't be written")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes the observation to a file, which anyone may read. A reader sees the old file or the new one,
/// never a part, also after a crash.
///
/// # Errors
/// The name doesn't end in `.prom`, the directory isn't there or can't be written to, or two subjects have
/// the same labels. The old file is then as it was.
pub fn write_textfile(path: &Path, observation: &Observation) -> Result<(), TextfileError> {
    if path.extension().is_none_or(|ending| ending != "prom") {
        return Err(TextfileError::Ending(path.to_owned()));
    }
    let text = prometheus_text(observation)
        .map_err(|source| TextfileError::Metrics { path: path.to_owned(), source })?;
    replace(path, text.as_bytes()).map_err(|source| TextfileError::Io { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // An ending that the collector doesn't read: it must not see the file before it is complete.
    let mut file = Builder::new().prefix(".keepfast-").suffix(".tmp").tempfile_in(directory)?;
    file.write_all(bytes)?;
    // The collector runs as another user.
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    // The bytes before the name, or a crash leaves an empty file that silences every alert.
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
