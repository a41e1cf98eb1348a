//! PostgreSQL: a server as its roles and an archive of definitions beside one file for each table; or as its own files
//! ([`base`]) with its log ([`wal`]), restored to any moment ([`physical`]).

use crate::address::Address;
use crate::boot::{Boot, BootOptions};
use crate::check::Check;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Form, Manifest};
use crate::restore::{RestoreOptions, RestorePlan, RestoreReport};
use crate::sink::Sink;
use crate::survey::Survey;

mod archive;
pub mod base;
mod boot;
mod catalog;
mod copy;
mod database;
mod dump;
mod examine;
mod facts;
mod globals;
mod job;
mod load;
pub mod lsn;
mod names;
pub mod physical;
mod plan;
pub mod replication;
mod restore;
mod segment;
mod sequences;
mod session;
mod sum;
mod survey;
mod tables;
mod target;
mod there;
mod tls;
mod toc;
mod tools;
pub mod wal;
pub mod window;
mod wire;

pub(crate) fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    if options.physical {
        return base::survey(of, options, context);
    }
    survey::survey(of, options, context)
}

pub(crate) fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    if options.physical {
        return base::dump(from, options, sink, context);
    }
    dump::dump(from, options, sink, context)
}

pub(crate) fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    refuse_files(manifest, to)?;
    plan::plan(manifest, files, to, options, context)
}

pub(crate) fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    refuse_files(manifest, to)?;
    restore::restore(manifest, files, to, options, restore::Leniency::default(), context)
}

pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    if Manifest::read(files)?.form == Form::Physical {
        return physical::boot(files, options, context);
    }
    boot::boot(files, options, context)
}

/// A server that runs has files of its own.
fn refuse_files(manifest: &Manifest, to: &Address) -> Result<()> {
    if manifest.form == Form::Logical {
        return Ok(());
    }
    let why = "the backup is of a server's own files, and is restored into an empty folder, from which a server of the same \
               version is started";
    Err(SourceError::Unsupported { object: to.to_string(), why: why.to_owned() })
}

pub(crate) fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    examine::examine(server, context)
}

pub(crate) fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    examine::ask(server, query, context)
}
