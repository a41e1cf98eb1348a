//! The files and directories that a backup takes: which of the given paths are there, and what is worth a line
//! about them.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{FileType, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, SourceError};
use crate::paths::absolute;

/// What a backup is to take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PathSources {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
    /// The path in the snapshot of the one directory that `paths` names.
    pub stored_as: Option<PathBuf>,
    /// Take what all symbolic links point to, and not the links.
    pub follow: bool,
    /// Take what those of `paths` point to that are symbolic links.
    pub follow_sources: bool,
    /// Take the content of those of `paths` that are block devices and named pipes.
    pub read_special: bool,
}

/// What is worth a line about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// It can't be looked at, and so it is left out.
    Skipped {
        /// The path.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is a symbolic link, and the link is what is backed up.
    Link {
        /// The path.
        path: PathBuf,
    },
    /// It is a named pipe or a block device, and the entry is what is backed up.
    Special {
        /// The path.
        path: PathBuf,
    },
    /// It is a character device, and the entry is what is backed up.
    CharacterDevice {
        /// The path.
        path: PathBuf,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Link { path } => {
                write!(f, "{} is a symbolic link, and the link is backed up", path.display())
            }
            Self::Special { path } | Self::CharacterDevice { path } => {
                write!(f, "{} is a pipe or device, and is backed up as that", path.display())
            }
        }
    }
}

/// The paths that are there, from the root down. The others are remarks, but not all of them can be: there is at
/// least one path.
pub fn find(sources: &PathSources, remark: &mut dyn FnMut(Remark)) -> Result<Vec<PathBuf>> {
    check_stored_as(sources)?;
    let mut found = Vec::new();
    let mut last_error = None;
    for path in &sources.paths {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => {
                if let Some(of_this) = remark_on(path, metadata.file_type(), sources)? {
                    remark(of_this);
                }
                found.push(absolute(path)?);
            }
            Err(source) => {
                // A single one is told by the error.
                if sources.paths.len() > 1 {
                    remark(Remark::Skipped { path: path.clone(), why: source.to_string() });
                }
                last_error = Some(SourceError::NotThere { path: path.clone(), source });
            }
        }
    }
    if found.is_empty() { Err(last_error.unwrap_or(SourceError::NoPath).into()) } else { Ok(found) }
}

fn check_stored_as(sources: &PathSources) -> Result<()> {
    let Some(path) = &sources.stored_as else { return Ok(()) };
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(is_plain) {
        return Err(SourceError::StoredAs { path: path.clone() }.into());
    }
    match sources.paths.len() {
        1 => Ok(()),
        count => Err(SourceError::StoredAsOne { path: path.clone(), count }.into()),
    }
}

fn remark_on(path: &Path, kind: FileType, sources: &PathSources) -> Result<Option<Remark>> {
    if kind.is_symlink() && is_descriptor(path) {
        return Err(SourceError::Descriptor { path: path.to_owned() }.into());
    }
    let is_read = |target: &Metadata| sources.read_special && is_special(target.file_type());
    let is_followed = || {
        sources.follow
            || sources.follow_sources
            || sources.stored_as.is_some()
            || std::fs::metadata(path).is_ok_and(|target| is_read(&target))
    };
    let path = || path.to_owned();
    Ok(if kind.is_symlink() {
        (!is_followed()).then(|| Remark::Link { path: path() })
    } else if kind.is_char_device() {
        Some(Remark::CharacterDevice { path: path() })
    } else {
        (is_special(kind) && !sources.read_special).then(|| Remark::Special { path: path() })
    })
}

/// Whether there is content that a backup can read.
fn is_special(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_block_device()
}

/// Whether a path leads to a descriptor: shells make such a path of `<(command)`. Nothing of what would come from
/// it is behind the path itself.
fn is_descriptor(path: &Path) -> bool {
    let is_in_proc = |path: &Path| {
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        folder.is_some_and(|folder| folder.starts_with("/proc") && folder.ends_with("fd"))
    };
    // /dev/fd is a link to such a folder, /dev/stdin one to what is in it.
    is_in_proc(path) || path.read_link().is_ok_and(|target| target.is_absolute() && is_in_proc(&target))
}

