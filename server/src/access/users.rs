//! Users: adding, changing, removing them.

use jiff::Timestamp;
use keepfast_access::grant::{self, Grant};
use keepfast_access::name::user_name;
use keepfast_access::password;
use keepfast_access::token::{Token, TokenKind};
use keepfast_store::{
    Label, NewUser, Store, TokenHash, User, UserAdded, UserChange, UserChanged, UserId, UserName,
};
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::actor::Actor;
use super::error::{AccessError, Result};
use super::{hashed, random};
use crate::state::{instant, now};

/// How long the token for the first user is valid.
const SETUP_VALID: std::time::Duration = std::time::Duration::from_hours(24);

/// A user, as others see one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UserDocument {
    /// The id.
    pub id: String,
    /// The name for signing in.
    pub name: String,
    /// The name for people.
    pub display: String,
    /// The rights.
    pub grants: Vec<Grant>,
    /// When the user was added.
    pub created: Timestamp,
    /// Since when the user can't do anything.
    pub disabled: Option<Timestamp>,
    /// When the user signed in last.
    pub last_login: Option<Timestamp>,
    /// Whether there is a password.
    pub has_password: bool,
    /// Whether signing in needs a code too.
    pub has_second_factor: bool,
}

impl From<&User> for UserDocument {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name.to_string(),
            display: user.display.to_string(),
            grants: grant::from_document(&user.grants),
            created: instant(user.created),
            disabled: user.disabled.map(instant),
            last_login: user.last_login.map(instant),
            has_password: user.has_password,
            has_second_factor: user.has_totp,
        }
    }
}

/// A user that is to be added.
#[derive(Debug, Clone)]
pub struct NewUserWish {
    /// The name for signing in.
    pub name: String,
    /// The name for people; else that for signing in.
    pub display: Option<String>,
    /// The rights.
    pub grants: Vec<Grant>,
    /// The password, if there is to be one.
    pub password: Option<Zeroizing<String>>,
}

/// How an object of the audit names a user.
pub(super) fn object(name: &UserName) -> String {
    format!("user:{name}")
}

/// A name of a user, as the state has it.
pub(super) fn name_of(text: &str) -> Result<UserName> {
    let name = user_name(text).map_err(|source| AccessError::UserName { name: text.to_owned(), source })?;
    UserName::new(name.as_str()).map_err(AccessError::name(&name))
}

