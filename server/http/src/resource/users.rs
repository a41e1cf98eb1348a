//! Users, and what they may do.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use keepfast_access::grant::{self, Grant};
use keepfast_access::role::{Right, Role};
use keepfast_api::access::{ChangeUser, NewGrant, NewUser, User};
use keepfast_api::error::ErrorCode;
use keepfast_api::list::{List, PageQuery};
use keepfast_server::access;
use keepfast_server::state::instant;
use keepfast_store::User as StoredUser;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::answer::document::{check_match, must_show};
use crate::answer::{Document, Failure, Listed, Pages, Result};
use crate::guard::about::About;
use crate::guard::{Caller, wire_grant};
use crate::request::{Body, Name};
use crate::state::Shared;

pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(users, add_user)).routes(routes!(user, change_user, remove_user))
}

/// All users, in the order of their names.
#[utoipa::path(get, path = "/users", tag = "access", params(PageQuery), responses((status = 200, body = List<User>)))]
async fn users(State(api): State<Shared>, caller: Caller, pages: Pages) -> Result<Listed> {
    may_list(&caller)?;
    pages.of_all("users", api.store().users().await?.iter().map(wire).collect()).await
}

/// Add a user.
#[utoipa::path(post, path = "/users", tag = "access", request_body = NewUser, responses((status = 201, body = User)))]
async fn add_user(
    State(api): State<Shared>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<Document<User>> {
    caller.must(Right::ManageServer, &About::server())?;
    let wish = access::NewUserWish {
        name: new.user,
        display: new.display,
        grants: given(&caller, &new.grants)?,
        password: new.password.map(Zeroizing::new),
    };
    let user = access::add_user(api.store(), &caller.known().actor, wish).await?;
    Ok(Document::created(wire(&user)))
}

/// A user, with a tag by which it can be changed.
#[utoipa::path(get, path = "/users/{user}", tag = "access", params(("user" = String, Path)),
    responses((status = 200, body = User)))]
async fn user(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<Document<User>> {
    if caller.name().as_str() != name {
        may_list(&caller)?;
    }
    Ok(Document::editable(wire(&access::find_user(api.store(), &name).await?)))
}

/// Change a user. Needs If-Match.
#[utoipa::path(patch, path = "/users/{user}", tag = "access",
    params(("user" = String, Path), ("If-Match" = String, Header, description = "The ETag that came with the user")),
    request_body = ChangeUser, responses((status = 200, body = User)))]
async fn change_user(
    State(api): State<Shared>,
    caller: Caller,
    Name(name): Name,
    headers: HeaderMap,
    Body(change): Body<ChangeUser>,
) -> Result<Document<User>> {
    caller.must(Right::ManageServer, &About::server())?;
    must_show(&headers)?;
    let (store, by) = (api.store(), &caller.known().actor);
    let mut user = access::find_user(store, &name).await?;
    check_match(&headers, &wire(&user))?;
    if change.has_second_factor == Some(true) {
        return Err(Failure::unprocessable("only users themselves can add a second factor"));
    }
    if let Some(grants) = &change.grants {
        user = access::change_grants(store, by, &user, &given(&caller, grants)?).await?;
    }
    if let Some(is_disabled) = change.is_disabled {
        user = access::set_disabled(store, by, &user, is_disabled).await?;
    }
    if let Some(password) = change.password {
        access::set_password(store, by, &user, Zeroizing::new(password), None).await?;
    }
    if change.has_second_factor == Some(false) && user.has_totp {
        access::remove_second_factor(store, by, &user).await?;
    }
    Ok(Document::editable(wire(&access::find_user(store, &name).await?)))
}

/// Remove a user, with all tokens and sessions.
#[utoipa::path(delete, path = "/users/{user}", tag = "access", params(("user" = String, Path)),
    responses((status = 204)))]
async fn remove_user(State(api): State<Shared>, caller: Caller, Name(name): Name) -> Result<StatusCode> {
    caller.must(Right::ManageServer, &About::server())?;
    let user = access::find_user(api.store(), &name).await?;
    access::remove_user(api.store(), &caller.known().actor, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Seeing who there is isn't dangerous, so no new proof is asked for.
fn may_list(caller: &Caller) -> Result<()> {
    match caller.may(Right::ManageServer, &About::server()) || caller.may(Right::SeeAudit, &About::server()) {
        true => Ok(()),
        false => Err(Failure::new(ErrorCode::Forbidden, "Your roles don't include this.")),
    }
}

/// Grants from a request, none of which is more than the caller may give.
pub fn given(caller: &Caller, grants: &[NewGrant]) -> Result<Vec<Grant>> {
    let given = parsed(grants)?;
    match given.iter().all(|grant| caller.authority().may_give(grant)) {
        true => Ok(given),
        false => Err(Failure::new(ErrorCode::Forbidden, "No one can give what they don't have.")),
    }
}

/// Grants from a request.
pub fn parsed(grants: &[NewGrant]) -> Result<Vec<Grant>> {
    let one = |new: &NewGrant| -> Result<Grant> {
        let role = Role::parse(&new.role);
        let role = role.ok_or_else(|| Failure::unprocessable(&format!("there is no role {:?}", new.role)))?;
        let scope = new.scope.parse().map_err(|fault: keepfast_access::scope::ScopeFault| {
            Failure::unprocessable(&fault.to_string())
        })?;
        Ok(Grant { role, scope, see_names: new.see_names, read_content: new.read_content })
    };
    grants.iter().map(one).collect()
}

fn wire(user: &StoredUser) -> User {
    User {
        user: user.name.to_string(),
        display: user.display.to_string(),
        grants: grant::from_document(&user.grants).iter().map(wire_grant).collect(),
        has_second_factor: user.has_totp,
        has_password: user.has_password,
        disabled: user.disabled.map(instant),
        created: instant(user.created),
        last_login: user.last_login.map(instant),
    }
}