/// What ends each path in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEnd {
    /// The end of a line.
    Line,
    /// A NUL, as `find -print0` writes it: the one byte that no path has.
    Nul,
}

/// The paths in a list that is named `name`: as they stand there. Nothing in them is a pattern, a comment or a
/// quotation mark.
pub fn read_list(name: &Path, list: &mut dyn Read, end: PathEnd) -> Result<Vec<PathBuf>> {
    let mut bytes = Vec::new();
    list.read_to_end(&mut bytes)
        .map_err(|source| SourceError::UnreadableList { list: name.to_owned(), source })?;
    let end = match end {
        PathEnd::Line => b'\n',
        PathEnd::Nul => 0,
    };
    let paths = bytes.split(|byte| *byte == end).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// The paths in a file, as [`read_list`].
pub fn read_list_file(file: &Path, end: PathEnd) -> Result<Vec<PathBuf>> {
    let mut list = std::fs::File::open(file)
        .map_err(|source| SourceError::UnreadableList { list: file.to_owned(), source })?;
    read_list(file, &mut list, end)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{Path, PathBuf, PathEnd, PathSources, Remark, find, is_descriptor, read_list};
    use crate::error::{OperationsError, SourceError};

    fn of(paths: &[PathBuf]) -> PathSources {
        PathSources { paths: paths.to_vec(), ..PathSources::default() }
    }

    #[test]
    fn what_is_not_there_is_remarked_on_unless_nothing_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (gone, here) = (folder.path().join("gone"), folder.path().join("link"));
        symlink("nowhere", &here).expect("a link");
        let mut remarks = Vec::new();
        let found = find(&of(&[gone.clone(), here.clone()]), &mut |remark| remarks.push(remark));
        assert_eq!(found.expect("one is there"), [here]);
        let [Remark::Skipped { path, .. }, Remark::Link { .. }] = &remarks[..] else { panic!("{remarks:?}") };
        assert_eq!(*path, gone);
        remarks.clear();
        let error =
            find(&of(&[gone.clone(), gone]), &mut |remark| remarks.push(remark)).expect_err("no path");
        assert!(matches!(error, OperationsError::Source(SourceError::NotThere { .. })), "{error}");
        assert_eq!(remarks.len(), 2, "each is named");
        assert!(find(&of(&[]), &mut |_| {}).expect_err("nothing is named").is_wrong_input());
    }

    #[test]
    fn another_path_is_for_one_directory_and_goes_from_the_root_down() {
        let stored = |path: &str, count: usize| {
            let stored_as = Some(PathBuf::from(path));
            let sources = PathSources { stored_as, ..of(&vec![PathBuf::from("/"); count]) };
            find(&sources, &mut |_| {}).map_err(|error| error.to_string())
        };
        assert!(stored("/srv/real", 1).is_ok());
        for wrong in ["srv", "/srv/../x", ""] {
            assert!(stored(wrong, 1).expect_err(wrong).contains("absolute path"));
        }
        assert!(stored("/srv", 2).expect_err("two").contains("one directory"));
    }

    #[test]
    fn a_list_holds_paths_as_they_stand_there() {
        let read = |text: &[u8], end| read_list(Path::new("list"), &mut &*text, end).expect("a list");
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(read(b"/a b\n\n#x\n*", PathEnd::Line), paths(&["/a b", "#x", "*"]));
        assert_eq!(read(b"a\nb\0c\0", PathEnd::Nul), paths(&["a\nb", "c"]));
    }

    #[test]
    fn descriptors_are_known_by_where_they_lead() {
        assert!(is_descriptor(Path::new("/dev/fd/0")) && is_descriptor(Path::new("/dev/stdin")));
        assert!(!is_descriptor(Path::new("/dev/null")) && !is_descriptor(Path::new("/")));
    }
}
