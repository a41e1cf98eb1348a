//! MongoDB: dumps by the makers' driver, in the files that `mongodump` writes.

use crate::address::Address;
use crate::boot::{Boot, BootOptions};
use crate::check::Check;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::Result;
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{RestoreOptions, RestorePlan, RestoreReport};
use crate::sink::Sink;
use crate::survey::Survey;

mod drill;
mod dump;
mod found;
mod layout;
mod link;
mod restore;
mod survey;

pub(crate) fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    survey::survey(of, options, context)
}

pub(crate) fn dump(
    from: &Address,
    options: &DumpOptions,
    sink: &dyn Sink,
    context: &Context<'_>,
) -> Result<Manifest> {
    dump::dump(from, options, sink, context)
}

pub(crate) fn plan(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestorePlan> {
    restore::plan(manifest, files, to, options, context)
}

pub(crate) fn restore(
    manifest: &Manifest,
    files: &dyn Files,
    to: &Address,
    options: &RestoreOptions,
    context: &Context<'_>,
) -> Result<RestoreReport> {
    restore::restore(manifest, files, to, options, context)
}

pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    drill::boot(files, options, context)
}

pub(crate) fn examine(server: &Address, context: &Context<'_>) -> Result<Vec<Check>> {
    drill::examine(server, context)
}

pub(crate) fn ask(server: &Address, query: &str, context: &Context<'_>) -> Result<Option<String>> {
    drill::ask(server, query, context)
}
