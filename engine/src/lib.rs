//! The engine: backs up, restores and checks, with no terminal, clock or environment in sight.
//!
//! Three floors, imports point down only: [`nouns`], [`fs`], [`chunk`], [`run`], [`retention`] and `jobs`
//! know no repository; [`repo`] is the repository and what reads and writes it; the verbs
//! ([`archive`], [`restore`], [`check`], …) stand on both and don't know each other.

pub mod archive;
pub mod check;
pub mod chunk;
pub mod diff;
pub mod dump;
pub mod edit;
pub mod error;
pub mod forget;
pub mod fs;
mod jobs;
pub mod list;
pub mod nouns;
pub mod prune;
pub mod repo;
pub mod restore;
pub mod retention;
pub mod run;
pub mod stats;
mod sync;

pub use error::EngineError;
