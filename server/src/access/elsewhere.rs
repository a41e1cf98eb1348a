//! People who sign in with an account of elsewhere: which user someone is, and what the groups there give.

use std::collections::BTreeMap;

use keepfast_access::grant::{self, Grant};
use keepfast_access::role::Role;
use keepfast_access::scope::Scope;
use keepfast_config::config::Config;
use keepfast_config::model::project::Role as DefinedRole;
use keepfast_oidc::{Identity, Provider};
use keepfast_store::{Store, User};
use serde_json::json;
use zeroize::Zeroizing;

use super::actor::Actor;
use super::error::{AccessError, Result};
use super::users::{NewUserWish, add_user, change_grants, object};
use crate::state::now;

/// The group of those who are in none that has a role.
const OTHERS: &str = "*";
/// Where browsers come back to.
const RETURN: &str = "/api/v1/session/oidc/return";

/// The issuer that the configuration names, if it names one and the address of this server.
#[must_use]
pub fn provider(config: &Config, client_secret: Zeroizing<String>) -> Option<Provider> {
    let server = &config.server.value;
    let oidc = server.oidc.as_ref()?;
    let address = server.public_url.as_ref()?.0.trim_end_matches('/');
    Some(Provider {
        issuer: oidc.issuer.0.clone(),
        client_id: oidc.client_id.clone(),
        client_secret,
        redirect: format!("{address}{RETURN}"),
        scopes: oidc.scopes.clone(),
        groups_claim: oidc.groups_claim.clone(),
        authorities: None,
    })
}

/// What the groups of a person give: the roles of all that have one; else that of `*`, if there is one.
#[must_use]
pub fn grants_of_groups(groups: &[String], roles: &BTreeMap<String, DefinedRole>) -> Vec<Grant> {
    let of_groups = groups.iter().filter(|group| *group != OTHERS).filter_map(|group| roles.get(group));
    let mut found: Vec<Role> = of_groups.copied().map(role).collect();
    if found.is_empty() {
        found.extend(roles.get(OTHERS).copied().map(role));
    }
    found.sort();
    found.dedup();
    found.into_iter().map(|role| Grant::new(role, Scope::All)).collect()
}

/// The user who someone is. One who comes for the first time is added; one who has come before gets the rights that the groups
/// give now. No one becomes a user that is there already because of having the same name elsewhere: an administrator of the
/// issuer could become anyone.
///
/// # Errors
/// The groups give no role, or another user has the name.
pub async fn user_of_identity(
    store: &Store,
    identity: &Identity,
    roles: &BTreeMap<String, DefinedRole>,
    origin: &str,
) -> Result<User> {
    let grants = grants_of_groups(&identity.groups, roles);
    let by = Actor::stranger(origin);
    if let Some(user) = store.user_of_identity(&identity.issuer, &identity.subject).await? {
        let had = grant::from_document(&user.grants);
        // Names and contents of files are given here, and not by the issuer.
        let kept =
            |wanted: &Grant| had.iter().find(|had| had.role == wanted.role && had.scope == wanted.scope);
        let local = had.iter().filter(|had| had.scope != Scope::All).cloned();
        let wanted = grants.into_iter().map(|grant| kept(&grant).cloned().unwrap_or(grant));
        let wanted: Vec<Grant> = wanted.chain(local).collect();
        return if wanted == had { Ok(user) } else { change_grants(store, &by, &user, &wanted).await };
    }
    if grants.is_empty() {
        return Err(AccessError::NoRole { issuer: identity.issuer.clone() });
    }
    let name = identity.user_name.clone().unwrap_or_else(|| identity.subject.clone());
    let wish = NewUserWish { name, display: identity.display.clone(), grants, password: None };
    let user = add_user(store, &by, wish).await?;
    let after = json!({ "issuer": identity.issuer, "subject": identity.subject });
    let note = by.note(now(), "user.identity", &object(&user.name), None, Some(after));
    if store.store_identity(&user.id, &identity.issuer, &identity.subject, &note).await? {
        return Ok(user);
    }
    // Two logins at once: the other one was first.
    let user = store.user_of_identity(&identity.issuer, &identity.subject).await?;
    user.ok_or_else(|| AccessError::NoRole { issuer: identity.issuer.clone() })
}

fn role(defined: DefinedRole) -> Role {
    match defined {
        DefinedRole::Viewer => Role::Viewer,
        DefinedRole::Operator => Role::Operator,
        DefinedRole::Restorer => Role::Restorer,
        DefinedRole::Editor => Role::Editor,
        DefinedRole::Auditor => Role::Auditor,
        DefinedRole::Admin => Role::Admin,
    }
}
