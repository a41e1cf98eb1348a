//! Signing in with an account of elsewhere, by OpenID Connect: the code flow with PKCE, state and nonce. The issuer says who
//! someone is; what that person may do is the caller's business.
//!
//! 1. [`RelyingParty::begin`] gives the address to which the browser goes, and a [`Pending`] that the caller keeps in a
//!    cookie of that browser. So whichever server the browser comes back to can go on.
//! 2. [`RelyingParty::finish`] compares what the browser brings back with that, asks the issuer for the ID token, and checks
//!    it: its signature by a key of the issuer, and that it is of this issuer, for this client, of this login and of now.
//!    What is missing in it, the issuer is asked for at its userinfo endpoint, if it has one.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

mod error;
mod fetch;
mod keys;
mod party;
mod token;

pub use error::OidcError;
pub use party::{Begun, Identity, Pending, Provider, RANDOM_BYTES, RelyingParty, Returned};
