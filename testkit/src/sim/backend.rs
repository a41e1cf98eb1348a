//! The store as one process sees it: each call is a turn in the history, and may go wrong.
//!
//! Others may act before each call's effect, and nowhere else: no other process can see what one does
//! between two calls, so an answer that comes late and a next call that comes late are the same.

use std::sync::{Arc, MutexGuard};

use keepfast_backend::{Backend, BackendError, BackendErrorKind, Created, Listed, Operation};
use keepfast_format::names;

use super::world::{Number, Rest, State, World};

/// One process's way to the store, in one of its lives.
pub(super) struct SimBackend {
    pub world: Arc<World>,
    pub process: Number,
    pub life: u32,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Works,
    /// No effect, and an error.
    Fails,
    /// Its effect, and an error.
    AnswerLost,
    /// No effect, and the end of the process.
    CrashBefore,
    /// Its effect, and the end of the process.
    CrashAfter,
}

impl Fate {
    fn has_effect(self) -> bool {
        matches!(self, Self::Works | Self::AnswerLost | Self::CrashAfter)
    }
}

/// A call whose turn has come.
struct Call<'b> {
    state: MutexGuard<'b, State>,
    fate: Fate,
    operation: Operation,
    name: &'b str,
}

fn failed(operation: Operation, name: &str, kind: BackendErrorKind) -> BackendError {
    BackendError::of_kind(operation, name, kind)
}

/// What is made by `init` and never changes.
fn is_parameter(name: &str) -> bool {
    [names::CONFIG, names::KEYS, names::KEYRING].iter().any(|prefix| name.starts_with(prefix))
}

impl SimBackend {
    fn is_dead(&self, state: &State) -> bool {
        let process = &state.processes[self.process];
        process.dead || process.life != self.life
    }

    /// Waits for a call's turn, and draws what becomes of it.
    fn begin<'b>(&'b self, operation: Operation, name: &'b str) -> Result<Call<'b>, BackendError> {
        let mut state = self.world.lock();
        if self.is_dead(&state) {
            return Err(failed(operation, name, BackendErrorKind::Unreachable));
        }
        let me = self.process;
        assert!(
            !std::mem::replace(&mut state.processes[me].calling, true),
            "{} calls the store from two threads at once, at {operation} {name}: no run replays that",
            state.processes[me].name,
        );
        if is_parameter(name) && !state.nature.parameters {
            return Ok(Call { state, fate: Fate::Works, operation, name });
        }
        let rates = state.nature;
        let rest = if state.random.one_in(rates.pauses) { state.draw_pause() } else { Rest::None };
        state = self.world.turn(state, me, rest);
        let random = &mut state.random;
        let fate = if random.one_in(rates.crashes) {
            random.among(&[Fate::CrashBefore, Fate::CrashAfter])
        } else if random.one_in(rates.failed) {
            Fate::Fails
        } else if random.one_in(rates.lost) {
            Fate::AnswerLost
        } else {
            Fate::Works
        };
        // Ended by force, because the history doesn't end.
        let fate = if self.is_dead(&state) { Fate::CrashBefore } else { fate };
        Ok(Call { state, fate, operation, name })
    }

    /// Writes down what became of a call, and answers.
    fn end<T>(
        &self,
        mut call: Call<'_>,
        answer: Result<T, BackendErrorKind>,
        what: &str,
    ) -> Result<T, BackendError> {
        let Call { fate, operation, name, .. } = call;
        let state = &mut *call.state;
        let process = &mut state.processes[self.process];
        process.calling = false;
        process.harmed += u32::from(fate != Fate::Works);
        process.dead |= matches!(fate, Fate::CrashBefore | Fate::CrashAfter);
        if !is_parameter(name) || state.nature.parameters {
            let mut short = state.log.short(name);
            if !short.is_empty() {
                short.insert(0, ' ');
            }
            if fate == Fate::Works {
                state.line(self.process, format_args!("{operation}{short}: {what}"));
            } else {
                state.line(self.process, format_args!("{operation}{short}: {what}, {fate:?}"));
            }
        }
        match fate {
            Fate::Works => answer.map_err(|kind| failed(operation, name, kind)),
            Fate::Fails | Fate::AnswerLost => Err(failed(operation, name, BackendErrorKind::Unreachable)),
            Fate::CrashBefore | Fate::CrashAfter => {
                Err(failed(operation, name, BackendErrorKind::Unreachable))
            }
        }
    }

    fn read_with(&self, name: &str, bytes_max: u64, take: impl FnOnce(&[u8])) -> Result<(), BackendError> {
        let call = self.begin(Operation::Read, name)?;
        let read = call.state.objects.read(name, bytes_max).map(|bytes| take(&bytes));
        let what = match &read {
            Ok(_) => "read",
            Err(BackendErrorKind::NotFound) => "not there",
            Err(_) => "refused",
        };
        self.end(call, read, what)
    }
}

impl Backend for SimBackend {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let bytes: Arc<[u8]> = parts.concat().into();
        let mut call = self.begin(Operation::Create, name)?;
        let state = &mut *call.state;
        let created = if call.fate.has_effect() {
            state.objects.create(name, Arc::clone(&bytes))
        } else {
            Created::AlreadyThere
        };
        // A store that doesn't answer may still do what it was asked for.
        let rate = if call.fate == Fate::Fails { 2 } else { state.nature.duplicated };
        let again = state.random.one_in(rate);
        if again {
            state.send_late(self.process, name, &bytes);
        }
        let what = match (call.fate.has_effect(), created, again) {
            (false, _, false) => "lost",
            (false, _, true) => "late",
            (true, Created::New, false) => "new",
            (true, Created::New, true) => "new, and once more later",
            (true, Created::AlreadyThere, _) => "already there",
        };
        self.end(call, Ok(created), what)
    }

    /// The simulated store is durable at once: power cuts are the matter of other tests.
    fn sync(&self) -> Result<(), BackendError> {
        let call = self.begin(Operation::Sync, "")?;
        self.end(call, Ok(()), "done")
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.read_with(name, bytes_max, |object| object.clone_into(bytes))
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        self.read_with(name, u64::MAX, |object| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(object.len());
            object[start..start.saturating_add(length).min(object.len())].clone_into(bytes);
        })
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let mut call = self.begin(Operation::List, prefix)?;
        let salt = call.state.random.number();
        let page = match call.state.nature.page {
            0 => usize::MAX,
            page => page,
        };
        let (mut from, mut count) = (0, 0);
        loop {
            let (listed, next) = call.state.objects.list(prefix, salt, from, page);
            count += listed.len();
            listed.into_iter().for_each(&mut *found);
            let Some(next) = next.filter(|_| call.fate == Fate::Works) else { break };
            from = next;
            call.state = self.world.turn(call.state, self.process, Rest::None);
            if self.is_dead(&call.state) {
                call.fate = Fate::CrashBefore;
            }
        }
        self.end(call, Ok(()), &format!("{count} objects"))
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        let mut call = self.begin(Operation::Remove, name)?;
        if call.fate.has_effect() {
            call.state.objects.remove(name);
        }
        self.end(call, Ok(()), "gone")
    }

    fn location(&self) -> String {
        "simulation".to_owned()
    }
}
