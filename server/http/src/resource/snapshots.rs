//! Snapshots, as the catalogue has them, and how old the catalogue is.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::snapshot::{CatalogueAge, Snapshot, SnapshotDetail, SnapshotProof, SnapshotQuery};
use keepfast_server::catalogue;
use keepfast_server::state::{instant, stored};
use keepfast_store::{
    HostId, PageSize, PlanId, RepositoryId, Run, RunFilter, RunKind, Snapshot as StoredSnapshot,
    SnapshotFilter, SnapshotId, SnapshotKey, Tag, UtcTime,
};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::guard::about::About;
use crate::request::{Pair, Query};
use crate::state::{Api, Shared};

/// A run that made a snapshot is looked for among this many.
const RUNS_MAX: usize = 50;
/// A slot that a run is for is no older than this when its snapshot begins.
const SLOT_BEFORE: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(snapshots)).routes(routes!(catalogue_ages)).routes(routes!(snapshot))
}

/// The snapshots of all repositories, the newest first.
#[utoipa::path(get, path = "/snapshots", tag = "snapshots", params(SnapshotQuery, PageQuery),
    responses((status = 200, body = List<Snapshot>)))]
async fn snapshots(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<SnapshotQuery>,
    pages: Pages,
) -> Result<Listed> {
    let SnapshotQuery { search, plan, host, repository, tag, protected, from, until } = wanted;
    let filter = SnapshotFilter {
        repository: repository.map(RepositoryId::new).transpose()?,
        host: host.map(HostId::new).transpose()?,
        plan: plan.map(PlanId::new).transpose()?,
        tags: tag.map(Tag::new).transpose()?.into_iter().collect(),
        search: search.unwrap_or_default(),
        from: from.map(stored),
        until: until.map(stored),
        protected,
    };
    pages
        .of("snapshots", move |before: Option<SnapshotKey>, size| {
            let (api, filter, caller) = (api.clone(), filter.clone(), caller.clone());
            async move {
                let page = api.store().snapshots(&filter, before.as_ref(), size).await?;
                Ok(page.only(|row| caller.sees(&about(&api, row))).map(|row| wire(&row)))
            }
        })
        .await
}

/// How old what the catalogue says of each repository is.
#[utoipa::path(get, path = "/catalogue", tag = "snapshots", params(PageQuery),
    responses((status = 200, body = List<CatalogueAge>)))]
async fn catalogue_ages(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let mut ages = Vec::new();
    for name in api.config().repositories.keys().filter(|name| caller.sees(&api.repository(name))) {
        let id = RepositoryId::new(&**name)?;
        let age = catalogue::age(api.store(), &api.inside.troubles, &id).await?;
        ages.push(CatalogueAge {
            repository: name.clone(),
            refreshed: age.refreshed,
            stale_since: age.stale_since,
            error: age.error,
        });
    }
    pages.of_all("catalogue", ages).await
}

/// A snapshot, with the run that made it.
#[utoipa::path(get, path = "/snapshots/{repository}/{snapshot}", tag = "snapshots",
    params(("repository" = String, Path), ("snapshot" = String, Path)),
    responses((status = 200, body = SnapshotDetail)))]
async fn snapshot(
    State(api): State<Shared>,
    caller: Caller,
    Pair(repository, id): Pair,
) -> Result<Document<SnapshotDetail>> {
    let row = row(&api, &repository, &id).await?.filter(|row| caller.sees(&about(&api, row)));
    let row = row.ok_or_else(|| Failure::not_found("snapshot", &id))?;
    let made_by = made_by(&api, &row).await?;
    let (run, report) =
        made_by.map_or((None, None), |(run, report)| (Some(run.id.to_string()), Some(report)));
    Ok(Document::new(SnapshotDetail { snapshot: wire(&row), run, report }))
}

/// A snapshot that the catalogue has.
pub async fn row(api: &Api, repository: &str, id: &str) -> Result<Option<StoredSnapshot>> {
    let (Ok(repository), Ok(id)) = (RepositoryId::new(repository), SnapshotId::new(id)) else {
        return Ok(None);
    };
    Ok(api.store().snapshot(&repository, &id).await?)
}

/// What a snapshot of the catalogue is about, for rights.
pub fn about(api: &Api, row: &StoredSnapshot) -> About {
    let plan = row.plan.as_ref().map(PlanId::as_str);
    About::snapshot(&api.config(), row.repository.as_str(), plan, row.host.as_str())
}

/// Refuses what a caller may not do with a snapshot. One that isn't in the catalogue is its repository's alone.
///
/// # Errors
/// The caller may not do it, or may not even know that there is such a snapshot.
pub async fn must(api: &Api, caller: &Caller, right: Right, repository: &str, id: &str) -> Result<About> {
    let about = match row(api, repository, id).await? {
        Some(row) => about(api, &row),
        None => api.repository(repository),
    };
    if !caller.sees(&about) {
        return Err(Failure::not_found("snapshot", id));
    }
    caller.must(right, &about)?;
    Ok(about)
}

fn wire(row: &StoredSnapshot) -> Snapshot {
    let proof = |proof: Option<keepfast_store::Proof>| {
        proof.map(|proof| SnapshotProof { verdict: convert::verdict(proof.verdict), at: instant(proof.at) })
    };
    Snapshot {
        repository: row.repository.to_string(),
        snapshot: row.id.to_string(),
        time: instant(row.time),
        host: row.host.to_string(),
        plan: row.plan.as_ref().map(ToString::to_string),
        tags: row.tags.iter().map(ToString::to_string).collect(),
        files: row.files,
        size_bytes: row.size_bytes,
        new_bytes: row.new_bytes,
        clean: row.clean,
        protected: row.protected,
        checked: proof(row.checked),
        drilled: proof(row.drilled),
    }
}

/// The run that made a snapshot, and what it has counted.
async fn made_by(api: &Api, row: &StoredSnapshot) -> Result<Option<(Run, Value)>> {
    let Some(plan) = &row.plan else { return Ok(None) };
    let filter = RunFilter {
        plan: Some(plan.clone()),
        kind: Some(RunKind::Backup),
        due_from: Some(row.time.minus(SLOT_BEFORE)),
        due_until: Some(row.time.plus(std::time::Duration::from_secs(1))),
        ..RunFilter::default()
    };
    let runs = api.store().runs(&filter, None, PageSize::at_most(RUNS_MAX)).await?.rows;
    let is_before = |at: Option<UtcTime>| at.is_some_and(|at| at <= row.time);
    for run in runs.into_iter().filter(|run| is_before(run.started) && !is_before(run.ended)) {
        let Some(mut report) = api.store().run_report(&run.id).await? else { continue };
        if report.pointer("/backup/snapshot/id").and_then(Value::as_str) == Some(row.id.as_str()) {
            let backup = report.get_mut("backup").map(Value::take);
            return Ok(backup.map(|backup| (run, backup)));
        }
    }
    Ok(None)
}
