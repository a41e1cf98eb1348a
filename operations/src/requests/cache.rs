//! What this machine keeps of a repository: looking at it, removing it, building it again, and changing what is
//! expected at the repository's place.

use std::path::{Path, PathBuf};

use keepfast_engine::repo::{
    Memory, Snapshots, accept as take, clear_cache, describe_cache, open_index, other_caches,
};
use keepfast_engine::run::RunContext;
use serde::{Deserialize, Serialize};

use crate::cache::seen_folder;
use crate::error::{OperationsError, Result};
use crate::open::{Mode, SharedRepository};
use crate::reports::{AcceptReport, CacheReport, FolderDocument, OtherCacheDocument};

/// What to do with a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// What to do.
    pub action: CacheAction,
    /// The cache; else the one that the repository is used with.
    #[serde(default)]
    pub directory: Option<PathBuf>,
}

/// What is done with what a cache has of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheAction {
    /// It is looked at.
    Describe,
    /// It is removed, as far as no run uses it.
    Clear,
    /// It is removed, and the index is built again from the repository.
    Rebuild,
}

/// What is expected at the repository's place is to be what is there now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// The cache in which that is remembered; else the one that the repository is used with.
    pub directory: Option<PathBuf>,
}

/// Does something with what a cache has of a repository, and says what is there afterwards.
pub fn cache(request: &Cache, shared: &SharedRepository, run: &RunContext) -> Result<CacheReport> {
    let directory = directory_of(request.directory.as_deref(), shared)?;
    let repository = shared.repository(run, Mode::Usual)?;
    match request.action {
        CacheAction::Describe => {}
        CacheAction::Clear => drop(clear_cache(directory, repository.id())?),
        CacheAction::Rebuild => {
            clear_cache(directory, repository.id())?;
            let snapshots = Snapshots::load(&repository, run)?;
            open_index(&repository, directory, &snapshots, run)?;
        }
    }
    let folders = describe_cache(directory, repository.id()).into_iter();
    let folders = folders.map(|(path, bytes)| FolderDocument { path: path.display().to_string(), bytes });
    let others = other_caches(directory, repository.id()).into_iter().map(|other| OtherCacheDocument {
        repository: other.repository.to_string(),
        path: other.folder.display().to_string(),
        bytes: other.bytes,
        used: other.used,
    });
    Ok(CacheReport {
        cache: directory.display().to_string(),
        folders: folders.collect(),
        others: others.collect(),
        troubles: run.troubles(),
    })
}

/// Takes what the store shows now for right, whatever was seen before in its place.
pub fn accept(request: &Accept, shared: &SharedRepository, run: &RunContext) -> Result<AcceptReport> {
    let directory = directory_of(request.directory.as_deref(), shared)?;
    let repository = shared.repository(run, Mode::Unseen)?;
    let snapshots = Snapshots::load(&repository, run)?;
    let location = repository.backend().location();
    take(&repository, &snapshots, &Memory::at(&seen_folder(directory), &location))?;
    Ok(AcceptReport {
        repository: repository.id().to_string(),
        location,
        config: repository.config().n,
        snapshots: snapshots.all.len(),
        troubles: run.troubles(),
    })
}

fn directory_of<'a>(said: Option<&'a Path>, shared: &'a SharedRepository) -> Result<&'a Path> {
    said.or(shared.target().cache.as_deref()).ok_or(OperationsError::NoCache)
}
