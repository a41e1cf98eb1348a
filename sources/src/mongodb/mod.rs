//! MongoDB: dumps by the makers' driver, in the files that `mongodump` writes.

mod drill;
mod dump;
mod found;
mod layout;
mod link;
mod restore;
mod survey;

pub(crate) use drill::{ask, boot, examine};
pub(crate) use dump::dump;
pub(crate) use restore::{plan, restore};
pub(crate) use survey::survey;
