//! What one history is like: how its processes take turns, and how often each kind of fault happens.
//! Most histories leave most kinds out: an error that needs many faults of one kind and none of
//! another is found more often than if all histories had the same rates.

use super::random::Random;

/// Which process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// Any of them, at every step.
    Any,
    /// The same process, but for one step in this many.
    Runs(usize),
    /// The first in an order in which, one step in this many, the running process becomes the last.
    Order(usize),
}

/// A rate of `n` means one in `n` calls; 0 means never.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    pub turns: Turns,
    /// Calls that fail without effect.
    pub failed: usize,
    /// Calls that have their effect, and fail.
    pub lost: usize,
    /// Creates that take effect once more, later.
    pub duplicated: usize,
    /// Calls at which the process dies.
    pub crashes: usize,
    /// Calls before which the process stands still for long.
    pub pauses: usize,
    /// Names that a listing gives at a time; others may act before the next. All at once if 0.
    pub page: usize,
    /// A step takes less than 2 to the power of this, in milliseconds.
    pub step_bits: usize,
    /// Questions for the time at which a machine's clock jumps.
    pub jumps: usize,
    /// Whether reading the repository's parameters is like other calls; else it just works.
    pub parameters: bool,
}

impl Nature {
    /// Draws it.
    pub fn draw(random: &mut Random) -> Self {
        let turns = match random.below(4) {
            0 => Turns::Any,
            1 => Turns::Runs(random.among(&[3, 10, 40])),
            _ => Turns::Order(random.among(&[10, 30, 100])),
        };
        let mut rate = |choices: &[usize]| if random.one_in(2) { random.among(choices) } else { 0 };
        Self {
            turns,
            failed: rate(&[30, 100, 300]),
            lost: rate(&[15, 50, 150]),
            duplicated: rate(&[2, 5, 20]),
            crashes: rate(&[40, 100, 200]),
            pauses: rate(&[15, 40, 100]),
            page: rate(&[1, 2, 5]),
            step_bits: rate(&[12, 22, 30]),
            jumps: rate(&[1, 2, 5]),
            parameters: random.one_in(8),
        }
    }

    /// Nothing goes wrong.
    pub fn calm() -> Self {
        Self {
            turns: Turns::Any,
            failed: 0,
            lost: 0,
            duplicated: 0,
            crashes: 0,
            pauses: 0,
            page: 0,
            step_bits: 0,
            jumps: 0,
            parameters: false,
        }
    }
}
