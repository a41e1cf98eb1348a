//! Signing in with an account of elsewhere: the browser goes to the issuer, and comes back with a code. Both are pages for a
//! browser, so what goes wrong is said by the dashboard: `/?sign_in=denied`.

use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use keepfast_api::error::ErrorCode;
use keepfast_api::session::{OidcBegin, OidcReturn};
use keepfast_oidc::{OidcError, Pending, RANDOM_BYTES, Returned};
use keepfast_operations::error::with_causes;
use keepfast_server::access::{AccessError, Actor, SignedIn, user_of_identity};
use keepfast_server::daemon::outside::Level;
use keepfast_server::state::now;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::answer::{Failure, Result};
use crate::guard::back::Back;
use crate::guard::cookie::Cookie;
use crate::guard::from::From;
use crate::request::Query;
use crate::state::{Api, Shared};

pub fn open() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(begin_oidc)).routes(routes!(return_oidc))
}

/// Why a browser comes back without a session: the word that the dashboard finds behind `sign_in=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The issuer or the person has said no.
    Denied,
    /// None of the person's groups has a role here.
    NoRole,
    /// A user of this name is there who isn't this person.
    NameTaken,
    /// The user is disabled.
    Disabled,
    /// The login was begun in another browser, or too long ago.
    AnotherLogin,
    /// The issuer can't be asked, or can't be trusted: the server's log says why.
    Failed,
}

impl Refused {
    /// Why someone whom the issuer knows is no user here; nothing for a fault of the server.
    fn of(error: &AccessError) -> Option<Self> {
        Some(match error {
            AccessError::NoRole { .. } => Self::NoRole,
            AccessError::UserExists { .. } => Self::NameTaken,
            AccessError::UserName { .. } | AccessError::LastAdmin { .. } | AccessError::TooManyUsers => {
                Self::Failed
            }
            _ => return None,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::NoRole => "no_role",
            Self::NameTaken => "name_taken",
            Self::Disabled => "disabled",
            Self::AnotherLogin => "another_login",
            Self::Failed => "failed",
        }
    }
}

/// Begin to sign in with an account of elsewhere. For a browser, which is sent to the issuer.
#[utoipa::path(get, path = "/session/oidc", tag = "session", params(OidcBegin),
    responses((status = 303, headers(("Location" = String, description = "The issuer"),
        ("Set-Cookie" = String, description = "What the browser keeps until it comes back")))))]
async fn begin_oidc(
    State(api): State<Shared>,
    cookie: Cookie,
    Query(OidcBegin { back }): Query<OidcBegin>,
) -> Result<Response> {
    let back = back.as_deref().and_then(Back::new).unwrap_or_default();
    let Ok(_place) = api.elsewhere.asking.try_acquire() else { return Err(busy()) };
    let party = match api.elsewhere.party(&api.config(), &api.inside.around).await {
        Ok(Some(party)) => party,
        Ok(None) => {
            let detail = "No issuer of accounts is defined here: `oidc` and `public_url` in [server].";
            return Err(Failure::new(ErrorCode::NotFound, detail));
        }
        Err(why) => return Ok(told(&api, cookie, Refused::Failed, &why)),
    };
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    getrandom::fill(&mut *random).map_err(|error| Failure::internal(&error))?;
    match party.begin(*random, seconds(&api)).await {
        Ok(begun) => {
            let kept = Zeroizing::new(back.kept_with(&begun.pending.to_cookie()));
            Ok(go(&begun.address, [cookie.pending(&kept)]))
        }
        Err(error) => Ok(told(&api, cookie, Refused::Failed, &with_causes(&error))),
    }
}

/// Come back from the issuer, and be signed in. For a browser, which is sent to the dashboard.
#[utoipa::path(get, path = "/session/oidc/return", tag = "session", params(OidcReturn),
    responses((status = 303, headers(("Location" = String, description = "The dashboard"),
        ("Set-Cookie" = String, description = "The session")))))]
