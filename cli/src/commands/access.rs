//! `keepfast user`, `keepfast token`. They work with the state, beside a server or without one; who may use its files may do
//! everything, and what is done is in the audit with the name of the account.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use keepfast_access::grant::{self, Grant};
use keepfast_access::role::Role;
use keepfast_access::scope::Scope;
use keepfast_backend::Cancel;
use keepfast_config::config::Config;
use keepfast_operations::host::SystemHost;
use keepfast_operations::secret::{Purpose, SecretReader, SecretSource};
use keepfast_server::access::{
    self, AccessError, Actor, MadeToken, NewUserWish, TokenDocument, TokenWish, UserDocument,
};
use keepfast_server::{StateHandle, state};
use serde_json::json;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::{plans, runs};
use crate::args::{Common, Rights, RoleName, TokenAction, UserAction};
use crate::usage::Usage;
use crate::{Outcome, render, secrets};

/// The state, and who works with it.
pub(super) struct Desk {
    runtime: Runtime,
    pub(super) store: StateHandle,
    by: Actor,
}

impl Desk {
    pub(super) fn open(common: &Common) -> Result<Self> {
        Self::of(&plans::read(common)?)
    }

    /// The state of a configuration.
    pub(super) fn of(config: &Config) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = runtime.block_on(state::open(config, &secrets::children()))?;
        let id = rustix::process::getuid().as_raw();
        Ok(Self { runtime, store, by: Actor::local(&SystemHost.user(), id) })
    }

    pub(super) fn wait<T>(&self, doing: impl Future<Output = Result<T, AccessError>>) -> Result<T> {
        Ok(self.runtime.block_on(doing)?)
    }
}

/// Lists users, and changes who there is and what each may do.
pub fn user(common: &Common, action: &UserAction) -> Result<Outcome> {
    match action {
        UserAction::Add { name, display, rights, from_file, no_password } => {
            let grants = vec![grant_of(rights)?];
            // The last thing: no one types a password for nothing.
            let desk = Desk::open(common)?;
            let password = match no_password {
                true => None,
                false => Some(new_password(from_file.as_deref())?),
            };
            let wish = NewUserWish { name: name.clone(), display: display.clone(), grants, password };
            let added = desk.wait(access::add_user(&desk.store, &desk.by, wish))?;
            said(common, &added.name.to_string(), "added");
        }
        UserAction::List => {
            let desk = Desk::open(common)?;
            let users = desk.wait(access::list_users(&desk.store))?;
            match common.json {
                true => render::document(&users),
                false => print_users(&users),
            }
        }
        UserAction::Disable { name } => set_disabled(common, name, true)?,
        UserAction::Enable { name } => set_disabled(common, name, false)?,
        UserAction::Remove { name } => {
            let desk = Desk::open(common)?;
            let user = desk.wait(access::find_user(&desk.store, name))?;
            desk.wait(access::remove_user(&desk.store, &desk.by, &user))?;
            said(common, &user.name.to_string(), "removed");
        }
        UserAction::Password { name, from_file } => {
            let desk = Desk::open(common)?;
            let user = desk.wait(access::find_user(&desk.store, name))?;
            let password = new_password(from_file.as_deref())?;
            desk.wait(access::set_password(&desk.store, &desk.by, &user, password, None))?;
            said(common, &user.name.to_string(), "has another password, and all sessions are ended");
        }
        UserAction::Role { name, rights, remove } => role(common, name, rights, *remove)?,
        UserAction::ResetSecondFactor { name } => {
            let desk = Desk::open(common)?;
            let user = desk.wait(access::find_user(&desk.store, name))?;
            desk.wait(access::remove_second_factor(&desk.store, &desk.by, &user))?;
            said(common, &user.name.to_string(), "is asked for no code any more");
        }
        UserAction::SignOut { name } => {
            let desk = Desk::open(common)?;
            let user = desk.wait(access::find_user(&desk.store, name))?;
            let ended = desk.wait(access::end_sessions(&desk.store, &desk.by, &user))?;
            let text = format!("is signed out: {}", render::counted(ended, "session"));
            said(common, &user.name.to_string(), &text);
        }
    }
    Ok(Outcome::Complete)
}

fn said(common: &Common, user: &str, text: &str) {
    match common.json {
        true => render::document(&json!({ "user": user, "message": text })),
        false => render::line(&format!("user {user}: {text}")),
    }
}

fn set_disabled(common: &Common, name: &str, is_disabled: bool) -> Result<()> {
    let desk = Desk::open(common)?;
    let user = desk.wait(access::find_user(&desk.store, name))?;
    let was_so = user.disabled.is_some() == is_disabled;
    let user = desk.wait(access::set_disabled(&desk.store, &desk.by, &user, is_disabled))?;
    let text = match (is_disabled, was_so) {
        (true, true) => "was disabled already",
        (true, false) => "is disabled, and all sessions are ended",
        (false, true) => "wasn't disabled",
        (false, false) => "isn't disabled any more",
    };
    said(common, &user.name.to_string(), text);
    Ok(())
}

