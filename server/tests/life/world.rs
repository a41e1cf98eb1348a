//! A machine with a server on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Style;
use keepfast_observe::errors::Category;
use keepfast_schedule::clock::ClockReading;
use keepfast_schedule::plan::JitterSeed;
use keepfast_schedule::schedule::Schedule;
use keepfast_server::convert::schedule;
use keepfast_server::daemon::clock::Reading;
use keepfast_server::daemon::jobs::Job;
use keepfast_server::daemon::promises;
use keepfast_server::daemon::scheduler::{Look, Scheduler};
use keepfast_server::definitions;
use keepfast_server::failure;
use keepfast_server::notices::Notifier;
use keepfast_server::state::{instant, stored};
use keepfast_server::status::Promises;
use keepfast_store::{
    BootId, Elapsed, Ending, ErrorCategory, Executor, Fingerprint, Held, HostId, NextTry, PageSize,
    ProgramVersion, RunError, RunFilter, RunId, ScheduleId, Sequence, ServerId, ServerLock, SlotVerdict,
    Store, Text, VerdictKind, Work,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::dice::Dice;
use crate::oracle::{Overdue, Watched};

const PLANS: u64 = 30;
/// October and November: the clocks change in Europe on the 25th and in America on the 1st.
const BEGIN: &str = "2026-10-05T00:00:00Z";
const DAYS: u64 = 40;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// How often promises are looked at.
const PROMISES_EVERY: Duration = Duration::from_secs(600);
const SERVER: &str = "server m";

/// What has happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub good: u64,
    pub failed: u64,
    pub lost: u64,
    pub missed: u64,
    pub skipped: u64,
    pub overdue: u64,
    pub kills: u64,
    pub sleeps: u64,
    pub slots: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.failed += other.failed;
        self.lost += other.lost;
        self.missed += other.missed;
        self.skipped += other.skipped;
        self.overdue += other.overdue;
        self.kills += other.kills;
        self.sleeps += other.sleeps;
        self.slots += other.slots;
    }
}

/// A run at work.
struct Working {
    held: Held,
    plan: String,
    ends: Timestamp,
}

pub struct World {
    seed: u64,
    dice: Dice,
    _folder: TempDir,
    _lock: ServerLock,
    store: Store,
    config: Config,
    scheduler: Option<Scheduler>,
    notifier: Notifier,
    boot: u64,
    now: Timestamp,
    /// Time that the machine was awake.
    steady: Duration,
    working: BTreeMap<RunId, Working>,
    watched: BTreeMap<String, Watched>,
    overdue: Overdue,
    next_promises: Timestamp,
    promises: Promises,
    /// When the store is away, and until when.
    away: Vec<(Timestamp, Timestamp)>,
    /// When its disk is full.
    full: Vec<(Timestamp, Timestamp)>,
    tally: Tally,
}

fn begin() -> Timestamp {
    BEGIN.parse().expect("an instant")
}

