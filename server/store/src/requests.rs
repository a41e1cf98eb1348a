//! Requests that must be carried out once, however often they are sent: each has a key that its sender has made up.

use crate::Store;
use crate::db::values;
use crate::error::{Result, StoreError};
use crate::types::{Label, UserId, UtcTime};

/// Bytes of an answer that is kept, at most.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;

/// What makes a request one: the same key means another one of another user, or at another place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Who sent it.
    pub user: UserId,
    /// The key, at most 255 bytes.
    pub key: Label,
    /// The method.
    pub method: Label,
    /// The path, without a query.
    pub path: Label,
}

/// What a request is met with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestBegun {
    /// It is the first of its kind: carry it out, and then call [`Store::end_request`], or [`Store::forget_request`] if
    /// nothing of it was done.
    First,
    /// The same one was sent before: this was the answer.
    Answered {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The same one is being carried out; or it was, by a server that has died before it could say what came of it.
    UnderWay {
        /// Since when.
        since: UtcTime,
    },
    /// Another one was sent with this key.
    AnotherOne,
}

impl Store {
    /// A request with this key has come, whose method, whole path, query and body have this digest. Of several that come at
    /// once, one is the first. It is remembered until `expires`.
    pub async fn begin_request(
        &self,
        now: UtcTime,
        key: &RequestKey,
        digest: &str,
        expires: UtcTime,
    ) -> Result<RequestBegun> {
        let mut tx = self.begin("storing a request").await?;
        let RequestKey { user, key, method, path } = key;
        let this = || values![user.as_str(), key.as_str(), method.as_str(), path.as_str()];
        let sql = "DELETE FROM sent_request WHERE user_id = $1 AND key = $2 AND method = $3 AND path = $4 \
                   AND expires <= $5";
        tx.execute(sql, [this(), values![now]].concat()).await?;
        let sql = "INSERT INTO sent_request (user_id, key, method, path, digest, began, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let is_first = tx.execute(sql, [this(), values![digest, now, expires]].concat()).await? > 0;
        if is_first {
            tx.commit().await?;
            return Ok(RequestBegun::First);
        }
        let sql = "SELECT digest, began, status, answer FROM sent_request \
                   WHERE user_id = $1 AND key = $2 AND method = $3 AND path = $4";
        let row = tx.row(sql, this()).await?;
        let row = row.ok_or_else(|| StoreError::stored("sent_request", "a request was not stored"))?;
        if row.string("digest")? != digest {
            return Ok(RequestBegun::AnotherOne);
        }
        let Some(status) = row.optional_integer("status")? else {
            return Ok(RequestBegun::UnderWay { since: row.time("began")? });
        };
        let status = u16::try_from(status).map_err(|error| StoreError::stored("status", error))?;
        Ok(RequestBegun::Answered { status, body: row.optional_string("answer")?.unwrap_or_default() })
    }

    /// What came of a request that was the first. An answer that is too long isn't kept, only its status.
    pub async fn end_request(&self, key: &RequestKey, status: u16, body: &str) -> Result<()> {
        let mut tx = self.begin("storing what came of a request").await?;
        let RequestKey { user, key, method, path } = key;
        let kept = Some(body).filter(|body| body.len() <= ANSWER_BYTES_MAX && !body.contains('\0'));
        let sql = "UPDATE sent_request SET status = $5, answer = $6 \
                   WHERE user_id = $1 AND key = $2 AND method = $3 AND path = $4 AND status IS NULL";
        let values =
            values![user.as_str(), key.as_str(), method.as_str(), path.as_str(), i64::from(status), kept];
        tx.execute(sql, values).await?;
        tx.commit().await
    }

    /// Nothing of a request was done: it may come again with its key.
    pub async fn forget_request(&self, key: &RequestKey) -> Result<()> {
        let mut tx = self.begin("forgetting a request").await?;
        let RequestKey { user, key, method, path } = key;
        let sql = "DELETE FROM sent_request WHERE user_id = $1 AND key = $2 AND method = $3 AND path = $4 \
                   AND status IS NULL";
        tx.execute(sql, values![user.as_str(), key.as_str(), method.as_str(), path.as_str()]).await?;
        tx.commit().await
    }
}
