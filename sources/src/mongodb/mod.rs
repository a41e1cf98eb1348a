//! MongoDB.

use crate::address::Address;
use crate::boot::{Boot, BootOptions};
use crate::check::Check;
use crate::context::Context;
use crate::dump::DumpOptions;
use crate::error::{Result, SourceError};
use crate::files::Files;
use crate::manifest::Manifest;
use crate::restore::{RestoreOptions, RestorePlan, RestoreReport};
use crate::sink::Sink;
use crate::survey::Survey;

fn none<T>() -> Result<T> {
    Err(SourceError::Unsupported { object: "MongoDB".to_owned(), why: "it can't be backed up".to_owned() })
}

pub(crate) fn survey(_: &Address, _: &DumpOptions, _: &Context<'_>) -> Result<Survey> {
    none()
}

pub(crate) fn dump(_: &Address, _: &DumpOptions, _: &dyn Sink, _: &Context<'_>) -> Result<Manifest> {
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

pub(crate) fn boot(_: &dyn Files, _: &BootOptions, _: &Context<'_>) -> Result<Boot> {
    none()
}

pub(crate) fn examine(_: &Address, _: &Context<'_>) -> Result<Vec<Check>> {
    none()
}

pub(crate) fn ask(_: &Address, _: &str, _: &Context<'_>) -> Result<Option<String>> {
    none()
}
