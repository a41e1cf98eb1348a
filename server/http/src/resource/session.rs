//! Signing in and out, and the first user.

use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use keepfast_api::error::ErrorCode;
use keepfast_api::session::{PasswordProof, Session, Setup, SignIn, SignedInBy};
use keepfast_server::access::{self, Credentials, SignedIn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::answer::{Document, Failure, Result};
use crate::guard::cookie::Cookie;
use crate::guard::from::From;
use crate::guard::{Caller, session_of};
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
    Body(Setup { token, user, password }): Body<Setup>,
) -> Result<Response> {
    let origin = from.address.to_string();
    let user = access::set_up(api.store(), &token, &user, Zeroizing::new(password), &origin).await?;
    let begun = api.gate.begin_session(user, from.surroundings()).await?;
    let disabled = || Failure::new(ErrorCode::Conflict, "The user is disabled.");
    Ok(signed_in(cookie, &begun.ok_or_else(disabled)?))
}

/// Sign in.
#[utoipa::path(post, path = "/session", tag = "session", request_body = SignIn,
    responses((status = 201, body = Session, headers(("Set-Cookie" = String, description = "The session")))))]
async fn sign_in(
    State(api): State<Shared>,
    from: From,
    cookie: Cookie,
    headers: HeaderMap,
    Body(SignIn { user, password, code }): Body<SignIn>,
) -> Result<Response> {
    let shown = Credentials {
        name: &user,
        password: Zeroizing::new(password),
        code: code.as_deref(),
        device: cookie.device(&headers),
    };
    Ok(signed_in(cookie, &api.gate.sign_in(shown, from.surroundings()).await??))
}

/// Who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, body = Session)))]
async fn session(caller: Caller) -> Document<Session> {
    Document::new(caller.session())
}

/// Show again who one is, before something dangerous.
#[utoipa::path(post, path = "/session/proof", tag = "session", request_body = PasswordProof, responses((status = 204)))]
async fn prove(
    State(api): State<Shared>,
    caller: Caller,
    from: From,
    Body(PasswordProof { secret }): Body<PasswordProof>,
) -> Result<StatusCode> {
    api.gate.prove_again(caller.known(), Zeroizing::new(secret), from.surroundings()).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign out.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204)))]
async fn sign_out(
    State(api): State<Shared>,
    _: Caller,
    from: From,
    cookie: Cookie,
    headers: HeaderMap,
) -> Result<Response> {
    if let Some(secret) = cookie.session(&headers) {
        api.gate.sign_out(secret, from.address).await?;
    }
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie.end())]).into_response())
}

fn signed_in(cookie: Cookie, signed_in: &SignedIn) -> Response {
    let SignedIn { user, token, expires, device, .. } = signed_in;
    let session = session_of(user, SignedInBy::Session, &user.grants, Some(*expires));
    let known = device.as_ref().map(|device| cookie.know(device));
    let cookies = [cookie.begin(token)].into_iter().chain(known).map(|cookie| (SET_COOKIE, cookie));
    (AppendHeaders(cookies), Document::created(session)).into_response()
}
