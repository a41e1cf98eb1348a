//! What people decide about single snapshots.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::approval::Approval;
use keepfast_api::error::ErrorCode;
use keepfast_api::snapshot::{SnapshotChanged, SnapshotStanding, TagChange};
use keepfast_server::catalogue;
use keepfast_server::edits::{Edit, edit};
use keepfast_store::Tag;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::snapshots::{must, row};
use crate::answer::{Document, Failure, Result};
use crate::deeds::{self, Outcome};
use crate::guard::Caller;
use crate::looking::look;
use crate::request::{Body, Pair};
use crate::state::Shared;

/// Tags that are given or taken at once.
const TAGS_MAX: usize = 64;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(protect_snapshot))
        .routes(routes!(unprotect_snapshot))
        .routes(routes!(tag_snapshot))
        .routes(routes!(forget_snapshot))
        .routes(routes!(undelete_snapshot))
        .routes(routes!(snapshot_standing))
}

/// Protect a snapshot: no policy and no one forgets it.
#[utoipa::path(post, path = "/snapshots/{repository}/{snapshot}/protect", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = SnapshotChanged)))]
async fn protect_snapshot(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
) -> Result<Outcome<SnapshotChanged>> {
    let deed = Deed { right: Right::KeepSnapshots, action: "snapshot.protect", edit: Edit::Protect };
    decide(&api, &caller, &repository, &id, deed).await
}

/// End the protection of a snapshot.
#[utoipa::path(post, path = "/snapshots/{repository}/{snapshot}/unprotect", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = SnapshotChanged), (status = 202, body = Approval)))]
async fn unprotect_snapshot(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
) -> Result<Outcome<SnapshotChanged>> {
    let deed = Deed { right: Right::Forget, action: "snapshot.unprotect", edit: Edit::Unprotect };
    decide(&api, &caller, &repository, &id, deed).await
}

/// Give and take tags: another snapshot with the same content stands in its place then.
#[utoipa::path(post, path = "/snapshots/{repository}/{snapshot}/tags", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)), request_body = TagChange,
    responses((status = 200, body = SnapshotChanged), (status = 202, body = Approval)))]
async fn tag_snapshot(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
    Body(change): Body<TagChange>,
) -> Result<Outcome<SnapshotChanged>> {
    let TagChange { add, remove } = change;
    let tags = || add.iter().chain(&remove);
    if tags().count() == 0 || tags().count() > TAGS_MAX {
        return Err(Failure::new(ErrorCode::Unprocessable, format!("Name 1 to {TAGS_MAX} tags.")));
    }
    // Whatever a snapshot has can be taken; what is given has to be a name that lists can show.
    for tag in &add {
        Tag::new(tag.as_str())?;
    }
    // Retention knows the snapshots of a plan by this label: to take it or to give it decides what is kept.
    let right = match tags().any(|tag| tag.starts_with(keepfast_server::convert::backup::LABEL_PREFIX)) {
        true => Right::Forget,
        false => Right::KeepSnapshots,
    };
    let deed = Deed { right, action: "snapshot.tag", edit: Edit::Tags { add, remove } };
    decide(&api, &caller, &repository, &id, deed).await
}

/// Forget a snapshot: what only it needs goes with the next prune, and until then it can be brought back.
#[utoipa::path(post, path = "/snapshots/{repository}/{snapshot}/forget", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = SnapshotChanged), (status = 202, body = Approval)))]
async fn forget_snapshot(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
) -> Result<Outcome<SnapshotChanged>> {
    let deed = Deed { right: Right::Forget, action: "snapshot.forget", edit: Edit::Forget };
    decide(&api, &caller, &repository, &id, deed).await
}

/// Bring a forgotten snapshot back.
#[utoipa::path(post, path = "/snapshots/{repository}/{snapshot}/undelete", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = SnapshotChanged)))]
async fn undelete_snapshot(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
) -> Result<Outcome<SnapshotChanged>> {
    let deed = Deed { right: Right::KeepSnapshots, action: "snapshot.undelete", edit: Edit::Undelete };
    decide(&api, &caller, &repository, &id, deed).await
}

/// What was decided about a snapshot.
#[utoipa::path(get, path = "/snapshots/{repository}/{snapshot}/standing", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = SnapshotStanding)))]
async fn snapshot_standing(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
) -> Result<Document<SnapshotStanding>> {
    must(&api, &caller, Right::See, &repository, &id).await?;
    let protected = look(&api, &repository, move |browser| browser.is_protected(&id)).await?;
    Ok(Document::new(SnapshotStanding { protected }))
}

/// What a caller wants to do.
struct Deed {
    right: Right,
    action: &'static str,
    edit: Edit,
}

async fn decide(
    api: &Shared,
    caller: &Caller,
    repository: &str,
    id: &str,
    deed: Deed,
) -> Result<Outcome<SnapshotChanged>> {
    let Deed { right, action, edit: wanted } = deed;
    must(api, caller, right, repository, id).await?;
    let may_need = deeds::Deed::of_snapshot(repository, id, &wanted, right);
    if let Some(deed) = may_need.filter(|deed| deed.needs_second(api)) {
        if row(api, repository, id).await?.is_none() {
            return Err(Failure::not_found("snapshot", id));
        }
        return Ok(Outcome::Asked(Box::new(Document::accepted(deeds::ask(api, caller, &deed).await?))));
    }
    Ok(Outcome::Done(Document::new(carry_out(api, caller, (repository, id), action, wanted).await?)))
}

/// Does it, with or without a second person.
pub async fn carry_out(
    api: &Shared,
    caller: &Caller,
    (repository, id): (&str, &str),
    action: &'static str,
    wanted: Edit,
) -> Result<SnapshotChanged> {
    let object = format!("snapshot:{repository}/{id}");
    let about = match &wanted {
        Edit::Tags { add, remove } => json!({ "add": add, "remove": remove }),
        _ => Value::Null,
    };
    let of = id.to_owned();
    let done = look(api, repository, move |browser| {
        edit(browser.config, browser.warm, browser.repository, &of, &wanted)
    });
    let now = done.await?;
    let mut after = about;
    if let Some(now) = now.as_ref().filter(|now| *now != id) {
        after = json!({ "now": now, "change": after });
    }
    caller.record(api.store(), action, &object, after).await?;
    // So that a list that is asked for next has it. If this fails, the next refresh brings it.
    let inside = &api.inside;
    let refreshed =
        catalogue::refresh(api.store(), &inside.warm, &inside.troubles, &api.config(), repository).await;
    drop(refreshed);
    Ok(SnapshotChanged { snapshot: id.to_owned(), now })
}
