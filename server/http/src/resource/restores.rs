//! Restores: where they may go, what they would do, how they begin, what has come of them.

use axum::extract::State;
use axum::http::HeaderMap;
use keepfast_access::role::Right;
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_api::restore::{
    CONFLICTS_MAX, PATHS_MAX, Restore, RestoreDestination, RestoreDetail, RestorePlace, RestorePlaces,
    RestorePreview, RestoreQuery, RestoreRequest, WARNINGS_MAX,
};
use keepfast_api::session::SignedInBy;
use keepfast_engine::list::normal;
use keepfast_server::ServerError;
use keepfast_server::restores::order::{Destination, Order, SnapshotPath};
use keepfast_server::restores::preview::{Bounds, look as look_ahead};
use keepfast_server::restores::{Start, places as look_at_places, plans_here, read, stored};
use keepfast_server::state::instant;
use keepfast_store::{
    HostId, PlanId, RepositoryId, Run as StoredRun, RunFilter, RunId, RunKind, RunNumber, Trigger,
};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::files::path_of;
use super::snapshots::{about as about_row, row};
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::convert;
use crate::convert::restores as wire;
use crate::guard::Caller;
use crate::guard::about::About;
use crate::looking::look;
use crate::once::run_id;
use crate::request::{Body, Name, Query};
use crate::state::{Api, Shared};

/// Paths that the audit names, at most.
const PATHS_IN_AUDIT: usize = 100;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(restore_places))
        .routes(routes!(preview_restore))
        .routes(routes!(list_restores, start_restore))
        .routes(routes!(restore))
}

/// Where restores may go on the machine of the server that answers.
#[utoipa::path(get, path = "/restores/places", tag = "restores",
    responses((status = 200, body = RestorePlaces)))]
async fn restore_places(State(api): State<Shared>, caller: Caller) -> Result<Document<RestorePlaces>> {
    let config = api.config();
    let may = |right: Right| {
        config.plans.keys().any(|plan| caller.may(right, &api.plan(plan)))
            || config.repositories.keys().any(|name| caller.may(right, &api.repository(name)))
    };
    if !may(Right::RestoreElsewhere) && !may(Right::RestoreInPlace) {
        return Err(Failure::new(ErrorCode::Forbidden, "Your roles don't include this."));
    }
    let original = plans_here(&config).filter(|plan| caller.may(Right::RestoreInPlace, &api.plan(plan)));
    let original = original.map(str::to_owned).collect();
    let of = api.clone();
    let looked = tokio::task::spawn_blocking(move || look_at_places(&of.config(), &of.inside.around)).await;
    let looked = looked.map_err(|_| ServerError::Ended { what: "a look at the folders for restores" })?;
    let places = looked.into_iter().map(|place| RestorePlace {
        place: wire::path(&place.place),
        free_bytes: place.free_bytes,
        problem: place.problem,
    });
    let machine = api.inside.around.host.clone();
    Ok(Document::new(RestorePlaces { machine, places: places.collect(), original }))
}

/// What a restore would do, with what is in the way. It writes nothing.
#[utoipa::path(post, path = "/restores/preview", tag = "restores", request_body = RestoreRequest,
    responses((status = 200, body = RestorePreview)))]
async fn preview_restore(
    State(api): State<Shared>,
    caller: Caller,
    Body(wanted): Body<RestoreRequest>,
) -> Result<Document<RestorePreview>> {
    let (order, about) = order(&api, &caller, wanted).await?;
    let sees_names = caller.may(Right::SeeNames, &about);
    let (of, wanted) = (api.clone(), order.clone());
    let looked = look(&api, &order.repository, move |browser| {
        let bounds = Bounds { conflicts: CONFLICTS_MAX, warnings: WARNINGS_MAX };
        look_ahead(browser, &of.inside.around, &wanted, bounds)
    });
    Ok(Document::new(wire::preview(&order, looked.await?, sees_names)))
}

/// Start a restore: a run of the server that answers, on its machine.
#[utoipa::path(post, path = "/restores", tag = "restores", request_body = RestoreRequest,
    responses((status = 202, body = Restore)))]
