//! What a prune of a repository would do.

use std::time::Duration;

use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::storage::{PrunePlan, PrunePreview, PrunePreviewQuery};
use keepfast_operations::reports::PlanDocument;
use keepfast_server::connect;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Failure, Result};
use crate::guard::Caller;
use crate::request::{Name, Query};
use crate::state::Shared;

/// How old a preview may be if nothing is said.
const AGE_USUAL_S: u64 = 3600;
/// How old it may be at most: no preview is kept for a year.
const AGE_MAX_S: u64 = 31_536_000;
/// An answer waits this long for one that is being found out: of a small repository, it is there by then.
const WAITS: Duration = Duration::from_secs(2);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(prune_preview))
}

/// What a prune of a repository would do, as `keepfast prune --dry-run` says it. Nothing is changed.
///
/// To find that out takes minutes for a large repository, so it is done in the background: while `working` is true, ask
/// again in some seconds. It is begun for callers who may run something; others see what was found last.
#[utoipa::path(get, path = "/repositories/{repository}/prune", tag = "repositories",
    params(("repository" = String, Path), PrunePreviewQuery), responses((status = 200, body = PrunePreview)))]
async fn prune_preview(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    Query(wanted): Query<PrunePreviewQuery>,
) -> Result<Document<PrunePreview>> {
    let age_s = wanted.max_age_s.unwrap_or(AGE_USUAL_S);
    if age_s > AGE_MAX_S {
        let detail = format!("`max_age_s` is a number from 0 to {AGE_MAX_S}.");
        return Err(Failure::new(ErrorCode::InvalidRequest, detail));
    }
    let about = api.repository(&name);
    caller.must(Right::See, &about)?;
    let config = api.config();
    connect::definition(&config, &name)?;
    if caller.may(Right::Run, &about) {
        let now = api.now();
        let age = SignedDuration::try_from(Duration::from_secs(age_s));
        let fresh_from = age.ok().and_then(|age| now.checked_sub(age).ok()).unwrap_or(Timestamp::MIN);
        api.previews.begin(&config, &name, fresh_from, now)?;
    }
    let known = api.previews.wait(&name, WAITS).await;
    Ok(Document::new(PrunePreview {
        repository: name,
        working: known.working_since.is_some(),
        working_since: known.working_since,
        found: known.found.map(|(at, _)| at),
        plan: known.found.map(|(_, plan)| plan_of(plan)),
        error: known.error,
    }))
}

fn plan_of(plan: PlanDocument) -> PrunePlan {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    PrunePlan {
        packs: plan.packs,
        bytes: plan.bytes,
        unused_packs: count(plan.unused_packs),
        unused_bytes: plan.unused_bytes,
        rewrite_packs: count(plan.rewrite_packs),
        rewrite_bytes: plan.rewrite_bytes,
        rewrite_needed_bytes: plan.rewrite_needed_bytes,
        running_packs: plan.running_packs,
        running_bytes: plan.running_bytes,
        bytes_after: plan.bytes_after,
        freed_bytes: plan.bytes.saturating_sub(plan.bytes_after),
        waste_bytes: plan.waste_bytes,
        requests: plan.requests,
    }
}
