//! Who asks, and what they may do.

pub mod about;
pub mod cookie;
pub mod gate;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jiff::Timestamp;
use keepfast_access::authority::Authority;
use keepfast_access::grant;
use keepfast_access::moment::Moment;
use keepfast_access::role::Right;
use keepfast_access::session::SessionPolicy;
use keepfast_api::error::ErrorCode;
use keepfast_api::session::{Grant, Session, SignedInBy};
use keepfast_server::state::{instant, stored};
use keepfast_store::{
    ApiToken, AuditAction, AuditNote, Label, Session as StoredSession, SessionNumber, Store, TokenNumber,
    User, UserName, UtcTime,
};
use serde_json::Value;

use self::about::About;
use self::cookie::Cookie;
use self::gate::{From, Gate};
use crate::answer::{Failure, Result};

/// By what a caller is known.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// A session.
    Session(StoredSession),
    /// A token of the API.
    Token(ApiToken),
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Known>);

#[derive(Debug)]
struct Known {
    user: User,
    by: By,
    authority: Authority,
    origin: Label,
    now: Timestamp,
}

impl Caller {
    /// The user of a session or a token, who asks from somewhere at an instant.
    #[must_use]
    pub fn new(user: User, by: By, origin: Label, now: Timestamp) -> Self {
        let grants = grant::from_document(&user.grants);
        let authority = match &by {
            By::Session(_) => Authority::of_user(grants),
            By::Token(token) => Authority::of_token(grants, grant::from_document(&token.grants)),
        };
        Self(Arc::new(Known { user, by, authority, origin, now }))
    }

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

    /// By what the user is known.
    #[must_use]
    pub fn by(&self) -> &By {
        &self.0.by
    }

    /// What the user may do.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.0.authority
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
        let By::Session(session) = &self.0.by else { return Ok(()) };
        let now = Moment::from_micros(stored(self.0.now).as_micros());
        let shown = Moment::from_micros(session.authenticated.as_micros());
        match SessionPolicy::USUAL.needs_proof(shown, now) {
            true => Err(Failure::new(ErrorCode::ProofNeeded, "Show your password again, then repeat this.")),
            false => Ok(()),
        }
    }

    /// What is recorded of something that the user does.
    ///
    /// # Errors
    /// The action is no name.
    pub fn note(
        &self,
        action: &str,
        object: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<AuditNote> {
        Ok(AuditNote {
            at: stored(self.0.now),
            who: match &self.0.by {
                By::Session(_) => Label::from(format!("user {}", self.0.user.name)),
                By::Token(token) => Label::from(format!("token {} of {}", token.name, self.0.user.name)),
            },
            origin: self.0.origin.clone(),
            action: AuditAction::new(action)?,
            object: Label::from(object),
            before,
            after,
        })
    }

    /// What the user is told about being signed in.
    #[must_use]
    pub fn session(&self) -> Session {
        let Known { user, by, .. } = &*self.0;
        let limit = match by {
            By::Session(_) => None,
            By::Token(token) => Some(grant::from_document(&token.grants)),
        };
        let grants = limit.unwrap_or_else(|| grant::from_document(&user.grants));
        Session {
            user: user.name.to_string(),
            display: user.display.to_string(),
            by: match by {
                By::Session(_) => SignedInBy::Session,
                By::Token(_) => SignedInBy::Token,
            },
            grants: grants.iter().map(wire_grant).collect(),
            has_second_factor: user.has_totp,
            expires: match by {
                By::Session(session) => Some(instant(session.expires)),
                By::Token(token) => token.expires.map(instant),
            },
        }
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

/// The session or token of an answer that goes on, to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Session(SessionNumber),
    Token(TokenNumber),
}

impl Caller {
    /// Whether the user still has the same rights, and the session or token still is valid. Asking isn't using it: a session
    /// whose only use is a stream ends as one that isn't used at all.
    ///
    /// # Errors
    /// The state can't be read.
    pub async fn is_still_known(&self, store: &Store, now: Timestamp) -> Result<bool> {
        let Known { user, by, .. } = &*self.0;
        let Some(present) = store.user(&user.id).await? else { return Ok(false) };
        if present.disabled.is_some() || present.grants != user.grants {
            return Ok(false);
        }
        let now = stored(now);
        let number = match by {
            By::Session(session) => Number::Session(session.number),
            By::Token(token) => Number::Token(token.number),
        };
        Ok(match number {
            Number::Session(number) => {
                let sessions = store.sessions_of(&user.id).await?;
                sessions.iter().any(|session| session.number == number && is_valid(session, now))
            }
            Number::Token(number) => {
                let tokens = store.tokens(Some(&user.id)).await?;
                tokens.iter().any(|token| token.number == number && token.expires.is_none_or(|end| end > now))
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
pub async fn check_in(gate: &Gate, request: &mut Request, now: Timestamp) -> Result<()> {
    let from = From::of(request.extensions());
    let cookie = Cookie::of(request.extensions());
    let caller = match bearer(request.headers()) {
        Some(token) => gate.token(token, &from, now).await?,
        None => match cookie.session(request.headers()) {
            Some(secret) => gate.session(secret, &from, now).await?,
            None => None,
        },
    };
    request.extensions_mut().insert(caller.ok_or_else(not_signed_in)?);
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
