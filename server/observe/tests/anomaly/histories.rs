//! Histories as they happen, and what is expected of the run at their end.

use std::time::Duration;

use keepfast_observe::anomaly::AnomalyKind::{
    DeletedFiles, Duration as Slow, Incompressible, NewBytes, RewrittenFiles, ShrunkSource,
};
use keepfast_observe::anomaly::{
    AnomalyKind, Factor, Judgement, NewBytes as MoreThan, Rules, RunFigures, Share, judge,
};

use crate::runs::{GIB, MIB, days, dump, quiet_day, workday};

/// What is unusual about a run after these, by the rules that a plan has if it says nothing.
#[track_caller]
fn found(before: &[RunFigures], run: RunFigures) -> Vec<AnomalyKind> {
    match judge(before, &run, &Rules::default()) {
        Judgement::Judged { anomalies, .. } => anomalies.iter().map(|anomaly| anomaly.kind).collect(),
        Judgement::TooEarly { good_runs, .. } => panic!("{good_runs} runs are too few"),
    }
}

#[test]
fn histories_and_what_is_expected_of_their_last_run() {
    let work = days(30, workday);
    let dumps = days(30, dump);
    let growing = days(30, |day| {
        let growth = 1.04_f64.powi(i32::try_from(day).expect("few days"));
        let new_bytes = (GIB as f64 * growth) as u64;
        RunFigures {
            new_bytes,
            stored_bytes: new_bytes / 2,
            source_bytes: 100 * GIB + day * 2 * GIB,
            ..workday(day)
        }
    });
    let full = RunFigures {
        new_bytes: 90 * GIB,
        stored_bytes: 40 * GIB,
        duration: Duration::from_secs(7200),
        ..workday(1)
    };
    let weekly_fulls = days(28, |day| if day % 7 == 6 { full } else { workday(day) });
    let weeks_with_weekends = days(30, |day| if day % 7 >= 5 { quiet_day() } else { workday(day) });
    let vacation = days(30, |day| if day < 9 { workday(day) } else { quiet_day() });
    let archive = days(30, |_| RunFigures { source_bytes: 1024 * GIB, ..quiet_day() });
    let rotating = days(30, |day| RunFigures {
        files_before: 1000,
        files_deleted: 600 + day % 30,
        files_rewritten: 20,
        ..workday(day)
    });
    let photos = days(30, |day| RunFigures { stored_bytes: workday(day).new_bytes, ..workday(day) });
    let one_odd =
        days(30, |day| if day == 12 { RunFigures { new_bytes: 900 * GIB, ..full } } else { workday(day) });

    let encrypted_in_place = RunFigures {
        new_bytes: 80 * GIB,
        stored_bytes: 80 * GIB,
        files_rewritten: 160_000,
        duration: Duration::from_secs(3600),
        ..workday(30)
    };
    let encrypted_under_new_names =
        RunFigures { files_rewritten: 0, files_deleted: 160_000, ..encrypted_in_place };
    let deleted = RunFigures { files_deleted: 80_000, source_bytes: 70 * GIB, ..workday(30) };
    let all_gone = RunFigures {
        files_deleted: 200_000,
        files_rewritten: 0,
        source_bytes: 0,
        new_bytes: 0,
        stored_bytes: 0,
        ..workday(30)
    };
    let moved = RunFigures {
        files_deleted: 90_000,
        files_moved: 89_800,
        new_bytes: 20 * MIB,
        stored_bytes: 9 * MIB,
        ..workday(30)
    };
    let imported = RunFigures { new_bytes: 3 * GIB, stored_bytes: 3 * GIB, ..workday(30) };
    let upgraded =
        RunFigures { files_rewritten: 120_000, new_bytes: 4 * GIB, stored_bytes: 2 * GIB, ..workday(30) };
    let empty_dump = RunFigures { source_bytes: 4096, new_bytes: 4096, stored_bytes: 900, ..dump(30) };
    let encrypted_dump = RunFigures { new_bytes: 5 * GIB, stored_bytes: 5 * GIB, ..dump(30) };
    let slow = RunFigures { duration: Duration::from_secs(4 * 3600), ..workday(30) };

    let table: &[(&str, &[RunFigures], RunFigures, &[AnomalyKind])] = &[
        ("a day like others", &work, workday(30), &[]),
        (
            "steady growth",
            &growing,
            RunFigures { new_bytes: 3500 * MIB, source_bytes: 162 * GIB, ..workday(30) },
            &[],
        ),
        ("a dump like others", &dumps, dump(30), &[]),
        ("the first full after a month without", &work, full, &[NewBytes, Slow]),
        ("a weekly full that is known", &weekly_fulls, full, &[]),
        ("a workday between weekly fulls", &weekly_fulls, workday(28), &[]),
        (
            "ransomware between weekly fulls",
            &weekly_fulls,
            encrypted_in_place,
            &[RewrittenFiles, Incompressible],
        ),
        ("a Monday", &weeks_with_weekends, workday(30), &[]),
        ("a Sunday", &weeks_with_weekends, quiet_day(), &[]),
        ("the first day after three weeks of vacation", &vacation, workday(30), &[]),
        ("files encrypted in place", &work, encrypted_in_place, &[NewBytes, RewrittenFiles, Incompressible]),
        (
            "files encrypted under new names",
            &work,
            encrypted_under_new_names,
            &[NewBytes, DeletedFiles, Incompressible],
        ),
        ("photographs encrypted in place", &photos, encrypted_in_place, &[NewBytes, RewrittenFiles]),
        ("two fifths deleted", &work, deleted, &[DeletedFiles]),
        ("a mount that is away", &work, all_gone, &[DeletedFiles, ShrunkSource]),
        ("a folder moved elsewhere", &work, moved, &[]),
        (
            "the same where no one counts moves",
            &work,
            RunFigures { files_moved: 0, ..moved },
            &[DeletedFiles],
        ),
        ("photographs imported", &work, imported, &[]),
        ("a system upgraded", &work, upgraded, &[RewrittenFiles]),
        (
            "a little into a still archive",
            &archive,
            RunFigures { new_bytes: GIB, source_bytes: 1025 * GIB, ..quiet_day() },
            &[],
        ),
        (
            "much into a still archive",
            &archive,
            RunFigures { new_bytes: 50 * GIB, source_bytes: 1074 * GIB, ..quiet_day() },
            &[NewBytes],
        ),
        ("files that rotate", &rotating, RunFigures { files_deleted: 640, ..rotating[0] }, &[]),
        (
            "nearly all files that rotate gone",
            &rotating,
            RunFigures { files_deleted: 950, ..rotating[0] },
            &[DeletedFiles],
        ),
        ("an empty dump", &dumps, empty_dump, &[ShrunkSource]),
        ("a dump that is encrypted now", &dumps, encrypted_dump, &[NewBytes, Incompressible]),
        ("a slow disk", &work, slow, &[Slow]),
        (
            "much data after one odd day",
            &one_odd,
            RunFigures { new_bytes: 90 * GIB, ..workday(30) },
            &[NewBytes],
        ),
    ];
    for (name, before, run, expected) in table {
        assert_eq!(found(before, *run), *expected, "{name}");
    }
}

