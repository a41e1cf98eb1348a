//! What became of the parent's files: how many are gone, have another content, or were moved.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keepfast_engine::archive::{ArchiveReport, Changes, Source, Stream};
use keepfast_testkit::{Ear, Lab, tree};

const FOLDERS: usize = 8;
const SMALL: usize = 40;
const LARGE: usize = 5;
const ALL: u64 = (FOLDERS * (SMALL + LARGE)) as u64;

/// Folders with small files, which share chunks, and larger ones.
fn build(root: &Path) {
    for folder in 0..FOLDERS {
        let at = root.join(format!("folder {folder}"));
        for number in 0..SMALL {
            tree::write(at.join(format!("small {number:02}")), format!("{folder} {number}").repeat(20));
        }
        for number in 0..LARGE {
            let seed = (folder * 100 + number) as u64;
            tree::write(at.join(format!("large {number}")), tree::noise(seed, 300_000));
        }
    }
    tree::settle(root);
}

/// What the second backup says, after the tree was changed.
fn after(change: impl FnOnce(&Path)) -> (ArchiveReport, Changes) {
    let lab = Lab::with(build);
    assert_eq!(lab.backup().changes, None, "there is no parent");
    change(&lab.source());
    let report = lab.backup();
    let changes = report.changes.expect("there is a parent");
    assert_eq!(changes.files_before, ALL);
    (report, changes)
}

fn counts(changes: Changes) -> (u64, u64, u64) {
    (changes.files_deleted, changes.files_rewritten, changes.files_moved)
}

#[test]
fn nothing_has_become_of_files_that_are_as_they_were() {
    assert_eq!(counts(after(|_| {}).1), (0, 0, 0));
    // Files that are new in no way concern the parent's.
    let added = |root: &Path| {
        tree::write(root.join("folder 0/new"), "new");
        tree::write(root.join("new folder/large"), tree::noise(999, 300_000));
        tree::write(root.join("empty"), "");
    };
    assert_eq!(counts(after(added).1), (0, 0, 0));
}

#[test]
fn files_that_are_gone_are_counted_wherever_they_were() {
    let (_, changes) = after(|root| {
        fs::remove_file(root.join("folder 0/small 07")).expect("it can be removed");
        fs::remove_file(root.join("folder 1/large 3")).expect("it can be removed");
        fs::remove_dir_all(root.join("folder 2")).expect("it can be removed");
        // Something that is no file stands in its place.
        fs::remove_file(root.join("folder 3/small 00")).expect("it can be removed");
        tree::write(root.join("folder 3/small 00/inside"), "new");
    });
    assert_eq!(counts(changes), (2 + (SMALL + LARGE) as u64 + 1, 0, 0));
}

#[test]
fn only_another_content_is_a_rewrite() {
    let (report, changes) = after(|root| {
        for folder in 0..FOLDERS {
            let at = root.join(format!("folder {folder}"));
            for entry in fs::read_dir(&at).expect("it is listed") {
                let path = entry.expect("an entry").path();
                fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("it can be set");
            }
        }
    });
    assert_eq!((report.statistics.files_changed, counts(changes)), (ALL, (0, 0, 0)));
    let (_, changes) = after(|root| {
        for number in 0..LARGE {
            tree::write(root.join(format!("folder 4/large {number}")), tree::noise(7, 300_000));
        }
        tree::write(root.join("folder 5/small 11"), "another content");
    });
    assert_eq!(counts(changes), (0, LARGE as u64 + 1, 0));
}

#[test]
fn a_renamed_folder_is_moved_and_a_note_in_each_folder_is_not() {
    let (_, changes) = after(|root| {
        fs::rename(root.join("folder 0"), root.join("renamed")).expect("it can be renamed");
        fs::rename(root.join("folder 1/large 0"), root.join("folder 2/moved")).expect("it can be renamed");
    });
    let in_folder = (SMALL + LARGE) as u64;
    assert_eq!(counts(changes), (in_folder + 1, 0, in_folder + 1));
    // The same bytes everywhere, and only the first of them are new to the repository.
    let (_, changes) = after(|root| {
        for folder in 0..FOLDERS {
            let at = root.join(format!("folder {folder}"));
            fs::remove_file(at.join("large 0")).expect("it can be removed");
            let note = tree::write(at.join("zz note"), tree::noise(1234, 300_000));
            // Written after the parent was made, by whichever clock.
            tree::set_mtime(note, 12_000_000_000, 0);
        }
    });
    assert_eq!(counts(changes), (FOLDERS as u64, 0, 0));
}

/// A stream is read each time and compared with nothing; it is not gone.
#[test]
fn a_stream_among_files_is_not_deleted() {
    let lab = Lab::with(build);
    let paths = [lab.source()];
    let back_up = |content: &'static [u8]| {
        let stream = Stream {
            name: b"db.sql".to_vec(),
            reader: Box::new(content),
            cutting: Default::default(),
            ended: Box::new(|| Ok(())),
        };
        let source = Source { paths: &paths, streams: vec![stream], ..Source::default() };
        lab.archive(source, &Ear::default(), |_| {}).expect("the backup works")
    };
    back_up(b"one");
    let changes = back_up(b"two").changes.expect("there is a parent");
    assert_eq!((changes.files_before, counts(changes)), (ALL + 1, (0, 0, 0)));
}

#[test]
fn a_dry_run_knows_of_no_changes() {
    let lab = Lab::with(build);
    lab.backup();
    assert_eq!(lab.backup_with(|options| options.dry_run = true).changes, None);
}
