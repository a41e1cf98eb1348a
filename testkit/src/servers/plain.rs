//! A file system without most of what Linux's own have, as those of some servers are: a program serves
//! it (FUSE), which passes everything else on to a folder. `plain.py` says what it can't do, and
//! which names it treats in ways of its own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::process::Kept;
use super::{POLL, START_MAX, installed};

/// What comes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is refused.
    Refused,
    /// It is made, the answer is lost, and the request that is sent again finds the name taken.
    AnswerLost,
    /// Another client makes the name just before, and it is refused.
    OthersAreFaster,
}

/// One that is mounted for as long as the value lives.
pub struct PlainDisk {
    at: PathBuf,
    behind: PathBuf,
    _server: Kept,
}

impl PlainDisk {
    /// Mounts an empty one; both folders, this one and the one behind it, are made.
    #[must_use]
    pub fn mount(at: impl Into<PathBuf>, links: Links) -> Self {
        let at = at.into();
        let (behind, log) = (at.with_extension("behind"), at.with_extension("log"));
        fs::create_dir_all(&at).expect("the folder can be made");
        fs::create_dir_all(&behind).expect("the folder behind can be made");
        let below = device(&at);
        let mut command = Command::new(installed("python/bin/python"));
        command.env("FUSE_LIBRARY_NAME", "fuse3").args(["-c", include_str!("plain.py")]);
        command.arg(&behind).arg(&at).arg(match links {
            Links::Refused => "refused",
            Links::AnswerLost => "lost",
            Links::OthersAreFaster => "faster",
        });
        let mut server = Kept::start(command, &log);
        let begun = Instant::now();
        while device(&at) == below {
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(!server.has_ended(), "it can't be mounted: {}", said());
            assert!(begun.elapsed() < START_MAX, "it isn't mounted: {}", said());
            std::thread::sleep(POLL);
        }
        Self { at, behind, _server: server }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// The folder that has what is in it, on a file system that lacks nothing.
    #[must_use]
    pub fn behind(&self) -> &Path {
        &self.behind
    }
}

impl Drop for PlainDisk {
    fn drop(&mut self) {
        // Before its server ends: nothing waits for it then.
        let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(&self.at).status();
    }
}

/// None where there is something that doesn't answer.
fn device(at: &Path) -> Option<u64> {
    fs::metadata(at).ok().map(|metadata| metadata.dev())
}
