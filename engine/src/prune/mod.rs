//! Prune: removes what no snapshot needs, while any number of backups and restores run.
//!
//! One turn is an epoch: what is live is marked, packs without live chunks are condemned, packs
//! with few are rewritten first. Then every session that was writing at that moment answers, and
//! what none objects to is removed. No lock is taken, no one waits for this, and a prune after an
//! interrupted one goes on where that ended. SPEC has the rules, `model/` explores them.

mod compact;
mod epoch;
mod hidden;
mod live;
mod plan;
mod rewrite;
mod step_back;
mod sweep;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use keepfast_backend::Created;
use keepfast_format::epoch::Condemned;
use keepfast_format::ids::SessionId;
use keepfast_format::keys::Role;
use keepfast_format::limits;
use keepfast_format::names::{self, EpochPart, PackName};
use keepfast_format::numbers::u64_of;

use crate::error::{EngineError, PruneError, Result};
use crate::repo::{Epochs, Flaw, Index, Repository, Snapshots, WriterOptions, older, refresh_index};
use crate::run::{Phase, RunContext, Troubles};
use live::{Listing, Live};
pub use plan::{PrunePlan, UnusedLimit};
use step_back::StepBack;

/// Turns that others may take first before this run gives up.
const CONFLICTS_MAX: u32 = 16;

/// How to prune.
pub struct PruneOptions {
    /// How much of what is stored may stay though it is unused, rather than be rewritten.
    pub max_unused: UnusedLimit,
    /// Stored bytes of packs that one run rewrites at most.
    pub max_rewrite_bytes: u64,
    /// How long a writer may be silent before its session is ended.
    pub session_timeout: Duration,
    /// Missing snapshots that are given up, by the starts of their ids: others name them, and prune
    /// refuses while one is missing that isn't given up. They are moved into the catalogue.
    pub accept_missing: Vec<String>,
    /// Dead sessions that one run moves into the catalogue at least; fewer stay as they are.
    pub compact_from: usize,
    /// Whether to rest while backups run into a repository that isn't far.
    pub step_back: bool,
    /// How to write.
    pub writer: WriterOptions,
    /// The program's name and version.
    pub program: String,
}

/// What a prune did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PruneReport {
    /// What it set out to do in its last turn.
    pub plan: PrunePlan,
    /// Epochs that it finished, those of interrupted runs among them.
    pub epochs: Vec<u32>,
    /// Packs that were removed.
    pub packs_removed: u64,
    /// Their stored bytes.
    pub bytes_removed: u64,
    /// Packs that were condemned and stay, because a running backup or a new snapshot needs them.
    pub packs_spared: u64,
    /// Packs that were rewritten.
    pub packs_rewritten: u64,
    /// Stored bytes that were read for that.
    pub bytes_read: u64,
    /// Stored bytes that were written for that.
    pub bytes_written: u64,
    /// Sessions that were ended because they were silent for too long.
    pub sessions_fenced: u64,
    /// Small objects that were removed: acks, segments, sessions, forgotten snapshots.
    pub objects_removed: u64,
    /// What was found that isn't as it should be.
    pub troubles: Troubles,
}

/// What a prune would do now. Nothing is written.
pub fn plan_prune(
    repository: &Repository,
    index: &Index,
    options: &PruneOptions,
    run: &RunContext,
) -> Result<PrunePlan> {
    let prune = Prune::new(repository, index, options, run)?;
    let epochs = Epochs::list(repository)?;
    epochs.can_be_collected_under()?;
    epochs.apply_all_verdicts(repository, index)?;
    let listing = Listing::take(repository, run)?;
    prune.find_given_up(&listing)?;
    Ok(prune.look(&listing)?.1)
}

/// Prunes.
pub fn prune(
    repository: &Repository,
    index: &Index,
    options: &PruneOptions,
    run: &RunContext,
) -> Result<PruneReport> {
    let mut prune = Prune::new(repository, index, options, run)?;
    let pruned = prune.run();
    run.report_suspects(|_| false);
    pruned.map(|()| PruneReport { troubles: run.troubles(), ..prune.report })
}

struct Prune<'a> {
    repository: &'a Repository,
    index: &'a Index,
    options: &'a PruneOptions,
    run: &'a RunContext,
    report: PruneReport,
    observed: Observed,
    step_back: StepBack,
}

/// What this run has found out, and what doesn't change any more.
#[derive(Default)]
struct Observed {
    /// Sessions that were decided before the epoch was published that is this run's own.
    decided: HashSet<SessionId>,
    /// Stored sizes of packs, as they were listed last.
    stored: HashMap<PackName, u64>,
    /// Packs that were listed after a verdict had named them.
    left_over: Vec<PackName>,
    /// The snapshots, as they were listed last.
    snapshots: Option<Snapshots>,
    /// Sessions that have answered this run, and so are alive.
    answered: HashSet<SessionId>,
}

/// How a turn ended.
enum Turn {
    /// There was nothing to condemn.
    Idle,
    /// Another prune has published an epoch first: nothing that was marked counts any more.
    Conflict,
    /// An epoch has its verdict.
    Done,
}

impl<'a> Prune<'a> {
    fn new(
        repository: &'a Repository,
        index: &'a Index,
        options: &'a PruneOptions,
        run: &'a RunContext,
    ) -> Result<Self> {
        if repository.identity().role() != Role::Owner {
            return Err(EngineError::NotAllowed { action: "prune" });
        }
        repository.can_be_collected()?;
        Ok(Self {
            repository,
            index,
            options,
            run,
            report: PruneReport::default(),
            observed: Observed::default(),
            step_back: StepBack::default(),
        })
    }

