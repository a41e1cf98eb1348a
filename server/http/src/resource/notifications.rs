//! What a user should hear of, in the dashboard.

use axum::extract::State;
use axum::http::StatusCode;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::notification::{Notification, ReadUpTo, Tone};
use keepfast_server::state::instant;
use keepfast_store::{Event, EventKind, Page, PageSize, Sequence, VerdictKind};
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Failure, Listed, Pages, Result};
use crate::guard::Caller;
use crate::request::{Body, Name};
use crate::state::{Api, Shared};

/// Kinds of events that people hear of. Of runs, only those that didn't do their work.
const KINDS: [EventKind; 7] = [
    EventKind::PROBLEM_OPENED,
    EventKind::PROBLEM_RESOLVED,
    EventKind::RUN_ENDED,
    EventKind::RUN_QUARANTINED,
    EventKind::DELIVERY_UNDELIVERABLE,
    EventKind::APPROVAL_ASKED,
    EventKind::APPROVAL_DECIDED,
];
/// Pages of events that are looked through for one page of these: most runs are good.
const LOOKED_THROUGH: usize = 8;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(notifications))
        .routes(routes!(read_notification))
        .routes(routes!(read_notifications))
}

/// What the user should hear of, the newest first.
///
/// A page may have fewer rows than asked for although there are more: go on until `next` is null.
#[utoipa::path(get, path = "/notifications", tag = "notifications", params(PageQuery),
    responses((status = 200, body = List<Notification>)))]
async fn notifications(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    pages
        .of("notifications", move |before: Option<Sequence>, size| {
            let (api, caller) = (api.clone(), caller.clone());
            async move { page(&api, &caller, before, size).await }
        })
        .await
}

/// Say that one was read.
#[utoipa::path(post, path = "/notifications/{notification}/read", tag = "notifications",
    params(("notification" = u64, Path)), responses((status = 204)))]
async fn read_notification(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<StatusCode> {
    let number = name.parse().map_err(|_| Failure::not_found("notification", &name))?;
    let sequence = existing(&api, number).await?;
    api.store().mark_read(&caller.user().id, sequence).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Say that all were read up to one.
#[utoipa::path(post, path = "/notifications/read", tag = "notifications", request_body = ReadUpTo,
    responses((status = 204)))]
async fn read_notifications(
    State(api): State<Shared>,
    caller: Caller,
    Body(read): Body<ReadUpTo>,
) -> Result<StatusCode> {
    let sequence = existing(&api, read.up_to).await?;
    api.store().mark_read_up_to(&caller.user().id, sequence).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is yet to come can't have been read.
async fn existing(api: &Api, number: u64) -> Result<Sequence> {
    let sequence = Sequence::from_number(number);
    match sequence <= api.store().last_event().await? {
        true => Ok(sequence),
        false => {
            Err(Failure::new(ErrorCode::Unprocessable, "There is no notification with this number yet."))
        }
    }
}

async fn page(
    api: &Api,
    caller: &Caller,
    before: Option<Sequence>,
    size: PageSize,
) -> Result<Page<Notification, Sequence>> {
    let mut found: Vec<Event> = Vec::new();
    let mut next = before;
    for _ in 0..LOOKED_THROUGH {
        let events = api.store().events_before(next, &KINDS, PageSize::MAX).await?;
        let is_wanted = |event: &&Event| is_bad(event) && is_for(api, caller, event);
        found.extend(events.rows.iter().filter(is_wanted).cloned());
        next = events.next;
        if found.len() >= size.get() || next.is_none() {
            break;
        }
    }
    if found.len() > size.get() {
        found.truncate(size.get());
        next = found.last().map(|event| event.sequence);
    }
    let (Some(newest), Some(oldest)) = (found.first(), found.last()) else {
        return Ok(Page { rows: Vec::new(), next });
    };
    let marks = api.store().read_marks(&caller.user().id, oldest.sequence, newest.sequence).await?;
    Ok(Page { rows: found.iter().map(|event| wire(event, marks.contains(event.sequence))).collect(), next })
}

/// Whether a caller is one who should hear of it: of a request for a second person, those who may be that person; of a
/// decision, the person who asked.
fn is_for(api: &Api, caller: &Caller, event: &Event) -> bool {
    let text = |name: &str| event.document.get(name).and_then(Value::as_str);
    let is_by = |name: &str| text(name) == Some(caller.name().as_str());
    let about = api.subject(event.subject.as_str());
    if event.kind == EventKind::APPROVAL_ASKED {
        let right = event.document.get("right").and_then(|right| Right::deserialize(right).ok());
        return !is_by("requested_by") && right.is_some_and(|right| caller.may(right, &about));
    }
    if event.kind == EventKind::APPROVAL_DECIDED {
        return is_by("requested_by") && !is_by("decided_by");
    }
    caller.sees(&about)
}

fn verdict(event: &Event) -> Option<VerdictKind> {
    VerdictKind::parse(event.document.get("verdict")?.as_str()?)
}

fn is_bad(event: &Event) -> bool {
    event.kind != EventKind::RUN_ENDED
        || matches!(verdict(event), Some(VerdictKind::Failed | VerdictKind::Lost | VerdictKind::Missed))
}

fn wire(event: &Event, is_read: bool) -> Notification {
    let of = |path: &str| event.document.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let tone = match of("/document/severity").as_deref() {
        _ if event.kind == EventKind::PROBLEM_RESOLVED => Tone::Resolved,
        Some("info") => Tone::Info,
        Some("warning") => Tone::Warning,
        _ if verdict(event) == Some(VerdictKind::Missed) => Tone::Warning,
        _ => Tone::Error,
    };
    Notification {
        notification: event.sequence.number(),
        at: instant(event.at),
        kind: event.kind.to_string(),
        tone,
        subject: event.subject.to_string(),
        summary: of("/document/summary").or_else(|| of("/error/message")).or_else(|| of("/error")),
        advice: of("/document/advice"),
        run: of("/run"),
        problem: event.document.get("problem").and_then(Value::as_u64),
        approval: of("/approval"),
        is_read,
    }
}
