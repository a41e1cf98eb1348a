//! Servers that a killed drill has left: they run in its folder, which no one else knows.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How often processes are looked for: a server may start another one while it is ended.
const LOOKS_MAX: usize = 5;

/// Ends all processes whose working directory is in a folder. Returns how many were told to end.
#[must_use]
pub fn end_in(folder: &Path) -> usize {
    let mut ended = 0;
    for _ in 0..LOOKS_MAX {
        let found = running_in(folder);
        if found.is_empty() {
            break;
        }
        ended += found.into_iter().filter(|pid| end(*pid, folder)).count();
    }
    ended
}

fn running_in(folder: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(Pid::from_raw).filter(|pid| is_in(*pid, folder)).collect()
}

fn is_in(pid: Pid, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd.starts_with(folder))
}

/// The process is held by a descriptor before it is looked at again, so that no other one of the same number is ended.
fn end(pid: Pid, folder: &Path) -> bool {
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    is_in(pid, folder) && pidfd_send_signal(&process, Signal::KILL).is_ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::end_in;

    #[test]
    fn what_runs_in_a_folder_is_ended_and_nothing_else() {
        let (folder, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
        let start = |folder: &std::path::Path| {
            Command::new("sleep").arg("600").current_dir(folder).spawn().expect("it is installed")
        };
        let (mut inside, mut outside) = (start(folder.path()), start(other.path()));
        assert!(end_in(folder.path()) >= 1);
        assert!(!inside.wait().expect("it ended").success());
        assert!(outside.try_wait().expect("it can be asked").is_none(), "it goes on");
        outside.kill().expect("ended");
        outside.wait().expect("it ended");
    }
}
