//! The resources, a file each. To add one: write its handlers and `routes()`, and name it here.

use utoipa_axum::router::OpenApiRouter;

use crate::state::Shared;

mod events;
mod health;
mod overview;
mod patterns;
mod plans;
mod problems;
mod run_log;
mod runs;
mod session;

/// What is answered to anyone.
pub fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(health::open()).merge(session::open())
}

/// What is answered to callers who are signed in.
pub fn closed() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(session::routes())
        .merge(overview::routes())
        .merge(plans::routes())
        .merge(runs::routes())
        .merge(run_log::routes())
        .merge(events::routes())
        .merge(problems::routes())
        .merge(patterns::routes())
}
