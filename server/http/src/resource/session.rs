//! Signing in and out, and the first user.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use keepfast_api::session::{Proof, Session, Setup, SignIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Document, Result};
use crate::guard::Caller;
use crate::guard::cookie::Cookie;
use crate::guard::gate::{From, SignedIn};
use crate::request::Body;
use crate::state::Shared;

pub fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(set_up)).routes(routes!(sign_in))
}

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(session, sign_out)).routes(routes!(prove))
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
    Ok(signed_in(cookie, &api.gate.set_up(setup, &from, api.now()).await?))
}

/// Sign in.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn,
    responses((status = 201, body = Session, headers(("Set-Cookie" = String, description = "The session")))))]
async fn sign_in(
    State(api): State<Shared>,
    from: From,
    cookie: Cookie,
    headers: HeaderMap,
    Body(form): Body<SignIn>,
) -> Result<Response> {
    let device = cookie.device(&headers);
    Ok(signed_in(cookie, &api.gate.sign_in(form, device, &from, api.now()).await?))
}

/// Who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Session)))]
async fn session(caller: Caller) -> Document<Session> {
    Document::new(caller.session())
}

/// Show the password again, before something dangerous.
#[utoipa::path(post, path = "/session/proof", tag = "session", request_body = Proof, responses((status = 204)))]
async fn prove(
    State(api): State<Shared>,
    caller: Caller,
    from: From,
    Body(proof): Body<Proof>,
) -> Result<StatusCode> {
    api.gate.prove(&caller, proof, &from, api.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
async fn sign_out(State(api): State<Shared>, caller: Caller, cookie: Cookie) -> Result<Response> {
    api.gate.sign_out(&caller).await?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie.end())]).into_response())
}

fn signed_in(cookie: Cookie, signed_in: &SignedIn) -> Response {
    let cookies = [cookie.begin(&signed_in.session), cookie.know(&signed_in.device)];
    (AppendHeaders(cookies.map(|cookie| (SET_COOKIE, cookie))), Document::created(signed_in.caller.session()))
        .into_response()
}
