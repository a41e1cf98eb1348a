//! Tokens of the API. Each belongs to a user and has rights of its own; what it may do is what both may, which is the
//! caller's business.

use serde_json::Value as Document;

use crate::Store;
use crate::db::{AuditNote, Row, values};
use crate::error::Result;
use crate::sessions::SEEN_EVERY;
use crate::types::{Label, TokenHash, TokenName, UserId, UserName, UtcTime};
use crate::users::{User, user_columns};

/// Tokens of a user, at most.
const TOKENS_MAX: i64 = 100;
/// Tokens that a listing has, at most.
const LISTED_MAX: i64 = 10_000;

/// Identifies a token, and is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TokenNumber(pub(crate) i64);

impl TokenNumber {
    /// The token with this number, as listings show it.
    #[must_use]
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }
}

/// A token of the API.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiToken {
    /// Identifies it.
    pub number: TokenNumber,
    /// Whose it is.
    pub user: UserId,
    /// What its user is called.
    pub user_name: UserName,
    /// What it is called.
    pub name: TokenName,
    /// Its own rights: a document of the caller's.
    pub grants: Document,
    /// When it was made.
    pub created: UtcTime,
    /// From when on it isn't valid any more.
    pub expires: Option<UtcTime>,
    /// When it was used last, up to a minute before, and from where.
    pub last_used: Option<(UtcTime, Label)>,
}

/// A token that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewApiToken {
    /// Its hash.
    pub hash: TokenHash,
    /// Whose it is.
    pub user: UserId,
    /// What it is called.
    pub name: TokenName,
    /// Its own rights.
    pub grants: Document,
    /// From when on it isn't valid any more.
    pub expires: Option<UtcTime>,
}

/// What came of making a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMade {
    /// It is there.
    Made(TokenNumber),
    /// Nothing: the user has one with this name.
    NameTaken,
    /// Nothing: the user has as many as there may be.
    TooMany,
    /// Nothing: there is no such user, or the user is disabled.
    NoUser,
}

/// The columns of [`ApiToken::from_row`], with those of the user.
macro_rules! token_columns {
    () => {
        concat!(
            "api_token.number, api_token.user_id AS token_user, api_token.name AS token_name, \
             api_token.grants AS token_grants, api_token.created AS token_created, api_token.expires, last_used, \
             last_origin, ",
            user_columns!()
        )
    };
}

impl ApiToken {
    fn from_row(row: &Row) -> Result<Self> {
        let used = row.optional_time("last_used")?;
        Ok(Self {
            number: TokenNumber(row.integer("number")?),
            user: row.name("token_user")?,
            user_name: row.name("user_name")?,
            name: row.name("token_name")?,
            grants: row.json("token_grants")?,
            created: row.time("token_created")?,
            expires: row.optional_time("expires")?,
            last_used: used.zip(row.optional_string("last_origin")?.map(Label::from)),
        })
    }
}

const USE: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM api_token JOIN user_account ON user_account.id = api_token.user_id \
     WHERE api_token.hash = $1 AND (api_token.expires IS NULL OR api_token.expires > $2) AND disabled IS NULL"
);
const OF_USER: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM api_token JOIN user_account ON user_account.id = api_token.user_id \
     WHERE api_token.user_id = $1 ORDER BY api_token.name LIMIT $2"
);
const ALL: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM api_token JOIN user_account ON user_account.id = api_token.user_id ORDER BY api_token.number LIMIT $1"
);

impl Store {
    /// Makes a token of a user.
    pub async fn make_token(&self, now: UtcTime, new: &NewApiToken, note: &AuditNote) -> Result<TokenMade> {
        let mut tx = self.begin("making a token").await?;
        // It also locks the user, so that tokens of one are made one by one, and none of a user who is removed.
        let sql = "UPDATE user_account SET name = name WHERE id = $1 AND disabled IS NULL";
        if tx.execute(sql, values![new.user.as_str()]).await? == 0 {
            return Ok(TokenMade::NoUser);
        }
        let sql = "SELECT COUNT(*) AS tokens FROM api_token WHERE user_id = $1";
        let row = tx.row(sql, values![new.user.as_str()]).await?;
        if row.map_or(Ok(0), |row| row.integer("tokens"))? >= TOKENS_MAX {
            return Ok(TokenMade::TooMany);
        }
        let sql = "INSERT INTO api_token (hash, user_id, name, grants, created, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING number";
        let row = values![
            new.hash.as_str(),
            new.user.as_str(),
            new.name.as_str(),
            new.grants.to_string(),
            now,
            new.expires
        ];
        let Some(row) = tx.row(sql, row).await? else { return Ok(TokenMade::NameTaken) };
        tx.audit(note);
        tx.commit().await?;
        Ok(TokenMade::Made(TokenNumber(row.integer("number")?)))
    }

    /// The token with this hash and its user, if it is valid and the user isn't disabled. Both are as of now, so what was
    /// taken away doesn't count any more.
    pub async fn use_token(
        &self,
        now: UtcTime,
        hash: &TokenHash,
        origin: &Label,
    ) -> Result<Option<(ApiToken, User)>> {
        let row = self.db.row("reading a token", USE, values![hash.as_str(), now]).await?;
        let Some(row) = row else { return Ok(None) };
        let (mut token, user) = (ApiToken::from_row(&row)?, User::from_row(&row)?);
        let is_fresh = token.last_used.as_ref().is_some_and(|(at, _)| *at > now.minus(SEEN_EVERY));
        if !is_fresh {
            let mut tx = self.begin("storing the use of a token").await?;
            let sql = "UPDATE api_token SET last_used = $2, last_origin = $3 \
                       WHERE number = $1 AND (last_used IS NULL OR last_used < $2)";
            tx.execute(sql, values![token.number.0, now, origin.as_str()]).await?;
            tx.commit().await?;
            token.last_used = Some((now, origin.clone()));
        }
        Ok(Some((token, user)))
    }

    /// Takes a token away; nothing if there is none, or it is another user's than `of`.
    pub async fn revoke_token(
        &self,
        token: TokenNumber,
        of: Option<&UserId>,
        note: &AuditNote,
    ) -> Result<bool> {
        let mut tx = self.begin("taking a token away").await?;
        let sql = "DELETE FROM api_token WHERE number = $1 AND ($2 = '' OR user_id = $2)";
        if tx.execute(sql, values![token.0, of.map_or("", UserId::as_str)]).await? == 0 {
            return Ok(false);
        }
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(true)
    }

    /// The tokens of a user in the order of their names, or all tokens in the order in which they were made.
    pub async fn tokens(&self, of: Option<&UserId>) -> Result<Vec<ApiToken>> {
        let doing = "listing tokens";
        let rows = match of {
            Some(user) => self.db.rows(doing, OF_USER, values![user.as_str(), TOKENS_MAX]).await?,
            None => self.db.rows(doing, ALL, values![LISTED_MAX]).await?,
        };
        rows.iter().map(ApiToken::from_row).collect()
    }
}
