//! The state as metrics: what there is to tell of every plan from its birth on, whether it ever ran or not.

pub mod listener;
mod plans;
mod repositories;
pub mod sinks;

use jiff::Timestamp;
use keepfast_config::config::Config;
pub use keepfast_observe::metrics::Observation;
use keepfast_observe::metrics::{MetricsError, ServerObservation, TargetObservation, prometheus_text};
use keepfast_store::{Store, TargetId};

use crate::error::{Result, ServerError};

/// What a server knows of itself. A run without a server knows nothing of that kind.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// The program's version.
    pub version: String,
    /// When it started.
    pub started: Timestamp,
    /// Whether the newest state of the configuration's files is valid, and so in force.
    pub config_valid: bool,
    /// Jumps of the clock since it started.
    pub clock_jumps: u64,
}

/// Everything that there is to tell at this moment. `host` is the machine whose data the plans back up.
pub async fn observation(
    config: &Config,
    store: &Store,
    now: Timestamp,
    host: &str,
    server: Option<&ServerFacts>,
) -> Result<Observation> {
    let plans = plans::all(config, store, now, host).await?;
    let repositories = repositories::all(config, store, now, &plans).await?;
    Ok(Observation {
        at: now,
        plans,
        repositories,
        targets: targets(config, store).await?,
        server: match server {
            None => None,
            Some(facts) => {
                let open = store.open_run_counts().await?;
                Some(ServerObservation {
                    version: facts.version.clone(),
                    started: facts.started,
                    config_valid: facts.config_valid,
                    clock_jumps: facts.clock_jumps,
                    queued_runs: open.waiting,
                    active_runs: open.active,
                })
            }
        },
    })
}

/// An observation in the Prometheus text format.
///
/// # Errors
/// Two plans, repositories or targets have the same labels.
pub fn text(observation: &Observation) -> Result<String, MetricsError> {
    prometheus_text(observation)
}

async fn targets(config: &Config, store: &Store) -> Result<Vec<TargetObservation>> {
    let mut targets = Vec::with_capacity(config.targets.len());
    for name in config.targets.keys() {
        let target = TargetId::new(&**name).map_err(ServerError::name(name))?;
        let count = store.delivery_count(&target).await?;
        targets.push(TargetObservation {
            target: name.clone(),
            waiting: count.waiting,
            undeliverable: count.undeliverable,
        });
    }
    Ok(targets)
}

#[cfg(test)]
mod tests;
