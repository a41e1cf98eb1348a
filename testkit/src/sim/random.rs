//! Numbers that are the same for the same seed, on every machine and in every version.

/// SplitMix64: enough for choosing what happens, and for keys that guard nothing.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// All numbers follow from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds would give the same numbers, shifted by one.
        let mut random = Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5851_f42d_4c95_7f2d);
        Self(random.number())
    }

    /// Another generator: what is drawn from one doesn't change what comes from the other.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which must not be 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit as u64).expect("it is below a usize")
    }

    /// Whether something happens that happens once in `rate` times; never if that is 0.
    pub fn one_in(&mut self, rate: usize) -> bool {
        rate > 0 && self.below(rate) == 0
    }

    /// One of these.
    pub fn among<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A number below 2 to the power of `bits`, small ones as often as large ones.
    pub fn of_any_size(&mut self, bits: usize) -> u64 {
        let size = self.below(bits + 1);
        self.number() & ((1 << size) - 1)
    }

    /// Another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }

    /// Fills memory.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.number().to_le_bytes()[..part.len()]);
        }
    }
}
