//! What is known of a store and of the repository in it.

use std::time::Duration;

use keepfast_backend::{Latency, ProbeReport};
use keepfast_engine::run::Troubles;
use serde::Serialize;

/// A repository that was made.
#[derive(Debug, Clone, Serialize)]
pub struct InitReport {
    /// Its id.
    pub repository: String,
    /// Where it is.
    pub location: String,
    /// Never more than one run may write into it at a time.
    pub single_writer: bool,
}

/// Whether a store can be trusted, how fast it answers, and whether what is there opens.
#[derive(Debug, Clone, Serialize)]
pub struct DoctorReport {
    /// The store.
    #[serde(flatten)]
    pub store: StoreDocument,
    /// The repository in it, if there is one.
    pub repository: Option<RepositoryDocument>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

impl DoctorReport {
    /// Whether all is as it should be.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let is_well = |found: &RepositoryDocument| found.snapshots_damaged == 0 && found.strange.is_empty();
        self.store.sound && self.repository.as_ref().is_none_or(is_well) && self.troubles.is_empty()
    }
}

/// A store, as a probe has found it.
#[derive(Debug, Clone, Serialize)]
pub struct StoreDocument {
    /// Where it is.
    pub location: String,
    /// It keeps all the promises that a repository needs.
    pub sound: bool,
    /// The promises that it breaks.
    pub flaws: Vec<FlawDocument>,
    /// How fast it answers.
    pub latency: LatenciesDocument,
}

/// A promise that a store breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlawDocument {
    /// What it does.
    pub flaw: String,
    /// What was seen of that.
    pub seen: String,
}

/// How fast a store answers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LatenciesDocument {
    /// When an object is created.
    pub create: LatencyDocument,
    /// When an object is read.
    pub read: LatencyDocument,
    /// When objects are listed.
    pub list: LatencyDocument,
    /// When an object is removed.
    pub remove: LatencyDocument,
}

/// How fast a store answers one kind of request.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct LatencyDocument {
    /// How many requests there were.
    pub count: u32,
    /// Milliseconds that half of them took at most.
    pub median_ms: f64,
    /// Milliseconds that the slowest took.
    pub max_ms: f64,
}

/// What was found of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryDocument {
    /// Its id.
    pub id: String,
    /// Never more than one run may write into it at a time.
    pub single_writer: bool,
    /// Snapshots that are there and not forgotten.
    pub snapshots: usize,
    /// Snapshots that can't be read.
    pub snapshots_damaged: usize,
    /// Objects that count for nothing, and those that are missing.
    pub strange: Vec<StrangeDocument>,
}

/// An object that isn't as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StrangeDocument {
    /// Its name.
    pub object: String,
    /// What is wrong with it.
    pub why: String,
}

impl StoreDocument {
    /// What a probe has found at a place.
    pub(crate) fn new(location: String, probed: &ProbeReport) -> Self {
        let flaws = probed.flaws.iter();
        Self {
            location,
            sound: probed.is_sound(),
            flaws: flaws
                .map(|(flaw, seen)| FlawDocument { flaw: flaw.to_string(), seen: seen.clone() })
                .collect(),
            latency: LatenciesDocument {
                create: (&probed.create).into(),
                read: (&probed.read).into(),
                list: (&probed.list).into(),
                remove: (&probed.remove).into(),
            },
        }
    }
}

impl From<&Latency> for LatencyDocument {
    fn from(latency: &Latency) -> Self {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        Self {
            count: latency.count,
            median_ms: milliseconds(latency.median),
            max_ms: milliseconds(latency.max),
        }
    }
}
