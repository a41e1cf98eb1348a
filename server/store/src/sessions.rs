//! Sessions of users, and the browsers from which they have signed in before. The state has hashes of their tokens.

use std::time::Duration;

use crate::Store;
use crate::db::{AuditNote, Row, values};
use crate::error::{Result, StoreError};
use crate::types::{Label, TokenHash, UserId, UtcTime};
use crate::users::{User, user_columns};

/// Sessions of a user at most: one more ends the one that was used least recently.
const SESSIONS_MAX: i64 = 50;
/// Known browsers of a user at most: one more makes the oldest one unknown.
const DEVICES_MAX: i64 = 50;
/// When a session or a token was used last is written at most this often.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);

/// Identifies a session, and is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct SessionNumber(pub(crate) i64);

impl SessionNumber {
    /// The session with this number, as listings show it.
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

/// A session.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Identifies it.
    pub number: SessionNumber,
    /// Whose it is.
    pub user: UserId,
    /// When it began.
    pub created: UtcTime,
    /// When its user has last shown a password or a code.
    pub authenticated: UtcTime,
    /// When it was used last, up to a minute before.
    pub seen: UtcTime,
    /// When it ends, however it is used.
    pub expires: UtcTime,
    /// From where it began.
    pub origin: Label,
    /// The program that it began with.
    pub agent: Label,
}

/// A session that begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// The hash of its token.
    pub hash: TokenHash,
    /// Whose it is.
    pub user: UserId,
    /// When it ends, however it is used.
    pub expires: UtcTime,
    /// From where.
    pub origin: Label,
    /// The program.
    pub agent: Label,
    /// The hash of the cookie by which the browser is known from now on, and until when.
    pub device: Option<(TokenHash, UtcTime)>,
}

/// The columns of [`Session::from_row`].
macro_rules! session_columns {
    () => {
        "session.number, session.user_id AS session_user, session.created, authenticated, seen, expires, origin, agent"
    };
}

impl Session {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            number: SessionNumber(row.integer("number")?),
            user: row.name("session_user")?,
            created: row.time("created")?,
            authenticated: row.time("authenticated")?,
            seen: row.time("seen")?,
            expires: row.time("expires")?,
            origin: row.string("origin")?.into(),
            agent: row.string("agent")?.into(),
        })
    }
}

const USE: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", ",
    user_columns!(),
    " FROM session JOIN user_account ON user_account.id = session.user_id \
     WHERE session.hash = $1 AND expires > $2 AND seen > $3 AND disabled IS NULL"
);
const OF_USER: &str =
    concat!("SELECT ", session_columns!(), " FROM session WHERE user_id = $1 ORDER BY seen DESC LIMIT $2");

impl Store {
    /// Begins a session of a user who isn't disabled; `None` if the user is, or isn't there.
    pub async fn begin_session(
        &self,
        now: UtcTime,
        new: &NewSession,
        note: &AuditNote,
    ) -> Result<Option<SessionNumber>> {
        let mut tx = self.begin("beginning a session").await?;
        // It also locks the user: who is disabled at this moment has no session afterwards.
        let sql = "UPDATE user_account SET last_login = $2 WHERE id = $1 AND disabled IS NULL";
        if tx.execute(sql, values![new.user.as_str(), now]).await? == 0 {
            return Ok(None);
        }
        let sql = "INSERT INTO session (hash, user_id, created, authenticated, seen, expires, origin, agent) \
                   VALUES ($1, $2, $3, $3, $3, $4, $5, $6) RETURNING number";
        let row = values![
            new.hash.as_str(),
            new.user.as_str(),
            now,
            new.expires,
            new.origin.as_str(),
            new.agent.as_str()
        ];
        let row = tx.row(sql, row).await?;
        let row = row.ok_or_else(|| StoreError::stored("session", "a session was not stored"))?;
        let sql = "DELETE FROM session WHERE user_id = $1 AND number NOT IN \
                   (SELECT number FROM session WHERE user_id = $1 ORDER BY seen DESC, number DESC LIMIT $2)";
        tx.execute(sql, values![new.user.as_str(), SESSIONS_MAX]).await?;
        if let Some((device, until)) = &new.device {
            let sql = "INSERT INTO known_device (hash, user_id, created, expires) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (hash) DO NOTHING";
            tx.execute(sql, values![device.as_str(), new.user.as_str(), now, *until]).await?;
            let sql = "DELETE FROM known_device WHERE user_id = $1 AND hash NOT IN \
                       (SELECT hash FROM known_device WHERE user_id = $1 ORDER BY expires DESC LIMIT $2)";
            tx.execute(sql, values![new.user.as_str(), DEVICES_MAX]).await?;
        }
        tx.audit(note);
        tx.commit().await?;
        Ok(Some(SessionNumber(row.integer("number")?)))
    }

