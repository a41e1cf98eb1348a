//! Restores to points in time.

use std::fs;

use keepfast_sources::files::FolderFiles;
use keepfast_sources::manifest::Manifest;
use keepfast_sources::postgres::base::Base;
use keepfast_sources::postgres::lsn::SegmentBytes;
use keepfast_sources::postgres::physical::{Target, choose};
use keepfast_sources::postgres::wal::{Archive, Gap};
use keepfast_sources::postgres::window::Window;
use keepfast_sources::restore::Until;
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, at_time, refusal, wait_until};

const NOW: &str = r#"SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#;

/// To a time, a position, a name and a transaction: what was before is there, and what came after isn't.
fn goes_to_a_point_in_time(version: PostgresVersion) {
    let lab = Lab::new(version);
    lab.note("base");
    let (folder, manifest) = lab.backup("base");
    let base = Base::of(&manifest).expect("a base backup");
    let stopped = base.stopped.to_string();
    wait_until("the second of the backup is over", || lab.query(NOW) > stopped);
    lab.note("time");
    let time = lab.query(NOW);
    lab.note("position");
    let position = lab.query("SELECT pg_current_wal_flush_lsn()");
    lab.note("name");
    lab.execute("SELECT pg_create_restore_point('it''s before')");
    let transaction = lab.query("INSERT INTO t (note) VALUES ('transaction') RETURNING pg_current_xact_id()");
    let transaction = transaction.lines().next().expect("a number").to_owned();
    lab.execute("DROP TABLE t");
    let wal = FolderFiles::new(lab.ship("wal"));
    let targets = [
        ("t", at_time(&time), "base time"),
        ("p", Target::At(Until::Position(position)), "base time position"),
        ("n", Target::At(Until::Name("it's before".to_owned())), "base time position name"),
        ("x", Target::At(Until::Transaction(transaction)), "base time position name transaction"),
    ];
    for (name, target, notes) in targets {
        assert_eq!(choose(std::slice::from_ref(&base), &target).expect("a base"), &base);
        let restored = lab.restore(&folder, &wal, name, target.clone()).expect("a server");
        assert_eq!(restored.notes(), notes, "{target}");
        // The copy lives on in a timeline of its own.
        assert_eq!(restored.query("SELECT timeline_id FROM pg_control_checkpoint()"), "2");
    }
    // Nothing of the copies came into the archive.
    assert!(!lab.path("archive/00000002.history").exists());
    // Before the end of the base backup there is nothing to restore.
    let start = base.start.to_string();
    for early in [at_time("2020-01-01T00:00:00Z"), Target::At(Until::Position(start))] {
        let said = refusal(lab.restore(&folder, &wal, "early", early.clone()));
        assert!(said.contains(&stopped) && said.contains("first moment that can be restored"), "{said}");
        let said = refusal(choose(std::slice::from_ref(&base), &early).cloned());
        assert!(said.contains(&stopped), "{said}");
        assert!(!lab.path("early").exists(), "nothing is written");
    }
    // Behind the end of the archive there is an error, not the end of the archive.
    for late in [at_time("2099-01-01T00:00:00Z"), Target::At(Until::Name("never".to_owned()))] {
        let _ = fs::remove_dir_all(lab.path("late"));
        let _ = fs::remove_dir_all(lab.path("lates"));
        let said = refusal(lab.restore(&folder, &wal, "late", late.clone()));
        assert!(said.contains("the archive of the log doesn't go that far"), "{said}");
        assert!(said.contains("its last transaction was at 20"), "{said}");
    }
    let said = refusal(lab.restore(&folder, &wal, "later", Target::At(Until::Position("FF/0".to_owned()))));
    assert!(said.contains("isn't in the archive of the log"), "{said}");
}

#[test]
fn a_restore_goes_to_a_point_in_time_15() {
    goes_to_a_point_in_time(PostgresVersion::Debian);
}

#[test]
fn a_restore_goes_to_a_point_in_time_18() {
    goes_to_a_point_in_time(PostgresVersion::V18);
}

/// A segment that is missing is told before someone needs it, and named when someone does.
#[test]
fn a_missing_segment_is_told_and_named() {
    let lab = Lab::new(PostgresVersion::Debian);
    let (folder, manifest) = lab.backup("base");
    let base = Base::of(&manifest).expect("a base backup");
    let (mut segments, mut positions) = (Vec::new(), Vec::new());
    for note in ["one", "two", "three"] {
        lab.note(note);
        segments.push(lab.query("SELECT pg_walfile_name(pg_current_wal_insert_lsn())"));
        positions.push(lab.query("SELECT pg_current_wal_flush_lsn()"));
        lab.archive();
    }
    let wal = lab.ship("wal");
    let files = FolderFiles::new(&wal);
    let gaps = || {
        Archive::read(&files).expect("an archive").gaps(std::slice::from_ref(&base), SegmentBytes::default())
    };
    assert_eq!(gaps(), []);
    fs::remove_file(wal.join("wal/00000001").join(&segments[1])).expect("a segment");
    let found = gaps();
    let is_it = |gap: &Gap| matches!(gap, Gap::Segments { first, last, count: 1, .. } if first == last && first.to_string() == segments[1]);
    assert!(matches!(found.as_slice(), [gap] if is_it(gap)), "{found:?}");
    let said = refusal(lab.restore(&folder, &files, "end", Target::End));
    assert!(said.contains(&segments[1]) && said.contains("though later segments are there"), "{said}");
    let late = Target::At(Until::Position(positions[2].clone()));
    let said = refusal(lab.restore(&folder, &files, "late", late));
    assert!(said.contains(&segments[1]), "{said}");
    // To a moment behind the gap: only recovery shows that.
    let said = refusal(lab.restore(&folder, &files, "time", at_time("2099-01-01T00:00:00Z")));
    assert!(said.contains(&segments[1]), "{said}");
    // Before it, all is well.
    let restored = lab.restore(&folder, &files, "r", Target::At(Until::Position(positions[0].clone())));
    assert_eq!(restored.expect("a server").notes(), "one");
}

/// The files of a server are read as a tree between two calls.
#[test]
fn a_tree_that_is_read_in_a_window_has_what_belongs_beside_it() {
    let lab = Lab::new(PostgresVersion::Debian);
    let fast = lab.folder("fast");
    lab.execute(&format!("CREATE TABLESPACE fast LOCATION '{}'", fast.display()));
    let patience = std::time::Duration::from_secs(5);
    let window = Window::open(&lab.address(), patience, &lab.context()).expect("a window");
    assert_eq!(window.data, lab.server.data().display().to_string());
    let start = window.start;
    lab.note("during");
    let closed = window.close(true).expect("it closes");
    assert!(start < closed.stop);
    assert!(closed.label.contains(&format!("START WAL LOCATION: {start}")), "{}", closed.label);
    assert!(closed.tablespace_map.is_some_and(|map| map.contains(&fast.display().to_string())));
    // Dropped, it is as if it had not been.
    drop(Window::open(&lab.address(), patience, &lab.context()).expect("a window"));
    let manifest = lab.backup("base").1;
    assert!(Manifest::read(&FolderFiles::new(lab.path("base"))).is_ok_and(|read| read == manifest));
}
