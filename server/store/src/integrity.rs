//! Whether the database itself is sound.

use crate::Store;
use crate::db::{Pools, values};
use crate::error::Result;

/// What SQLite says of a database in which it finds nothing.
const SOUND: &str = "ok";

impl Store {
    /// What is damaged in a SQLite database, a sentence each, at most twenty; it reads all of it. PostgreSQL looks after
    /// its own files, so that nothing is found there.
    pub async fn damage(&self) -> Result<Vec<String>> {
        if matches!(self.db.pools(), Pools::Postgres(_)) {
            return Ok(Vec::new());
        }
        let rows = self.db.rows("checking it", "PRAGMA quick_check(20)", values![]).await?;
        let mut found = rows.iter().map(|row| row.string("quick_check")).collect::<Result<Vec<_>>>()?;
        found.retain(|line| line != SOUND);
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::FileExt;

    use crate::db::tests::fresh;
    use crate::{ServerLock, Store};

    #[tokio::test]
    async fn a_page_that_was_overwritten_is_found() {
        let (store, folder) = fresh().await;
        assert_eq!(store.damage().await.unwrap(), Vec::<String>::new());
        store.close().await;
        let state = folder.path().join("state.db");
        let lock = ServerLock::take(&state).unwrap();
        Store::open_sqlite(&lock).await.unwrap().close().await;
        // Pages have 4096 bytes; the first ones say which tables there are.
        let file = std::fs::File::options().write(true).open(&state).unwrap();
        let pages = file.metadata().unwrap().len() / 4096;
        assert!(pages > 8, "{pages}");
        for page in 8..pages {
            file.write_all_at(&[0xa5; 64], page * 4096).unwrap();
        }
        let store = Store::join_sqlite(&state).await.unwrap();
        assert_ne!(store.damage().await.unwrap(), Vec::<String>::new());
    }
}
