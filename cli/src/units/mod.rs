//! The units of systemd that the configuration asks for: what is in them, what to know about them, the files, and
//! systemd itself.

mod files;
mod places;
mod remarks;
pub mod systemctl;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::Plan;
use keepfast_config::model::schedule::CatchUp;
use keepfast_observe::service::{
    AccountName, Calendar, Credential, CredentialName, DaemonUnit, PlanUnits, Program, Reads, RunAs, Timer,
    UnitFile,
};
use keepfast_server::definitions;
use serde::{Deserialize, Serialize};

use crate::usage::Usage;

pub use files::{Installed, installed, is_replaceable, write};
pub use remarks::remarks;

/// If the server is silent for longer, systemd starts it again.
const WATCHDOG: Duration = Duration::from_secs(60);
/// How long runs have to end when the server is stopped.
const STOP_WITHIN: Duration = Duration::from_secs(300);

/// What was chosen for a unit. It is kept in its file, so that what is installed can be compared with what would be
/// written now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// The program.
    pub program: PathBuf,
    /// The first file of the configuration.
    pub config: PathBuf,
    /// The plan; without one, the unit is that of the server.
    #[serde(default)]
    pub plan: Option<String>,
    /// The user; else root.
    #[serde(default)]
    pub user: Option<String>,
    /// Files of credentials by name, where they aren't at the usual place.
    #[serde(default)]
    pub credentials: BTreeMap<String, PathBuf>,
    /// Where it may restore to.
    #[serde(default)]
    pub restore_to: Vec<PathBuf>,
}

/// The files of the units for these choices: one for the server, two for a plan.
pub fn wanted(config: &Config, choices: &Choices) -> Result<Vec<UnitFile>> {
    let program = program(config, choices)?;
    let units = match &choices.plan {
        None => {
            let daemon = DaemonUnit { program, watchdog: WATCHDOG, stop_within: STOP_WITHIN };
            vec![UnitFile { name: DaemonUnit::NAME.to_owned(), text: daemon.text().map_err(said)? }]
        }
        Some(name) => {
            let definition = definitions::plan(config, name)?;
            let limits = definition.value.limits.as_ref();
            let units = PlanUnits {
                program,
                plan: name.clone(),
                timer: timer(config, definition)?,
                nice: limits.is_some_and(|limits| limits.nice.0 > 0),
            };
            units.files().map_err(said)?.to_vec()
        }
    };
    units.into_iter().map(|unit| files::signed(unit, choices)).collect()
}

fn program(config: &Config, choices: &Choices) -> Result<Program> {
    let credential = |(name, path): (String, PathBuf)| -> Result<Credential> {
        Ok(Credential { name: CredentialName::new(&name).map_err(said)?, path })
    };
    let run_as = match &choices.user {
        Some(user) => RunAs::User(AccountName::new(user).map_err(said)?),
        None => RunAs::Root,
    };
    Ok(Program {
        program: choices.program.clone(),
        config: choices.config.clone(),
        run_as,
        reads: Reads::Everything,
        restores: !choices.restore_to.is_empty(),
        writable: places::writable(config, choices),
        credentials: places::credentials(config, choices)
            .into_iter()
            .map(credential)
            .collect::<Result<_>>()?,
    })
}

fn timer(config: &Config, definition: &Definition<Plan>) -> Result<Timer> {
    let plan = &definition.name;
    let schedule = definition.value.schedule.as_ref().ok_or_else(|| {
        Usage(format!("plan {plan} has no schedule, so that a timer doesn't know when to start it"))
    })?;
    if let Some(every) = schedule.every {
        return Ok(Timer::Every(every.0));
    }
    let cron = schedule.cron.as_ref().ok_or_else(|| anyhow!("the schedule of plan {plan} says no time"))?;
    Ok(Timer::At {
        calendar: Calendar::from_cron(&cron.0, &config.zone(&definition.value).0).map_err(said)?,
        jitter: schedule.jitter.map_or(Duration::ZERO, |jitter| jitter.0),
        catch_up: schedule.catch_up == CatchUp::Once,
    })
}

/// What can't be in a unit comes from the command line or the configuration.
fn said(error: keepfast_observe::service::UnitError) -> anyhow::Error {
    Usage(error.to_string()).into()
}
