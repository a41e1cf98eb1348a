//! Removing what nothing needs any more of sessions, tokens, known browsers, requests and approvals.

use crate::Store;
use crate::db::values;
use crate::error::Result;
use crate::history::take_turns_at_removing;
use crate::types::{PageSize, UtcTime};

impl Store {
    /// Removes what was valid until `now` at the latest, and requests for approval that were over before
    /// `approvals_before`; at most this many rows of each kind. Says how many it removed: call it again until that is 0.
    pub async fn remove_expired(
        &self,
        now: UtcTime,
        approvals_before: UtcTime,
        at_most: PageSize,
    ) -> Result<u64> {
        let mut tx = self.begin("removing what has expired").await?;
        take_turns_at_removing(&mut tx).await?;
        let rows = at_most.rows();
        let mut removed = tx.execute("DELETE FROM setup_token WHERE expires <= $1", values![now]).await?;
        for sql in [OLD_SESSIONS, OLD_DEVICES, OLD_TOKENS, OLD_REQUESTS] {
            removed += tx.execute(sql, values![now, rows]).await?;
        }
        removed += tx.execute(OLD_APPROVALS, values![approvals_before, rows]).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

const OLD_SESSIONS: &str = "DELETE FROM session WHERE number IN (SELECT number FROM session \
    WHERE expires <= $1 ORDER BY expires LIMIT $2)";
const OLD_DEVICES: &str = "DELETE FROM known_device WHERE hash IN (SELECT hash FROM known_device \
    WHERE expires <= $1 ORDER BY expires LIMIT $2)";
const OLD_TOKENS: &str = "DELETE FROM api_token WHERE number IN (SELECT number FROM api_token \
    WHERE expires IS NOT NULL AND expires <= $1 ORDER BY expires LIMIT $2)";
const OLD_REQUESTS: &str = "DELETE FROM sent_request WHERE (user_id, key, method, path) IN \
    (SELECT user_id, key, method, path FROM sent_request WHERE expires <= $1 ORDER BY expires LIMIT $2)";
const OLD_APPROVALS: &str = "DELETE FROM approval WHERE id IN (SELECT id FROM approval \
    WHERE requested < $1 AND expires < $1 ORDER BY requested LIMIT $2)";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::{OLD_APPROVALS, OLD_DEVICES, OLD_REQUESTS, OLD_SESSIONS, OLD_TOKENS};
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn what_has_expired_is_found_without_a_scan() {
        assert_searches(OLD_SESSIONS, &["session_by_end"]).await;
        assert_searches(OLD_DEVICES, &["known_device_by_end"]).await;
        assert_searches(OLD_TOKENS, &["api_token_by_end"]).await;
        assert_searches(OLD_REQUESTS, &["sent_request_by_end"]).await;
        assert_searches(OLD_APPROVALS, &["approval_by_time"]).await;
    }
}
