//! Servers on one state, with clocks that the test moves. A server here is its scheduler and the runs that it holds: what
//! it would do itself (beat, look, begin and end runs) it does when the test lets time go by.

use std::fs;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_config::config::Config;
use keepfast_config::diagnostic::render::Style;
use keepfast_operations::child::Children;
use keepfast_schedule::clock::{ClockEvent, ClockReading, LOOK_EVERY};
use keepfast_schedule::plan::JitterSeed;
use keepfast_server::daemon::clock::Reading;
use keepfast_server::daemon::scheduler::{Look, Scheduler};
use keepfast_server::definitions;
use keepfast_server::state::{self, stored};
use keepfast_store::{
    Apply, BootId, Elapsed, Ending, Executor, Figures, Held, HostId, PageSize, PlanId, ProgramVersion, Run,
    RunFilter, ScheduleId, ServerId, SlotRecord, Store, UtcTime, VerdictKind, Work,
};
use keepfast_testkit::servers::PostgresServer;
use tempfile::TempDir;

/// When the tests begin: a Monday, at noon in Paris.
pub const BEGIN: &str = "2026-03-02T11:00:30Z";

/// A state, in a file or in PostgreSQL, and definitions.
pub struct Site {
    folder: TempDir,
    state: String,
    pub definitions: String,
    _postgres: Option<Arc<PostgresServer>>,
}

impl Site {
    /// In a file: one server.
    pub fn alone(definitions: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = format!("state = {{ sqlite = {:?} }}", folder.path().join("state.db"));
        Self { folder, state, definitions: definitions.to_owned(), _postgres: None }
    }

    /// In PostgreSQL: several servers.
    pub fn shared(definitions: &str) -> Self {
        let postgres = PostgresServer::shared();
        let state = format!(
            "state = {{ postgres = {{ socket = {:?}, port = {}, dbname = {:?}, user = {:?} }} }}",
            postgres.socket(),
            postgres.port(),
            postgres.database(),
            postgres.user(),
        );
        let folder = tempfile::tempdir().unwrap();
        Self { folder, state, definitions: definitions.to_owned(), _postgres: Some(postgres) }
    }

    /// What files say in which these definitions are.
    pub fn config(&self, definitions: &str) -> Config {
        let text = format!(
            "version = 1\n[server]\ntimezone = \"Europe/Paris\"\n{}\nfolder = {:?}\n\
             limits = {{ runs = 8, per_host = 8 }}\n\
             [repository.main]\nurl = \"/srv/backup\"\npassword = {{ file = \"/etc/password\" }}\n{definitions}",
            self.state,
            self.folder.path(),
        );
        let file = self.folder.path().join("keepfast.toml");
        fs::write(&file, text).unwrap();
        let loaded = definitions::read(&file);
        let report = loaded.report.render(Style::Plain);
        loaded.config.unwrap_or_else(|| panic!("{report}"))
    }

    pub async fn store(&self) -> Store {
        state::open(&self.config(&self.definitions), &Children::default()).await.unwrap()
    }

    /// A server of this name starts, and looks at once, as servers do.
    pub async fn serve(&self, name: &str, at: Timestamp) -> Server {
        let config = self.config(&self.definitions);
        let (store, now, steady) = (self.store().await, at, Duration::from_secs(1000));
        let mut server = Server {
            name: name.to_owned(),
            life: 0,
            config,
            store,
            now,
            steady,
            scheduler: None,
            held: Vec::new(),
            is_held_up: false,
        };
        server.start().await;
        server.look().await;
        server
    }
}

/// A plan of this schedule, with more keys.
pub fn plan(name: &str, schedule: &str, more: &str) -> String {
    format!(
        "[plan.{name}]\nrepository = \"main\"\nsource = [{{ files = [\"/srv/{name}\"] }}]\n\
         schedule = {{ {schedule} }}\n{more}\n"
    )
}

pub fn begin() -> Timestamp {
    BEGIN.parse().unwrap()
}

pub fn minutes(number: u64) -> Duration {
    Duration::from_secs(60 * number)
}

pub struct Server {
    name: String,
    life: u32,
    pub config: Config,
    pub store: Store,
    /// What its clock on the wall shows.
    pub now: Timestamp,
    /// The clock that never jumps.
    steady: Duration,
    scheduler: Option<Scheduler>,
    /// Runs that it carries out.
    pub held: Vec<Held>,
    /// Whether its runs go on until the test ends them; else each is over before the next look.
    pub is_held_up: bool,
}

impl Server {
    fn executor(&self) -> Executor {
        Executor {
            server: ServerId::new(format!("server {}", self.name)).unwrap(),
            boot: BootId::new(format!("life {}", self.life)).unwrap(),
        }
    }

