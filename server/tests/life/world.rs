//! A machine with a server on it, and a clock that runs fast: from one instant at which something happens to the next.
//!
//! The server's own scheduler, promises, troubles and state are what is played. The world does what a server does around
//! them (`daemon/mod.rs`), and what machines, runs and people do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_observe::errors::Category;
use keepfast_schedule::plan::JitterSeed;
use keepfast_server::Result;
use keepfast_server::daemon::jobs::Job;
use keepfast_server::daemon::promises::{self, OVERDUE};
use keepfast_server::daemon::scheduler::{Look, Scheduler};
use keepfast_server::daemon::troubles::Troubles;
use keepfast_server::failure;
use keepfast_server::state::{Lease, stored};
use keepfast_server::status::{Promises, View};
use keepfast_store::{
    BootId, Ending, ErrorCategory, Executor, Figures, Fingerprint, Held, HostId, NextTry, PlanId,
    ProgramVersion, RunError, RunId, ServerId, Store, StoreError, Text, UserName, Work,
};

use crate::clock::{Clock, DAY, HOUR, MINUTE, SECOND, begin};
use crate::dice::Dice;
use crate::faults::{DAYS, Fault, Faults};
use crate::judge::Account;
use crate::oracle::{Bystander, ClockNews, Watched};
use crate::place::Place;
use crate::plans::{self, Plan};
use crate::told::Told;

/// The name of the machine.
pub const HOST: &str = "m";
const SERVER: &str = "server m";
/// How often promises are looked at when nothing is new: a false alarm at a calm moment is seen, too.
const PROMISES_EVERY: Duration = Duration::from_secs(5 * 3600);
/// After a look that failed, this long passes until the next.
const AFTER_FAULT: Duration = Duration::from_secs(5);
/// How often the server looks while a run is silent: several times during the length of a lease.
const WHILE_SILENT: Duration = Duration::from_secs(50);

/// A run at work.
struct Working {
    held: Held,
    plan: String,
    began: Timestamp,
    ends: Duration,
    /// When it last said that it works, by the steady clock and by the one on the wall.
    beat: (Duration, Timestamp),
    /// What the looks since then have seen.
    standing: Option<Standing>,
    is_silent: bool,
}

/// A lease that stands still in the eyes of those that look: since when, and whether a gap between looks was not counted.
#[derive(Debug, Clone, Copy)]
struct Standing {
    since: Duration,
    is_excused: bool,
}

impl Standing {
    /// As a look sees it that comes now, and after a gap or not.
    fn seen(before: Option<Self>, now: Duration, was_away: bool) -> Self {
        match before {
            None => Self { since: now, is_excused: false },
            Some(before) if was_away && !before.is_excused => Self { since: now, is_excused: true },
            Some(before) => before,
        }
    }
}

/// What sees that runs are at work.
#[derive(Debug, Clone, Copy)]
enum Beats {
    /// Anything.
    All,
    /// The scheduler: a lease that stands still for its length has ended. Beats before that change nothing.
    Look,
    /// The promises, by the end of the lease on the wall.
    Watch,
}

pub struct World {
    pub seed: u64,
    pub store: Store,
    pub config: Config,
    pub plans: Vec<Plan>,
    pub clock: Clock,
    pub bystander: Bystander,
    pub clock_news: ClockNews,
    pub account: Account,
    pub told: Option<Told>,
    pub place: Place,
    scheduler: Option<Scheduler>,
    troubles: Troubles,
    promises: Promises,
    faults: Faults,
    working: BTreeMap<RunId, Working>,
    boots: u64,
    /// When a server that was killed starts again.
    up_again: Duration,
    /// When the server looked last, by the steady clock; nothing if it hasn't in this life.
    looked: Option<Duration>,
    next_look: Duration,
    next_watch: Duration,
    /// Until when runs may be lost without a word, because the database was away.
    shaken_until: Duration,
}

fn host() -> HostId {
    HostId::new(HOST).expect("a name")
}