async fn start_restore(
    State(api): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(wanted): Body<RestoreRequest>,
) -> Result<Document<Restore>> {
    let (order, _) = order(&api, &caller, wanted).await?;
    if order.destination == Destination::Original {
        caller.must_prove()?;
    }
    let id = run_id(&headers, &caller, "restore")?;
    let known = api.store().run(&id).await?;
    let (run, begun) = match known {
        // It may have written by now, so that what is there isn't looked at again.
        Some(run) => {
            let begun = stored(api.store(), &run.id).await?;
            (run, begun)
        }
        None => {
            let (of, wanted) = (api.clone(), order.clone());
            let checked =
                tokio::task::spawn_blocking(move || Start::check(&of.config(), &of.inside.around, &wanted));
            let checked = checked.await.map_err(|_| ServerError::Ended { what: "a look at a folder" })?;
            checked.map_err(ServerError::from)?;
            let trigger = match caller.by() {
                SignedInBy::Session => Trigger::Manual,
                SignedInBy::Token => Trigger::Api,
            };
            let config = api.config();
            let start = Start {
                config: &config,
                store: api.store(),
                around: &api.inside.around,
                server: &api.inside.executor.server,
            };
            let (run, begun) = start.queue(&order, trigger, id).await?;
            (run, Some(begun))
        }
    };
    if begun.as_ref() != Some(&order) {
        return Err(Failure::new(ErrorCode::IdempotencyKeyReused, "Use another key for another run."));
    }
    api.wake();
    record(&api, &caller, &run, &order).await?;
    Ok(Document::accepted(wire::restore(&run, &order, api.now())))
}

async fn record(api: &Api, caller: &Caller, run: &StoredRun, order: &Order) -> Result<()> {
    let paths = order.paths.iter().take(PATHS_IN_AUDIT).map(wire::snapshot_path);
    let what = json!({
        "run": run.id,
        "machine": order.machine,
        "target": wire::path(&order.target()),
        "original": order.destination == Destination::Original,
        "paths": paths.collect::<Vec<_>>(),
        "paths_count": order.paths.len(),
        "overwrite": order.overwrite,
    });
    let object = format!("snapshot:{}/{}", order.repository, order.snapshot);
    caller.record(api.store(), "restore.start", &object, what).await
}

/// The restores, those that were stored last first.
#[utoipa::path(get, path = "/restores", tag = "restores", params(RestoreQuery, PageQuery),
    responses((status = 200, body = List<Restore>)))]
async fn list_restores(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<RestoreQuery>,
    pages: Pages,
) -> Result<Listed> {
    let RestoreQuery { plan, repository, host, verdict, open } = wanted;
    let filter = RunFilter {
        kind: Some(RunKind::Restore),
        plan: plan.map(PlanId::new).transpose()?,
        repository: repository.map(RepositoryId::new).transpose()?,
        host: host.map(HostId::new).transpose()?,
        verdict: verdict.map(convert::stored_verdict),
        open_only: open.unwrap_or(false),
        ..RunFilter::default()
    };
    pages
        .of("restores", move |before: Option<RunNumber>, size| {
            let (api, filter, caller) = (api.clone(), filter.clone(), caller.clone());
            async move {
                let page = api.store().requested_runs(&filter, before, size).await?;
                let now = api.now();
                let page = page.only(|(run, _)| caller.sees(&api.about(run)));
                // What a later version has stored isn't understood, and is no reason to show nothing.
                let rows = page
                    .rows
                    .into_iter()
                    .filter_map(|(run, request)| Some(wire::restore(&run, &read(request?).ok()?, now)));
                Ok(keepfast_store::Page { rows: rows.collect(), next: page.next })
            }
        })
        .await
}

/// A restore with its report.
#[utoipa::path(get, path = "/restores/{run}", tag = "restores", params(("run" = String, Path)),
    responses((status = 200, body = RestoreDetail)))]
async fn restore(
    State(api): State<Shared>,
    caller: Caller,
    Name(id): Name,
) -> Result<Document<RestoreDetail>> {
    let missing = || Failure::not_found("restore", &id);
    let run = api.store().run(&RunId::new(&*id).map_err(|_| missing())?).await?;
    let run = run.filter(|run| caller.sees(&api.about(run))).ok_or_else(missing)?;
    let order = stored(api.store(), &run.id).await?.ok_or_else(missing)?;
    let sees_names = caller.may(Right::SeeNames, &api.about(&run));
    let report = api.store().run_report(&run.id).await?;
    Ok(Document::new(RestoreDetail {
        paths: sees_names.then(|| order.paths.iter().map(wire::snapshot_path).collect()),
        contents_of: wire::contents_of(&order).filter(|_| sees_names),
        report: report.as_ref().and_then(|report| wire::result(report, sees_names)),
        restore: wire::restore(&run, &order, api.now()),
    }))
}

