//! `keepfast doctor`: what backups stand on. With a repository alone that is its store; with a configuration all that
//! it names, and this machine.

mod checks;
mod configuration;
mod machine;
mod repositories;
mod server;
mod store;
mod units;

use anyhow::{Result, anyhow};

use self::checks::Checks;
use super::plans;
use crate::args::Common;
use crate::console::Console;
use crate::{Outcome, render};

/// Looks at everything, or at one store.
pub fn run(common: &Common) -> Result<Outcome> {
    let has_repository = common.repo.as_ref().is_some_and(|place| !place.is_empty());
    // What is said on the command line or in the environment wins over the usual file.
    let is_about_config = common.config.is_some() || (!has_repository && plans::first(common).exists());
    if !is_about_config {
        return store::run(common);
    }
    let console = Console::new(common)?;
    let mut checks = Checks::new(common.json);
    if let Some(config) = configuration::check(common, &mut checks) {
        repositories::check(common, &console, &config, &mut checks);
        machine::check(common, &config, &mut checks);
        server::check(&config, &mut checks);
        units::check(&config, &mut checks);
    }
    let failed = checks.end();
    if failed > 0 {
        return Err(anyhow!("{} failed", render::counted(failed, "check")));
    }
    Ok(if checks.are_all_well() { Outcome::Complete } else { Outcome::WithFindings })
}
