//! Where the local index is, and what was seen of repositories.

use std::path::{Path, PathBuf};

/// The program's name in the folders of caches.
const NAME: &str = "keepfast";

/// What a front end knows about places for a cache. Empty paths count for none.
#[derive(Debug, Clone, Default)]
pub struct CachePlaces {
    /// The directory that someone chose for this program.
    pub chosen: Option<PathBuf>,
    /// Where this user keeps caches (`XDG_CACHE_HOME`).
    pub caches: Option<PathBuf>,
    /// The user's home directory, by the environment.
    pub home: Option<PathBuf>,
    /// The user's home directory, by the system's accounts.
    pub account_home: Option<PathBuf>,
    /// The directory for temporary files, which all users share.
    pub temporary: PathBuf,
    /// The user.
    pub user_id: u32,
}

/// Where the cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDirectory {
    /// The directory; it may not be there yet.
    pub path: PathBuf,
    /// Whether it is a place for what shall last. If not, it is in a folder that all users share, and the engine
    /// uses nothing that another user has put there.
    pub lasts: bool,
}

impl CachePlaces {
    /// The best of the places.
    #[must_use]
    pub fn directory(&self) -> CacheDirectory {
        let given = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        if let Some(chosen) = given(&self.chosen) {
            let path = std::path::absolute(&chosen).unwrap_or(chosen);
            return CacheDirectory { path, lasts: true };
        }
        let home = || given(&self.home).or_else(|| given(&self.account_home));
        match given(&self.caches).or_else(|| home().map(|home| home.join(".cache"))) {
            Some(caches) => CacheDirectory { path: caches.join(NAME), lasts: true },
            None => {
                CacheDirectory { path: self.temporary.join(format!("{NAME}-{}", self.user_id)), lasts: false }
            }
        }
    }
}

/// The folder in a cache where it is remembered what each place has shown.
#[must_use]
pub fn seen_folder(cache: &Path) -> PathBuf {
    cache.join("seen")
}

#[cfg(test)]
mod tests {
    use super::{CachePlaces, PathBuf};

    #[test]
    fn the_nearest_place_wins_and_only_the_shared_one_does_not_last() {
        let path = |text: &str| Some(PathBuf::from(text));
        let mut places = CachePlaces {
            chosen: path("/chosen"),
            caches: path("/caches"),
            home: path("/home/me"),
            account_home: path("/account"),
            temporary: PathBuf::from("/tmp"),
            user_id: 7,
        };
        let mut found = Vec::new();
        let mut look = |places: &CachePlaces| {
            let directory = places.directory();
            found.push((directory.path.display().to_string(), directory.lasts));
        };
        look(&places);
        places.chosen = path("");
        look(&places);
        places.caches = path("");
        look(&places);
        places.home = path("");
        look(&places);
        places.account_home = None;
        look(&places);
        let expected = [
            ("/chosen", true),
            ("/caches/keepfast", true),
            ("/home/me/.cache/keepfast", true),
            ("/account/.cache/keepfast", true),
            ("/tmp/keepfast-7", false),
        ];
        assert_eq!(found, expected.map(|(path, lasts)| (path.to_owned(), lasts)));
    }
}
