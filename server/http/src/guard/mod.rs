//! Who asks, and what they may do.

pub mod about;
pub mod back;
pub mod cookie;
pub mod from;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use keepfast_access::authority::Authority;
use keepfast_access::grant;
use keepfast_access::moment::Moment;
use keepfast_access::role::Right;
use keepfast_access::session::SessionPolicy;
use keepfast_api::error::ErrorCode;
use keepfast_api::session::{Grant, Session, SignedInBy};
use keepfast_server::access::{Caller as Known, Gate, Proof};
use keepfast_server::state::{instant, now};
use keepfast_store::{Session as StoredSession, Store, User, UserName, UtcTime};
use serde_json::Value;

use self::about::About;
use self::cookie::Cookie;
use self::from::From;
use crate::answer::{Failure, Result};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Known>);

impl Caller {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &User {
        &self.0.user
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &UserName {
        &self.0.user.name
    }

    /// The user, by what it is known, and how the audit names it.
    #[must_use]
    pub fn known(&self) -> &Known {
        &self.0
    }

    /// What the user may do.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// By what the user is known.
    #[must_use]
    pub fn by(&self) -> SignedInBy {
        match self.0.proof {
            Proof::Session(_) => SignedInBy::Session,
            Proof::Token(_) => SignedInBy::Token,
        }
    }

    /// Whether the user may see that this is there, and how it stands.
    #[must_use]
    pub fn sees(&self, about: &About) -> bool {
        self.may(Right::See, about)
    }

    /// Whether the user may do that.
    #[must_use]
    pub fn may(&self, right: Right, about: &About) -> bool {
        self.0.authority.allows(right, &about.object())
    }

    /// Refuses what the user may not do.
    ///
    /// # Errors
    /// The user may not even see the object, and then hears that it isn't there; or may not do that; or has to show the
    /// password again before something dangerous.
    pub fn must(&self, right: Right, about: &About) -> Result<()> {
        if !self.may(right, about) {
            return Err(match about.name() {
                Some((what, name)) if !self.sees(about) => Failure::not_found(what, name),
                _ => Failure::new(ErrorCode::Forbidden, "Your roles don't include this."),
            });
        }
        if right.is_dangerous() { self.must_prove() } else { Ok(()) }
    }

    /// Refuses something dangerous if the user hasn't shown a password or a code for a while. A program can't.
    ///
    /// # Errors
    /// The last proof is too old.
    pub fn must_prove(&self) -> Result<()> {
        match self.0.needs_proof(&SessionPolicy::USUAL) {
            true => Err(Failure::new(ErrorCode::ProofNeeded, "Show who you are again, then repeat this.")),
            false => Ok(()),
        }
    }

    /// Records something that the user has done, and that isn't recorded with the change itself.
    ///
    /// # Errors
    /// The state can't be written.
    pub async fn record(
        &self,
        store: &Store,
        action: &'static str,
        object: &str,
        after: Value,
    ) -> Result<()> {
        let after = Some(after).filter(|after| !after.is_null());
        self.record_change(store, action, object, None, after).await
    }

    /// The same of a change, with how it was.
    ///
    /// # Errors
    /// The state can't be written.
    pub async fn record_change(
        &self,
        store: &Store,
        action: &'static str,
        object: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<()> {
        Ok(store.audit(&self.0.actor.note(now(), action, object, before, after)).await?)
    }

    /// What the user is told about being signed in.
    #[must_use]
    pub fn session(&self) -> Session {
        let Known { user, proof, .. } = &*self.0;
        let (grants, expires) = match proof {
            Proof::Session(session) => (&user.grants, Some(session.expires)),
            Proof::Token(token) => (&token.grants, token.expires),
        };
        session_of(user, self.by(), grants, expires)
    }
}

/// What a user is told about being signed in.
#[must_use]
pub fn session_of(user: &User, by: SignedInBy, grants: &Value, expires: Option<UtcTime>) -> Session {
    Session {
        user: user.name.to_string(),
        display: user.display.to_string(),
        by,
        grants: grant::from_document(grants).iter().map(wire_grant).collect(),
        has_second_factor: user.has_totp,
        expires: expires.map(instant),
    }
}

/// A grant as documents have it, with the rights that come with it.
#[must_use]
pub fn wire_grant(grant: &grant::Grant) -> Grant {
    let names = grant.see_names.then_some(Right::SeeNames);
    let content = (grant.see_names && grant.read_content).then_some(Right::ReadContent);
    let rights = Right::ALL.into_iter().filter(|right| grant.role.has(*right)).chain(names).chain(content);
    let word = |right: Right| serde_json::to_value(right).ok()?.as_str().map(str::to_owned);
    Grant {
        role: grant.role.to_string(),
        scope: grant.scope.to_string(),
        see_names: grant.see_names,
        read_content: grant.read_content,
        rights: rights.filter_map(word).collect(),
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(not_signed_in)
    }
}

impl Caller {
    /// Whether the user still has the same rights, and the session or token still is valid. Asking isn't using it: a session
    /// whose only use is a stream ends as one that isn't used at all.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn is_still_known(&self, store: &Store) -> Result<bool> {
        let Known { user, proof, .. } = &*self.0;
        let Some(present) = store.user(&user.id).await? else { return Ok(false) };
        if present.disabled.is_some() || present.grants != user.grants {
            return Ok(false);
        }
        let now = now();
        Ok(match proof {
            Proof::Session(shown) => {
                let sessions = store.sessions_of(&user.id).await?;
                sessions.iter().any(|session| session.number == shown.number && is_valid(session, now))
            }
            Proof::Token(shown) => {
                let tokens = store.tokens(Some(&user.id)).await?;
                let is_valid = |end: Option<UtcTime>| end.is_none_or(|end| end > now);
                tokens.iter().any(|token| token.number == shown.number && is_valid(token.expires))
            }
        })
    }
}

fn is_valid(session: &StoredSession, now: UtcTime) -> bool {
    let moment = |time: UtcTime| Moment::from_micros(time.as_micros());
    let is_over = SessionPolicy::USUAL.is_over(moment(session.created), moment(session.seen), moment(now));
    session.expires > now && !is_over
}

fn not_signed_in() -> Failure {
    Failure::new(ErrorCode::NotSignedIn, "Sign in, or send a token of the API.")
}

/// Lets no one past who isn't known.
///
/// # Errors
/// The caller isn't known.
pub async fn check_in(gate: &Gate, request: &mut Request) -> Result<()> {
    let from = From::of(request.extensions());
    let cookie = Cookie::of(request.extensions());
    let known = match bearer(request.headers()) {
        Some(token) => gate.token(token, from.address).await?,
        None => match cookie.session(request.headers()) {
            Some(secret) => gate.session(secret, from.address).await?,
            None => None,
        },
    };
    let caller = Caller(Arc::new(known.ok_or_else(not_signed_in)?));
    request.extensions_mut().insert(caller);
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
