//! The resources, a file each. To add one: write its handlers and `routes()`, and name it here.

use utoipa_axum::router::OpenApiRouter;

use crate::state::Shared;

mod account;
mod analytics;
mod approvals;
mod audit;
mod config;
mod content;
mod drills;
mod edits;
mod events;
mod files;
mod health;
mod logs;
mod managed;
mod notifications;
mod oidc;
mod overview;
mod patterns;
mod plans;
mod problems;
mod projects;
mod prunes;
mod repositories;
mod restores;
mod retention;
mod run_log;
mod runs;
mod schedule;
mod session;
mod snapshots;
mod storage;
mod targets;
mod tokens;
mod users;

/// What is answered to anyone.
pub fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(health::open()).merge(session::open()).merge(oidc::open())
}

/// What is answered to callers who are signed in.
pub fn closed() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(session::routes())
        .merge(overview::routes())
        .merge(analytics::routes())
        .merge(plans::routes())
        .merge(drills::routes())
        .merge(runs::routes())
        .merge(run_log::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(problems::routes())
        .merge(patterns::routes())
        .merge(snapshots::routes())
        .merge(files::routes())
        .merge(content::routes())
        .merge(edits::routes())
        .merge(restores::routes())
        .merge(retention::routes())
        .merge(schedule::routes())
        .merge(repositories::routes())
        .merge(storage::routes())
        .merge(prunes::routes())
        .merge(notifications::routes())
        .merge(targets::routes())
        .merge(config::routes())
        .merge(managed::routes())
        .merge(projects::routes())
        .merge(approvals::routes())
        .merge(account::routes())
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
}