impl World {
    pub async fn new(seed: u64, place: Place, restarts: u64, is_told: bool) -> Self {
        let plans = plans::draw(seed);
        let config = place.config(&plans);
        let store = place.open().await;
        let clock = Clock::new();
        let mut world = Self {
            seed,
            troubles: Troubles::new(store.clone(), host()),
            told: is_told.then(|| Told::new(&store, seed)),
            store,
            config,
            clock,
            bystander: Bystander::default(),
            clock_news: ClockNews::default(),
            account: Account::default(),
            place,
            scheduler: None,
            promises: Promises::default(),
            faults: Faults::draw(seed, restarts),
            working: BTreeMap::new(),
            boots: 0,
            up_again: Duration::ZERO,
            looked: None,
            next_look: Duration::ZERO,
            next_watch: Duration::ZERO,
            shaken_until: Duration::ZERO,
            plans,
        };
        world.start().await;
        for plan in &world.plans {
            let watched = Watched {
                born: begin(),
                within: plan.within,
                good: Vec::new(),
                works_until: None,
                asked: Vec::new(),
                configured: plan.pause,
            };
            world.bystander.plans.insert(plan.name.clone(), watched);
        }
        // The first step begins at the end of what was before.
        world.tell().await;
        world
    }

    pub async fn play(&mut self) {
        let end = DAY * u32::try_from(DAYS).expect("days");
        while self.clock.real < end {
            self.step().await;
        }
        // Whatever is at work ends, and the server looks a last time.
        while !self.working.is_empty() {
            self.step().await;
        }
        self.place.settle();
        self.next_look = self.clock.real;
        while self.next_look <= self.clock.real {
            self.look().await;
        }
        self.watch().await;
    }

    /// Goes on to the next instant at which something happens, and does it.
    async fn step(&mut self) {
        self.pass(self.next());
        while let Some(fault) = self.faults.due(self.clock.real) {
            self.suffer(fault).await;
        }
        if self.scheduler.is_none() {
            if self.up_again <= self.clock.real {
                self.start().await;
            }
            return;
        }
        self.end_runs().await;
        if self.next_look <= self.clock.real {
            self.look().await;
        }
        let is_shaken = self.clock.real < self.shaken_until;
        let has_news = self.bystander.has_news(self.clock.wall());
        if !is_shaken && (has_news || self.next_watch <= self.clock.real) {
            self.watch().await;
        }
        let wall = self.clock.wall();
        if self.told.as_ref().and_then(|told| told.next).is_some_and(|next| next <= wall) {
            self.tell().await;
        }
    }

    async fn tell(&mut self) {
        if let Some(told) = &mut self.told {
            told.step(&self.config, &self.clock).await;
        }
    }

    /// When something happens next.
    fn next(&self) -> Duration {
        let now = self.clock.real;
        let next = if self.scheduler.is_none() {
            self.up_again
        } else {
            let runs = self.working.values().filter(|run| !run.is_silent).map(|run| run.ends).min();
            // At that very instant nothing has changed yet; a second later it has.
            let turn = self.bystander.next_turn(self.clock.wall()).map(|turn| self.clock.when(turn) + SECOND);
            let told = self.told.as_ref().and_then(|told| told.next).map(|at| self.clock.when(at));
            let mut all = vec![self.next_look, self.next_watch.max(self.shaken_until)];
            all.extend(told);
            all.extend(runs);
            all.extend(turn);
            all.into_iter().min().unwrap_or(now)
        };
        self.faults.next().map_or(next, |fault| fault.min(next)).max(now)
    }

    /// Time passes, and the server glances at the clocks meanwhile.
    fn pass(&mut self, until: Duration) {
        let Some(scheduler) = &mut self.scheduler else {
            self.clock.real = until;
            return;
        };
        while self.clock.real + MINUTE < until {
            self.clock.real += MINUTE;
            if scheduler.glance(&self.clock.reading()) {
                self.next_look = self.clock.real;
                return;
            }
        }
        self.clock.real = until;
    }

