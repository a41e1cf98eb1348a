//! Events of the state reach people: the outbox of the state joined with the decisions, texts and couriers of the
//! notifications, which know nothing of each other.
//!
//! 1. [`Notifier::step`] reads the events after its place in the sequence, decides what is told to whom, and stores its
//!    place, what it remembers and the messages in one transaction. So a process that ends anywhere loses nothing, and
//!    tells nothing twice; of several servers, one decides.
//! 2. [`Sender::send_due`] claims messages and sends them, until they arrive or a day is over.
//!    Both are also done by a process that runs one plan where there is no server ([`alone`]).
//! 3. [`Pulse::step`] tells a service outside that this server lives.
//!
//! None of them waits for a time by itself: each is called with the time, and says when it wants to be called again.

mod about;
pub mod alone;
mod carrier;
mod convert;
mod events;
mod heartbeat;
pub mod log;
mod parcel;
mod runs;
mod secrets;
mod sender;
pub mod trial;

use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_notify::decide::{Decision, Delivery, Input, State, Topic, decide};
use keepfast_notify::{Condition, Event, Kind, Sequence as Place, Subject};
use keepfast_store::{
    Elapsed, LeaseWatch, NewDelivery, PageSize, ReaderId, Routing as Stored, Sequence, Store, TargetId,
};

pub use carrier::{Carrier, OutcomeFuture};
pub use heartbeat::Pulse;
pub use keepfast_notify::Courier;
pub use sender::Sender;

use convert::{Routing, routing};
use events::{News, news, standing};
use parcel::Parcel;

use crate::error::{Result, ServerError};
use crate::state::stored;

/// The name of the reader of events that notifications are.
const READER: &str = "notifications";
/// Events that are decided about at once.
const EVENTS_AT_ONCE: usize = 500;

/// Decides what is told of the events of the state.
pub struct Notifier {
    store: Store,
    server: String,
    reader: ReaderId,
    watch: LeaseWatch,
    ends_soon: bool,
}

/// What a step has found to be decided.
struct Found {
    /// Where the reader is afterwards.
    to: Sequence,
    news: Vec<News>,
    /// There may be more events at once.
    is_full: bool,
}

impl Notifier {
    /// One of this server. `server` is the name by which messages call this server.
    #[must_use]
    pub fn new(store: Store, server: &str) -> Self {
        let reader = ReaderId::new(READER).unwrap_or_else(|_| unreachable!("the name is valid"));
        Self { store, server: server.to_owned(), reader, watch: LeaseWatch::new(), ends_soon: false }
    }

    /// One of a process that ends soon: nothing waits for what may happen later, to be told together with it. There may
    /// be no one then that tells it.
    #[must_use]
    pub(crate) fn ends_soon(self) -> Self {
        Self { ends_soon: true, ..self }
    }

    /// How many changes of problems wait to be told: until quiet hours end, for a summary, or because their targets have
    /// got many messages.
    pub(crate) async fn held(&self) -> Result<usize> {
        let document = self.store.reader_place(&self.reader).await?.document;
        let state = document.and_then(|document| serde_json::from_value::<State>(document).ok());
        Ok(state.map_or(0, |state| state.untold()))
    }

    /// Whether anything has ever read the events of this state for notifications.
    pub(crate) async fn is_begun(&self) -> Result<bool> {
        Ok(self.store.reader_place(&self.reader).await?.document.is_some())
    }

    /// Forgets how far the events were read: the next step is a first one again, and until then no event is kept for it.
    pub(crate) async fn forget(&self) -> Result<()> {
        Ok(self.store.forget_reader(&self.reader).await?)
    }