fn definition(number: u64, dice: &mut Dice) -> String {
    let zone = *dice.pick(&["Europe/Paris", "America/New_York", "UTC", "Australia/Lord_Howe"]);
    let (hour, minute) = (dice.below(24), dice.below(60));
    let schedule = match number {
        0..=1 => format!("cron = \"{minute} * * * *\""),
        2..=3 => "every = \"20h\"".to_owned(),
        4 => format!("cron = \"{minute} {hour} * * 1-5\""),
        5..=7 => format!("cron = \"{} 2 * * *\"", dice.pick(&[0, 15, 30, 59])),
        _ => format!("cron = \"{minute} {hour} * * *\""),
    };
    let mut more = String::new();
    if number >= 8 && dice.one_in(3) {
        more.push_str(", jitter = \"15m\"");
    }
    if number != 2 && number != 3 && dice.one_in(3) {
        more.push_str(", deadline = \"3h\"");
    }
    if dice.one_in(5) {
        more.push_str(", catch_up = \"never\"");
    }
    let overlap = if dice.one_in(4) { "overlap = \"queue-one\"\n" } else { "" };
    format!(
        "[plan.p{number}]\nrepository = \"main\"\nsource = [{{ files = [\"/srv/p{number}\"] }}]\n\
         timezone = \"{zone}\"\nschedule = {{ {schedule}{more} }}\n{overlap}retry = {{ attempts = 3, first = \"5m\" }}\n"
    )
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // In memory, where that is there: a commit of each step is synced.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let state = folder.path().join("state.db");
        let mut text = format!(
            "version = 1\n[server]\nstate = {{ sqlite = {state:?} }}\nlimits = {{ runs = 8, per_host = 4 }}\n\
             [repository.main]\nurl = \"/srv/backup\"\npassword = {{ file = \"/etc/password\" }}\n\
             [target.ops]\nwebhook = {{ url = \"http://127.0.0.1:9/\", preset = \"generic\" }}\n\
             [[route]]\nmatch = {{ severity = [\"warning\", \"error\", \"critical\"] }}\nto = [\"ops\"]\n",
        );
        for number in 0..PLANS {
            text.push_str(&definition(number, &mut dice));
        }
        let file = folder.path().join("keepfast.toml");
        fs::write(&file, text).expect("it can be written");
        let loaded = definitions::read(&file);
        let report = loaded.report.render(Style::Plain);
        let config = loaded.config.unwrap_or_else(|| panic!("{report}"));
        let lock = ServerLock::take(&state).expect("no one else has it");
        let store = Store::open_sqlite(&lock).await.expect("a state");
        let notifier = Notifier::new(store.clone(), "m");
        let mut spans = |times: u64, hours: u64| -> Vec<(Timestamp, Timestamp)> {
            let span = |_| {
                let from = begin()
                    + DAY * u32::try_from(2 + dice.below(DAYS - 8)).unwrap_or(2)
                    + MINUTE * u32::try_from(dice.below(1440)).unwrap_or(0);
                (from, from + HOUR * u32::try_from(1 + dice.below(hours)).unwrap_or(1))
            };
            (0..times).map(span).collect()
        };
        let (away, full) = (spans(3, 40), spans(1, 30));
        let mut world = Self {
            seed,
            dice,
            _folder: folder,
            _lock: lock,
            store,
            config,
            scheduler: None,
            notifier,
            boot: 0,
            now: begin(),
            steady: Duration::ZERO,
            working: BTreeMap::new(),
            watched: BTreeMap::new(),
            overdue: Overdue::default(),
            next_promises: begin(),
            promises: Promises::default(),
            away,
            full,
            tally: Tally::default(),
        };
        world.start().await;
        // Its first step begins at the end of what was told before.
        world.notify().await;
        for definition in world.config.plans.values() {
            let of = schedule::plan(&world.config, definition, JitterSeed(world.seed)).expect("a schedule");
            let promise = schedule::promise(&definition.value, of.as_ref(), world.now).expect("a promise");
            let watched = Watched { born: world.now, within: promise.within, good: None, is_running: false };
            world.watched.insert(definition.name.clone(), watched);
        }
        world
    }

    fn reading(&self) -> Reading {
        Reading {
            clocks: ClockReading {
                wall: self.now,
                since_boot: Duration::try_from(self.now.duration_since(begin())).unwrap_or_default(),
                boot: "b".to_owned(),
            },
            steady: Elapsed(self.steady),
        }
    }

    async fn start(&mut self) {
        self.boot += 1;
        let executor = Executor {
            server: ServerId::new(SERVER).expect("a name"),
            boot: BootId::new(format!("boot {}", self.boot)).expect("a name"),
        };
        let host = HostId::new("m").expect("a name");
        let reading = self.reading();
        let begun = Scheduler::begin(
            self.store.clone(),
            executor,
            host,
            JitterSeed(self.seed),
            &self.config,
            &reading,
        );
        let (scheduler, wrong) = begun.await.expect("a scheduler");
        assert!(wrong.is_empty(), "{wrong:?}");
        self.scheduler = Some(scheduler);
    }

    async fn notify(&mut self) {
        let (now, elapsed) = (self.now, Elapsed(self.steady));
        self.notifier.step(&self.config, now, elapsed).await.expect("a step");
    }

    pub async fn play(&mut self) {
        let end = begin() + DAY * u32::try_from(DAYS).unwrap_or(40);
        while self.now < end {
            self.end_runs().await;
            let next = self.look().await;
            self.promises().await;
            self.disturb().await;
            let runs = self.working.values().map(|run| run.ends).min();
            let until = [Some(next), runs, Some(self.next_promises)].into_iter().flatten().min();
            let until = until.unwrap_or(end).max(self.now + Duration::from_secs(1));
            self.pass(until);
        }
        // Whatever is at work ends; nothing is due any more that has no outcome.
        while !self.working.is_empty() {
            self.now = self.working.values().map(|run| run.ends).min().unwrap_or(self.now).max(self.now);
            self.end_runs().await;
        }
    }

    /// Time passes, and the machine is awake.
    fn pass(&mut self, until: Timestamp) {
        self.steady += Duration::try_from(until.duration_since(self.now)).unwrap_or_default();
        self.now = until;
    }

    /// What is at work says so, as it does every few seconds.
    async fn beat(&self) {
        for run in self.working.values() {
            self.store.beat(stored(self.now), &run.held, None).await.expect("it is held");
        }
    }

    async fn look(&mut self) -> Timestamp {
        self.beat().await;
        let reading = self.reading();
        let scheduler = self.scheduler.as_mut().expect("it is up");
        let look = scheduler.look(&self.config, &reading, None, true).await.expect("a look");
        let Look { start, .. } = look;
        for (job, held) in start {
            let Job::Backup { plan } = job else { panic!("{job:?}") };
            self.store.start(stored(self.now), &held).await.expect("it is held");
            let length = if self.dice.one_in(40) {
                HOUR * 6
            } else {
                MINUTE * u32::try_from(1 + self.dice.below(25)).unwrap_or(1)
            };
            if let Some(watched) = self.watched.get_mut(&plan) {
                watched.is_running = true;
            }
            let ends = self.now + length;
            self.working.insert(held.run.id.clone(), Working { held, plan, ends });
        }
        // Between these, a look would decide nothing.
        let scheduler = self.scheduler.as_ref().expect("it is up");
        let slots = scheduler.outlook().into_iter().filter_map(|outlook| Some(outlook.next?.instant()));
        let waits = self.store.waiting_runs(PageSize::MAX).await.expect("runs");
        let waits = waits.iter().filter_map(|run| run.not_before.map(instant)).filter(|at| *at > self.now);
        let due = scheduler.due().into_iter().filter(|at| *at > self.now);
        slots.chain(waits).chain(due).min().unwrap_or(self.now + DAY)
    }

    async fn end_runs(&mut self) {
        let over: Vec<RunId> =
            self.working.iter().filter(|(_, run)| run.ends <= self.now).map(|(id, _)| id.clone()).collect();
        for id in over {
            let Some(Working { held, plan, ends }) = self.working.remove(&id) else { continue };
            let hit =
                |spans: &[(Timestamp, Timestamp)]| spans.iter().any(|(from, to)| *from <= ends && ends < *to);
            let failure = if hit(&self.away) {
                Some(Category::Network)
            } else if hit(&self.full) {
                Some(Category::Space)
            } else {
                self.dice.one_in(60).then_some(Category::Source)
            };
            let definition = self.config.plans.get(&plan).expect("it is defined");
            let attempts = NonZeroU32::new(held.run.attempt).expect("not 0");
            let wait = failure.and_then(|category| {
                failure::retry(&definition.value, category, attempts, self.dice.below(u64::MAX))
            });
            let retry = wait.map(|wait| NextTry {
                id: RunId::new(format!("again {id}"))
                    .or_else(|_| RunId::new(format!("again {}", self.steady.as_nanos())))
                    .expect("a name"),
                not_before: stored(self.now + wait),
            });
            let work = Work {
                ending: match failure {
                    Some(_) => Ending::Failed,
                    None if self.dice.one_in(20) => Ending::Findings,
                    None => Ending::Ok,
                },
                report: None,
                counters: None,
                error: failure.map(|category| RunError {
                    category: ErrorCategory::new(category.name()).expect("a name"),
                    fingerprint: Fingerprint::new(category.name()).expect("a name"),
                    message: Text::from(category.name()),
                }),
                baseline: None,
                retry,
                version: ProgramVersion::new("0").expect("a name"),
            };
            self.store.end(stored(self.now), &held, &work).await.expect("it is held");
            let watched = self.watched.get_mut(&plan).expect("it is watched");
            watched.is_running = false;
            match failure {
                None => {
                    let began =
                        self.store.run(&held.run.id).await.expect("a run").and_then(|run| run.started);
                    watched.good = watched.good.max(began.map(instant));
                    self.tally.good += 1;
                }
                Some(_) => self.tally.failed += 1,
            }
        }
    }

    async fn promises(&mut self) {
        if self.now < self.next_promises {
            return;
        }
        self.next_promises = self.now + PROMISES_EVERY;
        self.beat().await;
        promises::watch(&self.config, &self.store, self.now, "m", &mut self.promises)
            .await
            .expect("promises");
        self.overdue.look(&self.watched, self.now);
        let open: BTreeSet<String> = self
            .store
            .open_problems()
            .await
            .expect("problems")
            .iter()
            .filter(|problem| problem.kind.as_str() == promises::OVERDUE)
            .map(|problem| problem.subject.as_str().trim_start_matches("plan:").to_owned())
            .collect();
        assert_eq!(&open, self.overdue.open(), "seed {} at {}", self.seed, self.now);
        self.notify().await;
    }

    /// Now and then the server is killed, or the machine sleeps.
    async fn disturb(&mut self) {
        if self.dice.one_in(900) {
            self.tally.kills += 1;
            self.scheduler = None;
            for run in std::mem::take(&mut self.working).into_values() {
                self.tally.lost += 1;
                if let Some(watched) = self.watched.get_mut(&run.plan) {
                    watched.is_running = false;
                }
            }
            let down = *self.dice.pick(&[1, 10, 120, 3000]);
            self.pass(self.now + MINUTE * down);
            self.start().await;
        } else if self.dice.one_in(900) {
            self.tally.sleeps += 1;
            let asleep = MINUTE * u32::try_from(10 + self.dice.below(1500)).unwrap_or(10);
            // What is at work sleeps, too.
            self.now += asleep;
            for run in self.working.values_mut() {
                run.ends += asleep;
            }
        }
    }

    /// What has come of it.
    pub async fn judge(&mut self) -> Tally {
        let seed = self.seed;
        for definition in self.config.plans.values() {
            let of =
                schedule::plan(&self.config, definition, JitterSeed(seed)).expect("a schedule").expect("one");
            let id = ScheduleId::new(format!("plan:{}", definition.name)).expect("a name");
            let mut records = Vec::new();
            let mut from = stored(Timestamp::MIN);
            loop {
                let page = self.store.slots(&id, from, PageSize::MAX).await.expect("slots");
                let Some(last) = page.last() else { break };
                from = last.first.plus(Duration::from_micros(1));
                records.extend(page);
            }
            for record in &records {
                match record.verdict {
                    SlotVerdict::Fired => {}
                    SlotVerdict::Missed => self.tally.missed += u64::from(record.count),
                    SlotVerdict::Skipped => self.tally.skipped += u64::from(record.count),
                }
                self.tally.slots += u64::from(record.count);
            }
            let Schedule::Calendar { .. } = &of.schedule else { continue };
            let last = records.iter().map(|record| instant(record.last)).max().expect("it has slots");
            for planned in of.schedule.slots_between(begin(), last, begin(), usize::MAX) {
                let at = stored(planned.slot.instant());
                let count = records.iter().filter(|record| record.first <= at && at <= record.last).count();
                assert_eq!(
                    count, 1,
                    "seed {seed}: {} has {count} outcomes for {}",
                    definition.name, planned.slot
                );
            }
            let all = of.schedule.slots_between(begin(), last, begin(), usize::MAX).len();
            let told: u64 = records.iter().map(|record| u64::from(record.count)).sum();
            assert_eq!(told, u64::try_from(all).expect("a number"), "seed {seed}: {}", definition.name);
            assert!(last + DAY * 4 > self.now, "seed {seed}: {} stopped at {last}", definition.name);
        }
        self.judge_runs().await;
        self.judge_events().await;
        self.tally
    }

    /// All runs are over, and those that were lost were found.
    async fn judge_runs(&mut self) {
        let lost = RunFilter { verdict: Some(VerdictKind::Lost), ..RunFilter::default() };
        let mut found = 0;
        let mut before = None;
        loop {
            let page = self.store.runs(&lost, before, PageSize::MAX).await.expect("runs");
            found += u64::try_from(page.rows.len()).expect("a number");
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(found, self.tally.lost, "seed {}", self.seed);
        let active = self.store.active_runs().await.expect("runs");
        assert!(active.is_empty(), "seed {}: {active:?}", self.seed);
    }

    /// Each time that a plan was overdue was one event, and its end was, too.
    async fn judge_events(&mut self) {
        let mut opened: BTreeMap<String, u64> = BTreeMap::new();
        let mut resolved: BTreeMap<String, u64> = BTreeMap::new();
        let mut after = Sequence::START;
        loop {
            let page = self.store.events_after(after, PageSize::MAX).await.expect("events");
            let Some(last) = page.events.last() else { break };
            after = last.sequence;
            for event in &page.events {
                let is_overdue =
                    event.document.get("kind").and_then(Value::as_str) == Some(promises::OVERDUE);
                let plan = event.subject.as_str().trim_start_matches("plan:").to_owned();
                match event.kind.as_str() {
                    "problem.opened" if is_overdue => *opened.entry(plan).or_default() += 1,
                    "problem.resolved" if is_overdue => *resolved.entry(plan).or_default() += 1,
                    _ => {}
                }
            }
        }
        assert_eq!(opened, self.overdue.opened, "seed {}", self.seed);
        assert_eq!(resolved, self.overdue.resolved, "seed {}", self.seed);
        self.tally.overdue = opened.values().sum();
    }
}
