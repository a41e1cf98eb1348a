//! The log of messages: which there were, and what came of them.

use std::cmp::Reverse;

use jiff::Timestamp;
use keepfast_notify::Tone;
use keepfast_store::{Delivery, DeliveryKey, DeliveryState, PageSize, Store, TargetId};
use serde::Serialize;

use super::parcel::Parcel;
use crate::error::{Result, ServerError};
use crate::state::{instant, now};

/// A message and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryDocument {
    /// Identifies it.
    pub id: i64,
    /// Where it goes.
    pub target: String,
    /// How far it is: `waiting`, `sending`, `delivered`, `undeliverable`.
    pub state: &'static str,
    /// What it says in a few words; null if it can't be read.
    pub title: Option<String>,
    /// How bad that is.
    pub tone: Option<Tone>,
    /// When it was made.
    pub created: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next; null if it isn't.
    pub next_attempt: Option<Timestamp>,
    /// When it arrived or was given up.
    pub ended: Option<Timestamp>,
    /// Why the last attempt failed, or which recipients refused it.
    pub error: Option<String>,
    /// What to change, if it was refused.
    pub advice: Option<String>,
    /// What the service said when it took it.
    pub answer: Option<String>,
}

impl From<&Delivery> for DeliveryDocument {
    fn from(delivery: &Delivery) -> Self {
        let parcel = Parcel::read(&delivery.document).ok();
        let of_parcel = |of: fn(&Parcel) -> Option<String>| parcel.as_ref().and_then(of);
        Self {
            id: delivery.key.number(),
            target: delivery.target.to_string(),
            state: delivery.state.as_str(),
            title: of_parcel(|parcel| Some(parcel.message.title.clone())),
            tone: parcel.as_ref().map(|parcel| parcel.message.tone),
            created: instant(delivery.created),
            attempts: delivery.attempts,
            next_attempt: (delivery.state == DeliveryState::Waiting).then(|| instant(delivery.next_attempt)),
            ended: delivery.ended.map(instant),
            error: delivery.last_error.as_ref().map(ToString::to_string),
            advice: of_parcel(|parcel| parcel.advice.clone()),
            answer: of_parcel(|parcel| parcel.answer.clone()).filter(|answer| !answer.is_empty()),
        }
    }
}

/// Which messages are shown.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Only those to this target.
    pub target: Option<String>,
    /// Only those that have failed: undeliverable ones, and ones whose last attempt has.
    pub failed: bool,
    /// This many, the newest.
    pub count: usize,
}

/// Messages, the newest first.
pub async fn list(store: &Store, shown: &Shown) -> Result<Vec<DeliveryDocument>> {
    let target = shown.target.as_deref();
    let target = target.map(|name| TargetId::new(name).map_err(ServerError::name(name))).transpose()?;
    let states: &[Option<DeliveryState>] = match shown.failed {
        true => &[Some(DeliveryState::Undeliverable), Some(DeliveryState::Waiting)],
        false => &[None],
    };
    let mut found = Vec::new();
    for state in states {
        let mut before = None;
        let mut of_state = 0;
        while of_state < shown.count {
            let size = PageSize::at_most(shown.count);
            let page = store.deliveries(target.as_ref(), *state, before, size).await?;
            let is_shown = |delivery: &&Delivery| !shown.failed || delivery.last_error.is_some();
            let documents = page.rows.iter().filter(is_shown).map(DeliveryDocument::from);
            let known = found.len();
            found.extend(documents);
            of_state += found.len() - known;
            before = page.next;
            if before.is_none() {
                break;
            }
        }
    }
    found.sort_by_key(|delivery| Reverse(delivery.id));
    found.truncate(shown.count);
    Ok(found)
}

/// Lets an undeliverable message be sent again, from the first attempt.
pub async fn send_again(store: &Store, id: i64) -> Result<DeliveryKey> {
    let key = DeliveryKey::from_number(id);
    if store.redeliver(now(), key).await? {
        return Ok(key);
    }
    let why = match store.delivery(key).await? {
        None => "there is no such delivery".to_owned(),
        Some(delivery) => format!("it is {}", delivery.state.as_str()),
    };
    Err(ServerError::NotUndeliverable { delivery: id, why })
}
