//! Tests whether a store keeps the promises that a repository rests on. A store can't be
//! trusted by its name: some that speak S3's protocol ignore the condition of a create, and
//! then two writers destroy each other's work unnoticed.

use std::fmt;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Backend, BackendError, BackendErrorKind, Created};

/// The folder of the probe's objects. They are removed when the probe ends.
pub(crate) const FOLDER: &str = "probe/";
/// How many creates of one name run at the same time.
const RACERS: u8 = 8;
/// Objects in the listing: enough for several pages where pages are small.
const OBJECTS: usize = 5;

/// A promise that a store breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// It can't create an object without the risk of replacing another, and refuses to create.
    NoExclusiveNames,
    /// A second create of a name isn't refused.
    OverwritesObjects,
    /// Of creates at the same time, not exactly one makes the object.
    RacesHaveNoWinner,
    /// What was created can't be read back as it was.
    ReadsWrongBytes,
    /// A range of an object has other bytes than the object.
    ReadsWrongRanges,
    /// A listing lacks an object, or shows one that was never created.
    ListsWrong,
    /// A removed object is still there.
    KeepsRemoved,
    /// It doesn't distinguish a missing object from one that can't be read.
    HidesWhatIsMissing,
}

impl Flaw {
    /// Whether the store is still safe for a single writer. Any other flaw makes a store useless.
    #[must_use]
    pub fn is_safe_for_one_writer(self) -> bool {
        matches!(self, Self::NoExclusiveNames | Self::OverwritesObjects | Self::RacesHaveNoWinner)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoExclusiveNames => {
                "its file system can neither link files nor rename them without replacing others"
            }
            Self::OverwritesObjects => {
                "it overwrites an object although it was asked to create it only if there is none \
                 (`If-None-Match: *`)"
            }
            Self::RacesHaveNoWinner => {
                "if several writers create one object at the same time, not exactly one wins"
            }
            Self::ReadsWrongBytes => "an object that was written reads back with other bytes",
            Self::ReadsWrongRanges => "a range of an object reads back with other bytes",
            Self::ListsWrong => "a listing doesn't show exactly the objects that are there",
            Self::KeepsRemoved => "a removed object is still there",
            Self::HidesWhatIsMissing => "it doesn't report a missing object as missing",
        })
    }
}

/// How long the store took to answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// The number of answers.
    pub count: u32,
    /// The median time.
    pub median: Duration,
    /// The longest time.
    pub max: Duration,
}

/// What a probe found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeReport {
    /// Each flaw, with what the probe saw.
    pub flaws: Vec<(Flaw, String)>,
    /// Creates.
    pub create: Latency,
    /// Reads.
    pub read: Latency,
    /// Listings.
    pub list: Latency,
    /// Removals.
    pub remove: Latency,
}

impl ProbeReport {
    /// Whether any number of writers may use the store.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.flaws.is_empty()
    }

    /// Whether a single writer may use the store.
    #[must_use]
    pub fn is_safe_for_one_writer(&self) -> bool {
        self.flaws.iter().all(|(flaw, _)| flaw.is_safe_for_one_writer())
    }
}

/// How to probe.
#[derive(Debug, Clone, Copy)]
pub struct ProbeOptions<'a> {
    /// Distinguishes this probe's objects from another's. It must be unique.
    pub tag: &'a str,
    /// Size of the large object.
    pub large_bytes: usize,
    /// A clock that never goes back.
    pub clock: fn() -> Instant,
}

/// Probes a store. An error means that the store couldn't be used at all. The probe removes its objects. Where only a
/// single writer can create, the probe declares itself to be that one, for all handles to the same store: use
/// another [`Store`](crate::Store) for other work.
pub fn probe(backend: &dyn Backend, options: &ProbeOptions<'_>) -> Result<ProbeReport, BackendError> {
    let mut probe = Probe {
        backend,
        folder: format!("{FOLDER}{}/", options.tag),
        clock: options.clock,
        flaws: Vec::new(),
        times: Default::default(),
    };
    let ended = probe.run(options.large_bytes);
    let cleared = probe.clear();
    ended.and(cleared)?;
    let [create, read, list, remove] = probe.times.map(latency);
    Ok(ProbeReport { flaws: probe.flaws, create, read, list, remove })
}

#[derive(Clone, Copy)]
enum Timed {
    Create,
    Read,
    List,
    Remove,
}

