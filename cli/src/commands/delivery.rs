//! The metrics of a run without a server, on their way into a file and to a gateway.

use anyhow::Result;
use jiff::Timestamp;
use keepfast_config::config::Config as Definitions;
use keepfast_server::observed::{self, Observation, sinks};
use keepfast_server::{ServerError, state};

use crate::args::RunPlan;
use crate::console::Console;
use crate::secrets;
use crate::usage::Usage;

/// Where the metrics of a run are to go. What is wrong with that is told before the run, and not after hours.
pub fn sinks(options: &RunPlan) -> Result<sinks::Sinks> {
    let file = options.metrics_file.clone();
    if file.as_ref().is_some_and(|file| file.extension().is_none_or(|ending| ending != "prom")) {
        return Err(Usage(
            "--metrics-file: the name has to end in .prom: the collector reads no others".to_owned(),
        )
        .into());
    }
    let gateway = options.metrics_push.as_deref().map(str::parse::<sinks::Gateway>).transpose();
    let gateway = gateway.map_err(|error| Usage(format!("--metrics-push: {error}")))?;
    Ok(sinks::Sinks { file, gateway })
}

/// Writes and pushes the metrics. What fails is a warning: the run is what it is.
pub fn deliver(console: &Console, config: &Definitions, plan: &str, host: &str, sinks: &sinks::Sinks) {
    if sinks.file.is_none() && sinks.gateway.is_none() {
        return;
    }
    let warn = |what: &str, error: &(dyn std::error::Error + 'static)| {
        console.warn(&format!("{what}: {}", keepfast_operations::error::with_causes(error)));
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return warn("the metrics can't be collected", &error),
    };
    let observation = match runtime.block_on(observe(config, host)) {
        Ok(observation) => observation,
        Err(error) => return warn("the metrics can't be collected", &error),
    };
    if let Some(file) = &sinks.file
        && let Err(error) = sinks::write(file, &observation)
    {
        warn("the metrics were not written", &error);
    }
    if let Some(gateway) = &sinks.gateway
        && let Err(error) = runtime.block_on(sinks::push(gateway, plan, host, observation))
    {
        warn("the metrics were not pushed", &error);
    }
}

/// What there is to tell at this moment.
pub async fn observe(config: &Definitions, host: &str) -> Result<Observation, ServerError> {
    let store = state::open(config, &secrets::children()).await?;
    observed::observation(config, &store, Timestamp::now(), host, None).await
}
