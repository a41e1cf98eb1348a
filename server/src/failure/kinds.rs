//! The one place that says of each error which category it has, and by which code its pattern is known.
//!
//! Every kind of error stands here by name, so that a new one can't be forgotten. A code is part of the fingerprints
//! that users' databases have: it never changes.

use std::error::Error;
use std::io;

use keepfast_backend::{BackendError, BackendErrorKind};
use keepfast_drills::scratch::ScratchError;
use keepfast_engine::EngineError;
use keepfast_engine::error::PruneError;
use keepfast_format::FormatError;
use keepfast_observe::errors::{Category, Side};
use keepfast_operations::OperationsError;
use keepfast_operations::error::{DatabaseError, PlaceError, SourceError};

use crate::error::ServerError;
use crate::recovery::RecoveryError;
use crate::restores::error::RestoreError;

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Its code.
    pub code: &'static str,
    /// Its category.
    pub category: Category,
}

const fn kind(code: &'static str, category: Category) -> Kind {
    Kind { code, category }
}

/// The kind of an error that keeps a run from beginning.
#[must_use]
pub fn of_server(error: &ServerError) -> Kind {
    use ServerError as E;
    match error {
        E::NoPlan { .. } => kind("no_plan", Category::Configuration),
        E::NoDrill { .. } => kind("no_drill", Category::Configuration),
        E::NoRepository { .. } => kind("no_repository", Category::Configuration),
        E::NoRun { .. } | E::SeveralRuns { .. } | E::NoWord { .. } => kind("no_run", Category::Configuration),
        E::NoSnapshot { .. } => kind("no_snapshot", Category::Configuration),
        E::Ended { .. } => kind("cut_short", Category::Bug),
        E::NoTarget { .. } | E::Notices { .. } | E::NotUndeliverable { .. } => {
            kind("notices", Category::Configuration)
        }
        E::NoRetry { .. } => kind("no_retry", Category::Configuration),
        E::ServerRuns { .. } => kind("server_runs", Category::Configuration),
        E::Document { .. } => kind("document", Category::Bug),
        E::Disabled { .. } => kind("disabled", Category::Configuration),
        E::Unsupported { .. } => kind("unsupported", Category::Configuration),
        E::Schedule { .. } => kind("schedule", Category::Configuration),
        E::Name { .. } => kind("name", Category::Configuration),
        E::Running { .. } | E::DrillRuns { .. } => kind("running", Category::Network),
        E::StateFolder { source, .. } => kind("state_folder", Category::of_io(source.kind(), Side::Store)),
        E::StateFile { source, .. } => kind("state_file", Category::of_io(source.kind(), Side::Store)),
        E::Managed(error) => kind("managed_file", Category::of_io(error.source.kind(), Side::Store)),
        E::Random(_) => kind("no_random_bytes", Category::Bug),
        E::Runtime(_) => kind("no_threads", Category::Space),
        E::Recovery(RecoveryError::File { source, .. }) => {
            kind("state_copy", Category::of_io(source.kind(), Side::Store))
        }
        E::Recovery(_) => kind("recovery", Category::Configuration),
        E::Restore(RestoreError::File { source, .. }) => {
            kind("restore_place", Category::of_io(source.kind(), Side::Source))
        }
        E::Restore(_) => kind("restore", Category::Configuration),
        E::Store(_) => kind("state", Category::Network),
        E::Operations(error) => of_operations(error),
    }
}

/// That of an error of which nothing is known.
pub fn unknown() -> Kind {
    kind("unknown", Category::Bug)
}

/// The kind of an operation's error.
#[must_use]
pub fn of_operations(error: &OperationsError) -> Kind {
    use OperationsError as E;
    match error {
        E::Text(_) => kind("text", Category::Configuration),
        E::Policy(_) => kind("policy", Category::Configuration),
        E::Resources(_) => kind("resources", Category::Configuration),
        E::NoCache => kind("no_cache", Category::Configuration),
        E::Choice(_) => kind("choice", Category::Configuration),
        E::Brake { .. } => kind("brake", Category::Configuration),
        E::Store(_) => kind("unfit_store", Category::Configuration),
        E::Place(PlaceError::NotShared { source, .. }) => {
            kind("not_shared", Category::of_io(source.kind(), Side::Store))
        }
        E::Place(PlaceError::Random(_)) => kind("no_random_bytes", Category::Bug),
        E::Place(_) => kind("place", Category::Configuration),
        E::Secret(_) => kind("secret", Category::Credentials),
        E::MarkedPassword(_) => kind("marked_password", Category::Credentials),
        E::Stream(_) => kind("stream", Category::Source),
        E::Source(error) => of_source(error),
        E::Database(error) => of_database(error),
        E::Scratch(ScratchError::Folder { source, .. }) => {
            kind("drill_folder", Category::of_io(source.kind(), Side::Source))
        }
        E::Scratch(ScratchError::Live { .. }) => kind("drill_live", Category::Configuration),
        E::Engine(error) => of_engine(error),
        // An error that this version of the crate doesn't know.
        _ => kind("other", Category::Bug),
    }
}

fn of_database(error: &DatabaseError) -> Kind {
    use keepfast_sources::SourceError as S;
    let DatabaseError::Source(error) = error else { return kind("database", Category::Configuration) };
    match error {
        S::Address(_) | S::NoProgram { .. } | S::Unsupported { .. } => {
            kind("database", Category::Configuration)
        }
        S::Connect { .. } => kind("database_connection", Category::Source),
        S::File { source, .. } => kind("database_file", Category::of_io(source.kind(), Side::Source)),
        S::Transfer { source, .. } => kind("database_transfer", Category::of_io(source.kind(), Side::Store)),
        S::Missing { .. } => kind("database_incomplete", Category::Permission),
        S::Dump { .. } => kind("dump", Category::Damage),
        _ => kind("database_dump", Category::Source),
    }
}

