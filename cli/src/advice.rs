//! What can be done about an error: messages of libraries name things, and flags and commands are the program's matter.

use keepfast_backend::BackendErrorKind;
use keepfast_engine::EngineError;
use keepfast_engine::error::{ChoiceError, Loss, PruneError};
use keepfast_format::FormatError;
use keepfast_operations::OperationsError;
use keepfast_operations::error::{
    ChoiceError as SelectionError, DatabaseError, PlaceError, ResourcesError, SecretError, StoreError,
    TextError,
};

use keepfast_server::ServerError;
use keepfast_server::recovery::RecoveryError;
use keepfast_sources::SourceError;

use crate::engine_error;

/// What can be done about an error whose message doesn't say it, because that is the program's matter.
pub fn way_on(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(error) = error.downcast_ref::<OperationsError>().filter(|error| error.engine().is_none()) {
        return match error {
            OperationsError::Place(PlaceError::Missing) => {
                Some("--repo or KEEPFAST_REPOSITORY says where it is")
            }
            OperationsError::Place(PlaceError::GroupOfBucket) => {
                Some("--group-readable goes with a repository in a directory")
            }
            OperationsError::Store(StoreError::Unfit { .. }) => Some("use another store"),
            OperationsError::Store(StoreError::OnlyOneWriter { .. }) => {
                Some("use another store; or, if never more than one run writes, take it with --unsafe-store")
            }
            OperationsError::Text(TextError::NoPattern) => {
                Some("--exclude or --exclude-from says what to leave out")
            }
            OperationsError::Choice(SelectionError::NothingSaid) => {
                Some("give their ids, or choose them by --host, --writer, --tag or --path")
            }
            OperationsError::Resources(ResourcesError::Memory { .. }) => {
                Some("--memory MIB lets the run use more, and without it there is no limit")
            }
            OperationsError::Choice(SelectionError::NotForgotten { .. }) => {
                Some("`keepfast snapshots --forgotten` lists what can be brought back")
            }
            OperationsError::Database(DatabaseError::LogUnknown { .. }) => {
                Some("`keepfast check` names the snapshots that can't be read")
            }
            OperationsError::Database(DatabaseError::Source(SourceError::Occupied { .. })) => {
                Some("--replace lets the dump take its place, and --dry-run says what that would do")
            }
            OperationsError::Stream(error) if error.is_empty() => {
                Some("if there is nothing to back up, and that is as it should be, use --allow-empty")
            }
            OperationsError::Secret(SecretError::NotGiven { .. }) => {
                Some("set KEEPFAST_PASSWORD, or use --password-file or --password-command")
            }
            OperationsError::Secret(SecretError::Empty { .. }) => {
                Some("give the variable a value, or unset it to be asked")
            }
            _ => None,
        };
    }
    if let Some(ServerError::Recovery(error)) = error.downcast_ref::<ServerError>() {
        return of_recovery(error);
    }
    match engine_error(error)? {
        EngineError::NoRepository { .. } => {
            Some("check the address, or make a repository with `keepfast init`")
        }
        EngineError::RepositoryExists { .. } => {
            Some("choose another place, or use the repository that is there")
        }
        EngineError::HalfMadeRepository { .. } => Some("remove what is there and run `keepfast init` again"),
        EngineError::Swapped { .. } => Some(
            "if you have put another repository in its place, take it with `keepfast cache accept`; if not, find out \
             who has",
        ),
        EngineError::Older { .. } => Some(
            "find out why; if the repository was set back on purpose, take it as it is with `keepfast cache accept`",
        ),
        EngineError::IndexIsAhead => {
            Some("clear this machine's index with `keepfast cache clear` and run the command again")
        }
        EngineError::Damaged { source: FormatError::NoKey { .. }, .. } => None,
        EngineError::Damaged { .. } => Some("`keepfast check` says what else is damaged"),
        EngineError::Missing { loss, .. } => match loss {
            Loss::Chunk => Some("`keepfast check --read-data` says which files that hits"),
            Loss::Pack => Some("`keepfast check` says which files that hits"),
            Loss::LiveChunk => {
                Some("`keepfast check` says which packs are missing, and which snapshots that hits")
            }
            Loss::BrokenPromise => Some("`keepfast doctor` tests the store"),
            Loss::Parameters | Loss::KeySlots | Loss::DeadPack => None,
        },
        EngineError::UnknownFeature { .. } => Some("use a newer keepfast"),
        EngineError::NameTaken { .. } => Some("`keepfast check` says what is there"),
        EngineError::Protected { .. } => {
            Some("`keepfast forget --unprotect ID` lets a snapshot be forgotten")
        }
        EngineError::Undecidable { .. } => {
            Some("`keepfast check` names the objects that decide nothing: remove them")
        }
        EngineError::Choice(ChoiceError::NoSnapshot { .. } | ChoiceError::NoneFits { .. }) => {
            Some("`keepfast snapshots` lists what there is")
        }
        EngineError::Choice(ChoiceError::NoWriter { .. }) => {
            Some("`keepfast snapshots --json` names writers")
        }
        EngineError::Prune(PruneError::OthersWereFaster) => {
            Some("run `keepfast prune` when the other garbage collections have ended")
        }
        EngineError::Prune(PruneError::TooManySnapshots { .. }) => {
            Some("forget some, and let `keepfast prune` move them into the catalogue")
        }
        EngineError::Prune(PruneError::MissingSnapshots { .. }) => {
            Some("`keepfast prune --accept-missing ID` gives a missing snapshot up for good")
        }
        EngineError::NotInSnapshot { .. } => Some("`keepfast ls` shows what there is"),
        EngineError::TargetNotEmpty { .. } => Some(
            "--overwrite WHEN says what happens to files that are there; --resume goes on with a restore",
        ),
        EngineError::DeletesFromTop => {
            Some("`--snapshot ID:/FOLDER` or --path chooses the directories that --delete may empty")
        }
        EngineError::Cache { .. } => Some("remove that folder, or choose another with --cache-dir"),
        EngineError::UnsafeCache { .. } => {
            Some("--cache-dir or KEEPFAST_CACHE_DIR names another place for the cache")
        }
        EngineError::WrongPassword { left, .. } if left.can_be_tried() => Some(
            "--slot-memory SIZE tries every key slot that asks for up to that much memory; some of them may be there \
             to keep you busy",
        ),
        EngineError::Unchangeable { .. } => Some(
            "it was left as it is; `keepfast snapshots` says whether it is still there, and `keepfast check` whether it \
             is sound",
        ),
        EngineError::PartsRemoved { .. } => {
            Some("another snapshot of that time may still have what you need")
        }
        EngineError::Backend(error) => of_store(error.kind),
        _ => None,
    }
}

