//! What every front end of keepfast needs: the command line, and a server that runs many operations at once.
//!
//! The layers are `cli → operations → engine → repo-format, backend`. This crate turns plain data that people or
//! programs wrote ([`place::Place`], [`secret::SecretSource`], [`resources::Resources`], …) into what the engine
//! works with. All of it is synchronous. Nothing here prints, asks, ends the process or knows a flag: errors and
//! warnings are values that name things, and the front end adds the advice how to change them.
//!
//! Only two modules ask the system for facts that a caller could have passed in: [`host`] (the clock, the names of
//! users and of this machine) and [`secret`] (the variable or the credential that a reference names).
//!
//! ```
//! use keepfast_backend::{Cancel, RunLink};
//! use keepfast_operations::child::Children;
//! use keepfast_operations::place::{Place, S3Settings, connect};
//! use keepfast_operations::resources::{Demand, Resources, Work};
//! use keepfast_operations::secret::{Purpose, SecretReader, SecretSource};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let password_file = folder.path().join("password");
//! std::fs::write(&password_file, "correct horse\n")?;
//!
//! // References and settings are data: a configuration file may hold them.
//! let source = SecretSource::File(password_file);
//! let place = Place::parse(&folder.path().join("repository").display().to_string())?;
//! let resources = Resources { memory_mib: Some(512), ..Resources::default() };
//!
//! let cancel = Cancel::new();
//! let reader = SecretReader { what: "password", children: &Children::default(), cancel: &cancel };
//! let password = reader.password(&source, Purpose::Open)?;
//! assert_eq!(password.as_str(), "correct horse");
//!
//! let link = RunLink { cancel, limits: resources.limits.for_backend(), notices: None };
//! let store = connect(&place, &S3Settings::default())?.for_run(link);
//! assert!(store.location().ends_with("repository"));
//!
//! let demand = Demand { work: Work::Write, pack_bytes: 32 << 20, is_remote: place.is_remote() };
//! assert_eq!(resources.share(demand, 64)?.threads, 11);
//! # Ok(())
//! # }
//! ```

pub mod cache;
pub mod calendar;
pub mod child;
pub mod choose;
pub mod error;
pub mod host;
pub mod open;
pub mod paths;
pub mod patterns;
pub mod place;
pub mod policy;
pub mod priority;
pub mod probe;
pub mod remark;
pub mod reports;
pub mod requests;
pub mod resources;
pub mod secret;
pub mod sources;
pub mod span;
pub mod streams;
pub mod times;
pub mod units;

pub use error::{OperationsError, Result};
