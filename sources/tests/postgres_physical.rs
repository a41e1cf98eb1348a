//! PostgreSQL's own files and its log, with real servers of two versions: base backups, the archive of the log, receivers,
//! and restores to points in time.

#[path = "postgres_physical/backup.rs"]
mod backup;
#[path = "postgres_physical/lab.rs"]
mod lab;
#[path = "postgres_physical/login.rs"]
mod login;
#[path = "postgres_physical/receive.rs"]
mod receive;
#[path = "postgres_physical/restore.rs"]
mod restore;
