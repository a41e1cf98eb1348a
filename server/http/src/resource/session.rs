//! Signing in and out, and the first user.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use keepfast_api::session::{Session, Setup, SignIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Result};
use crate::guard::{Caller, Cookie, From, SignedIn};
use crate::request::Body;
use crate::state::Shared;

pub fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(set_up)).routes(routes!(sign_in))
}

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(session)).routes(routes!(sign_out))
}

/// Make the first user.
///
/// The token is what the server has printed when it started; it can be used once.
#[utoipa::path(post, path = "/setup", tag = "session", request_body = Setup,
    responses((status = 201, body = Session, headers(("Set-Cookie" = String, description = "The session")))))]
async fn set_up(
    State(api): State<Shared>,
    from: From,
    cookie: Cookie,
    Body(setup): Body<Setup>,
) -> Result<Response> {
    let SignedIn { secret, session } = api.gate.set_up(setup, from).await?;
    Ok(([(SET_COOKIE, cookie.set(&secret))], Document::created(session)).into_response())
}

/// Sign in.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn,
    responses((status = 201, body = Session, headers(("Set-Cookie" = String, description = "The session")))))]
async fn sign_in(
    State(api): State<Shared>,
    from: From,
    cookie: Cookie,
    Body(form): Body<SignIn>,
) -> Result<Response> {
    let SignedIn { secret, session } = api.gate.sign_in(form, from).await?;
    Ok(([(SET_COOKIE, cookie.set(&secret))], Document::created(session)).into_response())
}

/// Who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Session)))]
async fn session(caller: Caller) -> Document<Session> {
    Document::new(caller.session())
}

/// Sign out.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
async fn sign_out(
    State(api): State<Shared>,
    _: Caller,
    cookie: Cookie,
    headers: HeaderMap,
) -> Result<Response> {
    if let Some(secret) = cookie.shown(&headers) {
        api.gate.sign_out(secret).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie.end())]).into_response())
}
