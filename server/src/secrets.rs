//! Reads the secrets that a configuration refers to, to see whether they can be had.

use std::ffi::OsString;

use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_operations::child::Children;
use keepfast_operations::secret::{Purpose, SecretReader};

use crate::convert::references::{Referred, all};
use crate::convert::secret;
use crate::error::{Result, ServerError};

/// Reads the secrets of all definitions that are `wanted`. Returns those that can't be had, and why.
pub fn unreadable<'c>(
    config: &'c Config,
    children: &Children,
    cancel: &Cancel,
    wanted: impl Fn(&Referred<'c>) -> bool,
) -> Vec<(Referred<'c>, ServerError)> {
    // No program inherits a variable that a secret is in.
    let mut children = children.clone();
    children.withheld.extend(secret::variables(config).into_iter().map(OsString::from));
    let read = |referred: &Referred<'c>| -> Result<()> {
        let source = secret::source(referred.reference, &referred.definition())?;
        let reader = SecretReader { what: referred.what, children: &children, cancel };
        match referred.is_long {
            true => drop(reader.bytes(&source)?),
            false => drop(reader.password(&source, Purpose::Open)?),
        }
        Ok(())
    };
    let wanted = all(config).into_iter().filter(wanted);
    wanted.filter_map(|referred| read(&referred).err().map(|error| (referred, error))).collect()
}
