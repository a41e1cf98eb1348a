//! The log as it is written, into a spool.

use std::path::PathBuf;

use keepfast_engine::run::RunContext;
use keepfast_sources::address::Address;
use keepfast_sources::context::Progress;
use keepfast_sources::postgres::replication::SlotName;
use keepfast_sources::postgres::wal::{
    Begin, ReceiveOptions, Received, Spool, SpoolLimit, receive as receive_into,
};

use super::super::{Resolver, Surroundings};
use crate::child::Children;
use crate::error::Result;
use crate::secret::SecretSource;

/// What to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// The folder in which it waits.
    pub spool: PathBuf,
    /// The most that may wait.
    pub limit: SpoolLimit,
    /// The server.
    pub from: Address,
    /// The password of its user.
    pub password: Option<SecretSource>,
    /// By which slot the server keeps what wasn't confirmed.
    pub slot: SlotName,
    /// Where to begin.
    pub begin: Begin,
}

/// Receives until the run is cancelled, which is its good end. After an error it can be called again. The password is read
/// each time: it may have been changed. Who watches hears of what has come.
pub fn receive(
    request: &Receive,
    children: &Children,
    watch: &(dyn Fn(Progress<'_>) + Sync),
    run: &RunContext,
) -> Result<Received> {
    let by = Resolver { children, kept: None, cancel: run.cancel() };
    let from = by.resolve(&request.from, request.password.as_ref())?;
    let spool = Spool::open(&request.spool, request.limit)?;
    let options = ReceiveOptions { begin: request.begin, ..ReceiveOptions::new(request.slot.clone()) };
    let surroundings = Surroundings::new(children, run.cancel(), &[])?;
    Ok(receive_into(&from, &spool, &options, &surroundings.context(watch))?)
}
