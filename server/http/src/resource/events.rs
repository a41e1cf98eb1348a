//! What happens, as it happens: a stream of server-sent events that goes on where a client lost it.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use keepfast_api::event::{Event, EventQuery, ProgressEvent};
use keepfast_server::state::instant;
use keepfast_store::{Event as StoredEvent, PageSize, Run, Sequence, VerdictKind, Watch};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Failure, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::Query;
use crate::state::Shared;

/// The name of the header with which a client that lost the stream says what it has seen.
const LAST_EVENT_ID: &str = "last-event-id";
/// How often a comment is sent, so that no proxy takes the stream for dead.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// Between two looks, at least: so progress comes twice a second at most.
const LOOK_MIN: Duration = Duration::from_millis(500);
/// Between two looks, at most: a signal of the state can get lost.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// Events that are read at once.
const AT_ONCE: usize = 200;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What happens, as server-sent events.
///
/// Messages with an `id` are of the type Event. `run.progress` has a ProgressEvent and no `id`. `reset` says that events
/// are missing: load again what is shown. The stream ends when the session does.
#[utoipa::path(get, path = "/events", tag = "events", params(EventQuery),
    responses((status = 200, body = Event, content_type = "text/event-stream")))]
async fn events(
    State(api): State<Shared>,
    caller: Caller,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let newest = api.store().last_event().await?;
    let wanted = last.or(query.after).map_or(newest, Sequence::from_number);
    // A state that was brought back from a backup has fewer events than a client has seen.
    let waiting = if wanted > newest { vec![reset()] } else { Vec::new() };
    let follower = Follower {
        watch: api.store().watch(),
        api,
        caller,
        after: wanted.min(newest),
        told: Vec::new(),
        next_look: Instant::now(),
        waiting,
    };
    let sse = Sse::new(follower.stream()).keep_alive(KeepAlive::new().interval(COMMENT_EVERY));
    // A proxy must pass on each message at once.
    let headers = [(CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, sse).into_response())
}

/// A client that follows what happens.
struct Follower {
    api: Shared,
    caller: Caller,
    watch: Watch,
    after: Sequence,
    /// What was told last of runs at work.
    told: Vec<Run>,
    next_look: Instant,
    /// Messages that wait to be sent, the last one first.
    waiting: Vec<Message>,
}

impl Follower {
    fn stream(self) -> impl Stream<Item = std::result::Result<Message, Infallible>> {
        stream::unfold(self, async |mut follower| {
            loop {
                if let Some(message) = follower.waiting.pop() {
                    return Some((Ok(message), follower));
                }
                sleep_until(follower.next_look).await;
                follower.next_look = Instant::now() + LOOK_MIN;
                // A session that has ended, or may do less than before, hears nothing more.
                if !follower.caller.is_still_known(follower.api.store()).await.ok()? {
                    return None;
                }
                // A fault of the state ends the stream; the client comes back and goes on from there.
                follower.look().await.ok()?;
                if follower.waiting.is_empty() {
                    let _ = timeout(LOOK_MAX, follower.watch.changed()).await;
                }
            }
        })
    }

    async fn look(&mut self) -> Result<()> {
        let mut messages = Vec::new();
        let read = self.api.store().events_after(self.after, PageSize::at_most(AT_ONCE)).await?;
        if read.has_gap {
            messages.push(reset());
        }
        if read.has_gap && read.events.is_empty() {
            self.after = self.api.store().last_event().await?;
        }
        if read.events.len() == AT_ONCE {
            self.next_look = Instant::now();
        }
        for event in read.events {
            self.after = event.sequence;
            if self.caller.sees(&self.api.subject(event.subject.as_str())) {
                messages.push(message(&event)?);
            }
        }
        let (runs, now) = (self.api.active_runs().await?, self.api.now());
        for run in runs.iter().filter(|run| self.caller.sees(&self.api.about(run)) && !self.has_told(run)) {
            messages.push(progress(run, now)?);
        }
        self.told = runs.to_vec();
        messages.reverse();
        self.waiting = messages;
        Ok(())
    }

    fn has_told(&self, run: &Run) -> bool {
        let told = self.told.iter().find(|told| told.id == run.id);
        told.is_some_and(|told| told.phase == run.phase && told.counters == run.counters)
    }
}

/// Events are missing: what is shown is to be loaded again.
fn reset() -> Message {
    Message::default().event("reset").data("{}")
}

fn progress(run: &Run, now: Timestamp) -> Result<Message> {
    let run = convert::run(run, now);
    let told = ProgressEvent {
        run: run.run,
        plan: run.plan,
        repository: run.repository,
        phase: run.phase,
        progress: run.progress,
    };
    let data = serde_json::to_string(&told).map_err(|error| Failure::internal(&error))?;
    Ok(Message::default().event("run.progress").data(data))
}

fn message(event: &StoredEvent) -> Result<Message> {
    let text = |name: &str| event.document.get(name).and_then(Value::as_str).map(str::to_owned);
    let subject = |kind: &str| {
        let named = event.subject.as_str().split_once(':');
        named.filter(|(of, _)| *of == kind).map(|(_, name)| name.to_owned())
    };
    let told = Event {
        sequence: event.sequence.number(),
        at: instant(event.at),
        kind: event.kind.to_string(),
        subject: event.subject.to_string(),
        run: text("run"),
        plan: text("plan").or_else(|| subject("plan")),
        repository: text("repository").or_else(|| subject("repository")),
        problem: event.document.get("problem").and_then(Value::as_u64),
        verdict: text("verdict").and_then(|word| VerdictKind::parse(&word)).map(convert::verdict),
    };
    let data = serde_json::to_string(&told).map_err(|error| Failure::internal(&error))?;
    Ok(Message::default().id(told.sequence.to_string()).event(told.kind).data(data))
}
