//! Leaving the machine to others.

/// Gives the calling thread, and those that it starts from now on, the lowest priority. Linux takes the priority for
/// disks from the one for processors, unless something has set it (`ioprio_set(2)`).
pub fn be_nice() {
    // The system refuses no one to become less important; if it did, the run would go on as it is.
    let _ = rustix::process::nice(19);
}
