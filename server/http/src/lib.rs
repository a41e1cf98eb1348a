//! The API of a server, over HTTP. A resource is a file in `resource`: its handlers, each with its description, and
//! `routes()`, which `resource` gathers. What all of them share stands in `answer` (documents, lists, errors), `request`
//! (paths, queries, bodies) and `guard` (who asks, and what they may do); `serve` puts it before a server.

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

pub mod answer;
mod convert;
mod deeds;
pub mod description;
mod elsewhere;
pub mod guard;
pub mod looking;
mod once;
pub mod pages;
mod query;
pub mod request;
mod resource;
mod seats;
pub mod serve;
pub mod state;
mod writing;
