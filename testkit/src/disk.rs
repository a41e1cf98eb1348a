//! A small file system of its own, for as long as a test needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, mounted for as long as the value lives.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one with these options, such as `size=2m`; the folder is made. `None` if this user may not
    /// mount.
    #[must_use]
    pub fn mount(at: impl Into<PathBuf>, options: &str) -> Option<Self> {
        let at = at.into();
        fs::create_dir_all(&at).expect("the folder can be made");
        run("mount", &["-t", "tmpfs", "-o", options, "none"], &at).then(|| Self(at))
    }

    /// Mounts it again, with other options.
    pub fn remount(&self, options: &str) {
        assert!(run("mount", &["-o", &format!("remount,{options}")], &self.0), "it can't be mounted again");
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &[], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], at: &Path) -> bool {
    Command::new(program).args(arguments).arg(at).status().is_ok_and(|status| status.success())
}
