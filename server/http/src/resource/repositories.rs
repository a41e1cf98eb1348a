//! Repositories: what is stored in them, what was checked, and how they grow.

use axum::extract::State;
use keepfast_access::role::Right;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::repository::{Repository, RepositoryDetail, StoragePoint, UpkeepDone};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::Repository as Defined;
use keepfast_server::connect;
use keepfast_server::state::instant;
use keepfast_store::{Page, PageSize, RepositoryId, Run, RunFilter, RunKind, RunNumber, Verdict};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::config::setting;
use crate::answer::{Document, Listed, Pages, Result};
use crate::convert;
use crate::guard::Caller;
use crate::request::Name;
use crate::state::{Api, Shared};

/// Of the newest checks and prunes, this many are looked at for one that found what is stored.
const LOOKED_AT: usize = 20;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(repositories))
        .routes(routes!(repository))
        .routes(routes!(repository_history))
}

/// All repositories, in the order of their names.
#[utoipa::path(get, path = "/repositories", tag = "repositories", params(PageQuery),
    responses((status = 200, body = List<Repository>)))]
async fn repositories(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    let config = api.config();
    let mut found = Vec::new();
    for definition in config.repositories.values() {
        if caller.sees(&api.repository(&definition.name)) {
            found.push(one(&api, &config, definition).await?);
        }
    }
    pages.of_all("repositories", found).await
}

/// A repository with all that it is defined by.
#[utoipa::path(get, path = "/repositories/{repository}", tag = "repositories",
    params(("repository" = String, Path)), responses((status = 200, body = RepositoryDetail)))]
async fn repository(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
) -> Result<Document<RepositoryDetail>> {
    caller.must(Right::See, &api.repository(&name))?;
    let followed = api.followed();
    let (config, sources) = (&followed.config, followed.report.sources());
    let definition = connect::definition(config, &name)?;
    let lines = config.effective.lines(&format!("repository.{name}"));
    Ok(Document::new(RepositoryDetail {
        repository: one(&api, config, definition).await?,
        origin: sources.short(definition.origin),
        settings: lines.into_iter().map(|line| setting(line, sources)).collect(),
    }))
}

/// What was stored in a repository when checks and prunes looked, the newest first.
#[utoipa::path(get, path = "/repositories/{repository}/history", tag = "repositories",
    params(("repository" = String, Path), PageQuery), responses((status = 200, body = List<StoragePoint>)))]
async fn repository_history(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    pages: Pages,
) -> Result<Listed> {
    caller.must(Right::See, &api.repository(&name))?;
    let filter = upkeep_of(&name)?;
    pages
        .of(&format!("storage-{name}"), move |before: Option<RunNumber>, size| {
            let (api, filter) = (api.clone(), filter.clone());
            async move {
                let page = api.store().runs(&filter, before, size).await?;
                Ok(Page { rows: page.rows.iter().filter_map(point).collect(), next: page.next })
            }
        })
        .await
}

fn upkeep_of(name: &str) -> Result<RunFilter> {
    Ok(RunFilter { repository: Some(RepositoryId::new(name)?), upkeep_only: true, ..RunFilter::default() })
}

async fn one(api: &Api, config: &Config, definition: &Definition<Defined>) -> Result<Repository> {
    let (name, defined) = (&definition.name, &definition.value);
    let newest = api.store().reported_runs(&upkeep_of(name)?, None, PageSize::at_most(LOOKED_AT)).await?.rows;
    let measured = newest.iter().find_map(|(run, _)| point(run));
    let of_kind = |kind: RunKind| newest.iter().find_map(|(run, _)| proof(run).filter(|_| run.kind == kind));
    let checked = newest.iter().find(|(run, report)| run.kind == RunKind::Check && report.is_some());
    let all_read_since =
        checked.and_then(|(_, report)| report.as_ref()?.pointer("/read/all_read_since")?.as_str());
    let counts = api.store().snapshot_counts().await?;
    let plans = config.plans.values().filter(|plan| plan.value.repository.name == *name);
    Ok(Repository {
        repository: name.clone(),
        description: defined.description.clone(),
        url: defined.url.value.to_string(),
        project: defined.project.as_ref().map(|project| project.name.clone()),
        plans: plans.map(|plan| plan.name.clone()).collect(),
        snapshots: counts.iter().find(|count| count.repository.as_str() == name).map(|count| count.snapshots),
        stored_bytes: measured.as_ref().map(|point| point.stored_bytes),
        measured: measured.map(|point| point.at),
        quota_bytes: defined.quota.as_ref().map(|quota| quota.size.bytes),
        checked: of_kind(RunKind::Check),
        all_read_since: all_read_since.and_then(|text| text.parse().ok()),
        pruned: of_kind(RunKind::Prune),
    })
}

/// What came of a run that did something.
fn proof(run: &Run) -> Option<UpkeepDone> {
    let verdict = run
        .verdict
        .as_ref()
        .filter(|verdict| !matches!(verdict, Verdict::Missed(_) | Verdict::Skipped(_)))?;
    Some(UpkeepDone {
        run: run.id.to_string(),
        verdict: convert::verdict(verdict.kind()),
        at: instant(run.ended?),
    })
}

/// What a check or a prune has found to be stored.
fn point(run: &Run) -> Option<StoragePoint> {
    Some(StoragePoint { run: run.id.to_string(), at: instant(run.ended?), stored_bytes: run.found_bytes? })
}