    fn run(&mut self) -> Result<()> {
        let mut conflicts = 0;
        loop {
            let fenced = self.report.sessions_fenced;
            match self.turn()? {
                Turn::Conflict if conflicts == CONFLICTS_MAX => {
                    return Err(PruneError::OthersWereFaster.into());
                }
                Turn::Conflict => conflicts += 1,
                // What a session leaves that was only now ended, another turn can remove.
                Turn::Done if self.report.sessions_fenced > fenced => {}
                Turn::Done | Turn::Idle => break,
            }
        }
        self.sweep()
    }

    /// One turn. Step numbers are those of SPEC, "Removing".
    fn turn(&mut self) -> Result<Turn> {
        let epochs = Epochs::list(self.repository)?;
        epochs.can_be_collected_under()?;
        epochs.apply_all_verdicts(self.repository, self.index)?;
        if let Some(unfinished) = epochs.unfinished() {
            self.finish_published(unfinished)?;
            return self.turn();
        }
        let epoch = epochs.newest() + 1;
        let listing = self.take_listing()?;
        let (live, plan) = match self.look(&listing) {
            // What was listed here was forgotten and removed since then.
            Err(EngineError::Missing { .. }) if Epochs::list(self.repository)?.newest() >= epoch => {
                return Ok(Turn::Conflict);
            }
            looked => looked?,
        };
        self.report.plan = plan;
        self.observed.decided.extend(&listing.decided);
        self.observed.left_over = self.dead_among(live.stored.keys())?;
        let demotions = self.index.demotions();
        let mut packs = self.report.plan.unused.clone();
        packs.extend(self.rewrite(&live)?);
        if self.index.demotions() > demotions {
            // What is needed was counted in packs that don't have it: other copies must stay.
            return self.turn();
        }
        packs.sort_unstable();
        packs.dedup();
        let snapshots = listing.snapshot_ids();
        self.observed.stored = live.stored;
        self.observed.snapshots = Some(listing.snapshots);
        // An epoch that condemns nothing ends sessions that are silent for too long: what they have left
        // can be condemned then. A session that has answered a moment ago isn't asked again.
        let mut unanswered = listing.open.iter().filter(|session| !self.observed.answered.contains(*session));
        if packs.is_empty() && !unanswered.any(|session| self.is_silent(*session)) {
            return Ok(Turn::Idle);
        }
        if snapshots.len() > limits::EPOCH_ITEMS_MAX {
            return Err(PruneError::TooManySnapshots { count: snapshots.len() }.into());
        }
        let condemned = Condemned { epoch, packs, snapshots };
        if !self.publish(&condemned)? {
            return Ok(Turn::Conflict);
        }
        let verdict = self.reach_verdict(&condemned)?;
        self.carry_out(&condemned, &verdict)?;
        Ok(Turn::Done)
    }

    /// Steps 1 and 2: what is live, and what could go.
    fn look(&self, listing: &Listing) -> Result<(Live, PrunePlan)> {
        if let Some((_, finding)) = listing.snapshots.unreadable().next() {
            return Err(PruneError::UnreadableSnapshot(Box::new(finding.clone())).into());
        }
        self.run.enter(Phase::Marking);
        self.must_be_all_there(&listing.snapshots)?;
        // Everything that a committed snapshot refers to was listed in segments before its commit.
        refresh_index(self.repository, self.index, self.run)?;
        let live = Live::mark(self.repository, self.index, &listing.snapshots, self.run)?;
        let is_decided = |session: &SessionId| {
            listing.decided.contains(session) || self.repository.has(Flaw::OpenSessionsCondemned)
        };
        let open = u64_of(listing.open.len());
        let plan = plan::make(self.index, &live, open, &is_decided, self.options)?;
        Ok((live, plan))
    }

    /// Step 3: publishes an epoch. `false` if its number is taken.
    fn publish(&self, condemned: &Condemned) -> Result<bool> {
        debug_assert!(
            condemned.packs.is_sorted_by(|a, b| a < b),
            "condemned packs ascend, each is there once"
        );
        debug_assert!(condemned.snapshots.is_sorted_by(|a, b| a < b), "snapshots ascend, each is there once");
        debug_assert!(
            self.repository.has(Flaw::OpenSessionsCondemned)
                || condemned.packs.iter().all(|pack| self.observed.decided.contains(&pack.session)),
            "packs of sessions whose outcome is open are never condemned"
        );
        let name = names::epoch(condemned.epoch, EpochPart::Condemned).to_string();
        let bytes = condemned.seal(self.repository.id(), self.repository.identity());
        let backend = self.repository.backend();
        let published = backend.create(&name, &[&bytes])? == Created::New
            || backend.read(&name, limits::EPOCH_OBJECT_BYTES_MAX)? == bytes;
        backend.sync()?;
        Ok(published)
    }

    /// Fails if the store shows less than there is, as far as that can be seen: a catalogue that can't be
    /// read, or something that this machine has seen before and that is gone.
    fn must_be_all_there(&self, snapshots: &Snapshots) -> Result<()> {
        snapshots.must_be_known()?;
        let older = older(self.repository, snapshots)?;
        if older.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = older.iter().map(|older| format!("{}: {older}", older.object())).collect();
        Err(EngineError::Older { what: named.join("; ") })
    }

    fn say(&self, what: String) {
        self.run.notice(what);
    }

    fn stop_if_asked(&self) -> Result<()> {
        self.run.go_on()
    }
}
