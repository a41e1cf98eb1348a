//! What every front end of keepfast needs: the command line, and a server that runs many operations at once.
//!
//! The layers are `cli → operations → engine → repo-format, backend`. This crate turns plain data that people or
//! programs wrote ([`place::Place`], [`secret::SecretSource`], [`resources::Resources`], …) into what the engine
//! works with. All of it is synchronous. Nothing here prints, asks, ends the process or knows a flag: errors and
//! warnings are values that name things, and the front end adds the advice how to change them.
//!
//! Only two modules ask the system for facts that a caller could have passed in: [`host`] (the clock, the names of
//! users and of this machine) and [`secret`] (the variable or the credential that a reference names). The SDK of AWS
//! looks for keys and regions in places of its own, for a bucket and for a secret that KMS decrypts.
//!
//! ```
//! use std::sync::Arc;
//!
//! use keepfast_engine::repo::{InitOptions, Repository};
//! use keepfast_engine::run::{RunContext, Unheard};
//! use keepfast_format::chunker::ChunkerParams;
//! use keepfast_format::slot::PasswordCost;
//! use keepfast_operations::host::SystemHost;
//! use keepfast_operations::open::{Access, SharedRepository, Target};
//! use keepfast_operations::place::Place;
//! use keepfast_operations::requests::{
//!     Backup, Check, Forget, ListSnapshots, Restore, backup, check, forget, list_snapshots, restore,
//! };
//! use keepfast_operations::secret::SecretSource;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (password_file, source) = (folder.path().join("password"), folder.path().join("source"));
//! # std::fs::create_dir(&source)?;
//! # std::fs::write(source.join("file"), "content")?;
//! std::fs::write(&password_file, "correct horse\n")?;
//!
//! // What is where is data: a configuration file may hold it.
//! let place = Place::parse(&folder.path().join("repository").display().to_string())?;
//! let target = Target::new(place, SecretSource::File(password_file));
//!
//! // A process connects once to each repository, and unlocks it once; runs share what comes of it.
//! let shared = SharedRepository::connect(target, Access::default())?;
//! let new_run = || RunContext::new(Arc::new(SystemHost), Arc::new(Unheard));
//!
//! # let options = InitOptions {
//! #     chunker: ChunkerParams::of_average(16 << 10),
//! #     pack_bytes: 32 << 20,
//! #     single_writer: false,
//! #     password_cost: PasswordCost { memory_kib: 8, passes: 1, lanes: 1 },
//! #     now_unix_s: 0,
//! # };
//! # Repository::init(shared.backend(&new_run()), b"correct horse", &options)?;
//! // So are requests: here as a server gets one.
//! let request = format!(r#"{{"sources": {{"paths": ["{}"]}}, "tags": ["nightly"]}}"#, source.display());
//! let request: Backup = serde_json::from_str(&request)?;
//! let report = backup(&request, &shared, &new_run())?;
//! assert!(report.snapshot.is_some() && report.troubles.is_empty());
//!
//! let report = check(&Check::default(), &shared, &new_run())?;
//! assert_eq!(report.findings, 0);
//!
//! let into = folder.path().join("restored");
//! let report = restore(&Restore::latest_into(into), &shared, &new_run())?;
//! assert_eq!(report.files, 1);
//!
//! // And this is what `keepfast restore --json` prints.
//! println!("{}", serde_json::to_string(&report)?);
//!
//! // A policy is data, too. A dry run says why each snapshot would stay or go.
//! let policy = r#"{"which": {"by-policy": {"keep": {"daily": 7, "yearly": "all"}}}, "dry_run": true}"#;
//! let policy: Forget = serde_json::from_str(policy)?;
//! assert_eq!(forget(&policy, &shared, &new_run())?.forgotten(), 0);
//!
//! let listed = list_snapshots(&ListSnapshots::default(), &shared, &new_run())?;
//! assert_eq!(listed.snapshots[0].snapshot.tags, ["nightly"]);
//! # Ok(())
//! # }
//! ```

pub mod answer;
pub mod archive;
pub mod brake;
pub mod cache;
pub mod calendar;
pub mod choose;
pub mod chunking;
pub mod databases;
pub mod drill;
pub mod error;
pub mod folder;
pub mod hooks;
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
pub mod zip;

pub use error::{OperationsError, Result};
pub use keepfast_process::{child, redact};
