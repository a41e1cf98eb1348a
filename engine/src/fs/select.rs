//! Which entries a backup leaves out.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{EngineError, Result};

/// Patterns of paths to leave out, or to pick.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    paths: GlobSet,
    names: GlobSet,
}

impl Patterns {
    /// Compiles patterns. One without a slash is matched against the name alone; any other
    /// against the whole path, from anywhere in it unless it begins with a slash.
    /// `*` doesn't cross a slash, `**` does.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let mut paths = GlobSetBuilder::new();
        let mut names = GlobSetBuilder::new();
        for pattern in patterns {
            let trimmed = pattern.strip_suffix('/').unwrap_or(pattern);
            let (set, text) = match trimmed {
                "" => return Err(unusable(pattern, "it is empty")),
                path if path.starts_with('/') => (&mut paths, path.to_owned()),
                path if path.contains('/') => (&mut paths, format!("**/{path}")),
                name => (&mut names, name.to_owned()),
            };
            let glob = GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| unusable(pattern, &error.kind().to_string()))?;
            set.add(glob);
        }
        let build = |set: GlobSetBuilder| set.build().map_err(|error| unusable("", &error.to_string()));
        Ok(Self { paths: build(paths)?, names: build(names)? })
    }

    /// Whether there are no patterns at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.names.is_empty()
    }

    /// Whether an entry matches, given its whole path and its name.
    #[must_use]
    pub fn matches(&self, path: &[u8], name: &[u8]) -> bool {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        self.names.is_match(OsStr::from_bytes(name)) || self.paths.is_match(OsStr::from_bytes(path))
    }
}

fn unusable(pattern: &str, why: &str) -> EngineError {
    EngineError::Unusable(format!("the pattern {pattern:?} can't be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::Patterns;

    #[test]
    fn no_patterns_are_empty_however_they_were_made() {
        assert!(Patterns::default().is_empty());
        assert!(Patterns::new(&[]).expect("compiles").is_empty());
        assert!(!Patterns::new(&["a".to_owned()]).expect("compiles").is_empty());
    }

    #[test]
    fn names_and_paths_match_as_users_expect() {
        let patterns = ["*.o", "/home/*/cache", "build/tmp/"].map(str::to_owned);
        let patterns = Patterns::new(&patterns).expect("compiles");
        let matches = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            patterns.matches(path.as_bytes(), name.as_bytes())
        };
        assert!(matches("/src/a.o") && matches("/home/ann/cache") && matches("/x/build/tmp"));
        assert!(!matches("/src/a.oo") && !matches("/home/ann/x/cache") && !matches("/x/tmp"));
    }
}
