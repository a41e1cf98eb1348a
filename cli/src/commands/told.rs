//! What became of the messages about a run that has no server beside it.

use jiff::tz::TimeZone;
use keepfast_server::notices::alone::Told;
use keepfast_server::notices::log::DeliveryDocument;

use crate::args::Common;
use crate::render::{self, counted};

/// Says which messages did not arrive, and which are told later. Neither changes what the run was.
pub fn say(common: &Common, told: &Told) {
    if let Some(trouble) = &told.trouble {
        let text = format!(
            "it isn't known whether the run was told: {trouble}; `keepfast notify log` lists what was sent and what waits"
        );
        render::note("warning", &text, common.json);
    }
    for delivery in &told.undelivered {
        render::note("warning", &undelivered(delivery), common.json);
    }
    if told.held > 0 && !common.quiet {
        let count = counted(u64::try_from(told.held).unwrap_or(u64::MAX), "change");
        let due = told.due.map(|due| due.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string());
        let text = format!(
            "still to be told: {count}, held back by quiet hours, a summary or the number of messages{}; a server tells it \
             then, or the next `keepfast run`",
            due.map(|due| format!("; due at {due}")).unwrap_or_default()
        );
        render::note("note", &text, common.json);
    }
}

fn undelivered(delivery: &DeliveryDocument) -> String {
    let title = delivery.title.as_deref().unwrap_or("(it can't be read)");
    let what = format!("the message {title:?} to target {} did not arrive", delivery.target);
    let why = match &delivery.error {
        Some(error) => format!(": {error}"),
        None => ", because another one to this target did not".to_owned(),
    };
    let next = match delivery.next_attempt {
        Some(_) => {
            "it waits in the outbox, and the next `keepfast run` or a server sends it again".to_owned()
        }
        None => {
            let advice = delivery.advice.as_deref().unwrap_or("correct what the error names");
            format!("it was given up. {advice} `keepfast notify retry {}` sends it again", delivery.id)
        }
    };
    format!("{what}{why}; {next}")
}
