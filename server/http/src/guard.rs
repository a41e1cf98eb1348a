//! Who asks, and what they may do.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use keepfast_api::error::ErrorCode;
use keepfast_api::session::{Grant, Session, Setup, SignIn, SignedInBy};

use crate::answer::{Failure, Result};

/// A future of a [`Gate`].
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What a caller may want to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// To see that it is there, and how it stands.
    See,
    /// To start, cancel, pause; to say that a problem was seen.
    Operate,
    /// To change definitions.
    Edit,
    /// To see what users have done.
    Audit,
    /// To change users and what they may do.
    Administer,
}

/// What a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Object<'a> {
    /// The server itself, and what belongs to no other object.
    Server,
    /// A plan.
    Plan(&'a str),
    /// A repository.
    Repository(&'a str),
}

impl<'a> Object<'a> {
    /// What a subject of an event or a problem is about, such as `plan:www`.
    #[must_use]
    pub fn of(subject: &'a str) -> Self {
        match subject.split_once(':') {
            Some(("plan", name)) => Self::Plan(name),
            Some(("repository" | "check" | "prune", name)) => Self::Repository(name),
            _ => Self::Server,
        }
    }
}

/// Someone who is signed in.
pub trait Known: Send + Sync {
    /// The user's name.
    fn user(&self) -> &str;

    /// Whether the user may do that.
    fn may(&self, right: Right, object: Object<'_>) -> bool;

    /// What the user is told about being signed in.
    fn session(&self) -> Session;
}

/// Who asks.
#[derive(Clone)]
pub struct Caller(Arc<dyn Known>);

impl Caller {
    /// A caller who is known.
    #[must_use]
    pub fn new(known: Arc<dyn Known>) -> Self {
        Self(known)
    }

    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        self.0.user()
    }

    /// What the user is told about being signed in.
    #[must_use]
    pub fn session(&self) -> Session {
        self.0.session()
    }

    /// Whether the user may see this.
    #[must_use]
    pub fn sees(&self, object: Object<'_>) -> bool {
        self.0.may(Right::See, object)
    }

    /// Refuses what the user may not do.
    ///
    /// # Errors
    /// The user may not do that; or may not even see the object, and then hears that it isn't there.
    pub fn must(&self, right: Right, object: Object<'_>) -> Result<()> {
        if self.0.may(right, object) {
            return Ok(());
        }
        match object {
            Object::Plan(name) if !self.sees(object) => Err(Failure::not_found("plan", name)),
            Object::Repository(name) if !self.sees(object) => Err(Failure::not_found("repository", name)),
            _ => Err(Failure::new(ErrorCode::Forbidden, "Your roles don't include this.")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(not_signed_in)
    }
}

/// From where a request comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// The address, where it comes over the network.
    pub address: Option<IpAddr>,
    /// What the program calls itself.
    pub agent: Option<String>,
}

/// A user who has just signed in.
pub struct SignedIn {
    /// The secret by which the session is known, for the cookie.
    pub secret: String,
    /// What the user is told.
    pub session: Session,
}

/// What knows users, sessions and tokens.
pub trait Gate: Send + Sync {
    /// Whether there are no users yet.
    fn needs_setup(&self) -> Waiting<'_, bool>;

    /// Makes the first user, and signs that user in.
    fn set_up(&self, setup: Setup, from: From) -> Waiting<'_, SignedIn>;

    /// Signs a user in.
    fn sign_in(&self, sign_in: SignIn, from: From) -> Waiting<'_, SignedIn>;

    /// Ends a session.
    fn sign_out(&self, secret: &str) -> Waiting<'_, ()>;

    /// Whose session or token this is; nothing if there is none.
    fn caller<'g>(&'g self, by: SignedInBy, secret: &'g str, from: &'g From) -> Waiting<'g, Option<Caller>>;
}

/// A grant as documents have it.
#[must_use]
pub fn grant(role: &str, scope: &str) -> Grant {
    Grant { role: role.to_owned(), scope: scope.to_owned() }
}

/// What a caller has shown, to be looked at again while an answer goes on.
#[derive(Clone)]
pub struct Watched {
    gate: Arc<dyn Gate>,
    by: SignedInBy,
    secret: Arc<str>,
    from: From,
    /// What the caller was told when the answer began.
    session: Session,
}

impl Watched {
    /// Whether the caller is still signed in, with the same rights.
    pub async fn is_valid(&self) -> bool {
        let caller = self.gate.caller(self.by, &self.secret, &self.from).await;
        let session = caller.ok().flatten().map(|caller| caller.session());
        session.is_some_and(|now| now.user == self.session.user && now.grants == self.session.grants)
    }
}

impl<S: Sync> FromRequestParts<S> for Watched {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts.extensions.get::<Self>().cloned().ok_or_else(not_signed_in)
    }
}

fn not_signed_in() -> Failure {
    Failure::new(ErrorCode::NotSignedIn, "Sign in, or send a token of the API.")
}

/// Lets no one past who isn't known.
///
/// # Errors
/// The caller isn't known.
pub async fn check_in(gate: &Arc<dyn Gate>, request: &mut Request) -> Result<()> {
    let from = request.extensions().get().cloned().unwrap_or(From { address: None, agent: None });
    let cookie = request.extensions().get().copied().unwrap_or(Cookie { is_secure: true });
    let shown = match bearer(request.headers()) {
        Some(token) => Some((SignedInBy::Token, token)),
        None => cookie.shown(request.headers()).map(|secret| (SignedInBy::Session, secret)),
    };
    let (by, secret) = shown.ok_or_else(not_signed_in)?;
    let secret: Arc<str> = secret.into();
    let caller = gate.caller(by, &secret, &from).await?.ok_or_else(not_signed_in)?;
    let watched = Watched { gate: Arc::clone(gate), by, secret, from, session: caller.session() };
    request.extensions_mut().insert(watched);
    request.extensions_mut().insert(caller);
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// The cookie's name where the way to the server is encrypted: browsers then take it from this host alone, for all paths.
pub const COOKIE_SECURE: &str = "__Host-keepfast";
/// Its name on this machine's own address, where that isn't so.
const COOKIE_PLAIN: &str = "keepfast";

/// The cookie by which a browser shows its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// Whether the way between the browser and the server is encrypted.
    pub is_secure: bool,
}

impl Cookie {
    fn name(self) -> &'static str {
        if self.is_secure { COOKIE_SECURE } else { COOKIE_PLAIN }
    }

    fn attributes(self) -> &'static str {
        if self.is_secure {
            "; Path=/; HttpOnly; SameSite=Lax; Secure"
        } else {
            "; Path=/; HttpOnly; SameSite=Lax"
        }
    }

    /// What the header `Set-Cookie` says of a session that begins.
    #[must_use]
    pub fn set(self, secret: &str) -> String {
        format!("{}={secret}{}", self.name(), self.attributes())
    }

    /// The same of one that ends.
    #[must_use]
    pub fn end(self) -> String {
        format!("{}={}; Max-Age=0", self.name(), self.attributes())
    }

    /// The secret of the session that a request shows.
    #[must_use]
    pub fn shown(self, headers: &HeaderMap) -> Option<&str> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(name, secret)| (name == self.name()).then_some(secret))
    }
}

impl<S: Sync> FromRequestParts<S> for Cookie {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(parts.extensions.get().copied().unwrap_or(Self { is_secure: true }))
    }
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(parts.extensions.get().cloned().unwrap_or(Self { address: None, agent: None }))
    }
}
