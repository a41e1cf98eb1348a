//! The facts of this machine: the time, its name, its processors, its users and groups.
//!
//! One of two modules that ask the system; all others get what they need passed in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keepfast_backend::Cancel;
use keepfast_engine::run::Host;
use keepfast_format::node::Timestamp;
use uzers::os::unix::UserExt;

/// Processors of a machine that doesn't say how many it has.
const PROCESSORS_ASSUMED: usize = 2;

/// This machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemHost;

impl SystemHost {
    /// The machine's name.
    #[must_use]
    pub fn name(self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// How many threads run at once.
    #[must_use]
    pub fn processors(self) -> usize {
        std::thread::available_parallelism().map_or(PROCESSORS_ASSUMED, usize::from)
    }

    /// The name of the user that this process runs as, or its number.
    #[must_use]
    pub fn user(self) -> String {
        uzers::get_current_username().map_or_else(
            || rustix::process::getuid().as_raw().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }

    /// Another user for programs that need no rights, and the user's group: the one with this name, or else these numbers.
    /// Only root can start a program as someone else, so there is none for other users.
    #[must_use]
    pub fn account(self, name: &str, otherwise: (u32, u32)) -> Option<(u32, u32)> {
        if self.effective_user_id() != 0 {
            return None;
        }
        let found = uzers::get_user_by_name(name);
        Some(found.map_or(otherwise, |user| (user.uid(), user.primary_group_id())))
    }

    /// The number of the user whose rights this process has.
    #[must_use]
    pub fn effective_user_id(self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// The home directory of the user whose rights this process has, as the system's accounts have it. Accounts of
    /// services have homes that aren't there, or the root: those count for none.
    #[must_use]
    pub fn account_home(self) -> Option<PathBuf> {
        let user = uzers::get_user_by_uid(self.effective_user_id())?;
        Some(user.home_dir().to_owned()).filter(|home| home.parent().is_some() && home.is_dir())
    }
}

impl Host for SystemHost {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            // A clock before 1970 isn't worth more than this.
            Err(_) => Timestamp::default(),
        }
    }

    fn sleep(&self, time: Duration, cancel: &Cancel) {
        cancel.wait(time);
    }

    fn user_name(&self, id: u32) -> Option<Vec<u8>> {
        uzers::get_user_by_uid(id).map(|user| user.name().as_bytes().to_vec())
    }

    fn group_name(&self, id: u32) -> Option<Vec<u8>> {
        uzers::get_group_by_gid(id).map(|group| group.name().as_bytes().to_vec())
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        uzers::get_user_by_name(OsStr::from_bytes(name)).map(|user| user.uid())
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        uzers::get_group_by_name(OsStr::from_bytes(name)).map(|group| group.gid())
    }
}

/// What the clock on the wall shows, for what another machine compares with its own.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// A clock that never goes back, for patience and rates.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::{Cancel, Duration, Host, Instant, SystemHost};

    #[test]
    fn names_and_ids_of_the_superuser_belong_together() {
        assert_eq!(SystemHost.user_name(0), Some(b"root".to_vec()));
        assert_eq!(SystemHost.user_id(b"root"), Some(0));
        assert_eq!(SystemHost.group_id(b"root"), Some(0));
        assert_eq!(SystemHost.group_name(0), Some(b"root".to_vec()));
        assert_eq!(SystemHost.user_id(b"no such user"), None);
    }

    #[test]
    fn the_clock_is_past_the_day_on_which_this_was_written() {
        assert!(SystemHost.now().seconds > 1_750_000_000);
        assert!(SystemHost.processors() > 0 && !SystemHost.name().is_empty());
    }

    #[test]
    fn a_cancelled_run_sleeps_no_longer() {
        let (cancel, begun) = (Cancel::new(), Instant::now());
        cancel.cancel();
        SystemHost.sleep(Duration::from_secs(3600), &cancel);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