/// What a caller asks for, if the caller may have it.
async fn order(api: &Shared, caller: &Caller, wanted: RestoreRequest) -> Result<(Order, About)> {
    let RestoreRequest { repository, snapshot, paths, destination, overwrite, verify, machine } = wanted;
    let missing = || Failure::not_found("snapshot", &snapshot);
    let row = row(api, &repository, &snapshot).await?.ok_or_else(missing)?;
    let about = about_row(api, &row);
    if !caller.sees(&about) {
        return Err(missing());
    }
    let right = match &destination {
        RestoreDestination::Folder { .. } => Right::RestoreElsewhere,
        RestoreDestination::Original => Right::RestoreInPlace,
    };
    caller.must(right, &about)?;
    let here = &api.inside.around.host;
    if let Some(machine) = machine.filter(|machine| machine != here) {
        let detail = format!("This server is on {here}. Ask the one on {machine}.");
        return Err(Failure::new(ErrorCode::Conflict, detail));
    }
    if paths.len() > PATHS_MAX {
        let detail = format!("Name {PATHS_MAX} paths at most; a folder stands for all that is in it.");
        return Err(Failure::new(ErrorCode::Unprocessable, detail));
    }
    let (destination, contents_of) = match destination {
        RestoreDestination::Folder { place, folder, contents_of } => {
            let contents_of = SnapshotPath(normal(&path_of(contents_of.as_deref())?));
            let names = contents_of.0.clone();
            let place = wire::path_buf(path_of(Some(&place))?);
            let folder = folder.filter(|folder| !folder.is_empty());
            let folder = SnapshotPath(folder.map_or(Ok(Vec::new()), |folder| path_of(Some(&folder)))?);
            (Destination::Folder { place, folder, contents_of }, names)
        }
        RestoreDestination::Original => (Destination::Original, Vec::new()),
    };
    let mut chosen = Vec::with_capacity(paths.len());
    for path in &paths {
        chosen.push(SnapshotPath(normal(&path_of(Some(path))?)));
    }
    if chosen.iter().any(|path| path.0.is_empty()) {
        // The root is everything.
        chosen.clear();
    }
    if !chosen.is_empty() || !contents_of.is_empty() {
        // Whether a name is there is told by what comes of this.
        caller.must(Right::SeeNames, &about)?;
    }
    let order = Order {
        time: instant(row.time),
        host: row.host.to_string(),
        plan: row.plan.as_ref().map(ToString::to_string),
        machine: here.clone(),
        repository,
        snapshot,
        paths: chosen,
        destination,
        overwrite: wire::stored_overwrite(overwrite),
        verify,
        by: caller.name().to_string(),
    };
    Ok((order, about))
}

/// What someone wants to do with a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intervention {
    /// End it.
    Cancel,
    /// Do it again.
    Repeat,
}

/// Refuses what a caller may not do with a restore: to do it again takes what it took to begin it. Everyone who may end
/// other runs may end it.
///
/// # Errors
/// The caller may not do it.
pub async fn must(api: &Api, caller: &Caller, run: &StoredRun, intervention: Intervention) -> Result<()> {
    let about = api.about(run);
    if intervention == Intervention::Cancel && caller.may(Right::Run, &about) {
        return Ok(());
    }
    let Some(order) = stored(api.store(), &run.id).await? else {
        return Err(Failure::new(ErrorCode::Conflict, "No one knows any more what was to be restored."));
    };
    let right = match order.destination {
        Destination::Folder { .. } => Right::RestoreElsewhere,
        Destination::Original => Right::RestoreInPlace,
    };
    caller.must(right, &about)?;
    if intervention == Intervention::Repeat {
        if !order.paths.is_empty() || wire::contents_of(&order).is_some() {
            caller.must(Right::SeeNames, &about)?;
        }
        if order.destination == Destination::Original {
            caller.must_prove()?;
        }
    }
    Ok(())
}