/// What can be done if a server can't be rebuilt.
fn of_recovery(error: &RecoveryError) -> Option<&'static str> {
    match error {
        RecoveryError::NoBackup { .. } => Some(
            "such backups are made if the configuration has `backup = { repository = \"…\" }` in `[server]`; without one, \
             write a configuration and start a new server: the repository's snapshots need no state",
        ),
        RecoveryError::NoAnchor { .. } => Some(
            "each backup of the state notes the newest entry: write `backup = { repository = \"…\" }` in `[server]`, and \
             compare after the next one (`keepfast run _state`)",
        ),
        RecoveryError::Several { .. } => Some("--host NAME or --snapshot ID says which of them it is"),
        RecoveryError::Newer { .. } => Some("use a newer keepfast"),
        RecoveryError::StateThere { .. } => Some(
            "nothing is put over it: if it isn't wanted, move it away, with `-wal` and `-shm` beside it, and run this again",
        ),
        RecoveryError::FileThere { .. } => Some("move it away, and run this again"),
        _ => None,
    }
}

/// What can be done about a store that fails.
fn of_store(kind: BackendErrorKind) -> Option<&'static str> {
    match kind {
        BackendErrorKind::NoExclusiveNames(_) => Some(
            "nothing was overwritten, and what is stored can be read; use another store, or, if never more than one \
             run writes, a repository that was made on this one with `keepfast init --unsafe-store`",
        ),
        BackendErrorKind::Full => Some("`keepfast prune` removes what failed runs have left"),
        BackendErrorKind::Region => Some("--s3-region or AWS_REGION names the bucket's region"),
        BackendErrorKind::Certificates => {
            Some("--s3-ca-file FILE names authorities that are trusted, besides those of the system")
        }
        BackendErrorKind::Unsupported => Some("`keepfast doctor` says what the store lacks"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use keepfast_backend::{BackendError, Operation};

    use super::{
        BackendErrorKind, EngineError, OperationsError, PlaceError, SelectionError, StoreError, TextError,
        way_on,
    };

    fn advice(error: impl Into<OperationsError>) -> &'static str {
        let error = error.into();
        let message = error.to_string();
        way_on(&error.into()).unwrap_or_else(|| panic!("nothing is advised about: {message}"))
    }

    /// What the library's message leaves to the program.
    #[test]
    fn what_a_library_must_not_name_is_advised() {
        for (kind, named) in [
            (BackendErrorKind::Full, "keepfast prune"),
            (BackendErrorKind::Region, "--s3-region"),
            (BackendErrorKind::Certificates, "--s3-ca-file"),
            (BackendErrorKind::Unsupported, "keepfast doctor"),
        ] {
            let error = BackendError::of_kind(Operation::Create, "s3://bucket/packs/1", kind);
            let error = EngineError::from(error);
            assert!(!error.to_string().contains(named) && advice(error).contains(named), "{kind:?}");
        }
        let (location, flaws) = ("here".to_owned(), "it forgets".to_owned());
        assert!(advice(StoreError::OnlyOneWriter { location, flaws }).contains("--unsafe-store"));
        assert!(advice(SelectionError::NothingSaid).contains("--host"));
        assert!(advice(TextError::NoPattern).contains("--exclude"));
        assert!(advice(PlaceError::GroupOfBucket).contains("--group-readable"));
    }
}
