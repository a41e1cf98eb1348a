//! One history: processes and a seed, from which everything follows.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::nature::Nature;
use super::objects::Objects;
use super::process::SimProcess;
use super::random::Random;
use super::world::World;

/// What a process does. It fails the history by an `Err` or a panic: failures of the store
/// are its own business.
pub type Body<'h> = Box<dyn FnOnce(&SimProcess) -> Result<(), String> + Send + 'h>;

/// A history that hasn't begun.
pub struct History<'h> {
    seed: u64,
    calm: bool,
    objects: Objects,
    processes: Vec<(String, Body<'h>)>,
}

/// What a history leaves.
pub struct Ended {
    /// The store.
    pub objects: Objects,
    /// All that happened, line by line.
    pub log: String,
    /// What else helps to understand it, with the steps at which it was said.
    pub asides: String,
    /// What processes complained about.
    pub failures: Vec<String>,
    /// How many times a process was given the baton.
    pub steps: u64,
}

/// Threads for the processes of one history at a time, kept for the next one. Each is a pool
/// of its own, so that what the engine does in parallel stays on it.
#[derive(Default)]
pub struct Threads {
    pools: Vec<ThreadPool>,
}

impl Threads {
    fn at_least(&mut self, count: usize) -> &[ThreadPool] {
        while self.pools.len() < count {
            let pool = ThreadPoolBuilder::new().num_threads(1).build();
            self.pools.push(pool.expect("a thread can be started"));
        }
        &self.pools[..count]
    }

    /// Does something on one of the threads.
    pub fn install<T: Send>(&mut self, work: impl FnOnce() -> T + Send) -> T {
        self.at_least(1)[0].install(work)
    }
}

impl<'h> History<'h> {
    /// A history without processes that begins with these objects in the store.
    #[must_use]
    pub fn new(seed: u64, objects: &Objects) -> Self {
        Self { seed, calm: false, objects: objects.clone(), processes: Vec::new() }
    }

    /// Nothing goes wrong in it; only the processes' turns are chosen.
    #[must_use]
    pub fn calm(mut self) -> Self {
        self.calm = true;
        self
    }

    /// Adds a process.
    #[must_use]
    pub fn process(
        mut self,
        name: impl Into<String>,
        body: impl FnOnce(&SimProcess) -> Result<(), String> + Send + 'h,
    ) -> Self {
        self.processes.push((name.into(), Box::new(body)));
        self
    }

    /// Plays it to its end.
    #[must_use]
    pub fn play(self, threads: &mut Threads) -> Ended {
        let mut random = Random::new(self.seed);
        let drawn = Nature::draw(&mut random);
        let nature = if self.calm { Nature::calm() } else { drawn };
        let first_line = format!("seed {}: {nature:?}\n", self.seed);
        let names: Vec<String> = self.processes.iter().map(|(name, _)| name.clone()).collect();
        let (scheduling, mut others) = (random.fork(), random.fork());
        let world = World::new(scheduling, nature, self.objects, names);
        let failures = Mutex::default();
        let jobs: Vec<Job<'_, 'h>> = self
            .processes
            .into_iter()
            .enumerate()
            .map(|(number, (name, body))| {
                let process = SimProcess::new(Arc::clone(&world), number, name, others.fork());
                Job { world: &world, number, process, body, failures: &failures }
            })
            .collect();
        let pools = threads.at_least(jobs.len());
        start(jobs, pools, &|| world.play());
        let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut state = world.lock();
        state.settle();
        if state.endless {
            failures.push("it doesn't end".to_owned());
        }
        let (log, asides) = std::mem::take(&mut state.log).into_texts();
        let objects = std::mem::take(&mut state.objects);
        Ended { objects, log: first_line + &log, asides, failures, steps: state.step }
    }
}

/// A process and where it runs.
struct Job<'j, 'h> {
    world: &'j Arc<World>,
    number: usize,
    process: SimProcess,
    body: Body<'h>,
    failures: &'j Mutex<Vec<String>>,
}

impl Job<'_, '_> {
    fn run(self) {
        self.world.enter(self.number);
        let Self { process, body, .. } = self;
        let failure = match catch_unwind(AssertUnwindSafe(|| body(&process))) {
            Ok(done) => done.err(),
            Err(panic) => Some(format!("panicked: {}", text_of(&*panic))),
        };
        if let Some(what) = failure {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.push(format!("{}: {what}", process.name()));
        }
        self.world.leave(self.number);
    }
}

/// Starts every job on its thread, then calls `play`; ends when they all have.
fn start(mut jobs: Vec<Job<'_, '_>>, pools: &[ThreadPool], play: &(dyn Fn() + Sync)) {
    let Some(job) = jobs.pop() else { return play() };
    pools[jobs.len()].in_place_scope(|scope| {
        scope.spawn(|_| job.run());
        start(jobs, pools, play);
    });
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a word",
    }
}
