//! The simulator itself: what it promises to do to processes, it does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use keepfast_backend::Created;
use keepfast_testkit::sim::{Ended, History, Objects, Threads};

const HISTORIES: u64 = 300;

/// Two processes that create, list and remove a few objects, and look at the clock.
fn play(seed: u64, threads: &mut Threads) -> Ended {
    let mut history = History::new(seed, &Objects::default());
    for name in ["one", "two"] {
        history = history.process(name, |process| {
            for round in 0..4 {
                process.begin();
                let backend = process.backend();
                for object in 0..3 {
                    let name = format!("things/{object}");
                    let made = backend.create(&name, &[process.name().as_bytes()]);
                    if matches!(made, Ok(Created::New)) {
                        let bytes = backend.read(&name, 100).unwrap_or_default();
                        process.note(format_args!("reads {}", String::from_utf8_lossy(&bytes)));
                    }
                }
                let _ = backend.list("things/", &mut |_| ());
                let _ = backend.remove("things/0");
                let day = process.now().seconds / 86_400;
                process.note(format_args!("day {day} of round {round}"));
                process.wait(Duration::from_secs(60));
            }
            process.note(format_args!("ends"));
            Ok(())
        });
    }
    history.play(threads)
}

#[test]
fn whatever_can_go_wrong_does_in_some_history() {
    let mut threads = Threads::default();
    let logs: Vec<String> = (0..HISTORIES).map(|seed| play(seed, &mut threads).log).collect();
    for what in [
        "AnswerLost",
        "Fails",
        "CrashBefore",
        "CrashAfter",
        "new, and once more later",
        "lost, Fails",
        "late create things/0: New",
        "late create things/0: AlreadyThere",
        "already there",
        "not there",
        "one reads two",
    ] {
        let seen = logs.iter().filter(|log| log.contains(what)).count();
        assert!(seen > 1, "{what:?} is in {seen} of {HISTORIES} histories");
    }
    let days = |log: &str| -> Vec<i64> {
        let days = log.split(" day ").skip(1).filter_map(|rest| rest.split(' ').next());
        days.filter_map(|day| day.parse().ok()).collect()
    };
    let goes_back = |log: &String| days(log).windows(2).any(|pair| pair[1] < pair[0] - 100);
    assert!(logs.iter().any(goes_back), "no clock ever jumps back");
    let late = |log: &String| log.rfind("ends").is_some_and(|end| log[end..].contains("late create"));
    assert!(logs.iter().any(late), "no create ever outlasts its process");
    let alone = |log: &String| {
        let end = log.find("ends").unwrap_or(log.len());
        log[end..].lines().filter(|line| line.contains(" create ")).count() >= 10
    };
    assert!(logs.iter().any(alone), "no process ever stands still until the other has ended");
}

#[test]
fn a_create_makes_the_object_once_however_many_ask_for_it() {
    let mut threads = Threads::default();
    for seed in 0..HISTORIES {
        let mut history = History::new(seed, &Objects::default());
        for name in ["one", "two", "three"] {
            history = history.process(name, |process| {
                let _ = process.backend().create("thing", &[b"x"]);
                Ok(())
            });
        }
        let ended = history.play(&mut threads);
        let made =
            ended.log.lines().filter(|line| line.contains("create thing: new") || line.ends_with("New"));
        assert!(made.count() <= 1, "{}", ended.log);
    }
}

/// The other process has the baton, so the torn one is within a call: then it makes a second one.
#[test]
fn two_calls_at_once_and_panics_are_failures() {
    let (has_begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (to_second, go_on) = mpsc::channel();
    let (second_call, has_ended) = mpsc::channel::<()>();
    let mut threads = Threads::default();
    let ended = History::new(1, &Objects::default())
        .calm()
        .process("torn", |process| {
            let backend = process.backend();
            std::thread::scope(|scope| {
                let second = &backend;
                scope.spawn(move || {
                    let _until_here = second_call;
                    go_on.recv().expect("the other process says when");
                    drop(second.sync());
                });
                has_begun.store(true, Ordering::SeqCst);
                while !is_over.load(Ordering::SeqCst) {
                    drop(backend.sync());
                }
            });
            Ok(())
        })
        .process("other", |process| {
            while !has_begun.load(Ordering::SeqCst) {
                process.backend().sync().map_err(|error| error.to_string())?;
            }
            to_second.send(()).expect("the torn process is there");
            let has_ended = has_ended;
            let waited = has_ended.recv_timeout(Duration::from_secs(60));
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(waited, Err(RecvTimeoutError::Disconnected), "the second call waits");
            Ok(())
        })
        .play(&mut threads);
    assert_eq!(ended.failures.len(), 1, "{:?}", ended.failures);
    assert!(ended.failures[0].starts_with("torn: panicked"), "{:?}", ended.failures);
}
