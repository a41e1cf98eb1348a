//! MySQL and MariaDB, by their makers' programs: `mariadb-dump`, `mariadb-binlog` and `mariadb`, or those of MySQL.
//!
//! A dump is one run over all databases, so that it is one state of them. It is cut into files while it comes
//! ([`split`]), and the files in the manifest's order are byte for byte what the program wrote. The log of changes is
//! received and played again by [`binlog`].

mod ask;
pub mod binlog;
mod boot;
mod catalog;
mod client;
mod dump;
mod feed;
mod grants;
mod lacks;
mod layout;
mod lexer;
mod names;
mod physical;
mod program;
mod rename;
mod restore;
mod server;
mod split;
mod survey;
mod target;
mod users;
mod wanted;
mod xbstream;

pub(crate) use ask::{ask, examine};
pub(crate) use boot::boot;
pub(crate) use dump::dump;
pub(crate) use restore::{plan, restore};
pub(crate) use survey::survey;
