//! A server of its own with a dump inside.
//!
//! The dump is loaded while the server looks at its users, because a server that doesn't has no events. Then it is started
//! once more without looking, so that a view whose definer isn't there answers too.

use super::catalog::Catalog;
use super::client::Client;
use super::program::{Program, Purpose, numbers};
use super::restore::{CONNECT_TIMEOUT, restore};
use super::server::{Home, Rights};
use crate::address::Engine;
use crate::boot::{Boot, BootOptions, Booted};
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Form, Manifest};
use crate::restore::RestoreOptions;
use crate::watch::Watch;

/// Starts a server and restores a dump into it.
pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let watch = Watch::start();
    let manifest = Manifest::read(files)?;
    let program = match Program::find(Purpose::Server, manifest.engine, context) {
        Ok(program) => program,
        Err(missing @ SourceError::NoProgram { .. }) => return Ok(Boot::NotHere(missing.to_string())),
        Err(error) => return Err(error),
    };
    if let Some(why) = is_unfit(&manifest, &program, options) {
        return Ok(Boot::NotHere(why));
    }
    let home = Home { options, context, program };
    let address = home.address(Engine::Mariadb)?;
    home.make("tmp")?;
    home.make("data")?;
    home.install()?;
    let server = home.start(Rights::Kept, &address)?;
    let restoring =
        RestoreOptions { globals: true, until: options.until.clone(), ..RestoreOptions::default() };
    let report = restore(&manifest, files, &address, &restoring, context)?;
    server.end(&address, context)?;
    let server = home.start(Rights::Skipped, &address)?;
    let version = Catalog::read_all(&Client::new(&address, context, CONNECT_TIMEOUT)?)?.version();
    let answered_after = watch.passed();
    Ok(Boot::Running(Booted {
        address,
        version,
        server: Box::new(server),
        answered_after,
        checks: report.checks,
    }))
}

/// Why the server that is installed says nothing of this dump.
fn is_unfit(manifest: &Manifest, program: &Program, options: &BootOptions) -> Option<String> {
    let (installed, wanted) = (&program.version, &options.version);
    if manifest.engine != Engine::Mariadb || !program.is_mariadb() {
        return Some(format!(
            "a server of its own can be started for MariaDB, and this is {} {wanted}",
            manifest.engine
        ));
    }
    let is_older = numbers(installed) < numbers(wanted);
    let is_other = manifest.form == Form::Physical && numbers(installed) != numbers(wanted);
    (is_older || is_other)
        .then(|| format!("MariaDB {installed} is installed, and the dump is of version {wanted}"))
}
