//! What users change about their own account: the password and the second factor.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use keepfast_access::token::{Token, TokenKind};
use keepfast_api::access::{ChangePassword, ConfirmSecondFactor, Enrolment, RecoveryCodes};
use keepfast_api::session::SignedInBy;
use keepfast_server::access;
use keepfast_store::TokenHash;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::answer::{Document, Failure, Result};
use crate::guard::Caller;
use crate::guard::cookie::Cookie;
use crate::request::Body;
use crate::state::Shared;

/// What devices show beside the codes.
const ISSUER: &str = "keepfast";

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(change_password))
        .routes(routes!(begin_second_factor, remove_second_factor))
        .routes(routes!(confirm_second_factor))
        .routes(routes!(renew_recovery_codes))
}

/// Change the password of the user who asks. All other sessions end.
#[utoipa::path(post, path = "/session/password", tag = "session", request_body = ChangePassword,
    responses((status = 204)))]
async fn change_password(
    State(api): State<Shared>,
    caller: Caller,
    cookie: Cookie,
    headers: HeaderMap,
    Body(change): Body<ChangePassword>,
) -> Result<StatusCode> {
    proven(&caller)?;
    let shown = cookie.session(&headers).and_then(|secret| Token::parse(TokenKind::Session, secret));
    let keep = shown.map(|token| TokenHash::new(token.hash())).transpose()?;
    let (by, password) = (&caller.known().actor, Zeroizing::new(change.password));
    access::set_password(api.store(), by, caller.user(), password, keep.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Begin with a second factor. Codes aren't asked for before one of them confirms it.
#[utoipa::path(post, path = "/session/second-factor", tag = "session",
    responses((status = 201, body = Enrolment)))]
async fn begin_second_factor(State(api): State<Shared>, caller: Caller) -> Result<Document<Enrolment>> {
    proven(&caller)?;
    let begun = access::begin_second_factor(api.store(), caller.user(), ISSUER).await?;
    Ok(Document::created(Enrolment { secret: begun.secret.to_string(), address: begun.address.to_string() }))
}

/// Confirm a second factor by its first code.
#[utoipa::path(post, path = "/session/second-factor/confirm", tag = "session", request_body = ConfirmSecondFactor,
    responses((status = 200, body = RecoveryCodes)))]
async fn confirm_second_factor(
    State(api): State<Shared>,
    caller: Caller,
    Body(shown): Body<ConfirmSecondFactor>,
) -> Result<Document<RecoveryCodes>> {
    proven(&caller)?;
    let by = &caller.known().actor;
    let codes = access::confirm_second_factor(api.store(), by, caller.user(), &shown.code).await?;
    Ok(Document::new(wire(&codes)))
}

/// End the second factor of the user who asks.
#[utoipa::path(delete, path = "/session/second-factor", tag = "session", responses((status = 204)))]
async fn remove_second_factor(State(api): State<Shared>, caller: Caller) -> Result<StatusCode> {
    proven(&caller)?;
    access::remove_second_factor(api.store(), &caller.known().actor, caller.user()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get new recovery codes; those of before aren't valid any more.
#[utoipa::path(post, path = "/session/recovery-codes", tag = "session",
    responses((status = 201, body = RecoveryCodes)))]
async fn renew_recovery_codes(State(api): State<Shared>, caller: Caller) -> Result<Document<RecoveryCodes>> {
    proven(&caller)?;
    let codes = access::renew_codes(api.store(), &caller.known().actor, caller.user()).await?;
    Ok(Document::created(wire(&codes)))
}

/// A session that lies open, and a token that was found, must not take an account over.
fn proven(caller: &Caller) -> Result<()> {
    match caller.by() {
        SignedInBy::Session => caller.must_prove(),
        SignedInBy::Token => {
            Err(Failure::unprocessable("a token doesn't change its user's account: sign in"))
        }
    }
}

fn wire(codes: &[Zeroizing<String>]) -> RecoveryCodes {
    RecoveryCodes { recovery_codes: codes.iter().map(|code| code.to_string()).collect() }
}
