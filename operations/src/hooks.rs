//! Programs that are run around an operation: they stop a service before it, or start it again after it.
//!
//! A hook has a time limit. When that is over, or the run is cancelled, the hook and all that it has started are
//! killed. What it prints is kept for the log of the run, up to a limit and without the secrets that this process has read.

use std::process::ExitStatus;
use std::thread;
use std::time::Duration;

use keepfast_backend::Cancel;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::child::{ChildGroup, ChildInput, ChildMessages, Children, CommandLine, Ends, PRINTED_BYTES_MAX};
use crate::host::monotonic;

/// A program and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// What is run.
    pub run: CommandLine,
    /// How long it may take. It is killed then.
    pub timeout: Duration,
}

/// What a hook did. It has ended well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookEnded {
    /// The program's name.
    pub program: String,
    /// How long it took.
    pub seconds: f64,
    /// The last 16 KiB of what it printed to standard output.
    pub output: String,
    /// The last 16 KiB of what it printed to standard error.
    pub messages: String,
}

/// Why a hook hasn't done its work.
#[derive(Debug, Error)]
pub enum HookError {
    /// It isn't there, or may not be run.
    #[error("the hook {program} can't be started")]
    NotStarted {
        /// The program's name.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It has ended with an error.
    #[error("the hook {} failed ({status}){}", .ended.program, after_colon(&.ended.messages))]
    Failed {
        /// How the program ended.
        status: ExitStatus,
        /// What is known of it.
        ended: HookEnded,
    },
    /// It took too long, and was killed.
    #[error("the hook {program} took longer than {} s and was killed", .timeout.as_secs())]
    TimedOut {
        /// The program's name.
        program: String,
        /// What it was given.
        timeout: Duration,
    },
    /// The run was cancelled, and the hook with it.
    #[error("the hook {program} was ended with its run")]
    Cancelled {
        /// The program's name.
        program: String,
    },
}

/// The last line of a text, for an error's message.
fn after_colon(text: &str) -> String {
    text.lines().rfind(|line| !line.trim().is_empty()).map_or_else(String::new, |line| format!(": {line}"))
}

impl Hook {
    /// Runs the hook to its end. `children` says what it inherits, and which variables tell it of the run.
    pub fn run(&self, children: &Children, cancel: &Cancel) -> Result<HookEnded, HookError> {
        let program = self.run.program();
        let not_started = |source| HookError::NotStarted { program: program.clone(), source };
        // It must be possible to end all of it, and no one answers its questions.
        let children =
            Children { group: ChildGroup::Own, messages: ChildMessages::Captured, ..children.clone() };
        let begun = monotonic();
        let ends = Ends { run: cancel.clone(), group: Cancel::new() };
        let time_is_up = ends.group.clone();
        let started = children.start(&self.run, ChildInput::Empty, ends.clone()).map_err(not_started)?;
        let output = started.output;
        let secrets = children.secrets.clone();
        let printed = thread::spawn(move || secrets.last_of(output, PRINTED_BYTES_MAX));
        let ended = thread::scope(|scope| {
            let has_ended = Cancel::new();
            let watched = has_ended.clone();
            scope.spawn(move || {
                if !watched.wait(self.timeout) {
                    time_is_up.cancel();
                }
            });
            let ended = started.running.wait();
            has_ended.cancel();
            ended
        });
        let Some(ended) = ended.map_err(not_started)? else {
            return Err(match cancel.is_cancelled() {
                true => HookError::Cancelled { program },
                false => HookError::TimedOut { program, timeout: self.timeout },
            });
        };
        // A program that it left in the background may keep its output open for as long as it likes.
        let patience = Cancel::new();
        (0..10).any(|_| printed.is_finished() || patience.wait(Duration::from_millis(20)));
        ends.group.cancel();
        let output = printed.join().unwrap_or_default();
        let known = HookEnded {
            program,
            seconds: begun.elapsed().as_secs_f64(),
            output: String::from_utf8_lossy(&output).into_owned(),
            messages: ended.stderr.unwrap_or_default(),
        };
        match ended.status.success() {
            true => Ok(known),
            false => Err(HookError::Failed { status: ended.status, ended: known }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::time::{Duration, Instant};

    use keepfast_backend::Cancel;

    use super::{Hook, HookError};
    use crate::child::{Children, CommandLine};

    fn hook(script: &str, timeout: Duration) -> Hook {
        let words = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        Hook { run: CommandLine::Arguments(words), timeout }
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_hook_is_told_of_its_run_and_what_it_prints_is_kept() {
        let children = Children {
            variables: vec![("KEEPFAST_PLAN".to_owned(), OsString::from("www"))],
            ..Children::default()
        };
        let ended = hook("echo $KEEPFAST_PLAN; echo said >&2", LONG).run(&children, &Cancel::new());
        let ended = ended.expect("it ends well");
        assert_eq!((ended.output.as_str(), ended.messages.as_str()), ("www\n", "said\n"));
    }

    /// The second half comes later, and the whole is also in what it fails with.
    #[test]
    fn a_hook_that_prints_a_secret_is_kept_without_it() {
        let children = Children::default();
        children.secrets.learn(b"correct horse");
        let script = "printf 'it is correct h'; sleep 0.2; echo 'orse now'; echo 'no correct horse here' >&2";
        let ended = hook(script, LONG).run(&children, &Cancel::new()).expect("it ends well");
        assert_eq!(
            (ended.output.as_str(), ended.messages.as_str()),
            ("it is [secret] now\n", "no [secret] here\n")
        );
        let failed = hook(&format!("{script}; exit 1"), LONG).run(&children, &Cancel::new());
        let error = failed.expect_err("it fails");
        assert_eq!(error.to_string(), "the hook /bin/sh failed (exit status: 1): no [secret] here");
    }

    #[test]
    fn a_hook_that_fails_says_its_last_line() {
        let failed = hook("echo first >&2; echo second >&2; exit 7", LONG);
        let error = failed.run(&Children::default(), &Cancel::new()).expect_err("it fails");
        assert_eq!(error.to_string(), "the hook /bin/sh failed (exit status: 7): second");
        let missing =
            Hook { run: CommandLine::Arguments(vec![OsString::from("/no/such/program")]), timeout: LONG };
        let error = missing.run(&Children::default(), &Cancel::new()).expect_err("it isn't there");
        assert_eq!(error.to_string(), "the hook /no/such/program can't be started");
    }

    /// The sleeper holds the output open. It goes with its group, or the hook would not end.
    #[test]
    fn a_hook_that_takes_too_long_is_killed_with_all_that_it_has_started() {
        let begun = Instant::now();
        let slow = hook("sleep 3600 & wait", Duration::from_millis(200));
        let error = slow.run(&Children::default(), &Cancel::new()).expect_err("it is killed");
        assert!(matches!(error, HookError::TimedOut { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_cancelled_run_ends_its_hook() {
        let cancel = Cancel::new();
        let error = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                cancel.cancel();
            });
            hook("sleep 3600", LONG).run(&Children::default(), &cancel).expect_err("it is ended")
        });
        assert!(matches!(error, HookError::Cancelled { .. }), "{error}");
    }

    /// What it leaves behind may hold its output open for ever.
    #[test]
    fn a_hook_ends_though_what_it_has_started_goes_on() {
        let ended = hook("sleep 30 & echo done", LONG).run(&Children::default(), &Cancel::new());
        assert_eq!(ended.expect("it ends well").output, "done\n");
    }
}
