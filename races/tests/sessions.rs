//! A session refers to packs while one of its threads answers an epoch that condemns them: nothing that it refers to
//! may be missing among its objections.

use std::collections::HashSet;

use keepfast_format::ids::{HolderId, PackId, SessionId};
use keepfast_format::names::PackName;
use keepfast_races::marks::{PackMarks, SessionMarks};
use keepfast_races::numbers::PackNumber;
use keepfast_races::sync::{Arc, Mutex};
use keepfast_races::takeover::{Before, Takeover};
use shuttle::{check_pct, check_random, thread};

/// Orders that each scheduler tries. `make soak` tries more.
fn orders() -> usize {
    std::env::var("KEEPFAST_RACES_ORDERS").ok().and_then(|orders| orders.parse().ok()).unwrap_or(2_000)
}

/// Preemptions at places that matter, of which the faults here need two or three.
const DEPTH: usize = 3;

fn explore(race: fn()) {
    check_random(race, orders());
    check_pct(race, orders(), DEPTH);
}

/// The pack that only looked-up references lead to.
const LOOKED_UP: PackNumber = PackNumber::new(0);
/// The pack that the parent refers to.
const OF_PARENT: PackNumber = PackNumber::new(1);
/// The pack that the index learns of while all this goes on.
const LEARNED: PackNumber = PackNumber::new(9);

fn name(pack: PackNumber) -> PackName {
    let session = SessionId { writer: HolderId::new([0; 8]), random: [1; 16] };
    PackName { id: PackId::new([u8::try_from(pack.get()).expect("it is one of the above"); 32]), session }
}

/// What one process has of a repository and of a session in it.
struct Process {
    marks: PackMarks,
    session: Arc<SessionMarks>,
    takeover: Takeover,
    /// The packs that the index knows, and their numbers.
    index: Mutex<Vec<(PackName, PackNumber)>>,
    /// What the snapshot will refer to.
    used: Mutex<HashSet<PackNumber>>,
}

impl Process {
    fn new() -> Arc<Self> {
        let marks = PackMarks::default();
        let session = marks.begin_session();
        let takeover = Takeover::closed();
        takeover.open();
        let index = Mutex::new([LOOKED_UP, OF_PARENT].map(|pack| (name(pack), pack)).to_vec());
        Arc::new(Self { marks, session, takeover, index, used: Mutex::new(HashSet::new()) })
    }

    fn uses(&self, pack: PackNumber) {
        self.used.lock().expect("no one panics").insert(pack);
    }

    /// What a thread does that stores a chunk: it looks for it in the index.
    fn refer(&self, pack: PackNumber) {
        let is_known = self.index.lock().expect("no one panics").iter().any(|(_, number)| *number == pack);
        if is_known && self.session.refer(&self.marks, pack) {
            self.uses(pack);
        }
    }

    /// What a thread does that meets a subtree that is as the parent has it.
    fn take_over(&self) {
        if self.takeover.take() {
            self.uses(OF_PARENT);
        } else {
            self.refer(OF_PARENT);
        }
    }

    /// What the thread does that hears of an epoch. Returns the session's objections.
    fn answer(&self, condemned: &[PackNumber]) -> HashSet<PackNumber> {
        // As `Session::answer_newer_than`: closed *first*, then held, then condemned.
        if self.takeover.close() == Before::Taken {
            assert!(self.session.hold(&self.marks, OF_PARENT), "nothing has condemned it yet");
        }
        let names: Vec<PackName> = condemned.iter().map(|pack| name(*pack)).collect();
        self.marks.condemn_all(&self.session, names.clone(), || {
            let known = self.index.lock().expect("no one panics").clone();
            let known = known.into_iter().filter(|(name, _)| names.contains(name));
            known.map(|(_, number)| number).filter(|number| self.session.condemn(*number)).collect()
        })
    }

    /// What a thread does that reads a segment.
    fn learn(&self) {
        let adding = self.marks.adding();
        adding.add(&name(LEARNED), LEARNED);
        self.index.lock().expect("no one panics").push((name(LEARNED), LEARNED));
    }

    /// What is used is in no pack that the epoch may remove.
    fn assert_safe(&self, condemned: &[PackNumber], objections: &HashSet<PackNumber>) {
        for pack in self.used.lock().expect("no one panics").iter() {
            let is_removed = condemned.contains(pack) && !objections.contains(pack);
            assert!(!is_removed, "pack {pack} is used, and the session doesn't object to its removal");
        }
    }
}

/// Two threads refer to packs, and take the parent over, while a third answers an epoch.
#[test]
fn what_is_referred_to_is_objected_to_in_every_order() {
    explore(|| {
        let process = Process::new();
        let referring = [
            thread::spawn({
                let process = Arc::clone(&process);
                move || {
                    process.refer(LOOKED_UP);
                    process.take_over();
                }
            }),
            thread::spawn({
                let process = Arc::clone(&process);
                move || {
                    process.take_over();
                    process.refer(LOOKED_UP);
                }
            }),
        ];
        let condemned = [LOOKED_UP, OF_PARENT];
        let objections = process.answer(&condemned);
        for thread in referring {
            thread.join().expect("it ends");
        }
        process.assert_safe(&condemned, &objections);
    });
}

/// The index learns of a condemned pack before, while or after the session hears that it is condemned.
#[test]
fn a_condemned_pack_that_the_index_learns_of_is_not_referred_to() {
    explore(|| {
        let process = Process::new();
        let learning = thread::spawn({
            let process = Arc::clone(&process);
            move || {
                process.learn();
                process.refer(LEARNED);
            }
        });
        let objections = process.answer(&[LEARNED]);
        learning.join().expect("it ends");
        process.assert_safe(&[LEARNED], &objections);
        // From now on it is certain.
        let before = process.used.lock().expect("no one panics").contains(&LEARNED);
        process.refer(LEARNED);
        assert!(before || !process.used.lock().expect("no one panics").contains(&LEARNED));
    });
}

/// A verdict buries a pack while the session refers to it. The session has answered the epoch before, or has been
/// ended: a reference that comes between is to a pack that it objected to.
#[test]
fn nothing_new_refers_to_what_was_answered_and_buried() {
    explore(|| {
        let process = Process::new();
        let objections = process.answer(&[LOOKED_UP]);
        let burying = thread::spawn({
            let process = Arc::clone(&process);
            move || process.marks.bury(LOOKED_UP)
        });
        process.refer(LOOKED_UP);
        burying.join().expect("it ends");
        process.assert_safe(&[LOOKED_UP], &objections);
    });
}