#[test]
fn the_first_runs_are_not_judged() {
    let disaster =
        RunFigures { new_bytes: u64::MAX, stored_bytes: u64::MAX, files_deleted: 200_000, ..workday(0) };
    for good_runs in 0..7 {
        let judgement = judge(&days(good_runs, workday), &disaster, &Rules::default());
        let good_runs = usize::try_from(good_runs).expect("few");
        assert_eq!(judgement, Judgement::TooEarly { good_runs, least_runs: 7 });
    }
    assert!(!found(&days(7, workday), disaster).is_empty());
}

/// A person who accepts the first one and the second one makes it a habit.
#[test]
fn a_full_is_usual_once_it_was_accepted_twice() {
    let full = RunFigures { new_bytes: 90 * GIB, stored_bytes: 40 * GIB, ..workday(1) };
    let mut good = days(14, workday);
    assert_eq!(found(&good, full), [NewBytes]);
    good.push(full);
    good.extend(days(6, workday));
    assert_eq!(found(&good, full), [NewBytes], "once is no habit");
    good.push(full);
    good.extend(days(6, workday));
    assert_eq!(found(&good, full), []);
}

#[test]
fn only_the_window_is_looked_at() {
    let full = RunFigures { new_bytes: 90 * GIB, stored_bytes: 40 * GIB, ..workday(1) };
    let good = [vec![full, full], days(30, workday)].concat();
    assert_eq!(found(&good, full), [NewBytes], "that was long ago");
}

#[test]
fn retention_pauses_for_the_data_and_not_for_a_slow_run() {
    let work = days(30, workday);
    let slow = RunFigures { duration: Duration::from_secs(4 * 3600), ..workday(30) };
    let deleted = RunFigures { files_deleted: 80_000, ..workday(30) };
    let pauses = |run, rules: &Rules| match judge(&work, run, rules) {
        Judgement::Judged { anomalies, pauses_retention } => {
            assert_eq!(anomalies.len(), 1, "{anomalies:?}");
            pauses_retention
        }
        other => panic!("{other:?}"),
    };
    assert!(pauses(&deleted, &Rules::default()));
    assert!(!pauses(&slow, &Rules::default()));
    assert!(!pauses(&deleted, &Rules { pause_retention: false, ..Rules::default() }));
}

