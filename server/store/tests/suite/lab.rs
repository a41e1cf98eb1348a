//! What the tests work with: a state on either database, several servers of it, and names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keepfast_store::{
    BootId, Claim, ConfigHash, Decided, Decision, Elapsed, Ending, Event, Executor, Figures, Generation,
    Held, LeaseWatch, NewRun, PageSize, PlanId, PostgresPlace, ProgramVersion, RunId, RunKind, RunSubject,
    ScheduleId, Sequence, ServerId, ServerLock, SlotChange, Store, Tls, Trigger, Unfired, UtcTime, Work,
    never_again,
};
use keepfast_testkit::servers::PostgresServer;
use tempfile::TempDir;

/// How long the tests' leases are.
pub const LEASE: Duration = Duration::from_secs(60);

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// A database, empty at first.
pub struct Lab {
    on: On,
    folder: TempDir,
    lock: Option<ServerLock>,
    postgres: Option<(Arc<PostgresServer>, PostgresPlace)>,
}

impl Lab {
    pub fn new(on: On) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut lock, mut postgres) = (None, None);
        match on {
            On::Sqlite => lock = Some(ServerLock::take(&folder.path().join("state.db")).unwrap()),
            On::Postgres => {
                let server = PostgresServer::shared();
                let place = place(&server, server.database());
                postgres = Some((server, place));
            }
        }
        Self { on, folder, lock, postgres }
    }

    pub fn on(&self) -> On {
        self.on
    }

    /// Opens it as a server does.
    pub async fn open(&self) -> Store {
        match (&self.lock, &self.postgres) {
            (Some(lock), _) => Store::open_sqlite(lock).await.unwrap(),
            (_, Some((_, place))) => Store::open_postgres(place).await.unwrap(),
            _ => unreachable!("it is on one of them"),
        }
    }

    /// Opens it as one more process does that works on it.
    pub async fn join(&self) -> Store {
        match &self.postgres {
            None => Store::join_sqlite(&self.state()).await.unwrap(),
            Some((_, place)) => Store::open_postgres(place).await.unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn state(&self) -> PathBuf {
        self.path("state.db")
    }

    pub fn lock(&self) -> &ServerLock {
        self.lock.as_ref().expect("it is on SQLite")
    }

    pub fn postgres(&self) -> (&PostgresServer, &PostgresPlace) {
        let (server, place) = self.postgres.as_ref().expect("it is on PostgreSQL");
        (server, place)
    }
}

pub fn place(server: &PostgresServer, database: String) -> PostgresPlace {
    PostgresPlace {
        host: server.socket().to_str().unwrap().to_owned(),
        port: server.port(),
        database,
        user: server.user().to_owned(),
        password: None,
        tls: Tls::Off,
    }
}

/// One test for each database, from a function of a lab.
macro_rules! on_both {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        mod sqlite {
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::lab::Lab::new($crate::lab::On::Sqlite)).await;
            })*
        }
        mod postgres {
            $($(#[$doc])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::lab::Lab::new($crate::lab::On::Postgres)).await;
            })*
        }
    };
}
pub(crate) use on_both;

/// The instant at this second of the tests' time.
pub fn at(second: i64) -> UtcTime {
    UtcTime::from_micros((1_800_000_000 + second) * 1_000_000)
}

/// The reading of a clock that never jumps.
pub fn elapsed(second: u64) -> Elapsed {
    Elapsed(Duration::from_secs(second))
}

pub fn plan(name: &str) -> PlanId {
    PlanId::new(name).unwrap()
}

pub fn id(name: impl Into<String>) -> RunId {
    RunId::new(name).unwrap()
}

pub fn executor(server: &str) -> Executor {
    Executor { server: ServerId::new(server).unwrap(), boot: BootId::new("boot 1").unwrap() }
}

pub fn config() -> ConfigHash {
    ConfigHash::new("config 1").unwrap()
}

pub fn version() -> ProgramVersion {
    ProgramVersion::new("0.1.0").unwrap()
}

/// A backup of a plan.
pub fn new_run(name: impl Into<String>, of: &PlanId, trigger: Trigger) -> NewRun {
    NewRun {
        id: id(name),
        kind: RunKind::Backup,
        subject: RunSubject { plan: Some(of.clone()), ..RunSubject::default() },
        trigger,
        config: config(),
        not_before: None,
        errand: None,
    }
}

/// The schedule of a plan.
pub fn schedule(of: &PlanId) -> ScheduleId {
    ScheduleId::new(format!("plan:{of}")).unwrap()
}

/// A decision about a plan's slots.
pub fn decision(of: &PlanId, seen: Option<Generation>, changes: Vec<SlotChange>) -> Decision {
    Decision { schedule: schedule(of), seen, document: serde_json::json!({}), changes }
}

/// A decision by which one slot fires.
pub fn fire(of: &PlanId, seen: Option<Generation>, slot: UtcTime, run: &str) -> Decision {
    let run = new_run(run, of, Trigger::Schedule);
    decision(of, seen, vec![SlotChange::Fire { at: slot, run }])
}

/// Slots in a row without a run.
pub fn unfired(of: &PlanId, first: UtcTime, last: UtcTime, count: u32, reason: &str) -> Unfired {
    let record = new_run(format!("{of} unfired {}", first.as_micros()), of, Trigger::Schedule);
    Unfired { first, last, count, reason: reason.into(), record }
}

/// The state of the schedule after a decision, and the runs that wait.
pub fn stored(decided: Decided) -> (Option<Generation>, Vec<RunId>) {
    match decided {
        Decided::Stored { generation, queued } => {
            (Some(generation), queued.into_iter().map(|run| run.id).collect())
        }
        Decided::Overtaken => panic!("nothing was stored"),
    }
}

/// Claims one run without limits.
pub async fn claim(store: &Store, now: UtcTime, run: &RunId, by: &Executor) -> Option<Held> {
    let candidates = [run.clone()];
    let claim = Claim { candidates: &candidates, limits: &[], executor: by, lease: LEASE };
    store.claim(now, claim).await.unwrap().pop()
}

/// A run's work without anything to tell.
pub fn work(ending: Ending) -> Work {
    Work {
        ending,
        report: None,
        counters: None,
        figures: Figures::default(),
        error: None,
        baseline: None,
        retry: None,
        version: version(),
    }
}

/// Runs a watch until it has seen leases for longer than they are.
pub async fn lose_all(store: &Store, now: UtcTime) -> Vec<RunId> {
    let mut watch = LeaseWatch::new();
    let mut lost = Vec::new();
    for second in [0, 30, 59, 61, 90] {
        let losses = store.lose_runs(now, &mut watch, elapsed(second), &never_again).await.unwrap().lost;
        assert!(losses.is_empty() || second > 60, "lost after {second} s");
        lost.extend(losses.into_iter().map(|loss| loss.run.id));
    }
    lost
}

/// All events from the first one on.
pub async fn all_events(store: &Store) -> Vec<Event> {
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(Sequence::START, |event| event.sequence);
        let page = store.events_after(after, PageSize::MAX).await.unwrap();
        assert!(!page.has_gap);
        if page.events.is_empty() {
            return all;
        }
        all.extend(page.events);
    }
}

/// What the events say: their kind and subject.
pub async fn told(store: &Store) -> Vec<String> {
    let events = all_events(store).await;
    events.iter().map(|event| format!("{} {}", event.kind, event.subject)).collect()
}
