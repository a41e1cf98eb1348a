//! The cookies of browsers: one of a session, and one by which a browser is known in which someone has signed in before.

use axum::extract::FromRequestParts;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use crate::answer::{Failure, Result};

/// The session's cookie where the way to the server is encrypted: browsers then take it from this host alone, for all
/// paths.
pub const SECURE: &str = "__Host-keepfast";
/// The same on an address of this machine, where that isn't so.
const PLAIN: &str = "keepfast";
/// What the name of the browser's own cookie ends with.
const DEVICE: &str = "-device";
/// What the name of a cookie ends with that a browser keeps while it is at an issuer of accounts.
const PENDING: &str = "-oidc";
/// Seconds that signing in there may take.
const PENDING_KEPT_S: u32 = 600;
/// Seconds for which a browser keeps its own cookie: a year.
const DEVICE_KEPT_S: u32 = 365 * 86_400;

/// How cookies are given and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cookie {
    /// Whether the way between the browser and the server is encrypted.
    pub is_secure: bool,
}

impl Cookie {
    /// That of a request.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self { is_secure: true })
    }

    fn name(self) -> &'static str {
        if self.is_secure { SECURE } else { PLAIN }
    }

    fn attributes(self) -> &'static str {
        if self.is_secure {
            "Path=/; HttpOnly; SameSite=Lax; Secure"
        } else {
            "Path=/; HttpOnly; SameSite=Lax"
        }
    }

    /// What a header `Set-Cookie` says of a session that begins.
    #[must_use]
    pub fn begin(self, secret: &str) -> String {
        format!("{}={secret}; {}", self.name(), self.attributes())
    }

    /// The same of one that ends.
    #[must_use]
    pub fn end(self) -> String {
        format!("{}=; {}; Max-Age=0", self.name(), self.attributes())
    }

    /// What a header `Set-Cookie` says of a browser that is known from now on.
    #[must_use]
    pub fn know(self, secret: &str) -> String {
        format!("{}{DEVICE}={secret}; {}; Max-Age={DEVICE_KEPT_S}", self.name(), self.attributes())
    }

    /// What a header `Set-Cookie` says of a login that goes on at an issuer of accounts.
    #[must_use]
    pub fn pending(self, secret: &str) -> String {
        format!("{}{PENDING}={secret}; {}; Max-Age={PENDING_KEPT_S}", self.name(), self.attributes())
    }

    /// The same of one that is over.
    #[must_use]
    pub fn forget_pending(self) -> String {
        format!("{}{PENDING}=; {}; Max-Age=0", self.name(), self.attributes())
    }

    /// The login that went on at an issuer.
    #[must_use]
    pub fn began(self, headers: &HeaderMap) -> Option<&str> {
        shown(headers, |name| name.strip_suffix(PENDING) == Some(self.name()))
    }

    /// The secret of the session that a request shows.
    #[must_use]
    pub fn session(self, headers: &HeaderMap) -> Option<&str> {
        shown(headers, |name| name == self.name())
    }

    /// The secret by which a browser is known.
    #[must_use]
    pub fn device(self, headers: &HeaderMap) -> Option<&str> {
        shown(headers, |name| name.strip_suffix(DEVICE) == Some(self.name()))
    }
}

fn shown(headers: &HeaderMap, is_meant: impl Fn(&str) -> bool) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, secret)| is_meant(name).then_some(secret))
}

impl<S: Sync> FromRequestParts<S> for Cookie {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        Ok(Self::of(&parts.extensions))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::COOKIE;
    use axum::http::{HeaderMap, HeaderValue};

    use super::Cookie;

    #[test]
    fn a_cookie_of_another_name_is_no_session() {
        let secure = Cookie { is_secure: true };
        let headers =
            |value: &str| HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(value).expect("a header"))]);
        let both = headers("a=b; __Host-keepfast-device=dev; __Host-keepfast=ses");
        assert_eq!((secure.session(&both), secure.device(&both)), (Some("ses"), Some("dev")));
        // Anyone on the same host could set it without encryption.
        assert_eq!(secure.session(&headers("keepfast=ses")), None);
        assert!(secure.begin("x").contains("; HttpOnly; SameSite=Lax; Secure"));
        assert!(!Cookie { is_secure: false }.begin("x").contains("Secure"));
    }
}
