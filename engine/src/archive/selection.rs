//! The paths that a backup was asked for, as a tree of names from the root down.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::Arc;

use crate::error::{EngineError, Result};

/// Entries of a directory that lead to what was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// By name: what below it was asked for; everything, if none.
    pub entries: BTreeMap<Vec<u8>, Option<Arc<Selection>>>,
}

/// The selection of absolute paths; `None` if one of them is the root itself.
pub fn select(paths: &[impl AsRef<Path>]) -> Result<Option<Arc<Selection>>> {
    let mut split = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let mut names = Vec::new();
        for component in path.components() {
            match component {
                Component::RootDir => {}
                Component::Normal(name) => names.push(name.as_bytes()),
                Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
                    return Err(not_absolute(path));
                }
            }
        }
        if !path.is_absolute() {
            return Err(not_absolute(path));
        }
        split.push(names);
    }
    Ok(group(&split))
}

/// Groups paths by their first name; one that ends here asks for everything.
fn group(paths: &[Vec<&[u8]>]) -> Option<Arc<Selection>> {
    if paths.iter().any(Vec::is_empty) {
        return None;
    }
    let mut by_name: BTreeMap<&[u8], Vec<Vec<&[u8]>>> = BTreeMap::new();
    for path in paths {
        if let Some((first, rest)) = path.split_first() {
            by_name.entry(first).or_default().push(rest.to_vec());
        }
    }
    let entries = by_name.into_iter().map(|(name, rest)| (name.to_vec(), group(&rest))).collect();
    Some(Arc::new(Selection { entries }))
}

fn not_absolute(path: &Path) -> EngineError {
    EngineError::Unusable(format!("{} isn't an absolute path without `.` and `..`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::select;

    #[test]
    fn a_path_above_another_covers_it() {
        let both = select(&["/usr/bin", "/usr", "/home/ann"]).expect("absolute");
        assert_eq!(both, select(&["/home/ann", "/usr"]).expect("absolute"));
        assert_eq!(select(&["/", "/usr"]).expect("absolute"), None);
        assert!(select(&["usr"]).is_err() && select(&["/a/../b"]).is_err());
    }
}
