//! What a simulated process has in its hands.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keepfast_backend::Backend;
use keepfast_engine::repo::Entropy;
use keepfast_format::node::Timestamp;

use crate::host::TestHost;

use super::backend::SimBackend;
use super::random::Random;
use super::world::{Number, Rest, World};

/// Clocks begin in a future in which every file on disk is old.
pub const CLOCK_START_S: i64 = 4_102_444_800;
const YEAR_S: usize = 365 * 24 * 3600;

/// One process of a history: its store, its random numbers, its clock. What it does may only
/// hang on these.
pub struct SimProcess {
    world: Arc<World>,
    number: Number,
    name: String,
    random: Mutex<Random>,
}

impl SimProcess {
    pub(super) fn new(world: Arc<World>, number: Number, name: String, random: Random) -> Self {
        Self { world, number, name, random: Mutex::new(random) }
    }

    /// Its name in the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store. When the process has crashed, nothing works any more that was asked for
    /// before [`SimProcess::begin`].
    #[must_use]
    pub fn backend(&self) -> Arc<dyn Backend> {
        let life = self.world.lock().processes[self.number].life;
        Arc::new(SimBackend { world: Arc::clone(&self.world), process: self.number, life })
    }

    /// Starts the process again, with nothing but what is on its disk; it may have crashed or
    /// ended normally. If the history has to end, it isn't started, and this returns `false`.
    pub fn begin(&self) -> bool {
        let mut state = self.world.lock();
        if state.endless {
            return false;
        }
        let process = &mut state.processes[self.number];
        process.life += 1;
        process.dead = false;
        process.harmed = 0;
        true
    }

    /// Whether it has crashed since it was begun.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.world.lock().processes[self.number].dead
    }

    /// Whether any of its calls has failed since it was begun: if none has, nothing else may.
    #[must_use]
    pub fn was_harmed(&self) -> bool {
        self.world.lock().processes[self.number].harmed > 0
    }

    /// Random bytes for the engine.
    #[must_use]
    pub fn entropy(&self) -> Arc<Entropy> {
        let random = Mutex::new(self.random().fork());
        Arc::new(move |bytes| {
            random.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
            Ok(())
        })
    }

    /// A number below `limit`, for choices of the process.
    #[must_use]
    pub fn below(&self, limit: usize) -> usize {
        self.random().below(limit)
    }

    fn random(&self) -> std::sync::MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine that it runs on.
    #[must_use]
    pub fn host(&self) -> Arc<TestHost> {
        let (clock, waiting) = (self.machine(), self.machine());
        Arc::new(TestHost::new(Arc::new(move || clock.now())).waiting(move |time| waiting.wait(time)))
    }

    /// The machine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.machine().now()
    }

    /// Waits, while others act.
    pub fn wait(&self, duration: Duration) {
        self.machine().wait(duration);
    }

    fn machine(&self) -> SimMachine {
        SimMachine { world: Arc::clone(&self.world), number: self.number }
    }

    /// Writes a line into the log. It must be the same whenever the seed is played: no paths,
    /// no ids.
    pub fn note(&self, what: fmt::Arguments<'_>) {
        self.world.lock().line(self.number, what);
    }

    /// Writes a line for a person who examines a failure. It may differ from run to run.
    pub fn aside(&self, what: &str) {
        let mut state = self.world.lock();
        let step = state.step;
        state.log.aside(step, &self.name, what);
    }
}

/// What of the world a process sees as its machine.
struct SimMachine {
    world: Arc<World>,
    number: Number,
}

impl SimMachine {
    /// The machine's clock. It jumps, by up to a year.
    fn now(&self) -> Timestamp {
        let mut state = self.world.lock();
        let rate = state.nature.jumps;
        if state.random.one_in(rate) {
            let off = small(state.random.below(2 * YEAR_S)) - small(YEAR_S);
            state.processes[self.number].clock_off_s = off;
        }
        let off = state.processes[self.number].clock_off_s;
        let (seconds, ms) = (state.time_ms / 1000, state.time_ms % 1000);
        let ms = u32::try_from(ms).expect("it is less than a second");
        Timestamp { seconds: CLOCK_START_S + small(seconds) + off, nanos: ms * 1_000_000 }
    }

    /// Waits, while others act.
    fn wait(&self, duration: Duration) {
        let state = self.world.lock();
        if !state.processes[self.number].dead {
            let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            drop(self.world.turn(state, self.number, Rest::Milliseconds(ms)));
        }
    }
}

/// A number of seconds that a history is long, or a clock is off.
fn small(seconds: impl TryInto<i64, Error: std::fmt::Debug>) -> i64 {
    seconds.try_into().expect("no history is that long")
}
