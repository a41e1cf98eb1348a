//! `keepfast metrics`.

use anyhow::Result;
use keepfast_operations::host::SystemHost;
use keepfast_server::observed;

use super::delivery::observe;
use super::plans::read;
use crate::args::Common;
use crate::usage::Usage;
use crate::{Outcome, lines};

/// Prints the metrics of all plans once.
pub fn print(common: &Common) -> Result<Outcome> {
    if common.json {
        return Err(Usage("metrics have a form of their own: use no --json".to_owned()).into());
    }
    let config = read(common)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let observation = runtime.block_on(observe(&config, &SystemHost.name()))?;
    lines::raw(observed::text(&observation)?.as_bytes());
    Ok(Outcome::Complete)
}
