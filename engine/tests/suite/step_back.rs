//! A prune steps back for backups that run, and for nothing else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keepfast_engine::prune::PruneOptions;
use keepfast_engine::repo::{Rewriting, Session, SessionOptions, fence};
use keepfast_engine::run::Event;
use keepfast_format::ids::SessionId;
use keepfast_testkit::{Ear, Lab, Opened, TestHost, tree};

/// A rest before the next piece of work.
const REST: Duration = Duration::from_millis(250);
/// What is waited between two looks for answers, when all work is done.
const LOOK: Duration = Duration::from_secs(2);

fn backup(_: &Lab, opened: &Opened) -> SessionId {
    let options = SessionOptions { program: "testkit", parent: None, ended: None };
    Session::begin(&opened.repository, &opened.index, &options, &Ear::default()).expect("it begins").id()
}

fn collector(lab: &Lab, opened: &Opened) -> SessionId {
    let key = opened.repository.current().key();
    Rewriting::begin(&opened.repository, key, "testkit", lab.now()).expect("it begins").id()
}

/// Prunes alongside a session that ends after the third rest. Returns how long each rest was.
fn rests_alongside(
    begin: impl FnOnce(&Lab, &Opened) -> SessionId,
    change: impl FnOnce(&mut PruneOptions),
) -> Vec<Duration> {
    let lab = Lab::with(|_| {});
    for version in 0..2 {
        let kept = tree::noise(1, 300_000);
        tree::write(lab.source().join("file"), [kept, tree::noise(2 + version, 300_000)].concat());
        lab.backup();
    }
    lab.forget(&["latest~1"]);
    let opened = lab.open();
    let session = begin(&lab, &opened);
    let rests = Arc::new(Mutex::new(Vec::new()));
    let resting = Arc::clone(&rests);
    let sleep = move |rest| {
        let mut rests = resting.lock().expect("no thread panics");
        rests.push(rest);
        if rests.len() == 3 {
            fence(&opened.repository, session).expect("it can be ended");
        }
    };
    let ear = Ear::default();
    // Time stands still: looking takes none.
    let (host, cache) = (TestHost::still().waiting(sleep), lab.path("the pruner's cache"));
    let report = lab.prune_on(host, &cache, &ear, |options| {
        options.session_timeout = Duration::from_secs(1 << 40);
        change(options);
    });
    let report = report.expect("the prune works");
    assert!(report.packs_rewritten > 0 && report.packs_removed > 0, "{report:?}");
    let told = ear
        .heard()
        .into_iter()
        .filter(|heard| matches!(heard, Event::Notice(text) if text.contains("steps back")));
    let rests = rests.lock().expect("no one panics").clone();
    assert_eq!(told.count(), usize::from(rests.contains(&REST)), "it says so, once");
    lab.assert_sound();
    rests
}

#[test]
fn a_prune_rests_while_a_backup_runs() {
    assert_eq!(rests_alongside(backup, |_| {}), [REST; 3]);
}

#[test]
fn a_prune_at_full_speed_waits_only_for_the_answer() {
    assert_eq!(rests_alongside(backup, |options| options.step_back = false), [LOOK; 3]);
}

#[test]
fn a_prune_does_not_rest_for_a_backup_that_is_as_old_as_the_timeout() {
    assert_eq!(
        rests_alongside(backup, |options| options.session_timeout = Duration::ZERO),
        [Duration::ZERO; 0]
    );
}

#[test]
fn collectors_do_not_rest_for_one_another() {
    assert_eq!(rests_alongside(collector, |_| {}), [LOOK; 3], "but one waits for the other's answer");
}
