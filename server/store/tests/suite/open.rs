//! Opening: the lock, the version of the tables, settings, connections that break.

use std::fs;
use std::time::{Duration, Instant};

use keepfast_store::{PostgresPlace, ServerLock, Store, StoreError, Tls, Trigger};
use keepfast_testkit::servers::PostgresServer;

use crate::lab::{Lab, On, at, id, new_run, on_both, place, plan};

on_both! {
    what_was_committed_is_there_after_opening_again;
    tables_of_a_newer_version_are_refused;
}

async fn what_was_committed_is_there_after_opening_again(lab: Lab) {
    let store = lab.open().await;
    store.queue(at(0), &new_run("run 1", &plan("www"), Trigger::Manual)).await.unwrap();
    store.close().await;
    let store = lab.open().await;
    assert!(store.run(&id("run 1")).await.unwrap().is_some());
}

/// Changes the database past the store.
async fn change(lab: &Lab, sql: &'static str) {
    match lab.on() {
        On::Sqlite => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(lab.state());
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            sqlx::query(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
        On::Postgres => {
            let (server, place) = lab.postgres();
            server.execute(&place.database, sql);
        }
    }
}

async fn tables_of_a_newer_version_are_refused(lab: Lab) {
    lab.open().await.close().await;
    change(&lab, "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 7").await;
    let opened = match lab.on() {
        On::Sqlite => Store::open_sqlite(lab.lock()).await,
        On::Postgres => Store::open_postgres(lab.postgres().1).await,
    };
    let error = opened.unwrap_err();
    assert!(matches!(error, StoreError::NewerTables { found: 9999, known: 7, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("version 9999") && text.contains("a newer keepfast has used it"), "{text}");
}

/// The lock is the system's, not a file's existence: it is free again when its process is gone.
#[test]
fn one_process_is_the_server_of_a_sqlite_database() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.db");
    let lock = ServerLock::take(&state).unwrap();
    let error = ServerLock::take(&state).unwrap_err();
    assert!(error.to_string().contains("state.db.lock"), "{error}");
    drop(lock);
    assert!(folder.path().join("state.db.lock").exists());
    ServerLock::take(&state).unwrap();
}

#[tokio::test]
async fn a_database_that_was_never_opened_by_a_server_cannot_be_joined() {
    let lab = Lab::new(On::Sqlite);
    assert!(matches!(Store::join_sqlite(&lab.state()).await, Err(StoreError::Open { .. })));
    fs::write(lab.state(), b"").unwrap();
    let joined = Store::join_sqlite(&lab.state()).await;
    assert!(matches!(joined, Err(StoreError::OlderTables { found: 0, known: 7, .. })), "{joined:?}");
}

#[tokio::test]
async fn sqlite_gives_space_back_and_survives_a_loss_of_power() {
    let lab = Lab::new(On::Sqlite);
    let store = lab.open().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(lab.state());
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let get = |sql: &'static str| {
        let pool = pool.clone();
        async move { sqlx::query_scalar::<_, String>(sql).fetch_one(&pool).await.unwrap() }
    };
    assert_eq!(get("SELECT CAST(auto_vacuum AS TEXT) FROM pragma_auto_vacuum").await, "2");
    assert_eq!(get("SELECT journal_mode FROM pragma_journal_mode").await, "wal");
    drop(store);
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(lab.state()).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// A copy is a whole database.
#[tokio::test]
async fn a_copy_of_a_sqlite_database_is_one() {
    let lab = Lab::new(On::Sqlite);
    let store = lab.open().await;
    store.queue(at(0), &new_run("run 1", &plan("www"), Trigger::Manual)).await.unwrap();
    for _ in 0..2 {
        store.copy_sqlite(&lab.path("copy.db")).await.unwrap();
    }
    store.queue(at(0), &new_run("run 2", &plan("www"), Trigger::Manual)).await.unwrap();
    let lock = ServerLock::take(&lab.path("copy.db")).unwrap();
    let copy = Store::open_sqlite(&lock).await.unwrap();
    assert!(copy.run(&id("run 1")).await.unwrap().is_some());
    assert!(copy.run(&id("run 2")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_file_is_for_sqlite_only() {
    let lab = Lab::new(On::Postgres);
    let error = lab.open().await.copy_sqlite(&lab.path("copy.db")).await.unwrap_err();
    assert!(matches!(error, StoreError::SqliteOnly { .. }), "{error}");
}

/// A place shows no password.
#[tokio::test]
async fn a_password_is_never_shown() {
    let place = PostgresPlace {
        host: "127.0.0.1".to_owned(),
        port: 1,
        database: "state".to_owned(),
        user: "kf".to_owned(),
        password: Some("hunter2".to_owned()),
        tls: Tls::Verified { roots: None },
    };
    let error = Store::open_postgres(&place).await.unwrap_err();
    let shown = format!("{place:?} {place} {error} {error:?}");
    assert!(shown.contains("state of kf at 127.0.0.1:1"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// After a kill of PostgreSQL, the same store goes on, and hears of others' commits again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_on_after_postgresql_was_restarted() {
    let server = PostgresServer::start();
    let place = place(&server, server.database());
    let (one, other) =
        (Store::open_postgres(&place).await.unwrap(), Store::open_postgres(&place).await.unwrap());
    one.queue(at(0), &new_run("run 1", &plan("www"), Trigger::Manual)).await.unwrap();
    server.kill();
    let run = new_run("run 2", &plan("www"), Trigger::Manual);
    let while_down = tokio::time::timeout(Duration::from_secs(3), one.queue(at(1), &run)).await;
    assert!(!matches!(while_down, Ok(Ok(_))), "{while_down:?}");
    server.restart();
    let mut watch = one.watch();
    let begun = Instant::now();
    loop {
        // The first use of a connection that is dead is an error; then there is a new one.
        let run = new_run(format!("run {:?}", begun.elapsed()), &plan("www"), Trigger::Manual);
        let queued = other.queue(at(2), &run).await.is_ok();
        let woken = tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_ok();
        if queued && woken {
            break;
        }
        assert!(begun.elapsed().as_secs() < 30, "it doesn't go on");
    }
    assert!(one.run(&id("run 1")).await.unwrap().is_some());
}
