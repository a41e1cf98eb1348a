//! Restores of a server's own files: into a folder that a server starts from, up to the end of the log or to a point in
//! time, and into a server of its own for a drill.
//!
//! PostgreSQL itself doesn't notice a target that lies before the end of a base backup: it stops at the first moment
//! after it. So a base backup is [chosen](choose) by when it was complete, and others are refused.

mod boot;
mod folder;
mod layout;
mod recover;
mod server;
mod settings;
mod target;

pub(crate) use boot::boot;
pub use layout::{FolderRestore, LaidOut, RestoreCommand, restore_to_folder};
pub use recover::{Recovery, recover};
pub use server::Server;
pub use settings::Then;
pub use target::{Target, choose};