fn role(common: &Common, name: &str, rights: &Rights, remove: bool) -> Result<()> {
    let given = grant_of(rights)?;
    let desk = Desk::open(common)?;
    let user = desk.wait(access::find_user(&desk.store, name))?;
    let mut grants = grant::from_document(&user.grants);
    let before = grants.len();
    let is_same = |grant: &Grant| grant.role == given.role && grant.scope == given.scope;
    grants.retain(|grant| !is_same(grant));
    if remove && grants.len() == before {
        let (role, scope) = (given.role.as_str(), given.scope.to_string());
        return Err(AccessError::NoGrant { name: user.name.to_string(), role, scope }.into());
    }
    let what = grant_text(&given);
    if !remove {
        grants.push(given);
    }
    desk.wait(access::change_grants(&desk.store, &desk.by, &user, &grants))?;
    let text = if remove { format!("is no {what} any more") } else { format!("is {what}") };
    said(common, &user.name.to_string(), &text);
    Ok(())
}

/// Makes, lists and takes away tokens.
pub fn token(common: &Common, action: &TokenAction) -> Result<Outcome> {
    match action {
        TokenAction::Make { user, name, rights, expires } => {
            let grants = vec![grant_of(rights)?];
            let expires = expires.as_deref().map(|text| runs::moment(text, Timestamp::now())).transpose()?;
            let desk = Desk::open(common)?;
            let user = desk.wait(access::find_user(&desk.store, user))?;
            let wish = TokenWish { name: name.clone(), grants, expires };
            let made = desk.wait(access::make_token(&desk.store, &desk.by, &user, wish))?;
            let MadeToken { number, text } = made;
            match common.json {
                true => render::document(&json!({ "token": number.number(), "name": name, "secret": *text })),
                false => {
                    render::line(&text);
                    render::note("note", &format!("token {} is shown this once", number.number()), false);
                }
            }
        }
        TokenAction::List { user } => {
            let desk = Desk::open(common)?;
            let user = match user {
                Some(user) => Some(desk.wait(access::find_user(&desk.store, user))?.id),
                None => None,
            };
            let tokens = desk.wait(access::token_list(&desk.store, user.as_ref()))?;
            match common.json {
                true => render::document(&tokens),
                false => print_tokens(&tokens),
            }
        }
        TokenAction::Revoke { token } => {
            let desk = Desk::open(common)?;
            let number = access::token_number(token.get());
            desk.wait(access::revoke_token(&desk.store, &desk.by, number, None))?;
            match common.json {
                true => render::document(&json!({ "token": token, "revoked": true })),
                false => render::line(&format!("token {token} isn't valid any more")),
            }
        }
    }
    Ok(Outcome::Complete)
}

fn grant_of(rights: &Rights) -> Result<Grant> {
    let role = match rights.role {
        RoleName::Viewer => Role::Viewer,
        RoleName::Operator => Role::Operator,
        RoleName::Restorer => Role::Restorer,
        RoleName::Editor => Role::Editor,
        RoleName::Auditor => Role::Auditor,
        RoleName::Admin => Role::Admin,
    };
    let scope: Scope =
        rights.scope.parse().map_err(|error: keepfast_access::scope::ScopeFault| Usage(error.to_string()))?;
    let grant =
        Grant { see_names: rights.see_names, read_content: rights.read_content, ..Grant::new(role, scope) };
    grant.check().map_err(|error| Usage(error.to_string()))?;
    Ok(grant)
}

fn grant_text(grant: &Grant) -> String {
    let extra = match (grant.see_names, grant.read_content) {
        (_, true) => " with names and contents of files",
        (true, false) => " with names of files",
        (false, false) => "",
    };
    format!("{} of {}{extra}", grant.role, grant.scope)
}

fn new_password(file: Option<&Path>) -> Result<Zeroizing<String>> {
    if let Some(file) = file {
        let (children, cancel) = (secrets::children(), Cancel::new());
        let reader = SecretReader { what: "password of the user", children: &children, cancel: &cancel };
        return Ok(reader.password(&SecretSource::File(file.to_owned()), Purpose::Make)?);
    }
    if !std::io::stdin().is_terminal() {
        return Err(
            Usage("there is no terminal to ask for the password: use --from-file FILE".to_owned()).into()
        );
    }
    Ok(secrets::ask(Purpose::Make)?)
}

fn print_users(users: &[UserDocument]) {
    if users.is_empty() {
        return render::line("no users");
    }
    let rows = users.iter().map(|user| {
        let rights: BTreeSet<String> = user.grants.iter().map(grant_text).collect();
        [
            user.name.clone(),
            if user.disabled.is_some() { "disabled" } else { "" }.to_owned(),
            match (user.has_password, user.has_second_factor) {
                (false, _) => "no password",
                (true, false) => "password",
                (true, true) => "password and code",
            }
            .to_owned(),
            user.last_login.map(local).unwrap_or_else(|| "never".to_owned()),
            rights.into_iter().collect::<Vec<_>>().join("; "),
        ]
    });
    plans::table(&["USER", "STATE", "SIGNS IN BY", "LAST LOGIN", "RIGHTS"], rows);
}

fn print_tokens(tokens: &[TokenDocument]) {
    if tokens.is_empty() {
        return render::line("no tokens");
    }
    let rows = tokens.iter().map(|token| {
        [
            token.token.to_string(),
            token.name.clone(),
            token.user.clone(),
            token.expires.map(local).unwrap_or_else(|| "never".to_owned()),
            token.last_used.map(local).unwrap_or_else(|| "never".to_owned()),
            token.last_origin.clone().unwrap_or_default(),
            token.grants.iter().map(grant_text).collect::<Vec<_>>().join("; "),
        ]
    });
    plans::table(&["TOKEN", "NAME", "USER", "EXPIRES", "LAST USED", "FROM", "RIGHTS"], rows);
}

fn local(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
