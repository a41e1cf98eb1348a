//! Numbers that look random and follow from a seed: SplitMix64 (Steele, Lea, Flood 2014).

use std::hash::{DefaultHasher, Hash, Hasher};

pub struct Dice(u64);

impl Dice {
    /// The dice for one matter of a history. Each matter has its own, so that what is drawn for one doesn't depend on how
    /// often another was drawn for.
    pub fn of(seed: u64, matter: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, matter).hash(&mut hasher);
        Self(hasher.finish())
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `from` to below `end`.
    pub fn between(&mut self, from: u64, end: u64) -> u64 {
        from + self.next() % end.saturating_sub(from).max(1)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.between(0, end)
    }

    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(u64::try_from(from.len()).unwrap_or(1))).unwrap_or(0);
        &from[at]
    }
}
