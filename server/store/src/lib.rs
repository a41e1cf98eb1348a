//! The state of a server: which slots have which outcome, runs, events and their deliveries, problems, the
//! catalogue of snapshots, logs, users and the audit. In SQLite by default; in PostgreSQL for several servers, which then
//! coordinate by nothing else.
//!
//! The API is asynchronous (tokio), typed, and the only place with SQL. It has no clock: each call that
//! needs one is told `now`, and nothing that must not happen twice depends on it. Calls that change
//! something are one transaction, with the events that tell of it.
//!
//! Where two servers could both do something, one of them does:
//! - A schedule's slots are decided by [`Store::decide`], from the state that the schedule had.
//! - A run is claimed once ([`Store::claim`]); its [`Held`] is the right to write about it, and lapses when
//!   another server finds that its lease stands still ([`LeaseWatch`]).
//! - Events are routed once for each reader ([`Store::route`]), and a delivery has one sender at a time.
//! - Entries of the audit are one chain, whichever server adds them ([`Store::audit`]).

#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)]

use std::sync::Arc;

use db::{Database, Tx};
use open::Listening;

pub use approvals::{Approval, ApprovalKey, ApprovalState, ApprovalStep};
pub use audit::{AnchorFate, AuditAnchor, AuditEntry, AuditFault, AuditFilter, AuditOrder, AuditVerdict};
pub use counts::{DeliveryCount, OpenRuns, RunCount, SnapshotCount};
pub use db::{AuditNote, NewEvent};
pub use deliveries::{
    Delivery, DeliveryKey, DeliveryState, HeldDelivery, NewDelivery, Routing, Tried, TriedOutcome,
};
pub use error::{Result, StoreError};
pub use events::{Event, Events, Place, Watch};
pub use factors::RECOVERY_CODES_MAX;
pub use followed::{Agreement, Applied, Apply, Follower};
pub use history::{Removed, Retention};
pub use leases::{Elapsed, LeaseWatch};
pub use lock::ServerLock;
pub use logs::{
    Level, LogBody, LogFilter, LogFolder, LogKey, LogLine, LogPart, LogParts, LogWriter, PartOfRun,
};
pub use open::{PostgresPlace, Tls};
pub use patterns::{ErrorPattern, PatternKey};
pub use plans::{Pause, PlanState};
pub use preferences::ReadMarks;
pub use problems::{Problem, ProblemNumber, ResolvedKey, Seen};
pub use requests::{ANSWER_BYTES_MAX, RequestBegun, RequestKey};
pub use runs::{
    Again, BackupFilter, BackupSum, Beat, Began, Claim, Ending, Errand, Figures, FoundBytes, Group, Held,
    Leased, Limit, Loss, NewRun, NextTry, Outcome, OutcomeCount, OutcomeKey, Progress, Quarantine, Reason,
    Retried, Run, RunError, RunFilter, RunKind, RunNumber, RunState, RunSubject, Slot, StoredSum, Trigger,
    Unstarted, Verdict, VerdictKind, Work, never_again,
};
pub use sessions::{NewSession, SEEN_EVERY, Session, SessionNumber};
pub use slots::{Decided, Decision, ScheduleState, SlotChange, SlotRecord, SlotVerdict, Unfired};
pub use snapshots::{Proof, ProofKind, Snapshot, SnapshotFilter, SnapshotKey};
pub use tokens::{ApiToken, NewApiToken, TokenMade, TokenNumber};
pub use types::{
    ApprovalId, AuditAction, AuditHash, BootId, ConfigHash, DrillId, ErrorCategory, EventKind, Executor,
    Fence, Fingerprint, Generation, HostId, InvalidName, Label, Page, PageSize, Phase, PlanId,
    PreferenceName, ProblemKind, ProgramVersion, ReaderId, RepositoryId, RunId, ScheduleId, Sequence,
    ServerId, SnapshotId, StoredSecret, Subject, SubjectKind, Tag, TargetId, Text, TokenHash, TokenName,
    UndoId, UserId, UserName, UtcTime,
};
pub use undos::Undo;
pub use users::{NewUser, SignIn, USERS_MAX, User, UserAdded, UserChange, UserChanged};

mod approvals;
mod audit;
mod counts;
mod db;
mod deliveries;
mod error;
mod events;
mod expiry;
mod factors;
mod followed;
mod history;
mod integrity;
mod leases;
mod lock;
mod logs;
mod open;
mod patterns;
mod plans;
mod preferences;
mod problems;
mod requests;
mod runs;
mod sessions;
mod slots;
mod snapshots;
mod tokens;
mod transfer;
mod types;
mod undos;
mod users;

/// A handle of the state; clones share its connections.
#[derive(Clone)]
pub struct Store {
    db: Database,
    place: Arc<str>,
    listening: Arc<Listening>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Store {
    async fn begin(&self, doing: &'static str) -> Result<Tx> {
        self.db.begin(doing).await
    }
}
