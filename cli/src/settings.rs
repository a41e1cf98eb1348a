//! What comes from outside of the command line: the repository and the cache directory.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use keepfast_engine::repo::check_cache;
use keepfast_operations::cache::{CacheDirectory, CachePlaces};
use keepfast_operations::host::SystemHost;
use keepfast_operations::open::{Access, SharedRepository, Target};
use keepfast_operations::place::Place;
use keepfast_server::definitions;

use crate::args::Common;
use crate::console::Console;
use crate::s3;
use crate::secrets;
use crate::usage::Usage;

/// Where the repository is.
fn place(common: &Common) -> Result<Place> {
    let text = common.repo.as_deref().filter(|place| !place.is_empty());
    let text =
        text.ok_or_else(|| Usage("no repository given: use --repo, or set KEEPFAST_REPOSITORY".to_owned()))?;
    Ok(Place::parse(text)?)
}

/// The repository, and what this machine keeps of it.
pub fn target(common: &Common) -> Result<Target> {
    Ok(Target {
        place: place(common)?,
        s3: s3::settings(common),
        password: secrets::source(common),
        cache: Some(cache_dir(common)).filter(|_| !common.no_cache),
        cache_bytes_max: common.cache_size,
        slot_memory_bytes: common.slot_memory,
    })
}

/// The repository, ready to be opened.
pub fn shared(common: &Common, console: &Console) -> Result<SharedRepository> {
    let hearer = console.clone();
    let access = Access {
        children: secrets::children(),
        ask: Some(Box::new(secrets::ask)),
        secrets: None,
        remarks: Arc::new(move |_, remark| hearer.remark(remark)),
    };
    Ok(SharedRepository::connect(target(common)?, access)?)
}

/// Where the first file of definitions is.
pub fn config_file(said: Option<PathBuf>) -> PathBuf {
    definitions::first_file(said, user_config())
}

/// Where this user's own file of definitions is, if it is there.
pub fn user_config_file() -> Option<PathBuf> {
    user_config().map(|folder| folder.join("keepfast/keepfast.toml"))
}

fn user_config() -> Option<PathBuf> {
    let from_env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from_env("XDG_CONFIG_HOME").or_else(|| from_env("HOME").map(|home| home.join(".config")))
}

/// Says where the cache is if that is no place that lasts.
pub fn tell_of_cache(common: &Common, console: &Console) {
    let CacheDirectory { path, lasts } = cache_directory(common);
    // One that can't be used is told of where the index is opened.
    if !common.no_cache && !lasts && check_cache(&path).is_ok() {
        console.say_note(&format!(
            "without a home directory, the local index is kept in {}: HOME, KEEPFAST_CACHE_DIR or --cache-dir says \
             where it lasts",
            path.display()
        ));
    }
}

/// Where indexes are kept.
pub fn cache_dir(common: &Common) -> PathBuf {
    cache_directory(common).path
}

fn cache_directory(common: &Common) -> CacheDirectory {
    let from_env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let places = CachePlaces {
        chosen: common.cache_dir.clone(),
        caches: from_env("XDG_CACHE_HOME"),
        home: from_env("HOME"),
        account_home: SystemHost.account_home(),
        temporary: std::env::temp_dir(),
        user_id: SystemHost.effective_user_id(),
    };
    places.directory()
}
