//! Where another file system begins.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};

/// Whether a directory is on another file system than the one that it is in, or the same one is
/// mounted there. Where that can't be found out, it is.
pub fn differ(above: BorrowedFd<'_>, below: BorrowedFd<'_>) -> bool {
    let (Ok(above), Ok(inside)) = (rustix::fs::fstat(above), rustix::fs::fstat(below)) else { return true };
    above.st_dev != inside.st_dev || is_mount(below)
}

/// Whether a directory is the top of a mount. An old kernel doesn't say.
fn is_mount(directory: BorrowedFd<'_>) -> bool {
    rustix::fs::statx(directory, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
