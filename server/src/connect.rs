//! Repositories of the configuration, ready to be opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::Repository;
use keepfast_operations::open::{Access, SharedRepository};

use crate::convert::place;
use crate::error::{Result, ServerError};
use crate::surroundings::Surroundings;

/// The definition of the repository with this name.
pub fn definition<'c>(config: &'c Config, name: &str) -> Result<&'c Definition<Repository>> {
    config.repositories.get(name).ok_or_else(|| ServerError::NoRepository {
        name: name.to_owned(),
        known: config.repositories.keys().cloned().collect(),
    })
}

/// A repository, ready to be opened. Nothing is opened before a run opens it.
pub fn repository(
    config: &Config,
    around: &Surroundings,
    definition: &Definition<Repository>,
) -> Result<SharedRepository> {
    let access = Access {
        children: around.children_of(config),
        secrets: Some(Arc::clone(&around.secrets)),
        ..Access::default()
    };
    Ok(SharedRepository::connect(place::target(definition, &around.cache)?, access)?)
}

/// The repositories that a process uses, each connected and unlocked once.
pub struct Repositories<'a> {
    config: &'a Config,
    around: &'a Surroundings,
    connected: BTreeMap<String, Arc<SharedRepository>>,
}

impl<'a> Repositories<'a> {
    /// None is connected yet.
    #[must_use]
    pub fn new(config: &'a Config, around: &'a Surroundings) -> Self {
        Self { config, around, connected: BTreeMap::new() }
    }

    /// The repository with this name. Nothing is opened before a run opens it.
    pub fn get(&mut self, name: &str) -> Result<Arc<SharedRepository>> {
        if let Some(shared) = self.connected.get(name) {
            return Ok(Arc::clone(shared));
        }
        let shared = Arc::new(repository(self.config, self.around, definition(self.config, name)?)?);
        self.connected.insert(name.to_owned(), Arc::clone(&shared));
        Ok(shared)
    }
}
