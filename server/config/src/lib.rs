//! From files to a configuration: what is backed up where, when, how long it is kept, and who hears of it.
//!
//! ```text
//! files ─► trees ─► include ─► inherit ─► substitute ─► fill in defaults ─► decode ─► lints ─► configuration
//! ```
//!
//! Every value keeps its origin on this way. Nothing stops at the first error: [`load::load`] tells all that is wrong, with
//! stable codes, the lines and what to do. One table of keys ([`schema`], made of the types in [`model`]) says what there
//! is: decoding, suggestions, merging, defaults, the JSON Schema, the documentation and completion come from it.
//!
//! The crate reads no file, no environment and no clock: [`files::Files`] and [`files::Facts`] are handed in.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::ffi::OsString;
//! use std::io;
//! use std::path::{Path, PathBuf};
//!
//! use keepfast_config::diagnostic::render::Style;
//! use keepfast_config::files::{Facts, Files, Limits};
//! use keepfast_config::load::load;
//!
//! struct Memory(BTreeMap<PathBuf, &'static str>);
//!
//! impl Files for Memory {
//!     fn read(&self, path: &Path, _: usize) -> io::Result<Vec<u8>> {
//!         self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or(io::ErrorKind::NotFound.into())
//!     }
//!     fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
//!         Ok(self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
//!     }
//! }
//!
//! impl Facts for Memory {
//!     fn variable(&self, name: &str) -> Option<OsString> {
//!         (name == "BUCKET").then(|| "backups".into())
//!     }
//! }
//!
//! let text = r#"
//! version = 1
//! [repository.main]
//! url = "s3://${BUCKET}/www"
//! password = { file = "/run/secrets/main" }
//! [plan.www]
//! repository = "main"
//! source = [{ files = ["/srv/www"] }]
//! schedule = { cron = "30 1 * * *" }
//! "#;
//! let files = Memory(BTreeMap::from([("keepfast.toml".into(), text)]));
//! let loaded = load(Path::new("keepfast.toml"), &files, &files, &Limits::default());
//! let config = loaded.config.expect("there are warnings and no errors");
//! assert_eq!(config.repositories["main"].value.url.value.to_string(), "s3://backups/www");
//! assert!(loaded.report.render(Style::Plain).contains("warning[C041]: no drill restores what plan `www` backs up"));
//! ```

#[macro_use]
mod table;

mod choice;
pub mod config;
pub mod decode;
pub mod diagnostic;
pub mod difference;
pub mod documents;
pub mod effective;
pub mod files;
mod inherit;
mod lint;
pub mod load;
pub mod managed;
pub mod model;
mod reading;
pub mod schema;
pub mod source;
pub mod state_plan;
mod substitute;
#[cfg(test)]
mod testing;
pub mod tree;
pub mod values;

pub use substitute::is_variable;
