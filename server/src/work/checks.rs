//! What is looked at before anything runs: what would fail anyway fails at once, before a hook stops a service for it,
//! and says what to do.

use std::path::Path;

use keepfast_engine::nouns::grouped;
use keepfast_observe::errors::Category;
use keepfast_operations::OperationsError;
use keepfast_operations::open::Target;
use keepfast_operations::sources::{self, PathSources};
use rustix::fs::{Access, access};

use crate::space::{self, Space};

/// A store with less room than this is full for a backup: it is two packs of the usual size.
const LEAST_FREE_BYTES: u64 = 64 << 20;
/// A run needs at least this part of what the one before it has stored. Most need more; a run that needs less than that
/// is rare, and one that is refused wrongly is worse than one that fails at its end.
const PART_OF_LAST_RUN: u64 = 20;

/// Why a run doesn't begin.
#[derive(Debug)]
pub enum Hindrance {
    /// Something about this machine.
    Here {
        /// What, and what to do about it.
        text: String,
        /// Its category.
        category: Category,
        /// A stable name for it.
        code: &'static str,
    },
    /// There is nothing to back up.
    Source(OperationsError),
}

/// Looks at the room in the store and at the cache. A store that isn't a directory says itself what it has no room for.
pub fn places(target: &Target, last_stored_bytes: Option<u64>) -> Result<(), Hindrance> {
    if let Some(directory) = target.place.directory() {
        room(directory, last_stored_bytes)?;
    }
    target.cache.as_deref().map_or(Ok(()), cache)
}

/// Looks whether at least one of the paths is there. Those that aren't are findings of the backup.
pub fn paths(sources: &PathSources) -> Result<(), Hindrance> {
    if sources.paths.is_empty() {
        return Ok(());
    }
    sources::find(sources, &mut |_| {}).map(drop).map_err(Hindrance::Source)
}

fn room(directory: &Path, last_stored_bytes: Option<u64>) -> Result<(), Hindrance> {
    // What can't be said is found out by the backup.
    let Some(Space { free_bytes: free, .. }) = space::of_folder(directory) else { return Ok(()) };
    let least = LEAST_FREE_BYTES.max(last_stored_bytes.unwrap_or(0) / PART_OF_LAST_RUN);
    if free >= least {
        return Ok(());
    }
    let text = format!(
        "{} has {} MiB of room left, and a run of this plan needs at least {} MiB: free some there, or move the \
         repository; `keepfast prune` removes what no snapshot needs any more, and needs some room itself",
        directory.display(),
        grouped(free >> 20),
        grouped(least.div_ceil(1 << 20)),
    );
    Err(Hindrance::Here { text, category: Category::Space, code: "no_room" })
}

/// A cache that isn't there yet is made by the run, in the first folder above that is there.
fn cache(folder: &Path) -> Result<(), Hindrance> {
    let Some(there) = folder.ancestors().find(|above| above.exists()) else { return Ok(()) };
    let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) else { return Ok(()) };
    let text = format!(
        "nothing can be written into the cache {}: {}; make the folder writable for the user that runs the plan, or name \
         another one with `cache` of the repository",
        folder.display(),
        std::io::Error::from(error),
    );
    Err(Hindrance::Here { text, category: Category::Permission, code: "cache_not_writable" })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use keepfast_config::config::Definition;
    use keepfast_config::model::repository::Repository;
    use keepfast_observe::errors::Category;
    use keepfast_operations::sources::PathSources;

    use super::{Hindrance, paths, places};
    use crate::convert::place::target;
    use crate::testing::state::{Desk, plan};

    fn repository(desk: &Desk) -> &Definition<Repository> {
        desk.config.repositories.get("main").expect("it is defined")
    }

    fn said(hindrance: Hindrance) -> (String, Category) {
        match hindrance {
            Hindrance::Here { text, category, .. } => (text, category),
            Hindrance::Source(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_store_without_room_for_a_part_of_the_last_run_is_refused() {
        let desk = Desk::new(&plan("www", ""));
        fs::create_dir(desk.path("repo")).expect("it can be made");
        let target = target(repository(&desk), &desk.path("cache")).expect("a target");
        assert!(places(&target, None).is_ok() && places(&target, Some(1 << 30)).is_ok());
        let (text, category) = said(places(&target, Some(u64::MAX)).expect_err("no disk is that large"));
        assert_eq!(category, Category::Space);
        assert!(
            text.contains(&desk.path("repo").display().to_string()) && text.contains("free some"),
            "{text}"
        );
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_refused() {
        let desk = Desk::new(&plan("www", ""));
        let file = desk.path("file");
        fs::write(&file, "").expect("it can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("it can be set");
        let target = target(repository(&desk), &file.join("cache")).expect("a target");
        let (text, category) = said(places(&target, None).expect_err("a file is no folder"));
        assert_eq!(category, Category::Permission);
        assert!(text.contains("file/cache") && text.contains("make the folder writable"), "{text}");
    }

    #[test]
    fn one_path_that_is_there_is_enough() {
        let desk = Desk::new(&plan("www", ""));
        let of = |names: &[&str]| PathSources {
            paths: names.iter().map(|name| desk.path(name)).collect(),
            ..PathSources::default()
        };
        assert!(paths(&of(&[])).is_ok(), "there may be streams alone");
        assert!(paths(&of(&["gone", "keepfast.toml"])).is_ok());
        assert!(matches!(paths(&of(&["gone", "gone too"])), Err(Hindrance::Source(_))));
    }
}
