//! Tokens of the API, and sessions: what each user has of them.

use axum::extract::State;
use axum::http::StatusCode;
use keepfast_access::role::Right;
use keepfast_api::access::{MadeToken, NewToken, OwnerQuery, SessionRow, Token};
use keepfast_api::list::{List, PageQuery};
use keepfast_server::access::{self, Proof, TokenDocument, TokenWish};
use keepfast_server::state::{instant, now};
use keepfast_store::{SessionNumber, TokenNumber, User as StoredUser};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::users::parsed;
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::guard::about::About;
use crate::guard::{Caller, wire_grant};
use crate::request::{Body, Name, Query};
use crate::state::{Api, Shared};

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(tokens, make_token))
        .routes(routes!(revoke_token))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
}

/// The tokens of the user who asks, or of another one.
#[utoipa::path(get, path = "/tokens", tag = "access", params(OwnerQuery, PageQuery),
    responses((status = 200, body = List<Token>)))]
async fn tokens(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<OwnerQuery>,
    pages: Pages,
) -> Result<Listed> {
    let owner = owner(&api, &caller, wanted).await?;
    let tokens = access::token_list(api.store(), Some(&owner.id)).await?;
    pages.of_all("tokens", tokens.into_iter().map(wire).collect()).await
}

/// Make a token for the user who asks.
///
/// It may what both it and its user may.
#[utoipa::path(post, path = "/tokens", tag = "access", request_body = NewToken,
    responses((status = 201, body = MadeToken)))]
async fn make_token(
    State(api): State<Shared>,
    caller: Caller,
    Body(new): Body<NewToken>,
) -> Result<Document<MadeToken>> {
    // A token outlives its session.
    caller.must_prove()?;
    let Proof::Session(_) = caller.known().proof else {
        return Err(Failure::unprocessable("a token makes no tokens: sign in"));
    };
    if new.expires.is_some_and(|expires| expires <= api.now()) {
        return Err(Failure::unprocessable("`expires` has passed"));
    }
    let wish = TokenWish { name: new.name, grants: parsed(&new.grants)?, expires: new.expires };
    let made = access::make_token(api.store(), &caller.known().actor, caller.user(), wish).await?;
    Ok(Document::created(MadeToken { token: made.number.number(), secret: made.text.to_string() }))
}

/// Take a token away.
#[utoipa::path(delete, path = "/tokens/{token}", tag = "access", params(("token" = i64, Path)),
    responses((status = 204)))]
async fn revoke_token(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<StatusCode> {
    let number = name.parse().map_err(|_| Failure::not_found("token", &name))?;
    let is_manager = caller.may(Right::ManageServer, &About::server());
    let of = (!is_manager).then_some(&caller.user().id);
    access::revoke_token(api.store(), &caller.known().actor, TokenNumber::from_number(number), of).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The sessions of the user who asks, or of another one.
#[utoipa::path(get, path = "/sessions", tag = "access", params(OwnerQuery, PageQuery),
    responses((status = 200, body = List<SessionRow>)))]
async fn sessions(
    State(api): State<Shared>,
    caller: Caller,
    Query(wanted): Query<OwnerQuery>,
    pages: Pages,
) -> Result<Listed> {
    let owner = owner(&api, &caller, wanted).await?;
    let own = match &caller.known().proof {
        Proof::Session(session) => Some(session.number),
        Proof::Token(_) => None,
    };
    let sessions = api.store().sessions_of(&owner.id).await?;
    let rows = sessions.into_iter().map(|session| SessionRow {
        session: session.number.number(),
        user: owner.name.to_string(),
        origin: session.origin.to_string(),
        agent: session.agent.to_string(),
        began: instant(session.created),
        last_seen: instant(session.seen),
        expires: instant(session.expires),
        is_own: own == Some(session.number),
    });
    pages.of_all("sessions", rows.collect()).await
}

/// End a session of the user who asks.
#[utoipa::path(delete, path = "/sessions/{session}", tag = "access", params(("session" = i64, Path), OwnerQuery),
    responses((status = 204)))]
async fn end_session(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    Query(wanted): Query<OwnerQuery>,
) -> Result<StatusCode> {
    let missing = || Failure::not_found("session", &name);
    let number = SessionNumber::from_number(name.parse().map_err(|_| missing())?);
    let owner = owner(&api, &caller, wanted).await?;
    let note = caller.known().actor.note(now(), "session.end", &format!("user:{}", owner.name), None, None);
    match api.store().end_session(&owner.id, number, &note).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(missing()),
    }
}

/// Whose tokens or sessions are meant. Those of others are for those who manage users.
async fn owner(api: &Api, caller: &Caller, wanted: OwnerQuery) -> Result<StoredUser> {
    match wanted.user {
        Some(name) if name != caller.name().as_str() => {
            caller.must(Right::ManageServer, &About::server())?;
            Ok(access::find_user(api.store(), &name).await?)
        }
        _ => Ok(caller.user().clone()),
    }
}

fn wire(token: TokenDocument) -> Token {
    Token {
        token: token.token,
        name: token.name,
        user: token.user,
        grants: token.grants.iter().map(wire_grant).collect(),
        created: token.created,
        expires: token.expires,
        last_used: token.last_used,
        last_origin: token.last_origin,
    }
}
