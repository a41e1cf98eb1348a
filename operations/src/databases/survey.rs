//! Trying a database before a night shows that it can't be backed up.

use keepfast_process::Cancel;
use keepfast_sources::engines;
use keepfast_sources::survey::Survey;

use super::{DatabaseSource, Resolver, Surroundings};
use crate::child::Children;
use crate::error::Result;

/// Connects to a database, and says what a dump would have and what it would lack.
pub fn survey(source: &DatabaseSource, children: &Children, cancel: &Cancel) -> Result<Survey> {
    let address = source.resolve(&Resolver { children, kept: None, cancel })?;
    let surroundings = Surroundings::new(children, cancel, &source.options.programs)?;
    Ok(engines::survey(&address, &source.options, &surroundings.context(&|_| {}))?)
}
