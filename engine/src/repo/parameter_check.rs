//! Checking all configs, keyrings and key slots, not only the newest ones.

use keepfast_format::config::Config;
use keepfast_format::keyring::Keyring;
use keepfast_format::names;

use super::parameters::{self, Trust, list_names, list_numbers, numbers_among};
use super::repository::Repository;
use super::slots;
use crate::error::{Finding, Result};

/// Checks every config, keyring and key slot, and the chains between them. Returns how
/// many objects there are, and each that is damaged or a stranger's, with what is wrong.
pub fn check_parameters(repository: &Repository) -> Result<(u64, Vec<Finding>)> {
    let backend = repository.backend();
    let configs = list_numbers(backend, names::CONFIG)?;
    let keys = list_names(backend, names::KEY_OBJECTS)?;
    let keyrings = numbers_among(names::KEYRING, &keys);
    let trust = Trust { repository: repository.id(), owners: repository.identity().owners() };
    let (slots, slot_flaws) = slots::flaws(backend, &keys)?;
    let mut findings = parameters::flaws::<Config>(repository.objects(), trust, &configs)?;
    findings.extend(parameters::flaws::<Keyring>(repository.objects(), trust, &keyrings)?);
    findings.extend(slot_flaws);
    Ok((slots + configs.len() as u64 + keyrings.len() as u64, findings))
}