    async fn start(&mut self) {
        self.boots += 1;
        self.looked = None;
        let executor = Executor {
            server: ServerId::new(SERVER).expect("a name"),
            boot: BootId::new(format!("boot {}", self.boots)).expect("a name"),
        };
        let reading = self.clock.reading();
        // The service manager starts it again and again.
        let begun = loop {
            let (store, executor) = (self.store.clone(), executor.clone());
            let begun =
                Scheduler::begin(store, executor, host(), JitterSeed(self.seed), &self.config, &reading)
                    .await;
            if let Some(begun) = self.place.may_fail(begun) {
                break begun;
            }
        };
        let (scheduler, wrong) = begun;
        assert!(wrong.is_empty(), "seed {}: {wrong:?}", self.seed);
        self.scheduler = Some(scheduler);
        let active = self.store.active_runs().await;
        let active = self.place.may_fail(active.map_err(Into::into)).unwrap_or_default();
        assert!(active.is_empty(), "seed {}: no one works on {active:?}", self.seed);
        self.promises = Promises::default();
        loop {
            self.troubles = Troubles::new(self.store.clone(), host());
            let begun = self.troubles.begin(self.clock.wall()).await;
            if self.place.may_fail(begun).is_some() {
                break;
            }
        }
        self.clock_news.start(self.clock.wrong_by());
        self.account.settled(self.clock.wall());
        self.next_look = self.clock.real;
    }

    /// Something goes wrong.
    async fn suffer(&mut self, fault: Fault) {
        let (real, wall, now) = (self.clock.real, self.clock.wall(), self.clock.stored());
        let id = |plan: &str| PlanId::new(plan).expect("a name");
        match fault {
            Fault::Kill { down } => {
                self.account.tally.kills += 1;
                self.account.unsettled(wall);
                self.scheduler = None;
                for run in std::mem::take(&mut self.working).into_values() {
                    self.account.tally.lost += 1;
                    self.bystander.plan(&run.plan).works_until = None;
                }
                self.up_again = self.up_again.max(real + down);
            }
            Fault::Sleep { length } => {
                self.account.tally.sleeps += 1;
                self.account.unsettled(wall);
                self.clock.sleep(length);
                // What is at work sleeps, too.
                self.working.values_mut().for_each(|run| run.ends += length);
                self.next_look = self.clock.real;
                if self.scheduler.is_some() {
                    self.account.settled(self.clock.wall());
                }
            }
            Fault::SetClock { wrong_by } => {
                self.account.tally.clocks += 1;
                let (before, after) = (wall, wall + (wrong_by - self.clock.wrong_by()));
                self.clock.set(wrong_by);
                self.account.jumped(before, after);
                self.next_look = real;
                // Each run says within seconds that it is still there.
                self.beat(Beats::All).await;
            }
            Fault::Silence => {
                let Some(run) = self.working.values_mut().find(|run| !run.is_silent) else { return };
                let beaten = self.store.beat(now, &run.held, None).await;
                if self.place.may_fail(beaten.map_err(Into::into)).is_some() {
                    run.is_silent = true;
                    self.bystander.plan(&run.plan).works_until = Some(wall + Lease::USUAL.length);
                    self.next_look = self.next_look.min(real + WHILE_SILENT);
                }
            }
            Fault::Pause { plan, length } => {
                let until = length.map_or(Timestamp::MAX, |length| wall + length);
                let by = UserName::new("ann").expect("a name");
                let stored_until = length.map(|_| stored(until));
                while {
                    let paused = self.store.pause(now, &id(&plan), stored_until, &by, None).await;
                    self.place.may_fail(paused.map_err(Into::into)).is_none()
                } {}
                self.bystander.plan(&plan).pause(wall, until);
                self.next_look = real;
            }
            Fault::Resume { plan } => {
                while {
                    let resumed = self.store.unpause(now, &id(&plan), now).await;
                    self.place.may_fail(resumed.map_err(Into::into)).is_none()
                } {}
                self.bystander.plan(&plan).resume(wall);
                self.next_look = real;
            }
            Fault::Database => self.place.restart_database(),
        }
    }

    /// Runs at work say so every few seconds. Only what anyone could see of that is done.
    async fn beat(&mut self, for_whom: Beats) {
        let (steady, wall, now) = (self.clock.steady(), self.clock.wall(), self.clock.stored());
        let length = Lease::USUAL.length;
        let was_away = self.looked.is_none_or(|looked| steady - looked >= length);
        for run in self.working.values_mut().filter(|run| !run.is_silent) {
            let (beaten, shown) = run.beat;
            let is_seen = match for_whom {
                Beats::All => true,
                // What a look that fails has seen isn't known.
                Beats::Look if self.place.is_shaky() => steady - beaten >= MINUTE,
                Beats::Look => {
                    let standing = Standing::seen(run.standing, steady, was_away);
                    run.standing = Some(standing);
                    steady - standing.since >= length
                }
                Beats::Watch => wall.duration_since(shown).unsigned_abs() + AFTER_FAULT >= length,
            };
            if is_seen {
                let beaten = self.store.beat(now, &run.held, None).await;
                // A beat that fails is made again; the run's end says whether it is still held.
                if self.place.may_fail(beaten.map_err(Into::into)).is_some() {
                    run.beat = (steady, wall);
                    // The look that follows at once sees it.
                    let is_look = matches!(for_whom, Beats::Look);
                    run.standing = is_look.then(|| Standing::seen(None, steady, was_away));
                }
            }
        }
    }