    /// Decides about all events that there are, and takes back messages whose senders are gone. Returns when to look
    /// again if no event comes before; `None` if only an event makes anything due.
    ///
    /// The first step of a state begins with what is a problem now, and not with the history.
    pub async fn step(
        &mut self,
        config: &Config,
        now: Timestamp,
        elapsed: Elapsed,
    ) -> Result<Option<Timestamp>> {
        self.store.release_deliveries(stored(now), &mut self.watch, elapsed).await?;
        let mut routing = routing(config, &self.server)?;
        if self.ends_soon {
            routing.routes.iter_mut().for_each(|route| route.policy.group = Duration::ZERO);
        }
        loop {
            let place = self.store.reader_place(&self.reader).await?;
            // What another version has written and this one can't read is begun again: it is better to be told of a
            // problem twice than never again.
            let known =
                place.document.clone().and_then(|document| serde_json::from_value::<State>(document).ok());
            let is_new = place.document.is_none();
            let must_load = known.is_none();
            let mut state = known.unwrap_or_default();
            let found = match is_new {
                true => Found { to: self.store.last_event().await?, news: Vec::new(), is_full: false },
                false => self.find(config, place.at, must_load, &state, now).await?,
            };
            let Found { to, mut news, is_full } = found;
            if is_new {
                news = self.standing(config, to, &state, now).await?;
            }
            let decision = decide_all(&mut state, &routing, news, now);
            let document = serde_json::to_value(&state).map_err(|source| ServerError::Document {
                what: "what notifications remember".to_owned(),
                source,
            })?;
            let is_unchanged = to <= place.at && decision.deliveries.is_empty();
            if is_unchanged && place.document.as_ref() == Some(&document) {
                return Ok(decision.look_again_at);
            }
            let deliveries = decision.deliveries.into_iter().map(|delivery| new_delivery(delivery, to));
            let deliveries = deliveries.collect::<Result<Vec<_>>>()?;
            let step = Stored {
                reader: &self.reader,
                from: place.generation,
                to,
                document: Some(document),
                deliveries: &deliveries,
            };
            // If another server was faster, its decision is what this one goes on from.
            if self.store.route(stored(now), &step).await? && !is_full {
                return Ok(decision.look_again_at);
            }
        }
    }

    /// What comes after a place. After a gap, or where what was known is lost, the problems that there are are loaded.
    async fn find(
        &self,
        config: &Config,
        after: Sequence,
        must_load: bool,
        state: &State,
        now: Timestamp,
    ) -> Result<Found> {
        let events = self.store.events_after(after, PageSize::at_most(EVENTS_AT_ONCE)).await?;
        let is_full = events.events.len() >= EVENTS_AT_ONCE;
        let mut to = events.events.last().map_or(after, |event| event.sequence);
        let mut found = Vec::new();
        if events.has_gap || must_load {
            // The events that are gone came before those that are there.
            let at = events.events.first().map_or(self.store.last_event().await?, |event| event.sequence);
            found = self.standing(config, at, state, now).await?;
            to = to.max(at);
        }
        for event in &events.events {
            found.extend(news(&self.store, config, event).await?);
        }
        Ok(Found { to, news: found, is_full })
    }

    /// The problems that there are, as if they began now, and the end of those that are known and aren't there any more.
    async fn standing(
        &self,
        config: &Config,
        at: Sequence,
        state: &State,
        now: Timestamp,
    ) -> Result<Vec<News>> {
        let problems = self.store.open_problems().await?;
        let began: Vec<Event> = problems.iter().map(|problem| standing(config, problem, at)).collect();
        let is_there = |subject: &Subject, which| {
            began.iter().any(|event| event.subject == *subject && event.kind == Kind::Began(which))
        };
        let over = state.open_problems().filter_map(|(subject, topic, _)| match topic {
            // It is no problem of the state: the plan's next good run ends it.
            Topic::Condition(Condition::Quarantined) => None,
            Topic::Condition(which) if !is_there(subject, which) => {
                Some(Event::new(Place(at.number()), now, Kind::Over(which), subject.clone()))
            }
            _ => None,
        });
        let events = over.collect::<Vec<_>>().into_iter().chain(began);
        Ok(events.map(|event| News::Event(Box::new(event))).collect())
    }
}

/// Decides about news in their order. What people say is applied between the events before it and those after it.
fn decide_all(state: &mut State, routing: &Routing, news: Vec<News>, now: Timestamp) -> Decision {
    let Routing { routes, digests, targets, context } = routing;
    let decide = |state: &mut State, events: &[Event]| {
        decide(state, &Input { events, routes, digests, targets, context, now })
    };
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    for news in news {
        match news {
            News::Event(event) => events.push(*event),
            News::Acknowledged(subject) => {
                deliveries.extend(decide(state, &std::mem::take(&mut events)).deliveries);
                state.acknowledge(&subject);
            }
            News::Muted(subject, until) => {
                deliveries.extend(decide(state, &std::mem::take(&mut events)).deliveries);
                state.mute(&subject, until.unwrap_or(now));
            }
        }
    }
    let last = decide(state, &events);
    deliveries.extend(last.deliveries);
    Decision { deliveries, look_again_at: last.look_again_at }
}

fn new_delivery(delivery: Delivery, to: Sequence) -> Result<NewDelivery> {
    let Delivery { target, message, tells, event } = delivery;
    let name = target.as_str();
    Ok(NewDelivery {
        event: event.map_or(to, |event| Sequence::from_number(event.0)),
        problem: None,
        target: TargetId::new(name).map_err(ServerError::name(name))?,
        document: Parcel::new(message, tells).document(),
        not_before: None,
    })
}
