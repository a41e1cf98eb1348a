//! System calls that take a path but no handle of a directory: this makes them relative to a directory.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

thread_local! {
    /// The directory that this thread returns to; none if it can't have a current directory of its own.
    static HOME: Option<OwnedFd> = part_from_others().ok();
}

/// Gives this thread a current directory of its own, and returns the current one.
fn part_from_others() -> Result<OwnedFd, Errno> {
    let home = rustix::fs::open(c".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    #[expect(deprecated, reason = "with this flag it is safe: file descriptors stay shared")]
    rustix::thread::unshare(UnshareFlags::FS)?;
    Ok(home)
}

/// Runs `call` with a path that leads to the entry `name` of `directory` while `call` runs. The path goes
/// through no link, unless the entry itself is one.
///
/// Usually the path is the bare name, and `directory` is the thread's current directory meanwhile. If a
/// thread can't have a current directory of its own, as in many containers, the path goes through `/proc`.
pub fn at<T>(
    directory: impl AsFd,
    name: &CStr,
    call: impl FnOnce(&[u8]) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let directory = directory.as_fd();
    HOME.with(|home| {
        let Some(home) = home else {
            let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
            path.extend_from_slice(name.to_bytes());
            return call(&path);
        };
        rustix::process::fchdir(directory)?;
        let called = call(name.to_bytes());
        // No relative path may begin in a directory that is backed up. If the thread may not search the directory
        // that it came from, relative paths lead nowhere there, so the root does as well.
        rustix::process::fchdir(home).or_else(|_| rustix::process::chdir(c"/"))?;
        called
    })
}

#[cfg(test)]
mod tests {
    use super::at;
    use std::sync::mpsc::channel;

    use rustix::fs::{CWD, Mode, OFlags, XattrFlags};

    #[test]
    fn attributes_are_reached_by_name_and_the_thread_comes_back() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::write(folder.path().join("file"), "").expect("a file can be made");
        let directory =
            rustix::fs::openat(CWD, folder.path(), OFlags::PATH, Mode::empty()).expect("it opens");
        let before = std::env::current_dir().expect("there is one");
        let set = |path: &[u8]| rustix::fs::lsetxattr(path, "user.note", b"seen", XattrFlags::empty());
        at(&directory, c"file", set).expect("it can be set");
        assert_eq!(std::env::current_dir().expect("there is one"), before);
        let mut value = [0; 8];
        let read = at(&directory, c"file", |path| rustix::fs::lgetxattr(path, "user.note", &mut value));
        assert_eq!((read, &value[..4]), (Ok(4), b"seen".as_slice()));
    }

    #[test]
    fn other_threads_stay_where_they_are() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let directory =
            rustix::fs::openat(CWD, folder.path(), OFlags::PATH, Mode::empty()).expect("it opens");
        let before = std::env::current_dir().expect("there is one");
        let (ask, asked) = channel::<()>();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            asked.iter().try_for_each(|()| tell.send(std::env::current_dir().expect("there is one")))
        });
        let elsewhere = at(&directory, c".", |_| {
            ask.send(()).expect("the other thread waits");
            Ok(told.recv().expect("the other thread answers"))
        });
        assert_eq!(elsewhere, Ok(before));
    }
}