    async fn look(&mut self) {
        self.beat(Beats::Look).await;
        let (real, wall, reading) = (self.clock.real, self.clock.wall(), self.clock.reading());
        let Some(scheduler) = &mut self.scheduler else { return };
        let looked = scheduler.look(&self.config, &reading, None, true).await;
        let Some(Look { start, lost, clock, .. }) = self.place.may_fail(looked) else {
            self.next_look = real + AFTER_FAULT;
            self.shaken();
            return;
        };
        self.looked = Some(reading.steady.0);
        let due = scheduler.due(wall);
        for loss in lost {
            let Some(run) = self.working.remove(&loss.run.id) else { continue };
            assert!(run.is_silent || self.place.is_shaky(), "seed {}: {} wasn't dead", self.seed, run.plan);
            self.account.tally.lost += 1;
            self.account.tally.silent += 1;
            self.bystander.plan(&run.plan).works_until = None;
        }
        self.clock_news.look(self.clock.wrong_by(), wall);
        let told = self.troubles.clock(&clock, wall).await;
        self.place.may_fail(told);
        for (job, held) in start {
            let Job::Backup { plan } = job else { panic!("{job:?}") };
            self.begin_run(plan, held).await;
        }
        let is_silent = self.working.values().any(|run| run.is_silent) || real < self.shaken_until;
        let due = due.map_or(real + DAY, |due| self.clock.when(due));
        self.next_look = if is_silent { due.min(real + WHILE_SILENT) } else { due };
    }

    /// The database was away: runs may have been taken, and this process doesn't know of it.
    fn shaken(&mut self) {
        self.shaken_until = self.clock.real + Lease::USUAL.length * 3;
        self.account.unsettled(self.clock.wall());
        self.account.settled(self.clock.wall() + Lease::USUAL.length * 3);
    }

    async fn begin_run(&mut self, plan: String, held: Held) {
        let (wall, now) = (self.clock.wall(), self.clock.stored());
        let slot = held.run.slot.expect("it has a slot").at;
        let is_new = self.account.started.insert((plan.clone(), slot, held.run.attempt));
        assert!(is_new, "seed {}: {plan} runs twice for {slot:?}", self.seed);
        let other = self.working.values().find(|run| run.plan == plan);
        assert!(other.is_none(), "seed {}: {plan} runs twice at a time", self.seed);
        let started = self.store.start(now, &held).await;
        if self.place.may_fail(started.map_err(Into::into)).is_none() {
            return self.shaken();
        }
        let ends = self.clock.real + self.length(&plan, &held);
        self.bystander.plan(&plan).works_until = Some(Timestamp::MAX);
        let beat = (self.clock.steady(), wall);
        let run = Working { plan, began: wall, ends, beat, standing: None, is_silent: false, held };
        self.working.insert(run.held.run.id.clone(), run);
    }

    fn dice(&self, plan: &str, held: &Held, matter: &str) -> Dice {
        let slot = held.run.slot.map(|slot| slot.at.as_micros());
        Dice::of(self.seed, (plan, slot, held.run.attempt, matter))
    }

    /// How long a run takes: some minutes, or hours, or about as long as its plan promises.
    fn length(&self, plan: &str, held: &Held) -> Duration {
        let mut dice = self.dice(plan, held, "length");
        let within = self.bystander.plans[plan].within;
        let minutes = |dice: &mut Dice, end| MINUTE * u32::try_from(dice.between(1, end)).expect("minutes");
        match dice.below(60) {
            // Of a plan that promises little, more runs are long beside that.
            0 | 1 if within < HOUR * 8 => within * 7 / 10 + minutes(&mut dice, within.as_secs() / 60),
            0 => within * 7 / 10 + minutes(&mut dice, within.as_secs() / 90),
            1 => minutes(&mut dice, 6 * 60),
            _ => minutes(&mut dice, 25),
        }
    }

