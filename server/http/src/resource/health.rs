//! How the server is, and what it is.

use axum::extract::State;
use keepfast_api::health::{About, Health, HealthState};
use keepfast_config::model::server::Definitions;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Result};
use crate::elsewhere;
use crate::guard::Caller;
use crate::state::Shared;

pub fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(health))
}

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(about))
}

/// How the server is.
#[utoipa::path(get, path = "/health", tag = "server", responses((status = 200, body = Health)))]
async fn health(State(api): State<Shared>) -> Result<Document<Health>> {
    let state = if api.inside.health.is_well() { HealthState::Well } else { HealthState::Unwell };
    let needs_setup = !api.store().has_users().await?;
    Ok(Document::new(Health { state, needs_setup, has_oidc: elsewhere::is_defined(&api) }))
}

/// What the server is.
#[utoipa::path(get, path = "/about", tag = "server", responses((status = 200, body = About)))]
async fn about(State(api): State<Shared>, _: Caller) -> Document<About> {
    let config = api.config();
    let server = &config.server.value;
    Document::new(About {
        version: api.inside.around.version.clone(),
        host: api.inside.around.host.clone(),
        started: api.inside.started,
        now: api.now(),
        zone: server.timezone.0.clone(),
        public_url: server.public_url.as_ref().map(|url| url.0.clone()),
        has_managed_definitions: server.definitions == Definitions::FilesAndManaged,
        two_persons: server.two_persons.iter().map(|kind| kind.word().to_owned()).collect(),
        config_is_valid: api.inside.health.config_is_valid(),
        config: config.hash().to_string(),
    })
}
