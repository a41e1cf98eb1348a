//! Repositories of the configuration, ready to be opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use keepfast_config::config::Config;
use keepfast_operations::open::{Access, SharedRepository};

use crate::convert::place;
use crate::error::{Result, ServerError};
use crate::running::Surroundings;

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
        let definition = self.config.repositories.get(name).ok_or_else(|| ServerError::NoRepository {
            name: name.to_owned(),
            known: self.config.repositories.keys().cloned().collect(),
        })?;
        let access = Access { children: self.around.children_of(self.config), ..Access::default() };
        let shared = SharedRepository::connect(place::target(definition, &self.around.cache)?, access)?;
        let shared = Arc::new(shared);
        self.connected.insert(name.to_owned(), Arc::clone(&shared));
        Ok(shared)
    }
}
