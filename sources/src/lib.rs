//! Databases as sources of backups: what is there, a dump as files, the way back, and servers of their own in which a
//! restored dump is proven.
//!
//! A dump goes into a [`Sink`](sink::Sink), file by file, from as many threads as it likes; what is restored is read from
//! [`Files`](files::Files). This crate knows no repository: who calls it joins the two. It starts programs of the
//! databases' makers where they are the best readers of their own data, and speaks to servers itself otherwise.
//!
//! Secrets reach it as [`Password`](address::Password), and leave it only into a connection or a file without a name.

pub mod address;
pub mod boot;
pub mod check;
pub mod context;
pub mod dump;
pub mod engine;
pub mod engines;
pub mod error;
pub mod files;
pub mod manifest;
pub mod mongodb;
pub mod mysql;
pub mod postgres;
pub mod redis;
pub mod restore;
mod served;
pub mod sink;
pub mod sqlite;
pub mod survey;
mod tls;
mod watch;

pub use error::{Result, SourceError};