async fn new_user(wish: NewUserWish) -> Result<NewUser> {
    let name = name_of(&wish.name)?;
    grant::check(&wish.grants)?;
    if let Some(password) = &wish.password {
        password::check(password, name.as_str())?;
    }
    let id = random_id()?;
    let password = match wish.password {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    let display = wish.display.unwrap_or_else(|| name.to_string());
    Ok(NewUser {
        id,
        display: Label::from(display),
        is_admin: grant::is_admin(&wish.grants),
        grants: grant::to_document(&wish.grants),
        name,
        password,
    })
}

fn random_id() -> Result<UserId> {
    let bytes = random::<16>()?;
    let id = data_encoding::HEXLOWER.encode(&bytes);
    UserId::new(id.as_str()).map_err(AccessError::name(&id))
}

fn added(name: &UserName, added: UserAdded) -> Result<User> {
    match added {
        UserAdded::Added(user) => Ok(user),
        UserAdded::NameTaken => Err(AccessError::UserExists { name: name.to_string() }),
        UserAdded::TooMany => Err(AccessError::TooManyUsers),
        UserAdded::NoToken => Err(AccessError::NoSetupToken),
        UserAdded::NotFirst => Err(AccessError::NotFirst),
    }
}

/// What the audit has of a user.
fn recorded(display: &Label, grants: &Value, is_disabled: bool) -> Value {
    json!({ "display": display, "grants": grants, "disabled": is_disabled })
}

/// Adds a user.
pub async fn add_user(store: &Store, by: &Actor, wish: NewUserWish) -> Result<User> {
    let new = new_user(wish).await?;
    let now = now();
    let after = recorded(&new.display, &new.grants, false);
    let note = by.note(now, "user.add", &object(&new.name), None, Some(after));
    added(&new.name, store.add_user(now, &new, &note).await?)
}

/// A token with which the first user can be added, to be shown on the console; none if there are users.
pub async fn setup_token(store: &Store) -> Result<Option<Zeroizing<String>>> {
    let token = Token::from_random(TokenKind::Setup, random()?);
    let now = now();
    let is_stored = store.store_setup_token(now, &hash_of(&token)?, now.plus(SETUP_VALID)).await?;
    Ok(is_stored.then(|| token.text()))
}

/// Adds the first user, who may do everything, with the token from the console.
pub async fn set_up(
    store: &Store,
    token: &str,
    name: &str,
    password: Zeroizing<String>,
    origin: &str,
) -> Result<User> {
    let token = Token::parse(TokenKind::Setup, token.trim()).ok_or(AccessError::NoSetupToken)?;
    if store.has_users().await? {
        return Err(AccessError::NotFirst);
    }
    let wish = NewUserWish {
        name: name.to_owned(),
        display: None,
        grants: vec![Grant::everything()],
        password: Some(password),
    };
    let new = new_user(wish).await?;
    let now = now();
    let after = recorded(&new.display, &new.grants, false);
    let by = Actor::stranger(origin);
    let note = by.note(now, "user.add_first", &object(&new.name), None, Some(after));
    added(&new.name, store.set_up(now, &hash_of(&token)?, &new, &note).await?)
}

pub(super) fn hash_of(token: &Token) -> Result<TokenHash> {
    let hash = token.hash();
    TokenHash::new(hash.as_str()).map_err(AccessError::name("a token"))
}

/// The user with this name.
pub async fn find_user(store: &Store, name: &str) -> Result<User> {
    let known = name_of(name)?;
    let user = store.user_named(&known).await?;
    user.ok_or_else(|| AccessError::NoUser { name: known.to_string() })
}

/// All users, in the order of their names.
pub async fn list_users(store: &Store) -> Result<Vec<UserDocument>> {
    Ok(store.users().await?.iter().map(UserDocument::from).collect())
}

fn changed(user: &User, changed: UserChanged) -> Result<User> {
    let name = || user.name.to_string();
    match changed {
        UserChanged::Stored(user) => Ok(user),
        UserChanged::Removed => Ok(user.clone()),
        UserChanged::Overtaken => Err(AccessError::Overtaken { name: name() }),
        UserChanged::NoUser => Err(AccessError::NoUser { name: name() }),
        UserChanged::LastAdmin => Err(AccessError::LastAdmin { name: name() }),
    }
}

async fn change(
    store: &Store,
    by: &Actor,
    action: &'static str,
    user: &User,
    change: UserChange,
) -> Result<User> {
    let before = recorded(&user.display, &user.grants, user.disabled.is_some());
    let after = recorded(
        change.display.as_ref().unwrap_or(&user.display),
        change.grants.as_ref().map_or(&user.grants, |(grants, _)| grants),
        change.disabled.unwrap_or(user.disabled.is_some()),
    );
    let now = now();
    let note = by.note(now, action, &object(&user.name), Some(before), Some(after));
    changed(user, store.change_user(now, &user.id, Some(user.generation), &change, &note).await?)
}

/// Lets a user do nothing any more, and ends the sessions; or lets the user go on. Nothing if it is so already.
pub async fn set_disabled(store: &Store, by: &Actor, user: &User, is_disabled: bool) -> Result<User> {
    if user.disabled.is_some() == is_disabled {
        return Ok(user.clone());
    }
    let action = if is_disabled { "user.disable" } else { "user.enable" };
    change(store, by, action, user, UserChange { disabled: Some(is_disabled), ..UserChange::default() }).await
}

/// Gives a user just these rights.
pub async fn change_grants(store: &Store, by: &Actor, user: &User, grants: &[Grant]) -> Result<User> {
    grant::check(grants)?;
    let stored = (grant::to_document(grants), grant::is_admin(grants));
    change(store, by, "user.grants", user, UserChange { grants: Some(stored), ..UserChange::default() }).await
}

/// Removes a user for good.
pub async fn remove_user(store: &Store, by: &Actor, user: &User) -> Result<()> {
    let before = recorded(&user.display, &user.grants, user.disabled.is_some());
    let note = by.note(now(), "user.remove", &object(&user.name), Some(before), None);
    changed(user, store.remove_user(&user.id, Some(user.generation), &note).await?).map(|_| ())
}

/// Ends all sessions of a user, and says how many these were.
pub async fn end_sessions(store: &Store, by: &Actor, user: &User) -> Result<u64> {
    let note = by.note(now(), "session.end_all", &object(&user.name), None, None);
    Ok(store.end_sessions_of(&user.id, None, &note).await?)
}

/// Gives a user another password, and ends the user's sessions but for `keep`.
pub async fn set_password(
    store: &Store,
    by: &Actor,
    user: &User,
    password: Zeroizing<String>,
    keep: Option<&TokenHash>,
) -> Result<()> {
    password::check(&password, user.name.as_str())?;
    let hash = hashed(password).await?;
    let now = now();
    let note = by.note(now, "user.password", &object(&user.name), None, None);
    if store.set_password(now, &user.id, Some(&hash), keep, &note).await? {
        Ok(())
    } else {
        Err(AccessError::NoUser { name: user.name.to_string() })
    }
}