    /// The session with this token and its user, if it wasn't ended, is used more often than after `idle`, and the user
    /// isn't disabled. The user is as of now, so what was taken away doesn't count any more.
    pub async fn use_session(
        &self,
        now: UtcTime,
        token: &TokenHash,
        idle: Duration,
    ) -> Result<Option<(Session, User)>> {
        let values = values![token.as_str(), now, now.minus(idle)];
        let row = self.db.row("reading a session", USE, values).await?;
        let Some(row) = row else { return Ok(None) };
        let (mut session, user) = (Session::from_row(&row)?, User::from_row(&row)?);
        if session.seen <= now.minus(SEEN_EVERY) {
            let mut tx = self.begin("storing the use of a session").await?;
            // If it was ended since, this changes nothing.
            let sql = "UPDATE session SET seen = $2 WHERE number = $1 AND seen < $2";
            tx.execute(sql, values![session.number.0, now]).await?;
            tx.commit().await?;
            session.seen = now;
        }
        Ok(Some((session, user)))
    }

    /// The user of a session has shown a password or a code again. False if the session is over.
    pub async fn authenticate_again(
        &self,
        now: UtcTime,
        session: SessionNumber,
        note: &AuditNote,
    ) -> Result<bool> {
        let mut tx = self.begin("storing a new proof of a session's user").await?;
        let sql = "UPDATE session SET authenticated = $2 WHERE number = $1";
        if tx.execute(sql, values![session.0, now]).await? == 0 {
            return Ok(false);
        }
        tx.audit(note);
        tx.commit().await?;
        Ok(true)
    }

    /// Ends a session of a user. False if it is over already, or another user's.
    pub async fn end_session(&self, user: &UserId, session: SessionNumber, note: &AuditNote) -> Result<bool> {
        let mut tx = self.begin("ending a session").await?;
        let sql = "DELETE FROM session WHERE number = $1 AND user_id = $2";
        if tx.execute(sql, values![session.0, user.as_str()]).await? == 0 {
            return Ok(false);
        }
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(true)
    }

    /// Ends all sessions of a user but one, and says how many these were. All browsers are unknown afterwards.
    pub async fn end_sessions_of(
        &self,
        user: &UserId,
        keep: Option<SessionNumber>,
        note: &AuditNote,
    ) -> Result<u64> {
        let mut tx = self.begin("ending a user's sessions").await?;
        let sql = "DELETE FROM session WHERE user_id = $1 AND number <> $2";
        let ended = tx.execute(sql, values![user.as_str(), keep.map_or(0, |keep| keep.0)]).await?;
        tx.execute("DELETE FROM known_device WHERE user_id = $1", values![user.as_str()]).await?;
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(ended)
    }

    /// Ends the sessions of all users, and says how many these were: after the state was brought back from a backup, in
    /// which sessions are that were ended later.
    pub async fn end_all_sessions(&self, note: &AuditNote) -> Result<u64> {
        let mut tx = self.begin("ending all sessions").await?;
        let ended = tx.execute("DELETE FROM session", Vec::new()).await?;
        tx.execute("DELETE FROM known_device", Vec::new()).await?;
        tx.audit(note);
        tx.wake();
        tx.commit().await?;
        Ok(ended)
    }

    /// The sessions of a user, the one that was used last first. Some may be over by their age.
    pub async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>> {
        let rows = self.db.rows("listing sessions", OF_USER, values![user.as_str(), SESSIONS_MAX]).await?;
        rows.iter().map(Session::from_row).collect()
    }

    /// Whether a user has signed in before with the browser that has this cookie.
    pub async fn is_known_device(&self, now: UtcTime, device: &TokenHash, user: &UserId) -> Result<bool> {
        let sql = "SELECT created FROM known_device WHERE hash = $1 AND user_id = $2 AND expires > $3";
        let values = values![device.as_str(), user.as_str(), now];
        Ok(self.db.row("reading a known device", sql, values).await?.is_some())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{OF_USER, USE};
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn sessions_are_found_without_a_scan() {
        assert_searches(USE, &[]).await;
        assert_searches(OF_USER, &["session_by_user"]).await;
    }
}
