//! Whether the database itself is sound.

use crate::Store;
use crate::db::{Pools, values};
use crate::error::{Result, StoreError};

/// What SQLite says of a database in which it finds nothing.
const SOUND: &str = "ok";

impl Store {
    /// What is damaged in a SQLite database, a sentence each, at most twenty; it reads all of it. PostgreSQL looks after
    /// its own files, so that nothing is found there.
    pub async fn damage(&self) -> Result<Vec<String>> {
        if matches!(self.db.pools(), Pools::Postgres(_)) {
            return Ok(Vec::new());
        }
        let rows = match self.db.rows("checking it", "PRAGMA quick_check(20)", values![]).await {
            // What is damaged most ends the check itself.
            Err(StoreError::Database { source, .. }) if is_damage(&source) => {
                return Ok(vec![source.to_string()]);
            }
            rows => rows?,
        };
        let mut found = rows.iter().map(|row| row.string("quick_check")).collect::<Result<Vec<_>>>()?;
        found.retain(|line| line != SOUND);
        Ok(found)
    }
}

/// Whether SQLite itself says that the file is damaged (`SQLITE_CORRUPT`, `SQLITE_NOTADB`).
fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // The lower byte is the code, and what is above says more.
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::FileExt;

    use serde_json::json;

    use crate::db::tests::fresh;
    use crate::{EventKind, NewEvent, ServerLock, Store, Subject, SubjectKind, UtcTime};

    #[tokio::test]
    async fn a_page_that_was_overwritten_is_found() {
        let (store, folder) = fresh().await;
        assert_eq!(store.damage().await.unwrap(), Vec::<String>::new());
        for number in 0..100 {
            let event = NewEvent {
                at: UtcTime::from_micros(number),
                kind: EventKind::RUN_ENDED,
                subject: Subject::of(SubjectKind::Plan, "www"),
                document: json!({ "filler": "x".repeat(1000) }),
            };
            store.publish(event).await.unwrap();
        }
        store.close().await;
        let state = folder.path().join("state.db");
        let lock = ServerLock::take(&state).unwrap();
        Store::open_sqlite(&lock).await.unwrap().close().await;
        // Pages have 4096 bytes. The last ones are of the events, which opening doesn't read.
        let file = std::fs::File::options().write(true).open(&state).unwrap();
        let pages = file.metadata().unwrap().len() / 4096;
        assert!(pages > 8, "{pages}");
        for page in pages - 4..pages {
            file.write_all_at(&[0xa5; 64], page * 4096).unwrap();
        }
        let store = Store::join_sqlite(&state).await.unwrap();
        assert_ne!(store.damage().await.unwrap(), Vec::<String>::new());
    }
}
