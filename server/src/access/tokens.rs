//! Tokens of the API.

use jiff::Timestamp;
use keepfast_access::grant::{self, Grant};
use keepfast_access::token::{Token, TokenKind};
use keepfast_store::{ApiToken, NewApiToken, Store, TokenMade, TokenName, TokenNumber, User, UserId};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::actor::Actor;
use super::error::{AccessError, Result};
use super::random;
use super::users::{hash_of, object};
use crate::state::{instant, now, stored};

/// A token, as others see one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenDocument {
    /// Its number.
    pub token: i64,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Its own rights; it may what both it and its user may.
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it isn't valid.
    pub expires: Option<Timestamp>,
    /// When it was used last, to a minute.
    pub last_used: Option<Timestamp>,
    /// From where.
    pub last_origin: Option<String>,
}

impl From<&ApiToken> for TokenDocument {
    fn from(token: &ApiToken) -> Self {
        Self {
            token: token.number.number(),
            name: token.name.to_string(),
            user: token.user_name.to_string(),
            grants: grant::from_document(&token.grants),
            created: instant(token.created),
            expires: token.expires.map(instant),
            last_used: token.last_used.as_ref().map(|(at, _)| instant(*at)),
            last_origin: token.last_used.as_ref().map(|(_, origin)| origin.to_string()),
        }
    }
}

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct TokenWish {
    /// What it is called.
    pub name: String,
    /// Its own rights.
    pub grants: Vec<Grant>,
    /// From when on it isn't valid.
    pub expires: Option<Timestamp>,
}

/// A token that was made.
pub struct MadeToken {
    /// Its number.
    pub number: TokenNumber,
    /// The token, which is shown this once.
    pub text: Zeroizing<String>,
}

/// Makes a token of a user.
pub async fn make_token(store: &Store, by: &Actor, user: &User, wish: TokenWish) -> Result<MadeToken> {
    grant::check(&wish.grants)?;
    let token = Token::from_random(TokenKind::Api, random()?);
    let new = NewApiToken {
        hash: hash_of(&token)?,
        user: user.id.clone(),
        name: TokenName::new(wish.name.as_str()).map_err(AccessError::name(&wish.name))?,
        grants: grant::to_document(&wish.grants),
        expires: wish.expires.map(stored),
    };
    let now = now();
    let after = json!({ "name": new.name, "grants": new.grants, "expires": wish.expires });
    let note = by.note(now, "token.make", &object(&user.name), None, Some(after));
    match store.make_token(now, &new, &note).await? {
        TokenMade::Made(number) => Ok(MadeToken { number, text: token.text() }),
        TokenMade::NameTaken => {
            Err(AccessError::TokenExists { user: user.name.to_string(), name: wish.name })
        }
        TokenMade::TooMany => Err(AccessError::TooManyTokens { user: user.name.to_string() }),
        TokenMade::NoUser => Err(AccessError::NoUser { name: user.name.to_string() }),
    }
}

/// The number of a token, as listings show it.
#[must_use]
pub fn token_number(number: i64) -> TokenNumber {
    TokenNumber::from_number(number)
}

/// Takes a token away; only one of the user `of`, if that is said.
pub async fn revoke_token(store: &Store, by: &Actor, number: TokenNumber, of: Option<&UserId>) -> Result<()> {
    let known = store.tokens(of).await?;
    let token = known.iter().find(|token| token.number == number);
    let no_token = || AccessError::NoToken { number: number.number() };
    let token = token.ok_or_else(no_token)?;
    let before = json!({ "name": token.name, "grants": token.grants });
    let note = by.note(now(), "token.revoke", &object(&token.user_name), Some(before), None);
    if store.revoke_token(number, of, &note).await? { Ok(()) } else { Err(no_token()) }
}

/// The tokens of a user, or of all users.
pub async fn token_list(store: &Store, of: Option<&UserId>) -> Result<Vec<TokenDocument>> {
    Ok(store.tokens(of).await?.iter().map(TokenDocument::from).collect())
}
