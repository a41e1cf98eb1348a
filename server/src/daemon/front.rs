//! What stands before a server: an API, say. It is part of the process, works with the same state, and ends with the
//! server. The server itself doesn't know what it is.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use keepfast_store::{Executor, LogFolder, Store};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::clock::Clocks;
use super::company::Health;
use super::definitions::Followed;
use super::outside::{Voice, Wish};
use crate::surroundings::Surroundings;

/// What stands before a server.
pub trait Front: Send {
    /// Begins. What this gives is carried out until the server ends.
    fn begin(self: Box<Self>, inside: Inside) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// What a server gives to what stands before it.
#[derive(Clone)]
pub struct Inside {
    /// The first file of the definitions.
    pub first_file: PathBuf,
    /// The definitions that are followed.
    pub definitions: watch::Receiver<Followed>,
    /// The state.
    pub store: Store,
    /// The folder beside the state.
    pub folder: PathBuf,
    /// The logs that this server writes.
    pub logs: LogFolder,
    /// This process.
    pub executor: Executor,
    /// What it brings to its work.
    pub around: Surroundings,
    /// The clocks.
    pub clocks: Arc<dyn Clocks>,
    /// The server's words.
    pub voice: Arc<dyn Voice>,
    /// How it is.
    pub health: Arc<Health>,
    /// When it started.
    pub started: Timestamp,
    /// Where wishes are left.
    pub wishing: UnboundedSender<Wish>,
}