fn of_source(error: &SourceError) -> Kind {
    use SourceError as E;
    match error {
        E::StoredAs { .. } | E::StoredAsOne { .. } => kind("stored_as", Category::Configuration),
        E::Descriptor { .. } => kind("descriptor", Category::Configuration),
        E::NoPath => kind("no_path", Category::Configuration),
        E::UnusablePatterns { .. } => kind("patterns", Category::Configuration),
        E::NotThere { source, .. } => kind("not_there", Category::of_io(source.kind(), Side::Source)),
        E::Unresolvable { source, .. } => kind("unresolvable", Category::of_io(source.kind(), Side::Source)),
        E::UnreadableList { source, .. } => kind("list", Category::of_io(source.kind(), Side::Source)),
        E::UnreadablePatterns { source, .. } => {
            kind("unreadable_patterns", Category::of_io(source.kind(), Side::Source))
        }
    }
}

fn of_engine(error: &EngineError) -> Kind {
    use EngineError as E;
    match error {
        E::NoRepository { .. } => kind("no_repository", Category::Configuration),
        E::RepositoryExists { .. } => kind("repository_exists", Category::Configuration),
        E::HalfMadeRepository { .. } => kind("half_made_repository", Category::Configuration),
        E::WrongPassword { .. } => kind("wrong_password", Category::Credentials),
        E::SlotRemoved { .. } => kind("slot_removed", Category::Credentials),
        E::Swapped { .. } => kind("swapped", Category::Damage),
        E::Older { .. } => kind("older", Category::Damage),
        E::Blocked { .. } => kind("blocked", Category::Damage),
        E::Damaged { source: FormatError::NoKey { .. }, .. } => kind("no_key", Category::Permission),
        E::Damaged { .. } => kind("damaged", Category::Damage),
        E::Missing { .. } => kind("missing", Category::Damage),
        E::UnknownFeature { .. } => kind("unknown_feature", Category::Configuration),
        // It was silent for too long: the network or the machine stood still.
        E::Fenced => kind("fenced", Category::Network),
        E::NameTaken { .. } => kind("name_taken", Category::Damage),
        E::NotAllowed { .. } => kind("not_allowed", Category::Permission),
        E::Backend(error) => of_backend(error),
        // RocksDB says a full disk only in words.
        E::Cache { why, .. } if why.contains("No space left") => kind("cache", Category::Space),
        E::Cache { .. } => kind("cache", Category::Permission),
        E::UnsafeCache { .. } => kind("unsafe_cache", Category::Permission),
        E::File { source, .. } => kind("file", Category::of_io(source.kind(), Side::Source)),
        E::Choice(_) => kind("choice", Category::Configuration),
        E::Protected { .. } => kind("protected", Category::Permission),
        E::ForgottenMeanwhile { .. } => kind("forgotten_meanwhile", Category::Configuration),
        E::Undecidable { .. } => kind("undecidable", Category::Damage),
        E::IndexIsAhead => kind("index_is_ahead", Category::Damage),
        E::Prune(PruneError::OthersWereFaster) => kind("others_were_faster", Category::Network),
        E::Prune(PruneError::TooManySnapshots { .. }) => kind("too_many_snapshots", Category::Configuration),
        E::Prune(_) => kind("prune", Category::Damage),
        E::Parameters(_) => kind("parameters", Category::Configuration),
        E::NoRandomBytes(_) => kind("no_random_bytes", Category::Bug),
        E::AnotherObjectsAnswer { .. } => kind("another_objects_answer", Category::Damage),
        E::FaultyMachine => kind("faulty_machine", Category::Damage),
        E::StreamFailed { .. } => kind("stream", Category::Source),
        E::Unchangeable { .. }
        | E::NotAbsolute { .. }
        | E::NotOneDirectory { .. }
        | E::OwnRepository { .. }
        | E::Pattern { .. }
        | E::PatternFile(_)
        | E::StreamName { .. }
        | E::NotInSnapshot { .. }
        | E::TargetNotEmpty { .. }
        | E::DeletesFromTop
        | E::PartsRemoved { .. } => kind("request", Category::Configuration),
        E::Interrupted | E::RestoreInterrupted => kind("interrupted", Category::Network),
    }
}

fn of_backend(error: &BackendError) -> Kind {
    use BackendErrorKind as K;
    match error.kind {
        K::NotFound => kind("store_not_found", Category::Damage),
        K::Cancelled => kind("interrupted", Category::Network),
        K::Unusable(_) => kind("store_unusable", Category::Damage),
        K::NoExclusiveNames(_) => kind("store_no_exclusive_names", Category::Configuration),
        K::Full => kind("store_full", Category::Space),
        K::Denied => kind("store_denied", Category::Permission),
        K::ReadOnly => kind("store_read_only", Category::Permission),
        K::Misconfigured => kind("store_misconfigured", Category::Configuration),
        K::Region => kind("store_region", Category::Configuration),
        K::Certificates => kind("store_certificates", Category::Configuration),
        K::Unsupported => kind("store_unsupported", Category::Configuration),
        K::Unreachable => kind("store_unreachable", Category::Network),
        K::Untrustworthy => kind("store_untrustworthy", Category::Damage),
        // A directory's system says more: a disk that fails is not a network.
        K::Other => kind("store_other", system_category(&error.source)),
    }
}

/// The category of what the system said about a store, wherever among the causes it stands.
fn system_category(error: &io::Error) -> Category {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && error.raw_os_error().is_some()
        {
            return Category::of_io(error.kind(), Side::Store);
        }
        cause = error.source();
    }
    Category::Network
}