#[test]
fn a_plan_sets_its_own_limits_or_none() {
    let work = days(30, workday);
    let deleted = RunFigures { files_deleted: 20_000, ..workday(30) };
    let count = |rules: Rules, run| match judge(&work, run, &rules) {
        Judgement::Judged { anomalies, .. } => anomalies.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(count(Rules::default(), &deleted), 0, "a tenth");
    let strict = Rules { deleted_files: Some(Share::new(0.05).expect("a share")), ..Rules::default() };
    assert_eq!(count(strict, &deleted), 1);
    let much = RunFigures { new_bytes: 4 * GIB, ..workday(30) };
    assert_eq!(count(Rules::default(), &much), 0);
    let times = |factor| Some(MoreThan::Times(Factor::new(factor).expect("a factor")));
    let share = |share| Some(MoreThan::Share(Share::new(share).expect("a share")));
    for (new_bytes, found) in [
        (times(2.0), 1),
        (share(0.9), 0),
        (share(0.01), 1),
        (Some(MoreThan::Bytes(5 * GIB)), 0),
        (Some(MoreThan::Bytes(3 * GIB)), 1),
    ] {
        assert_eq!(count(Rules { new_bytes, ..Rules::default() }, &much), found, "{new_bytes:?}");
    }
    let all = RunFigures {
        new_bytes: 100 * GIB,
        stored_bytes: 100 * GIB,
        source_bytes: 100 * GIB,
        files_deleted: 200_000,
        files_rewritten: 200_000,
        duration: Duration::from_secs(90_000),
        ..workday(30)
    };
    let off = Rules {
        new_bytes: None,
        deleted_files: None,
        rewritten_files: None,
        incompressible: None,
        shrunk_source: None,
        duration: None,
        ..Rules::default()
    };
    assert_eq!(count(off, &all), 0);
}

/// The first run of a plan whose disk isn't mounted is as odd as a later one.
#[test]
fn the_least_size_of_a_source_needs_no_past() {
    let rules = Rules { least_source_bytes: Some(GIB), ..Rules::default() };
    let run = |source_bytes| judge(&[], &RunFigures { source_bytes, ..workday(0) }, &rules);
    assert!(matches!(run(GIB), Judgement::TooEarly { .. }));
    let Judgement::Judged { anomalies, pauses_retention: true } = run(4096) else { panic!("it is small") };
    assert_eq!(anomalies[0].to_string(), "the source has only 4.0 KiB; the plan expects at least 1.0 GiB");
}

#[test]
fn an_anomaly_says_how_much_and_how_much_is_usual() {
    let work = days(30, workday);
    let run = RunFigures {
        new_bytes: 80 * GIB,
        stored_bytes: 80 * GIB,
        files_rewritten: 160_000,
        files_deleted: 180_000,
        source_bytes: 20 * GIB,
        duration: Duration::from_secs(7200),
        ..workday(30)
    };
    let Judgement::Judged { anomalies, .. } = judge(&work, &run, &Rules::default()) else {
        panic!("too early")
    };
    let lines: Vec<String> = anomalies.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "80.0 GiB of data are new; 1.2 GiB are usual",
            "90 % of the files are gone; 0 % are usual",
            "80 % of the files have another content; 1 % are usual",
            "new data compresses to 100 %, 40 % is usual: it may be encrypted now",
            "the source has only 20.0 GiB; 100.0 GiB are usual",
            "the run took 120 min; 15 min is usual",
        ]
    );
    let new_bytes = &anomalies[0];
    assert_eq!(new_bytes.value.number(), 80.0 * GIB as f64);
    let factor = new_bytes.factor().expect("something is usual");
    assert!((60.0..75.0).contains(&factor), "{factor}");
    assert!(new_bytes.limit.number() < new_bytes.value.number());
    assert!((new_bytes.limit.number() / new_bytes.baseline.number() - 5.0).abs() < 1e-9, "the rule's factor");
}

#[test]
fn numbers_that_are_no_rules_are_refused() {
    for number in [1.0, 0.0, -3.0, f64::NAN, f64::INFINITY] {
        assert!(Factor::new(number).is_err(), "{number}");
    }
    for number in [0.0, 1.1, -0.2, f64::NAN] {
        assert!(Share::new(number).is_err(), "{number}");
    }
    assert!(Share::new(1.0).is_ok() && Factor::new(1.1).is_ok());
}
