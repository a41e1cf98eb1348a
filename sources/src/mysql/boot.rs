//! A server of its own with a dump inside.
//!
//! The dump is loaded while the server looks at its users, because a server that doesn't has no events. Then it is started
//! once more without looking, so that a view whose definer isn't there answers too.

use keepfast_process::tool::Tool;

use super::binlog::{Moment, Scope, replay, until_of};
use super::client::Client;
use super::physical::{SETTINGS, fetch, settings};
use super::program::{Program, Purpose, numbers};
use super::restore::{CONNECT_TIMEOUT, restore};
use super::server::{Home, Rights, run};
use crate::address::{Address, Engine};
use crate::boot::{Boot, BootOptions, Booted};
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Form, Manifest};
use crate::restore::RestoreOptions;
use crate::watch::Watch;

/// The user of a copy that logs are played as.
const DRILL_USER: &str = "keepfast_drill";

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
    let mut home = Home { options, context, program, settings: Vec::new() };
    let address = home.address()?;
    home.make("tmp")?;
    home.make("data")?;
    let checks = match manifest.form {
        Form::Logical => load(&home, &address, &manifest, files)?,
        Form::Physical => {
            prepare(&mut home, files)?;
            if let Some(until) = &options.until {
                play(&home, &address, &manifest, files, &until_of(until)?)?;
            }
            Vec::new()
        }
    };
    let server = home.start(Rights::Skipped, &address)?;
    let client = Client::new(&address, context, CONNECT_TIMEOUT)?;
    let version = client.query("asking for its version", "SELECT VERSION();")?;
    let version = version.into_iter().flatten().next().unwrap_or_default();
    let (server, answered_after) = (Box::new(server), watch.passed());
    Ok(Boot::Running(Booted { address, version, server, answered_after, checks }))
}

/// Fills an empty server with a logical dump.
fn load(home: &Home<'_>, address: &Address, manifest: &Manifest, files: &dyn Files) -> Result<Vec<Check>> {
    home.install()?;
    let server = home.start(Rights::Kept, address)?;
    let until = home.options.until.clone();
    let restoring = RestoreOptions { globals: true, until, ..RestoreOptions::default() };
    let report = restore(manifest, files, address, &restoring, home.context)?;
    server.end(address, home.context)?;
    Ok(report.checks)
}

/// Lays out the files of a physical dump, and plays the redo log that lies beside them.
fn prepare(home: &mut Home<'_>, files: &dyn Files) -> Result<()> {
    let data = home.data();
    for path in fetch(files, &data, home.context)? {
        home.give(&path)?;
    }
    let path = data.join(SETTINGS);
    let text = std::fs::read_to_string(&path).map_err(|source| SourceError::File { path, source })?;
    home.settings = settings(&text);
    let program = Program::find(Purpose::Physical, Engine::Mariadb, home.context)?;
    let tool = Tool::new(&program.path, &home.context.secrets)
        .args(["--no-defaults", "--prepare"])
        .arg(format!("--target-dir={}", data.display()))
        .arg(format!("--tmpdir={}", home.options.folder.join("tmp").display()));
    run(tool.account(home.options.account).folder(&home.options.folder), &program, home.context)
}

/// Plays binary logs into a copy of a server. They may have statements about users and events, so that the copy looks at
/// its users then, and gets one of its own.
fn play(
    home: &Home<'_>,
    address: &Address,
    manifest: &Manifest,
    files: &dyn Files,
    moment: &Moment,
) -> Result<()> {
    let own = Address { user: Some(DRILL_USER.to_owned()), ..address.clone() };
    let server = home.start(Rights::Skipped, address)?;
    let making = format!(
        "FLUSH PRIVILEGES; CREATE OR REPLACE USER {DRILL_USER}@localhost; \
         GRANT ALL PRIVILEGES ON *.* TO {DRILL_USER}@localhost WITH GRANT OPTION;"
    );
    let client = Client::new(address, home.context, CONNECT_TIMEOUT)?;
    client.execute("making a user for the drill", &making)?;
    server.end(&own, home.context)?;
    let server = home.start(Rights::Kept, &own)?;
    let client = Client::new(&own, home.context, CONNECT_TIMEOUT)?;
    replay(&client, files, manifest, moment, &Scope::All)?;
    server.end(&own, home.context)
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
