//! The world of one history: its store, its time, and the baton that says which of its
//! processes runs. Everything that is chosen is chosen here, by one generator, while the
//! process that has the baton holds the lock.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::log::Log;
use super::nature::{Nature, Turns};
use super::objects::Objects;
use super::random::Random;

/// No history takes this many steps: one that does has something in it that doesn't end.
const STEPS_MAX: u64 = 100_000;
/// A pause takes at most 2 to the power of this, in milliseconds: a month.
const PAUSE_BITS: usize = 31;
/// A late create comes within 2 to the power of this, in steps, or after everything else.
const LATE_BITS: usize = 10;
/// Or it ends after this many steps, or when all others have ended.
const PAUSE_STEPS: u64 = 3_000;

/// What all processes of a history share.
pub(super) struct World {
    state: Mutex<State>,
    /// One for each process.
    batons: Vec<Condvar>,
    ended: Condvar,
}

/// The number of a process in its history.
pub(super) type Number = usize;

pub(super) struct State {
    pub random: Random,
    pub nature: Nature,
    pub objects: Objects,
    pub log: Log,
    /// Milliseconds since the history began.
    pub time_ms: u64,
    pub step: u64,
    running: Option<Number>,
    pub processes: Vec<Process>,
    late: Vec<Late>,
    /// Process numbers, the first one goes first.
    order: Vec<Number>,
    pub endless: bool,
}

pub(super) struct Process {
    pub name: String,
    /// How often it has started again.
    pub life: u32,
    /// Whether it has crashed in this life.
    pub dead: bool,
    /// It isn't given the baton before this time, and this step.
    wakes_ms: u64,
    wakes_step: u64,
    pub ended: bool,
    /// Whether one of its threads is in a call.
    pub calling: bool,
    /// Calls in this life that did anything else than to work.
    pub harmed: u32,
    /// How far its clock is off, in seconds.
    pub clock_off_s: i64,
}

/// How long a process stands still.
pub(super) enum Rest {
    None,
    Milliseconds(u64),
    Steps(u64),
}

/// A create on its way.
struct Late {
    step: u64,
    sender: Number,
    name: String,
    bytes: Arc<[u8]>,
}

