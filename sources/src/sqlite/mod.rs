//! SQLite: dumps of a database's pages while programs write to it, restores to a file or of single tables.

use std::os::unix::fs::OpenOptionsExt;

use crate::address::Address;
use crate::boot::{Boot, BootOptions, Booted};
use crate::check::Check;
use crate::context::Context;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::watch::Watch;

pub use header::{PageBytes, looks_like};

mod copy;
mod dump;
mod header;
mod open;
mod restore;
mod stored;
mod survey;
mod tables;

pub(crate) use dump::dump;
pub(crate) use restore::{plan, restore};
pub(crate) use survey::survey;

/// SQLite has no servers: the database lies in the folder, and this process reads it.
pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    let watch = Watch::start();
    let manifest = Manifest::read(files)?;
    let path = options.folder.join(dump::FILE);
    let failed = |source| SourceError::File { path: path.clone(), source };
    let file = std::fs::File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
    stored::unpack(files, &path, &file.map_err(failed)?, context)?;
    stored::answer(&path, "SELECT count(*) FROM sqlite_schema", context)?;
    let answered_after = watch.passed();
    let checks = stored::compared(&path, &manifest, context)?;
    let address = Address::file(path);
    let version = rusqlite::version().to_owned();
    Ok(Boot::Running(Booted { address, version, server: Box::new(()), answered_after, checks }))
}

pub(crate) fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    stored::examined(open::path_of(server)?, context)
}

pub(crate) fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    stored::answer(open::path_of(server)?, query, context)
}
