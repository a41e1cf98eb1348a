//! Definitions: the files, what they come to, and what is wrong with them.

use axum::extract::State;
use axum::http::StatusCode;
use keepfast_access::role::Right;
use keepfast_api::config::{ConfigFile, Diagnostic, SettingQuery};
use keepfast_api::list::{List, PageQuery};
use keepfast_api::plan::Setting;
use keepfast_config::effective::Line;
use keepfast_config::source::Sources;
use keepfast_server::daemon::outside::Wish;
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Failure, Listed, Pages, Result};
use crate::guard::Caller;
use crate::guard::about::About;
use crate::request::Query;
use crate::state::Shared;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(config))
        .routes(routes!(config_files))
        .routes(routes!(config_diagnostics))
        .routes(routes!(reload_config))
}

/// All values that are followed, with the origin of each.
#[utoipa::path(get, path = "/config", tag = "config", params(SettingQuery, PageQuery),
    responses((status = 200, body = List<Setting>)))]
async fn config(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<SettingQuery>,
    pages: Pages,
) -> Result<Listed> {
    caller.must(Right::SeeConfig, &About::server())?;
    let followed = api.followed();
    let lines = followed.config.effective.lines(wanted.path.as_deref().unwrap_or_default());
    let sources = followed.report.sources();
    pages.of_all("config", lines.into_iter().map(|line| setting(line, sources)).collect()).await
}

/// The files that the definitions were read from.
#[utoipa::path(get, path = "/config/files", tag = "config", params(PageQuery),
    responses((status = 200, body = List<ConfigFile>)))]
async fn config_files(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    caller.must(Right::SeeConfig, &About::server())?;
    let followed = api.followed();
    let files = followed.report.sources().files().iter();
    let files =
        files.map(|file| ConfigFile { file: file.path().display().to_string(), read: followed.since });
    pages.of_all("config-files", files.collect()).await
}

/// What was found when the files were last read. Errors mean that those of before are followed.
#[utoipa::path(get, path = "/config/diagnostics", tag = "config", params(PageQuery),
    responses((status = 200, body = List<Diagnostic>)))]
async fn config_diagnostics(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    caller.must(Right::SeeConfig, &About::server())?;
    let followed = api.followed();
    let report = followed.wrong.as_ref().unwrap_or(&followed.report).to_json();
    let found = report.get("diagnostics").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let found: std::result::Result<Vec<_>, _> = found.iter().map(Diagnostic::deserialize).collect();
    pages.of_all("config-diagnostics", found.map_err(|error| Failure::internal(&error))?).await
}

/// Read the files again. What comes of it is an event, and in the diagnostics.
#[utoipa::path(post, path = "/config/reload", tag = "config", responses((status = 202)))]
async fn reload_config(State(api): State<Shared>, caller: Caller) -> Result<StatusCode> {
    caller.must(Right::ManageServer, &About::server())?;
    // A server that ends reads nothing more.
    let _ = api.inside.wishing.send(Wish::Reload(None));
    caller.record(api.store(), "config.reload", "server", Value::Null).await?;
    Ok(StatusCode::ACCEPTED)
}

/// A value as documents have it.
pub fn setting(line: Line, sources: &Sources) -> Setting {
    Setting { path: line.path, value: line.value, origin: sources.short(line.origin) }
}
