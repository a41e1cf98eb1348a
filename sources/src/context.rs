//! What work with a database needs of who asks for it: when to end, where programs are, and who hears of progress.

use std::path::PathBuf;

use keepfast_process::Cancel;
use keepfast_process::redact::KnownSecrets;

/// The surroundings of one piece of work.
pub struct Context<'a> {
    /// Ends it early.
    pub cancel: Cancel,
    /// Secrets that aren't kept of what programs print. Passwords of addresses are learned by who resolves them.
    pub secrets: KnownSecrets,
    /// Folders in which programs are looked for before the usual ones.
    pub programs: Vec<PathBuf>,
    /// A folder for what has to be a file: only the user can read it, and what is made in it is removed.
    pub scratch: PathBuf,
    /// Who hears how far it is.
    pub progress: &'a (dyn Fn(Progress<'_>) + Sync),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is done at this moment, such as `tables`.
    pub phase: &'static str,
    /// With which object.
    pub object: &'a str,
    /// How much is done in this phase.
    pub done: u64,
    /// How much there is, if that is known. For dumps an estimate: what the server says of its size.
    pub total: Option<u64>,
}
