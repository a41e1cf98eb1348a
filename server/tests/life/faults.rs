//! What goes wrong in a history, and when: drawn from its seed before it begins.

use std::time::Duration;

use jiff::SignedDuration;

use crate::clock::{DAY, HOUR, MINUTE};
use crate::dice::Dice;
use crate::plans::PLANS;

pub const DAYS: u64 = 40;

/// In the first days and the last ones nothing goes wrong: plans have to come into step, and back into it.
const CALM_DAYS: u64 = 2;

/// Something goes wrong, or someone does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server is killed, and starts again after this.
    Kill { down: Duration },
    /// The machine sleeps.
    Sleep { length: Duration },
    /// The clock on the wall is set, this far from the truth.
    SetClock { wrong_by: SignedDuration },
    /// One of the runs that work says nothing any more.
    Silence,
    /// Someone pauses a plan, for a time or until it is told to go on.
    Pause { plan: String, length: Option<Duration> },
    /// Someone lets a plan go on.
    Resume { plan: String },
    /// PostgreSQL is killed and started again.
    Database,
}

/// Faults in their order, and stretches of time in which the repository can't be written to.
#[derive(Debug)]
pub struct Faults {
    /// The last one comes first.
    coming: Vec<(Duration, Fault)>,
    /// When the store is away.
    pub away: Vec<(Duration, Duration)>,
    /// When its disk is full.
    pub full: Vec<(Duration, Duration)>,
}

/// A moment between the calm days.
fn moment(dice: &mut Dice) -> Duration {
    MINUTE * u32::try_from(dice.between(CALM_DAYS * 1440, (DAYS - CALM_DAYS - 2) * 1440)).expect("minutes")
}

fn minutes(dice: &mut Dice, from: u64, end: u64) -> Duration {
    MINUTE * u32::try_from(dice.between(from, end)).expect("minutes")
}

fn spans(dice: &mut Dice, count: u64, hours: u64) -> Vec<(Duration, Duration)> {
    let mut span = |_| {
        let from = moment(dice);
        (from, from + minutes(dice, 60, hours * 60))
    };
    (0..count).map(&mut span).collect()
}

impl Faults {
    /// Those of a history. The database is restarted this many times.
    pub fn draw(seed: u64, restarts: u64) -> Self {
        let mut dice = Dice::of(seed, "faults");
        let mut coming = Vec::new();
        for _ in 0..dice.between(2, 9) {
            let down = *dice.pick(&[1, 10, 120, 3000]);
            coming.push((moment(&mut dice), Fault::Kill { down: MINUTE * down }));
        }
        for _ in 0..dice.between(2, 9) {
            coming.push((moment(&mut dice), Fault::Sleep { length: minutes(&mut dice, 10, 1500) }));
        }
        for _ in 0..dice.between(1, 5) {
            coming.push((moment(&mut dice), Fault::Silence));
        }
        for _ in 0..restarts {
            coming.push((moment(&mut dice), Fault::Database));
        }
        // Whether a plan is paused at an instant that comes twice is another question, which is asked elsewhere.
        if seed.is_multiple_of(2) {
            pauses(&mut dice, &mut coming);
        } else {
            clocks(&mut dice, &mut coming);
        }
        coming.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        Self { coming, away: spans(&mut dice, 3, 40), full: spans(&mut dice, 1, 30) }
    }

    /// When the next one comes.
    pub fn next(&self) -> Option<Duration> {
        self.coming.last().map(|(at, _)| *at)
    }

    /// The next one that has come.
    pub fn due(&mut self, now: Duration) -> Option<Fault> {
        let is_due = self.next().is_some_and(|at| at <= now);
        is_due.then(|| self.coming.pop()).flatten().map(|(_, fault)| fault)
    }
}

fn pauses(dice: &mut Dice, coming: &mut Vec<(Duration, Fault)>) {
    for _ in 0..dice.between(2, 7) {
        let plan = format!("p{}", dice.below(PLANS));
        let (from, length) = (moment(dice), minutes(dice, 30, 4 * 1440));
        if dice.one_in(2) {
            coming.push((from, Fault::Pause { plan, length: Some(length) }));
        } else {
            coming.push((from, Fault::Pause { plan: plan.clone(), length: None }));
            coming.push((from + length, Fault::Resume { plan }));
        }
    }
}

/// The clock is wrong now and then, for minutes or hours, by minutes, hours, or about a day.
fn clocks(dice: &mut Dice, coming: &mut Vec<(Duration, Fault)>) {
    for _ in 0..dice.between(1, 4) {
        let by = *dice.pick(&[MINUTE * 3, MINUTE * 40, HOUR, HOUR * 5, DAY, DAY + HOUR * 3]);
        let by = SignedDuration::try_from(by).expect("a length");
        let wrong_by = if dice.one_in(2) { by } else { -by };
        let from = moment(dice);
        coming.push((from, Fault::SetClock { wrong_by }));
        let back = from + minutes(dice, 1, 600);
        coming.push((back, Fault::SetClock { wrong_by: SignedDuration::ZERO }));
    }
}
