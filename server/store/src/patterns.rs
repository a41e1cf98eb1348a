//! Patterns of errors: which ones there are, since when, and since which version and configuration.

use serde_json::json;

use crate::Store;
use crate::db::{NewEvent, Row, Tx, values};
use crate::error::{Result, StoreError};
use crate::runs::{Run, RunError};
use crate::types::{
    ConfigHash, ErrorCategory, EventKind, Fingerprint, Page, PageSize, ProgramVersion, RunId, Subject,
    SubjectKind, Text, UtcTime,
};

/// Errors with the same cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPattern {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// Their category.
    pub category: ErrorCategory,
    /// What the newest one says.
    pub message: Text,
    /// When the first one came.
    pub first_seen: UtcTime,
    /// When the last one came.
    pub last_seen: UtcTime,
    /// How many there were.
    pub seen: u64,
    /// On how many hosts.
    pub hosts: u32,
    /// The program's version when the first one came.
    pub first_version: ProgramVersion,
    /// The configuration of the run with the first one.
    pub first_config: ConfigHash,
    /// The run with the last one.
    pub last_run: RunId,
}

/// A place in the order of patterns.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PatternKey {
    last_seen: UtcTime,
    fingerprint: Fingerprint,
}

impl ErrorPattern {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            fingerprint: row.name("fingerprint")?,
            category: row.name("category")?,
            message: Text::from(row.string("message")?),
            first_seen: row.time("first_seen")?,
            last_seen: row.time("last_seen")?,
            seen: row.count("seen")?,
            hosts: row.small_count("hosts")?,
            first_version: row.name("first_version")?,
            first_config: row.name("first_config")?,
            last_run: row.name("last_run")?,
        })
    }
}

/// A run has ended with an error.
pub(crate) async fn seen(
    tx: &mut Tx,
    now: UtcTime,
    run: &Run,
    error: &RunError,
    version: &ProgramVersion,
) -> Result<()> {
    let RunError { category, fingerprint, message } = error;
    let row = tx
        .row(
            "INSERT INTO error_pattern (fingerprint, category, message, first_seen, last_seen, seen, \
             first_version, first_config, last_run) VALUES ($1, $2, $3, $4, $4, 1, $5, $6, $7) \
             ON CONFLICT (fingerprint) DO UPDATE SET message = excluded.message, \
             last_seen = excluded.last_seen, seen = error_pattern.seen + 1, last_run = excluded.last_run \
             RETURNING seen",
            values![
                fingerprint.as_str(),
                category.as_str(),
                message.as_str(),
                now,
                version.as_str(),
                run.config.as_str(),
                run.id.as_str()
            ],
        )
        .await?;
    let row = row.ok_or_else(|| StoreError::stored("error_pattern", "it was not stored"))?;
    if let Some(host) = &run.subject.host {
        tx.execute(
            "INSERT INTO error_pattern_host (fingerprint, host) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            values![fingerprint.as_str(), host.as_str()],
        )
        .await?;
    }
    if row.integer("seen")? == 1 {
        let document = json!({
            "fingerprint": fingerprint, "category": category, "message": message, "run": run.id,
            "version": version, "config": run.config,
        });
        let subject = Subject::of(SubjectKind::Error, fingerprint.as_str());
        tx.event(NewEvent { at: now, kind: EventKind::ERROR_FIRST_SEEN, subject, document });
    }
    Ok(())
}

impl Store {
    /// A page of patterns, those seen last first: from before one, or from the newest.
    pub async fn error_patterns(
        &self,
        before: Option<&PatternKey>,
        size: PageSize,
    ) -> Result<Page<ErrorPattern, PatternKey>> {
        let (time, fingerprint) = match before {
            Some(key) => (key.last_seen, key.fingerprint.as_str()),
            None => (UtcTime::MAX, ""),
        };
        let rows =
            self.db.rows("listing patterns of errors", LISTING, values![time, fingerprint, size.rows()]);
        let rows = rows.await?.iter().map(ErrorPattern::from_row).collect::<Result<Vec<_>>>()?;
        let next = rows
            .last()
            .filter(|_| size.is_filled_by(rows.len()))
            .map(|last| PatternKey { last_seen: last.last_seen, fingerprint: last.fingerprint.clone() });
        Ok(Page { rows, next })
    }
}

const LISTING: &str = "SELECT fingerprint, category, message, first_seen, last_seen, seen, first_version, \
    first_config, last_run, (SELECT COUNT(*) FROM error_pattern_host AS hit \
    WHERE hit.fingerprint = error_pattern.fingerprint) AS hosts FROM error_pattern \
    WHERE (last_seen, fingerprint) < ($1, $2) ORDER BY last_seen DESC, fingerprint DESC LIMIT $3";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::db::tests::assert_searches;

    #[tokio::test]
    async fn listings_of_patterns_never_scan() {
        assert_searches(super::LISTING, &["error_pattern_by_time"]).await;
    }
}
