//! A drill's server from a physical backup.

use std::num::NonZeroU16;

use keepfast_process::tool::{Feed, Tool};

use super::layout::{FolderRestore, RestoreCommand, restore_to_folder};
use super::recover::{Recovery, recover, settings, start};
use super::server::Server;
use super::settings::Then;
use super::target::Target;
use crate::boot::{Boot, BootOptions, Booted};
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::postgres::base::Base;
use crate::postgres::tools::Programs;
use crate::watch::Watch;

const PARALLEL: NonZeroU16 = const { NonZeroU16::new(2).expect("two isn't zero") };

/// Restores into a folder, recovers to the moment that is asked for (or to the end of the base backup), compares pages
/// with their checksums, and leaves the server running.
pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let base = Base::of(&Manifest::read(files)?)?;
    if options.account.is_none() && rustix::process::geteuid().is_root() {
        return Ok(Boot::NotHere("PostgreSQL refuses to run as root: name a user for drills".to_owned()));
    }
    let Some(programs) = Programs::of("postgres", base.major(), context) else {
        return Ok(Boot::NotHere(format!(
            "PostgreSQL {} isn't installed here, and no other version reads these files",
            base.major()
        )));
    };
    let watch = Watch::start();
    let target = options.until.clone().map_or(Target::Consistent, Target::At);
    let restore = FolderRestore {
        folder: options.folder.join("server"),
        target: target.clone(),
        timeline: None,
        command: RestoreCommand::Copied,
        then: Then::Promote,
        account: options.account,
        keeps_settings: false,
        is_durable: false,
        parallel: PARALLEL,
    };
    let laid_out = restore_to_folder(files, files, &restore, context)?;
    let recovery =
        Recovery { folder: options.folder.join("s"), account: options.account, memory: options.memory };
    let mut server = match recover(&laid_out, &recovery, context) {
        Ok((server, _)) => server,
        Err(SourceError::Connect { why, .. }) if why.contains("locale") => return Ok(Boot::NotHere(why)),
        Err(error) => return Err(error),
    };
    let answered_after = watch.passed();
    let system = server.query("SELECT system_identifier FROM pg_control_system()", context)?;
    let mut checks = vec![
        Check::sound(format!("recovery to {target}"), None),
        Check::equal("system identifier", base.system, system.unwrap_or_default()),
    ];
    if base.has_checksums {
        let user = server.address().user.clone();
        server.stop(context)?;
        checks.push(checksums(&programs.path("pg_checksums"), &laid_out.data, options, context)?);
        let user = user.unwrap_or_default();
        let settings = settings(&recovery);
        server = Server::start(&start(&programs, &laid_out.data, &recovery, &user, &settings), context)?;
        server.recovered(context)?;
    }
    let version = server.query("SHOW server_version", context)?.unwrap_or_default();
    let address = server.address().clone();
    Ok(Boot::Running(Booted { address, version, server: Box::new(server), answered_after, checks }))
}

/// Compares each page with its checksum, which only a server that doesn't run allows.
fn checksums(
    program: &std::path::Path,
    data: &std::path::Path,
    options: &BootOptions,
    context: &Context<'_>,
) -> Result<Check> {
    let failed = |source| SourceError::File { path: program.to_owned(), source };
    let tool =
        Tool::new(program, &context.secrets).account(options.account).args(["--check", "-D"]).arg(data);
    let fed = tool.start(Feed::Nothing, &context.cancel).map_err(failed)?;
    let mut output = fed.started.output;
    std::io::copy(&mut output, &mut std::io::sink()).map_err(failed)?;
    let ended = fed.started.running.wait().map_err(failed)?.ok_or(SourceError::Cancelled)?;
    let fault = (!ended.status.success()).then(|| ended.stderr.unwrap_or_default().trim().to_owned());
    Ok(Check::sound("checksums of pages", fault))
}
