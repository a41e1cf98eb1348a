//! Checking all configs, keyrings and key slots, not only the newest ones.

use keepfast_format::config::Config;
use keepfast_format::keyring::Keyring;
use keepfast_format::numbers::u64_of;

use super::parameters::{self, ListedKeys, Trust, list_configs};
use super::repository::Repository;
use super::slots;
use crate::error::{Finding, Result};

/// Checks every config, keyring and key slot, and the chains between them. Returns how
/// many objects there are, and each that is damaged or a stranger's, with what is wrong.
pub fn check_parameters(repository: &Repository) -> Result<(u64, Vec<Finding>)> {
    let backend = repository.backend();
    let configs = list_configs(backend)?;
    let ListedKeys { keyrings, slots } = ListedKeys::list(backend)?;
    let trust = Trust { repository: repository.id(), owners: repository.identity().owners() };
    let slot_flaws = slots::flaws(backend, &slots)?;
    let mut findings = parameters::flaws::<Config>(repository.objects(), trust, &configs)?;
    findings.extend(parameters::flaws::<Keyring>(repository.objects(), trust, &keyrings)?);
    findings.extend(slot_flaws);
    Ok((u64_of(slots.len() + configs.len() + keyrings.len()), findings))
}
