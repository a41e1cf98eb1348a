//! PostgreSQL.

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
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::{Form, Manifest};
use crate::restore::{RestoreOptions, RestorePlan, RestoreReport};
use crate::sink::Sink;
use crate::survey::Survey;

fn none<T>() -> Result<T> {
    Err(SourceError::Unsupported { object: "PostgreSQL".to_owned(), why: "it can't be backed up".to_owned() })
}

pub(crate) fn survey(of: &Address, options: &DumpOptions, context: &Context<'_>) -> Result<Survey> {
    if options.physical {
        return base::survey(of, options, context);
    }
    none()
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
    none()
}

pub(crate) fn plan(
    _: &Manifest,
    _: &dyn Files,
    _: &Address,
    _: &RestoreOptions,
    _: &Context<'_>,
) -> Result<RestorePlan> {
    none()
}

pub(crate) fn restore(
    _: &Manifest,
    _: &dyn Files,
    _: &Address,
    _: &RestoreOptions,
    _: &Context<'_>,
) -> Result<RestoreReport> {
    none()
}

pub(crate) fn boot(files: &dyn Files, options: &BootOptions, context: &Context<'_>) -> Result<Boot> {
    if Manifest::read(files)?.form == Form::Physical {
        return physical::boot(files, options, context);
    }
    none()
}

pub(crate) fn examine(_: &Address, _: &Context<'_>) -> Result<Vec<Check>> {
    none()
}

pub(crate) fn ask(_: &Address, _: &str, _: &Context<'_>) -> Result<Option<String>> {
    none()
}
