//! The units under which systemd runs the server, or one plan without a server.
//!
//! They give away what a backup doesn't need: the whole file system is read-only but for the places that are
//! named, and root has no capability but to read every file. Pure text: nothing is installed here.

mod account;
mod calendar;
mod cron;
mod daemon;
mod error;
mod escape;
mod plan;
mod sandbox;

pub use account::{AccountName, Credential, CredentialName, RunAs};
pub use calendar::{Calendar, Timer};
pub use daemon::DaemonUnit;
pub use error::UnitError;
pub use plan::{PlanUnits, UnitFile};
pub use sandbox::{Program, Reads};
