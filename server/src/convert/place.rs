//! Repositories.

use std::path::Path;

use keepfast_config::config::Definition;
use keepfast_config::model::repository::Repository;
use keepfast_operations::open::Target;
use keepfast_operations::place::{Place, S3KeySources, S3Settings};

use super::{secret, unsupported};
use crate::error::Result;

/// A repository as operations take it. `cache` is where this machine keeps what it knows of repositories, unless the
/// definition says another place.
pub fn target(definition: &Definition<Repository>, cache: &Path) -> Result<Target> {
    let name = format!("repository {}", definition.name);
    let repository = &definition.value;
    let source = |reference| secret::source(reference, &name);
    let credentials = match (&repository.access_key, &repository.secret_key) {
        (Some(access), Some(secret)) => {
            Some(S3KeySources { access_key: source(access)?, secret_key: source(secret)? })
        }
        (None, None) => None,
        _ => return Err(unsupported(&name, "one of `access_key` and `secret_key` without the other")),
    };
    Ok(Target {
        place: Place::parse(&repository.url.value.to_string())?,
        s3: S3Settings {
            endpoint: repository.endpoint.as_ref().map(|endpoint| endpoint.0.clone()),
            region: repository.region.clone(),
            path_style: repository.path_style,
            ca_file: repository.ca_file.as_ref().map(|file| file.0.clone()),
            storage_class: repository.storage_class.clone(),
            stall_timeout_s: repository.stall_timeout.0.as_secs(),
            retry_for_s: repository.retry_for.0.as_secs(),
            credentials,
        },
        password: Some(source(&repository.password)?),
        cache: Some(repository.cache.as_ref().map_or_else(|| cache.to_owned(), |cache| cache.0.clone())),
        cache_bytes_max: None,
        slot_memory_bytes: None,
    })
}
