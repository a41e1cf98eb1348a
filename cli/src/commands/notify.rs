//! `keepfast notify`.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keepfast_config::config::Config as Definitions;
use keepfast_operations::child::Children;
use keepfast_operations::host::SystemHost;
use keepfast_server::convert::secret;
use keepfast_server::notices::log::{self, DeliveryDocument, Shown};
use keepfast_server::notices::trial::Trial;
use keepfast_server::notices::{self, Notifier, Sender};
use keepfast_server::state;

use super::plans::{read, table};
use crate::args::{Common, NotifyAction};
use crate::{Outcome, render, secrets};

/// What processes of this command are called in the state.
const SERVER_PREFIX: &str = "notify ";

/// Tests a target, lists messages, or sends one again.
pub fn run(common: &Common, action: &NotifyAction) -> Result<Outcome> {
    let config = read(common)?;
    // Secrets are read on threads that may wait.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        match action {
            NotifyAction::Log { target, failed, count } => {
                let store = state::open(&config, &secrets::children()).await?;
                let shown =
                    Shown { target: target.clone(), failed: *failed, count: usize::from(count.get()) };
                let found = log::list(&store, &shown).await?;
                print_log(common, &found);
                Ok(Outcome::Complete)
            }
            NotifyAction::Test { target } => {
                let sent = attempt(&config, async |trial: &mut Trial<'_>| trial.test(target).await).await?;
                say(common, &format!("the test of target {target}"), sent)
            }
            NotifyAction::Retry { id } => {
                let sent =
                    attempt(&config, async |trial: &mut Trial<'_>| trial.send_again(*id).await).await?;
                say(common, &format!("message {id}"), sent)
            }
        }
    })
}

/// Does something with a notifier and a sender of this process.
async fn attempt<T>(
    config: &Definitions,
    doing: impl AsyncFnOnce(&mut Trial<'_>) -> keepfast_server::Result<T>,
) -> Result<T> {
    let children = children(config);
    let store = state::open(config, &children).await?;
    let folder = state::folder(config);
    state::make_folders(config)?;
    let executor = state::process(&format!("{SERVER_PREFIX}{}", state::machine(&folder)?))?;
    let server = SystemHost.name();
    let carrier = Arc::new(notices::Courier::new());
    let sender = Sender::new(store.clone(), executor, carrier, children, Default::default(), &server);
    let notifier = Notifier::new(store.clone(), &server);
    let mut trial = Trial { store: &store, config, notifier, sender };
    Ok(doing(&mut trial).await?)
}

/// How commands are started that print a secret: they inherit no other secret.
fn children(config: &Definitions) -> Children {
    let mut children = secrets::children();
    children.withheld.extend(secret::variables(config).into_iter().map(OsString::from));
    children
}

/// Says what came of an attempt to send.
fn say(common: &Common, what: &str, sent: Option<DeliveryDocument>) -> Result<Outcome> {
    let Some(delivery) = sent else {
        return Err(anyhow!(
            "it is not known yet whether {what} arrived: another process of this state has taken it; `keepfast notify \
             log` says what came of it"
        ));
    };
    if common.json {
        render::document(&delivery);
    }
    let error = delivery.error.as_deref();
    if delivery.state == "delivered" {
        if !common.json {
            let answer = delivery.answer.as_deref().map(|answer| format!(": {answer}")).unwrap_or_default();
            render::line(&format!("{what} arrived{answer}"));
            error.iter().for_each(|error| render::note("warning", error, false));
        }
        return Ok(if error.is_some() { Outcome::WithFindings } else { Outcome::Complete });
    }
    if let Some(advice) = &delivery.advice {
        render::note("note", advice, common.json);
    }
    let again = delivery.next_attempt.map(|at| format!("; it is tried again at {}", local(at)));
    Err(anyhow!(
        "{what} did not arrive: {}{}",
        error.unwrap_or("it is not known why"),
        again.unwrap_or_default()
    ))
}

fn print_log(common: &Common, found: &[DeliveryDocument]) {
    if common.json {
        return render::document(&found);
    }
    if found.is_empty() {
        return render::line("no messages");
    }
    let rows = found.iter().map(|delivery| {
        [
            delivery.id.to_string(),
            local(delivery.created),
            delivery.target.clone(),
            delivery.state.to_owned(),
            delivery.attempts.to_string(),
            delivery.title.clone().unwrap_or_else(|| "(can't be read)".to_owned()),
            delivery.error.clone().unwrap_or_default(),
        ]
    });
    table(&["ID", "AT", "TARGET", "STATE", "ATTEMPTS", "MESSAGE", ""], rows);
}

fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
