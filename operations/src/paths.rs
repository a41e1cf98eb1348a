//! Paths from the root down.

use std::path::{Component, Path, PathBuf};

use crate::error::{Result, SourceError};

/// A path from the root down, without `.` and `..`.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    let is_dots = |part| matches!(part, Component::ParentDir);
    let absolute = match (path.parent(), path.file_name()) {
        _ if !path.components().any(is_dots) => std::path::absolute(path),
        // A link at the end stays one, unless a slash says that what it points to is meant.
        (Some(above), Some(name)) => above.canonicalize().map(|above| {
            let mut absolute = above.join(name);
            let bytes = path.as_os_str().as_encoded_bytes();
            if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
                absolute.push("");
            }
            absolute
        }),
        _ => path.canonicalize(),
    };
    Ok(absolute.map_err(|source| SourceError::Unresolvable { path: path.to_owned(), source })?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{Path, absolute};

    #[test]
    fn dots_are_resolved_and_a_link_at_the_end_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().canonicalize().expect("a path");
        fs::create_dir(top.join("a")).expect("a folder");
        symlink("a", top.join("link")).expect("a link");
        let of = |text: &str| absolute(&top.join(text)).expect(text);
        assert_eq!(of("a/../link"), top.join("link"));
        assert_eq!(of("a/../link/").as_os_str(), top.join("link/").as_os_str());
        assert_eq!(of("a/.."), top);
        let error = absolute(Path::new("/no/such/../place")).expect_err("nothing is there");
        assert_eq!(error.to_string(), "/no/such/../place can't be used");
    }
}