async fn return_oidc(
    State(api): State<Shared>,
    from: From,
    cookie: Cookie,
    headers: HeaderMap,
    Query(returned): Query<OidcReturn>,
) -> Result<Response> {
    let Ok(_place) = api.elsewhere.asking.try_acquire() else { return Err(busy()) };
    let party = match api.elsewhere.party(&api.config(), &api.inside.around).await {
        Ok(Some(party)) => party,
        Ok(None) => return Ok(refused(cookie, Refused::Failed)),
        Err(why) => return Ok(told(&api, cookie, Refused::Failed, &why)),
    };
    let Some((secret, back)) = cookie.began(&headers).map(Back::from_kept) else {
        return Ok(refused(cookie, Refused::AnotherLogin));
    };
    let Some(pending) = Pending::from_cookie(secret) else {
        return Ok(refused(cookie, Refused::AnotherLogin));
    };
    let OidcReturn { code, state, iss, error } = returned;
    let returned = Returned { code, state, issuer: iss, error };
    let identity = match party.finish(&pending, &returned, seconds(&api)).await {
        Ok(identity) => identity,
        // Anyone can send a browser here: that isn't recorded.
        Err(OidcError::AnotherLogin) => return Ok(refused(cookie, Refused::AnotherLogin)),
        Err(error) => {
            let refusal = match &error {
                OidcError::Denied { .. } => Refused::Denied,
                _ => Refused::Failed,
            };
            note(&api, &from, refusal, &with_causes(&error)).await?;
            return Ok(told(&api, cookie, refusal, &with_causes(&error)));
        }
    };
    let config = api.config();
    let Some(oidc) = &config.server.value.oidc else { return Ok(refused(cookie, Refused::Failed)) };
    let origin = from.address.to_string();
    let user = match user_of_identity(api.store(), &identity, &oidc.roles, &origin).await {
        Ok(user) => user,
        Err(error) => {
            let Some(refusal) = Refused::of(&error) else { return Err(error.into()) };
            note(&api, &from, refusal, &with_causes(&error)).await?;
            return Ok(told(&api, cookie, refusal, &with_causes(&error)));
        }
    };
    let name = user.name.clone();
    match api.gate.begin_session(user, from.surroundings()).await? {
        Some(SignedIn { token, device, .. }) => {
            let known = device.as_ref().map(|device| cookie.know(device));
            let cookies = [cookie.begin(&token), cookie.forget_pending()];
            Ok(go(back.as_str(), cookies.into_iter().chain(known)))
        }
        None => {
            note(&api, &from, Refused::Disabled, &format!("user {name} is disabled")).await?;
            Ok(refused(cookie, Refused::Disabled))
        }
    }
}

/// Sends a browser to an address, with cookies.
fn go(address: &str, cookies: impl IntoIterator<Item = String>) -> Response {
    let Ok(location) = HeaderValue::from_str(address) else {
        return Failure::new(ErrorCode::Internal, "The issuer's address can't be used.").into_response();
    };
    let cookies: Vec<_> = cookies.into_iter().map(|cookie| (SET_COOKIE, cookie)).collect();
    (StatusCode::SEE_OTHER, [(LOCATION, location)], AppendHeaders(cookies)).into_response()
}

fn refused(cookie: Cookie, refusal: Refused) -> Response {
    go(&format!("/?sign_in={}", refusal.word()), [cookie.forget_pending()])
}

/// The same, and the server's log says why.
fn told(api: &Api, cookie: Cookie, refusal: Refused, why: &str) -> Response {
    api.inside.voice.say(Level::Warning, &format!("signing in with an account of elsewhere: {why}"));
    refused(cookie, refusal)
}

async fn note(api: &Api, from: &From, refusal: Refused, why: &str) -> Result<()> {
    let by = Actor::stranger(&from.address.to_string());
    let after = json!({ "because": refusal.word(), "detail": why });
    Ok(api.store().audit(&by.note(now(), "session.refuse", "oidc", None, Some(after))).await?)
}

/// Seconds since the beginning of 1970.
fn seconds(api: &Api) -> u64 {
    u64::try_from(api.now().as_second()).unwrap_or(0)
}

fn busy() -> Failure {
    Failure::new(ErrorCode::Unavailable, "Many people sign in at this moment.").retry_after_s(5)
}
