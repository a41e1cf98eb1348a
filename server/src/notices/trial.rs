//! A message to test a target, by the way of all messages: through the outbox of the state. Whether this process routes
//! and sends it or a server that runs with the same state makes no difference.

use std::time::{Duration, Instant};

use keepfast_config::config::Config;
use keepfast_notify::{Kind, Note};
use keepfast_store::{
    Delivery, DeliveryKey, DeliveryState, Elapsed, EventKind, NewEvent, PageSize, Sequence, Store, Subject,
    SubjectKind, TargetId,
};
use serde_json::json;

use super::events::TEST;
use super::log::DeliveryDocument;
use super::parcel::Parcel;
use super::{Notifier, Sender};
use crate::error::{Result, ServerError};
use crate::state::{instant, now, random_name};

/// How often the state is asked what came of the message.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// For how long the end of the first attempt is waited for. It is longer than any target's timeout usually is.
const WAIT_MAX: Duration = Duration::from_secs(180);
/// Deliveries among which that of a test is looked for: the newest of its target.
const LOOK_AMONG: usize = 100;

/// What sends a test, or a message again, in this process.
pub struct Trial<'t> {
    /// The state.
    pub store: &'t Store,
    /// The definitions.
    pub config: &'t Config,
    /// What routes events.
    pub notifier: Notifier,
    /// What sends messages.
    pub sender: Sender,
}

impl Trial<'_> {
    /// Sends a test to a target, and returns what came of the first attempt; `None` if that isn't known in time.
    pub async fn test(&mut self, target: &str) -> Result<Option<DeliveryDocument>> {
        let id = self.target(target)?;
        let is_begun = self.notifier.is_begun().await?;
        let sent = self.route_and_send(target, &id).await?;
        if !is_begun {
            // No server reads the events of this state: they must not be kept for one for ever.
            self.notifier.forget().await?;
        }
        Ok(sent)
    }

    async fn route_and_send(&mut self, target: &str, id: &TargetId) -> Result<Option<DeliveryDocument>> {
        let begun = Instant::now();
        // Where nothing has ever read the events, the reader begins at the end: before the test, so that it sees it.
        self.step(begun).await?;
        let event = self.publish(target).await?;
        while begun.elapsed() < WAIT_MAX {
            self.step(begun).await?;
            self.sender.send_to(self.config, id, instant(now())).await?;
            let newest = self.store.deliveries(Some(id), None, None, PageSize::at_most(LOOK_AMONG)).await?;
            let is_of_test = |delivery: &&Delivery| delivery.event == event && is_test(delivery);
            if let Some(delivery) = newest.rows.iter().find(is_of_test).filter(|delivery| is_tried(delivery))
            {
                return Ok(Some(delivery.into()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(None)
    }

    /// Sends a message again that was undeliverable, and returns what came of the first attempt; `None` if that isn't
    /// known in time.
    pub async fn send_again(&self, id: i64) -> Result<Option<DeliveryDocument>> {
        let key: DeliveryKey = super::log::send_again(self.store, id).await?;
        let begun = Instant::now();
        while begun.elapsed() < WAIT_MAX {
            let Some(delivery) = self.store.delivery(key).await? else { return Ok(None) };
            if is_tried(&delivery) {
                return Ok(Some((&delivery).into()));
            }
            self.sender.send_to(self.config, &delivery.target, instant(now())).await?;
            let is_tried_now = self.store.delivery(key).await?.filter(is_tried);
            if let Some(delivery) = is_tried_now {
                return Ok(Some((&delivery).into()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(None)
    }

    fn target(&self, name: &str) -> Result<TargetId> {
        if !self.config.targets.contains_key(name) {
            let known = self.config.targets.keys().cloned().collect();
            return Err(ServerError::NoTarget { name: name.to_owned(), known });
        }
        TargetId::new(name).map_err(ServerError::name(name))
    }

    async fn step(&mut self, begun: Instant) -> Result<()> {
        self.notifier.step(self.config, instant(now()), Elapsed(begun.elapsed())).await?;
        Ok(())
    }

    /// Writes the event that asks for a test, and finds its place.
    async fn publish(&self, target: &str) -> Result<Sequence> {
        let token = random_name()?;
        let mut after = self.store.last_event().await?;
        let kind = EventKind::new(TEST).map_err(ServerError::name(TEST))?;
        let subject = Subject::of(SubjectKind::Target, target);
        let document = json!({ "target": target, "token": token });
        self.store.publish(NewEvent { at: now(), kind, subject, document }).await?;
        loop {
            let found = self.store.events_after(after, PageSize::MAX).await?.events;
            let own = found.iter().find(|event| event.document["token"] == *token.as_str());
            if let Some(own) = own {
                return Ok(own.sequence);
            }
            // It was written, so it comes; a replica of the database may be late.
            after = found.last().map_or(after, |event| event.sequence);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether a delivery is that of a test. Another message may tell of the same event as its newest.
fn is_test(delivery: &Delivery) -> bool {
    let kind = Kind::Noted(Note::Test).to_string();
    let parcel = Parcel::read(&delivery.document);
    parcel.is_ok_and(|parcel| parcel.message.items.iter().all(|item| item.kind == kind))
}

/// Whether its first attempt is over.
fn is_tried(delivery: &Delivery) -> bool {
    match delivery.state {
        DeliveryState::Waiting => delivery.attempts > 0 && delivery.last_error.is_some(),
        DeliveryState::Sending => false,
        DeliveryState::Delivered | DeliveryState::Undeliverable => true,
    }
}
