//! `keepfast accept-anomaly`.

use anyhow::Result;
use keepfast_operations::host::SystemHost;
use keepfast_server::usual::{self, OpenAnomaly};
use keepfast_server::{definitions, state};
use serde::Serialize;

use super::plans::read;
use crate::args::{AcceptAnomaly, Common};
use crate::{Outcome, render, secrets};

/// What was accepted, as programs see it.
#[derive(Serialize)]
struct Accepted<'a> {
    plan: &'a str,
    accepted: Option<OpenAnomaly>,
}

/// Accepts what was unusual about a plan's runs.
pub fn accept(common: &Common, options: &AcceptAnomaly) -> Result<Outcome> {
    let config = read(common)?;
    let plan = definitions::plan(&config, &options.plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accepted = runtime.block_on(async {
        let store = state::open(&config, &secrets::children()).await?;
        usual::accept(&store, &plan.name, &SystemHost.user()).await
    })?;
    if common.json {
        render::document(&Accepted { plan: &plan.name, accepted });
        return Ok(Outcome::Complete);
    }
    match accepted {
        Some(open) => {
            render::line(&format!("accepted: {}", open.text()));
            render::line(&format!(
                "what plan {} did since run {} is usual from now on, and retention goes on with its next run",
                plan.name, open.run
            ));
        }
        None => render::line(&format!("nothing about plan {} waits to be accepted", plan.name)),
    }
    Ok(Outcome::Complete)
}
