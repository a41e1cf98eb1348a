//! Leaving the machine to others.

/// How far a run that only says that it should stand back does so: as far as the system knows.
pub const NICEST: u8 = 19;

/// Lowers the priority of the calling thread, and of those that it starts from now on, by this many steps of `nice`, of
/// which there are [`NICEST`]. Linux takes the priority for disks from the one for processors, unless something has set
/// it (`ioprio_set(2)`).
pub fn be_nice(steps: u8) {
    if steps > 0 {
        // The system refuses no one to become less important; if it did, the run would go on as it is.
        let _ = rustix::process::nice(i32::from(steps.min(NICEST)));
    }
}