impl World {
    pub fn new(mut random: Random, nature: Nature, objects: Objects, names: Vec<String>) -> Arc<Self> {
        let mut order: Vec<Number> = (0..names.len()).collect();
        random.shuffle(&mut order);
        let batons = names.iter().map(|_| Condvar::new()).collect();
        let processes = names
            .into_iter()
            .map(|name| Process {
                name,
                life: 0,
                dead: false,
                wakes_ms: 0,
                wakes_step: 0,
                ended: false,
                calling: false,
                harmed: 0,
                clock_off_s: 0,
            })
            .collect();
        let state = State {
            random,
            nature,
            objects,
            log: Log::default(),
            time_ms: 0,
            step: 0,
            running: None,
            processes,
            late: Vec::new(),
            order,
            endless: false,
        };
        Arc::new(Self { state: Mutex::new(state), batons, ended: Condvar::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the first turn.
    pub fn enter(&self, me: Number) {
        drop(self.wait_for_baton(self.lock(), me));
    }

    /// Gives the baton on, and comes back when it is this process's turn again.
    pub fn turn<'w>(
        &'w self,
        mut state: MutexGuard<'w, State>,
        me: Number,
        rest: Rest,
    ) -> MutexGuard<'w, State> {
        let (ms, steps) = match rest {
            Rest::None => (0, 0),
            Rest::Milliseconds(ms) => (ms, 0),
            Rest::Steps(steps) => (0, steps),
        };
        state.processes[me].wakes_ms = state.time_ms.saturating_add(ms);
        state.processes[me].wakes_step = state.step + steps;
        self.pass_baton(&mut state);
        self.wait_for_baton(state, me)
    }

    /// Ends a process.
    pub fn leave(&self, me: Number) {
        let mut state = self.lock();
        state.processes[me].ended = true;
        self.pass_baton(&mut state);
    }

    /// Begins, and returns when all have ended.
    pub fn play(&self) {
        let mut state = self.lock();
        self.pass_baton(&mut state);
        while state.running.is_some() {
            state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pass_baton(&self, state: &mut State) {
        state.advance();
        let next = state.choose();
        state.running = next;
        match next {
            Some(next) => self.batons[next].notify_one(),
            None => self.ended.notify_one(),
        }
    }

    fn wait_for_baton<'w>(&'w self, mut state: MutexGuard<'w, State>, me: Number) -> MutexGuard<'w, State> {
        while state.running != Some(me) {
            state = self.batons[me].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

impl State {
    pub fn line(&mut self, process: Number, what: fmt::Arguments<'_>) {
        self.log.line(self.step, &self.processes[process].name, what);
    }

    /// Lets time pass, and late creates arrive.
    fn advance(&mut self) {
        self.step += 1;
        self.time_ms = self.time_ms.saturating_add(1 + self.random.of_any_size(self.nature.step_bits));
        let mut at = 0;
        while at < self.late.len() {
            if self.late[at].step <= self.step {
                let late = self.late.remove(at);
                self.arrive(late);
            } else {
                at += 1;
            }
        }
        if self.step > STEPS_MAX && !self.endless {
            self.endless = true;
            for process in &mut self.processes {
                process.dead = true;
            }
        }
    }

    fn arrive(&mut self, late: Late) {
        let made = self.objects.create(&late.name, late.bytes);
        let short = self.log.short(&late.name);
        self.line(late.sender, format_args!("late create {short}: {made:?}"));
    }

    /// What is still on its way arrives, or never does.
    pub fn settle(&mut self) {
        for late in std::mem::take(&mut self.late) {
            if self.random.one_in(2) {
                self.arrive(late);
            }
        }
    }

    /// Sends a create that will take effect later.
    pub fn send_late(&mut self, sender: Number, name: &str, bytes: &Arc<[u8]>) {
        let step =
            if self.random.one_in(4) { u64::MAX } else { self.step + 1 + self.random.of_any_size(LATE_BITS) };
        self.late.push(Late { step, sender, name: name.to_owned(), bytes: Arc::clone(bytes) });
    }

    /// How long a process stands still that is stopped.
    pub fn draw_pause(&mut self) -> Rest {
        if self.random.one_in(3) {
            Rest::Steps(PAUSE_STEPS)
        } else {
            Rest::Milliseconds(self.random.of_any_size(PAUSE_BITS))
        }
    }

    /// The process that runs next: `None` when all have ended.
    fn choose(&mut self) -> Option<Number> {
        if self.ready().is_empty() {
            // All stand still: until the first of them goes on.
            let waiting = self.processes.iter_mut().filter(|process| !process.ended);
            let first = waiting.min_by_key(|process| (process.wakes_step, process.wakes_ms))?;
            first.wakes_step = 0;
            self.time_ms = self.time_ms.max(first.wakes_ms);
        }
        let mut ready = self.ready();
        let before = self.running.filter(|number| ready.contains(number));
        let next = match (self.nature.turns, before) {
            (Turns::Runs(rate), Some(same)) if !self.random.one_in(rate) => same,
            (Turns::Any | Turns::Runs(_), _) => self.random.among(&ready),
            (Turns::Order(rate), _) => {
                if let Some(last) = before.filter(|_| self.random.one_in(rate)) {
                    self.order.retain(|number| *number != last);
                    self.order.push(last);
                    ready.retain(|number| *number != last);
                    ready.push(last);
                }
                ready[0]
            }
        };
        Some(next)
    }

    fn ready(&self) -> Vec<Number> {
        let ready = |number: &&Number| {
            let process = &self.processes[**number];
            !process.ended && process.wakes_ms <= self.time_ms && process.wakes_step <= self.step
        };
        self.order.iter().filter(ready).copied().collect()
    }
}
