//! PostgreSQL: a server as its roles and an archive of definitions beside one file for each table.

pub mod base;
pub mod lsn;
pub mod physical;
pub mod replication;
mod sum;
pub mod wal;
pub mod window;
mod wire;

use crate::address::Address;
use crate::boot::{Boot, BootOptions};
use crate::check::Check;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::Result;
use crate::files::Files;
use crate::manifest::{Form, Manifest};
use crate::restore::{RestoreOptions, RestorePlan, RestoreReport};
use crate::sink::Sink;
use crate::survey::Survey;

mod archive;
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
mod names;
mod plan;
mod restore;
mod sequences;
mod session;
mod survey;
mod tables;
mod target;
mod there;
mod tls;
mod toc;
mod tools;

pub(crate) fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
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
    plan::plan(manifest, files, to, options, context)
}

pub(crate) fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    restore::restore(manifest, files, to, options, restore::Leniency::default(), context)
}

pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    if Manifest::read(files)?.form == Form::Physical {
        return physical::boot(files, options, context);
    }
    boot::boot(files, options, context)
}

pub(crate) fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    examine::examine(server, context)
}

pub(crate) fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    examine::ask(server, query, context)
}
