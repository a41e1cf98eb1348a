//! What goes over the wire: the documents that a server answers and takes, as its handlers, the command line and the
//! OpenAPI file share them. Data alone; nothing here is asynchronous or knows where a document comes from.
//!
//! The same rules hold everywhere:
//! - An instant is RFC 3339 in UTC, a length is in seconds (`_s`), a size is in bytes.
//! - A document that a server answers has all its fields; what there is nothing to say about is null.
//! - A list is `{"items": […], "next": …}`: `next` is what `after` takes for the next page, and null on the last one.

pub mod access;
pub mod config;
pub mod error;
pub mod event;
pub mod health;
pub mod list;
pub mod notification;
pub mod overview;
pub mod plan;
pub mod problem;
pub mod repository;
pub mod run;
pub mod session;