    pub fn reading(&self) -> Reading {
        Reading {
            clocks: ClockReading { wall: self.now, since_boot: self.steady, boot: "b".to_owned() },
            steady: Elapsed(self.steady),
        }
    }

    /// It starts, or starts again after a death.
    pub async fn start(&mut self) {
        self.life += 1;
        self.held.clear();
        let host = HostId::new(&*self.name).unwrap();
        let (executor, reading) = (self.executor(), self.reading());
        let begun =
            Scheduler::begin(self.store.clone(), executor, host, JitterSeed(1), &self.config, &reading);
        let (scheduler, wrong) = begun.await.unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
        self.scheduler = Some(scheduler);
    }

    /// It reads its files again.
    pub async fn reload(&mut self, config: Config, apply: Apply) {
        self.config = config;
        let scheduler = self.scheduler.as_mut().unwrap();
        let wrong = scheduler.adopt(&self.config, apply, self.now).await.unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    /// One look, and what follows: runs begin, and say that they live.
    pub async fn look(&mut self) -> Look {
        for held in &self.held {
            // One that was lost meanwhile hears it here.
            let _ = self.store.beat(stored(self.now), held, None).await;
        }
        let reading = self.reading();
        let scheduler = self.scheduler.as_mut().unwrap();
        let look = scheduler.look(&self.config, &reading, None, true).await.unwrap();
        for (_, held) in &look.start {
            self.store.start(stored(self.now), held).await.unwrap();
            self.held.push(held.clone());
        }
        look
    }

    /// It dies in a look, when that waits for the state after this many times; false if the look was over before.
    pub async fn die_in_look(&mut self, mut waits: usize) -> bool {
        let reading = self.reading();
        let scheduler = self.scheduler.as_mut().unwrap();
        let mut look = std::pin::pin!(scheduler.look(&self.config, &reading, None, true));
        let is_over = std::future::poll_fn(|context| match look.as_mut().poll(context) {
            Poll::Ready(look) => Poll::Ready(look.map(|_| true)),
            Poll::Pending if waits == 0 => Poll::Ready(Ok(false)),
            Poll::Pending => {
                waits -= 1;
                Poll::Pending
            }
        });
        !is_over.await.unwrap()
    }

    /// Time goes by, with a look at least every half a minute.
    pub async fn live(&mut self, length: Duration) -> Vec<ClockEvent> {
        let mut left = length;
        let mut clock = Vec::new();
        while !left.is_zero() {
            let step = left.min(LOOK_EVERY);
            self.pass(step);
            left -= step;
            clock.extend(self.look().await.clock);
            if !self.is_held_up {
                self.end_all(Ending::Ok).await;
            }
        }
        clock
    }

    /// Time goes by in which it does nothing.
    pub fn pass(&mut self, length: Duration) {
        self.now += length;
        self.steady += length;
    }

    /// All runs end.
    pub async fn end_all(&mut self, ending: Ending) {
        for held in std::mem::take(&mut self.held) {
            let _ = self.store.end(stored(self.now), &held, &work(ending.clone())).await;
        }
    }

    /// All runs of a plan, the oldest first.
    pub async fn runs(&self, plan: &str) -> Vec<Run> {
        let filter = RunFilter { plan: Some(PlanId::new(plan).unwrap()), ..RunFilter::default() };
        let mut runs = self.store.runs(&filter, None, PageSize::MAX).await.unwrap().rows;
        runs.reverse();
        runs
    }

    /// Their verdicts; nothing for those that aren't over.
    pub async fn verdicts(&self, plan: &str) -> Vec<Option<VerdictKind>> {
        let verdict = |run: &Run| run.verdict.as_ref().map(keepfast_store::Verdict::kind);
        self.runs(plan).await.iter().map(verdict).collect()
    }

    pub async fn slots(&self, plan: &str) -> Vec<SlotRecord> {
        let schedule = ScheduleId::new(format!("plan:{plan}")).unwrap();
        self.store.slots(&schedule, UtcTime::MIN, PageSize::MAX).await.unwrap()
    }

    /// The kinds of the problems that are open, with what they are about.
    pub async fn problems(&self) -> Vec<String> {
        let open = self.store.open_problems().await.unwrap();
        open.iter().map(|problem| format!("{} {}", problem.subject, problem.kind)).collect()
    }
}

pub fn work(ending: Ending) -> Work {
    Work {
        ending,
        report: None,
        counters: None,
        figures: Figures::default(),
        error: None,
        baseline: None,
        retry: None,
        version: ProgramVersion::new("1").unwrap(),
    }
}
