//! The second factor of users: the secret of their codes, and codes for the day on which they have lost their device.

use crate::Store;
use crate::db::{AuditNote, Tx, values};
use crate::error::Result;
use crate::types::{StoredSecret, TokenHash, UserId, UtcTime};

/// Recovery codes of a user, at most.
pub const RECOVERY_CODES_MAX: usize = 32;
/// What the last step is before any code was accepted.
const NO_STEP: i64 = -1;

impl Store {
    /// Stores a secret that was shown to a user. Codes aren't asked for before one of them has confirmed it; until then, a
    /// secret from before counts.
    pub async fn begin_totp(&self, user: &UserId, secret: &StoredSecret) -> Result<()> {
        let mut tx = self.begin("storing the secret of a second factor").await?;
        let sql = "INSERT INTO user_totp (user_id, pending, last_step) VALUES ($1, $2, $3) \
                   ON CONFLICT (user_id) DO UPDATE SET pending = excluded.pending";
        tx.execute(sql, values![user.as_str(), secret.reveal(), NO_STEP]).await?;
        tx.commit().await
    }

    /// The secret that waits for its first code.
    pub async fn pending_totp(&self, user: &UserId) -> Result<Option<StoredSecret>> {
        let sql = "SELECT pending FROM user_totp WHERE user_id = $1";
        let row = self.db.row("reading the secret of a second factor", sql, values![user.as_str()]).await?;
        Ok(row.map_or(Ok(None), |row| row.optional_string("pending"))?.map(StoredSecret::from))
    }

    /// A code of the step `step` has confirmed the secret `secret` that waited: from now on codes of it are asked for, and
    /// the user has these recovery codes and no others. False if that secret doesn't wait any more.
    pub async fn confirm_totp(
        &self,
        now: UtcTime,
        user: &UserId,
        secret: &StoredSecret,
        step: u64,
        codes: &[TokenHash],
        note: &AuditNote,
    ) -> Result<bool> {
        let mut tx = self.begin("confirming a second factor").await?;
        let sql = "UPDATE user_totp SET secret = pending, pending = NULL, since = $3, last_step = $4 \
                   WHERE user_id = $1 AND pending = $2";
        if tx.execute(sql, values![user.as_str(), secret.reveal(), now, number(step)]).await? == 0 {
            return Ok(false);
        }
        store_codes(&mut tx, user, codes).await?;
        tx.audit(note);
        tx.commit().await?;
        Ok(true)
    }

    /// Uses the code of a step up. Of several who use it at once, one may; false for all others, and for each step that
    /// isn't after the last one that was used.
    pub async fn use_totp_step(&self, user: &UserId, step: u64) -> Result<bool> {
        let mut tx = self.begin("using a code").await?;
        let sql = "UPDATE user_totp SET last_step = $2 WHERE user_id = $1 AND last_step < $2 AND secret IS NOT NULL";
        let used = tx.execute(sql, values![user.as_str(), number(step)]).await?;
        tx.commit().await?;
        Ok(used > 0)
    }

    /// Uses a recovery code up. Of several who use it at once, one may.
    pub async fn use_recovery_code(
        &self,
        now: UtcTime,
        user: &UserId,
        code: &TokenHash,
        note: &AuditNote,
    ) -> Result<bool> {
        let mut tx = self.begin("using a recovery code").await?;
        let sql = "UPDATE recovery_code SET used = $3 WHERE user_id = $1 AND hash = $2 AND used IS NULL";
        if tx.execute(sql, values![user.as_str(), code.as_str(), now]).await? == 0 {
            return Ok(false);
        }
        tx.audit(note);
        tx.commit().await?;
        Ok(true)
    }

    /// Gives a user these recovery codes and no others.
    pub async fn replace_recovery_codes(
        &self,
        user: &UserId,
        codes: &[TokenHash],
        note: &AuditNote,
    ) -> Result<()> {
        let mut tx = self.begin("storing recovery codes").await?;
        store_codes(&mut tx, user, codes).await?;
        tx.audit(note);
        tx.commit().await
    }

    /// How many recovery codes a user has left.
    pub async fn recovery_codes_left(&self, user: &UserId) -> Result<u64> {
        let sql = "SELECT COUNT(*) AS codes FROM recovery_code WHERE user_id = $1 AND used IS NULL";
        let row = self.db.row("counting recovery codes", sql, values![user.as_str()]).await?;
        row.map_or(Ok(0), |row| row.count("codes"))
    }

    /// Signing in needs no code any more; false if it needed none.
    pub async fn remove_totp(&self, user: &UserId, note: &AuditNote) -> Result<bool> {
        let mut tx = self.begin("removing a second factor").await?;
        let removed = tx.execute("DELETE FROM user_totp WHERE user_id = $1", values![user.as_str()]).await?;
        if removed == 0 {
            return Ok(false);
        }
        store_codes(&mut tx, user, &[]).await?;
        tx.audit(note);
        tx.commit().await?;
        Ok(true)
    }
}

/// Steps are half minutes since 1970: all of them that will be can be stored.
fn number(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

async fn store_codes(tx: &mut Tx, user: &UserId, codes: &[TokenHash]) -> Result<()> {
    tx.execute("DELETE FROM recovery_code WHERE user_id = $1", values![user.as_str()]).await?;
    for code in codes.iter().take(RECOVERY_CODES_MAX) {
        let sql = "INSERT INTO recovery_code (user_id, hash) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        tx.execute(sql, values![user.as_str(), code.as_str()]).await?;
    }
    Ok(())
}
