//! What tests of listings need: how SQLite would answer a statement.

use sqlx::{AssertSqlSafe, Row as _};

use super::Pools;
use crate::{ServerLock, Store};

/// A database in a folder of its own, which goes with it.
pub(crate) async fn fresh() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let lock = ServerLock::take(&folder.path().join("state.db")).expect("no one else has it");
    (Store::open_sqlite(&lock).await.expect("it opens"), folder)
}

/// The steps by which SQLite would answer a statement.
pub(crate) async fn plan_of(sql: &str) -> Vec<String> {
    let (store, _folder) = fresh().await;
    let Pools::Sqlite { writer, .. } = store.db.pools() else { panic!("it is SQLite") };
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(explain).fetch_all(writer).await.expect("it is a statement");
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Fails if SQLite would look at each row of a table or index, or sort what it has found; or if its plan lacks
/// one of these texts.
pub(crate) async fn assert_searches(sql: &str, has: &[&str]) {
    let plan = plan_of(sql).await;
    let is_bad = |step: &&String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
    assert_eq!(plan.iter().find(is_bad), None, "{sql}\n{plan:#?}");
    for text in has {
        assert!(plan.iter().any(|step| step.contains(text)), "no {text:?}: {sql}\n{plan:#?}");
    }
}

#[tokio::test]
#[should_panic(expected = "SCAN run")]
async fn a_scan_is_found() {
    assert_searches("SELECT id FROM run WHERE error = 'x'", &[]).await;
}