struct Probe<'a> {
    backend: &'a dyn Backend,
    folder: String,
    clock: fn() -> Instant,
    flaws: Vec<(Flaw, String)>,
    times: [Vec<Duration>; 4],
}

impl Probe<'_> {
    fn run(&mut self, large_bytes: usize) -> Result<(), BackendError> {
        self.two_creates()?;
        self.large(large_bytes)?;
        self.race()?;
        self.ranges()?;
        self.listing()?;
        self.removal()
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }

    fn timed<T>(&mut self, what: Timed, work: impl FnOnce(&dyn Backend) -> T) -> T {
        let begun = (self.clock)();
        let value = work(self.backend);
        self.times[what as usize].push((self.clock)() - begun);
        value
    }

    fn flaw(&mut self, flaw: Flaw, seen: impl Into<String>) {
        self.flaws.push((flaw, seen.into()));
    }

    fn create(&mut self, name: &str, body: &[u8]) -> Result<Created, BackendError> {
        let name = self.name(name);
        self.timed(Timed::Create, |backend| backend.create(&name, &[body]))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, BackendError> {
        let name = self.name(name);
        self.timed(Timed::Read, |backend| backend.read(&name, 1 << 30))
    }

    fn listed(&mut self, prefix: &str) -> Result<Vec<(String, u64)>, BackendError> {
        let prefix = self.name(prefix);
        let mut found = Vec::new();
        self.timed(Timed::List, |backend| {
            backend.list(&prefix, &mut |object| found.push((object.name, object.bytes)))
        })?;
        found.sort_unstable();
        Ok(found)
    }

    fn two_creates(&mut self) -> Result<(), BackendError> {
        let (name, flaw) = ("twice", Flaw::OverwritesObjects);
        let mut first = self.create(name, b"first");
        if let Some(lack) = first.as_ref().err().and_then(BackendError::no_exclusive_names) {
            self.flaw(Flaw::NoExclusiveNames, lack.seen());
            // The probe still has to find out whether the store keeps its other promises.
            self.backend.expect_one_writer();
            first = self.create(name, b"first");
        }
        if first? != Created::New {
            self.flaw(flaw, "the first create of a new name was answered as if the name were taken");
        }
        let refused = self.create(name, b"second")? == Created::AlreadyThere;
        if !refused {
            self.flaw(flaw, "the second create of a name was answered as if it were the first");
        }
        match self.read(name) {
            Ok(found) if found == b"first" => {}
            Ok(found) if found == b"second" && !refused => {}
            Ok(found) if found == b"second" => {
                self.flaw(flaw, "the second create was refused, but its bytes are what is stored");
            }
            Ok(_) => self.flaw(Flaw::ReadsWrongBytes, "neither of two creates' bytes came back"),
            Err(error) if error.is_not_found() => {
                self.flaw(Flaw::ReadsWrongBytes, "an object that was just created can't be found");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A large object, sent as packs are.
    fn large(&mut self, bytes: usize) -> Result<(), BackendError> {
        // The lowest byte of the position, mixed with the two above.
        let mixed = |at: usize| at.to_le_bytes()[..3].iter().fold(0, |mixed, byte| mixed ^ byte);
        let body: Vec<u8> = (0..bytes).map(mixed).collect();
        self.create("large", &body)?;
        match self.read("large") {
            Ok(found) if found == body => {}
            Ok(found) => {
                let seen = format!("{bytes} bytes were written, and {} other bytes were read", found.len());
                self.flaw(Flaw::ReadsWrongBytes, seen);
            }
            Err(error) if error.is_not_found() => {
                self.flaw(Flaw::ReadsWrongBytes, "a large object that was just created can't be found");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn race(&mut self) -> Result<(), BackendError> {
        let (backend, name, start) = (self.backend, self.name("race"), Barrier::new(RACERS.into()));
        let results: Vec<Result<Created, BackendError>> = thread::scope(|scope| {
            let racers: Vec<_> = (0..RACERS)
                .map(|racer: u8| {
                    let (name, start) = (&name, &start);
                    scope.spawn(move || {
                        let body = [racer; 1000];
                        start.wait();
                        backend.create(name, &[&body])
                    })
                })
                .collect();
            racers.into_iter().filter_map(|racer| racer.join().ok()).collect()
        });
        let mut winners = Vec::new();
        for (racer, result) in (0_u8..).zip(results) {
            if result? == Created::New {
                winners.push(racer);
            }
        }
        let stored = self.read("race").map(|body| body.first().copied());
        match (winners.as_slice(), stored) {
            ([winner], Ok(Some(stored))) if *winner == stored => {}
            ([_], Ok(_)) => self.flaw(Flaw::RacesHaveNoWinner, "the stored object isn't the winner's"),
            (winners, Ok(_)) => {
                self.flaw(
                    Flaw::RacesHaveNoWinner,
                    format!("{} of {RACERS} creates were answered as the winner", winners.len()),
                );
            }
            (_, Err(error)) if error.is_not_found() => {
                self.flaw(Flaw::RacesHaveNoWinner, "afterwards there is no object");
            }
            (_, Err(error)) => return Err(error),
        }
        Ok(())
    }

    fn ranges(&mut self) -> Result<(), BackendError> {
        let body: Vec<u8> = (0..=255).collect();
        self.create("ranges", &body)?;
        let name = self.name("ranges");
        for (offset, length) in [(0_usize, 256), (0, 1), (100, 56), (250, 100), (256, 10)] {
            let found =
                self.timed(Timed::Read, |backend| backend.read_range(&name, offset as u64, length))?;
            if found != body[offset..(offset + length).min(256)] {
                self.flaw(
                    Flaw::ReadsWrongRanges,
                    format!(
                        "{length} bytes from offset {offset} were asked for, and {} wrong bytes came",
                        found.len()
                    ),
                );
                break;
            }
        }
        Ok(())
    }

    fn listing(&mut self) -> Result<(), BackendError> {
        let mut expected = Vec::new();
        for number in 0..OBJECTS {
            // A folder and a file whose names differ in one character: some stores sort them differently.
            let name = if number % 2 == 0 { format!("list/{number}/x") } else { format!("list/{number}-x") };
            self.create(&name, &vec![0; number])?;
            expected.push((self.name(&name), number as u64));
            let found = match self.listed("list/") {
                Ok(found) => found,
                Err(error) if is_store_itself(&error) => return Err(error),
                Err(error) => {
                    self.flaw(Flaw::ListsWrong, error.source.to_string());
                    return Ok(());
                }
            };
            let mut sorted = expected.clone();
            sorted.sort_unstable();
            if found != sorted {
                let seen = format!("{} objects were created, {} listed", sorted.len(), found.len());
                self.flaw(Flaw::ListsWrong, seen);
                return Ok(());
            }
        }
        Ok(())
    }

    fn removal(&mut self) -> Result<(), BackendError> {
        let name = self.name("removed");
        self.create("removed", b"x")?;
        for _ in 0..2 {
            self.timed(Timed::Remove, |backend| backend.remove(&name))?;
        }
        match self.read("removed") {
            Ok(_) => self.flaw(Flaw::KeepsRemoved, "a removed object can still be read"),
            Err(error) if error.is_not_found() => {}
            Err(error) => self.flaw(Flaw::HidesWhatIsMissing, error.source.to_string()),
        }
        if self.listed("").is_ok_and(|found| found.iter().any(|(found, _)| *found == name)) {
            self.flaw(Flaw::KeepsRemoved, "a removed object is still listed");
        }
        Ok(())
    }

    /// Removes the probe's objects by their known names: the store's listing may be what is wrong.
    fn clear(&mut self) -> Result<(), BackendError> {
        let fixed = ["twice", "large", "race", "ranges", "removed"].map(str::to_owned);
        let listed =
            (0..OBJECTS).map(|n| if n % 2 == 0 { format!("list/{n}/x") } else { format!("list/{n}-x") });
        for name in fixed.into_iter().chain(listed) {
            let name = self.name(&name);
            self.timed(Timed::Remove, |backend| backend.remove(&name))?;
        }
        Ok(())
    }
}

/// Whether an error is about the access to the store, and not about what the store can do.
fn is_store_itself(error: &BackendError) -> bool {
    error.kind == BackendErrorKind::Denied
}

fn latency(mut times: Vec<Duration>) -> Latency {
    times.sort_unstable();
    Latency {
        count: u32::try_from(times.len()).unwrap_or(u32::MAX),
        median: times.get(times.len() / 2).copied().unwrap_or_default(),
        max: times.last().copied().unwrap_or_default(),
    }
}