    async fn end_runs(&mut self) {
        let now = self.clock.real;
        let is_over = |run: &Working| run.ends <= now && !run.is_silent;
        let over: Vec<RunId> =
            self.working.iter().filter(|(_, run)| is_over(run)).map(|(id, _)| id.clone()).collect();
        for id in over {
            if let Some(run) = self.working.remove(&id) {
                self.end_run(run).await;
            }
        }
    }

    async fn end_run(&mut self, run: Working) {
        let failure = self.failure(&run);
        let work = self.work(&run, failure);
        let is_good = match self.store.end(self.clock.stored(), &run.held, &work).await {
            Ok(_) => failure.is_none(),
            // An answer that got lost, or a run that was.
            Err(StoreError::NotHeld { run: id }) if self.place.is_shaky() => {
                let Ok(Some(run)) = self.store.run(&id).await else { return };
                let verdict = run.verdict.map(|verdict| verdict.kind().as_str());
                matches!(verdict, Some("ok" | "findings"))
            }
            failed => {
                self.place.may_fail(failed.map_err(Into::into));
                let ends = self.clock.real + AFTER_FAULT;
                self.working.insert(run.held.run.id.clone(), Working { ends, ..run });
                return;
            }
        };
        self.next_look = self.clock.real;
        let watched = self.bystander.plan(&run.plan);
        watched.works_until = None;
        if is_good {
            watched.good.push(run.began);
            self.account.tally.good += 1;
        } else {
            self.account.tally.failed += 1;
        }
    }

    fn failure(&self, run: &Working) -> Option<Category> {
        let ends = run.ends;
        let hit = |spans: &[(Duration, Duration)]| spans.iter().any(|(from, to)| *from <= ends && ends < *to);
        if hit(&self.faults.away) {
            Some(Category::Network)
        } else if hit(&self.faults.full) {
            Some(Category::Space)
        } else {
            self.dice(&run.plan, &run.held, "failure").one_in(60).then_some(Category::Source)
        }
    }

    /// What comes of a run.
    fn work(&self, run: &Working, failure: Option<Category>) -> Work {
        let mut dice = self.dice(&run.plan, &run.held, "end");
        let definition = self.config.plans.get(&run.plan).expect("it is defined");
        let attempts = NonZeroU32::new(run.held.run.attempt).expect("not 0");
        let wait =
            failure.and_then(|category| failure::retry(&definition.value, category, attempts, dice.next()));
        let retry = wait.map(|wait| NextTry {
            id: RunId::new(format!("{:016x}{:016x}", dice.next(), dice.next())).expect("a name"),
            not_before: stored(self.clock.wall() + wait),
        });
        let error = failure.map(|category| RunError {
            category: ErrorCategory::new(category.name()).expect("a name"),
            fingerprint: Fingerprint::new(category.name()).expect("a name"),
            message: Text::from(category.name()),
        });
        Work {
            ending: match failure {
                Some(_) => Ending::Failed,
                None if dice.one_in(20) => Ending::Findings,
                None => Ending::Ok,
            },
            report: None,
            counters: None,
            figures: Figures::default(),
            error,
            baseline: None,
            retry,
            version: ProgramVersion::new("0").expect("a name"),
        }
    }

    /// The server looks at the promises, and a bystander does so, too.
    async fn watch(&mut self) {
        self.next_watch = self.clock.real + PROMISES_EVERY;
        self.beat(Beats::Watch).await;
        let now = self.clock.wall();
        let open = loop {
            let looked = self.watch_once(now).await;
            if let Some(open) = self.place.may_fail(looked) {
                break open;
            }
        };
        let expected = self.bystander.look(now);
        assert_eq!(&open, expected, "seed {} at {now}: what is overdue", self.seed);
        self.tell().await;
    }

    async fn watch_once(&mut self, now: Timestamp) -> Result<BTreeSet<String>> {
        let view = View { config: &self.config, store: &self.store, host: HOST, now };
        promises::watch(&view, &mut self.promises).await?;
        let problems = self.store.open_problems().await?;
        let overdue = problems.iter().filter(|problem| problem.kind.as_str() == OVERDUE);
        let plan = |subject: &str| subject.trim_start_matches("plan:").to_owned();
        Ok(overdue.map(|problem| plan(problem.subject.as_str())).collect())
    }
}
