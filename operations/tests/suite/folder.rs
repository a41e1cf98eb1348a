//! Folders that a program writes into a backup, and that another one reads from the snapshot.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

use keepfast_engine::EngineError;
use keepfast_engine::archive::{EntryAttributes, FolderSink, NewFile};
use keepfast_engine::error::Mismatch;
use keepfast_operations::OperationsError;
use keepfast_operations::folder::{FolderFile, SnapshotFolder};
use keepfast_operations::open::{Mode, Opened, SharedRepository};
use keepfast_operations::reports::BackupReport;
use keepfast_operations::requests::{Backup, backup_with};
use keepfast_operations::streams::{Inputs, StreamGroup};
use keepfast_testkit::tree;

use crate::desk::{Desk, back_up, run};

fn put(sink: &dyn FolderSink, path: &str, bytes: &[u8]) -> Result<(), String> {
    sink.file(&NewFile::at(path.as_bytes()), &mut { bytes }).map(drop).map_err(|error| error.to_string())
}

/// Backs up a folder named `db`.
fn back_up_db(
    shared: &SharedRepository,
    write: impl FnOnce(&dyn FolderSink) -> Result<(), String> + Send + 'static,
) -> keepfast_operations::Result<BackupReport> {
    let start = |group: &StreamGroup| {
        let folders = vec![group.folder("db", move |sink, _| write(sink))];
        Ok(Inputs { folders, ..Inputs::default() })
    };
    backup_with(&Backup::default(), true, start, shared, &run())
}

fn opened(shared: &SharedRepository) -> Opened {
    shared.open(&run(), Mode::Usual).unwrap()
}

/// Reads a stream in parts of odd lengths.
fn read_all(mut content: Box<dyn Read + Send + '_>) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), [0; 70_001]);
    for part in [1, 999, 70_001].into_iter().cycle() {
        match content.read(&mut buffer[..part])? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(all)
}

#[test]
fn files_of_a_folder_are_listed_and_read_by_several_threads_at_once() {
    let desk = Desk::new();
    let shared = desk.shared();
    let content_of = |number: u64| match number {
        0 => Vec::new(),
        // More than is fetched at once.
        1 => tree::noise(1, 20 << 20),
        2 => tree::noise(2, 3 << 20),
        number => tree::noise(number, 1000),
    };
    let report = back_up_db(&shared, move |sink| {
        sink.directory(b"empty", EntryAttributes::default()).map_err(|error| error.to_string())?;
        sink.symlink(b"link", b"0", EntryAttributes::default()).map_err(|error| error.to_string())?;
        (0..200).try_for_each(|number| put(sink, &format!("schema/{number:03}"), &content_of(number)))
    });
    assert_eq!(report.unwrap().summary.files_new, 200);

    let (opened, run) = (opened(&shared), run());
    let folder = SnapshotFolder::new(&opened, &opened.snapshots.all[0].snapshot, b"db/", &run);
    let files = folder.files().unwrap();
    let size = |number| content_of(number).len() as u64;
    let file = |number| FolderFile { path: format!("schema/{number:03}").into_bytes(), size: size(number) };
    assert_eq!(files, (0..200).map(file).collect::<Vec<_>>());
    thread::scope(|scope| {
        for thread in 0..4 {
            let (folder, files) = (&folder, &files);
            scope.spawn(move || {
                for number in (thread..200).step_by(4) {
                    let file = &files[usize::try_from(number).unwrap()];
                    let bytes = read_all(folder.open(&file.path).unwrap()).unwrap();
                    assert!(bytes == content_of(number), "file {number} comes back different");
                }
            });
        }
    });
    assert_eq!((run.counters().progress().files, run.troubles().is_empty()), (200, true));

    for (path, found) in [("schema/x", Mismatch::Nothing), ("empty", Mismatch::NoRegularFile)] {
        let Err(error) = folder.open(path.as_bytes()) else { panic!("{path} can't be read") };
        assert!(
            matches!(error.engine(), Some(EngineError::NotInSnapshot { found: is, .. }) if *is == found),
            "{error}"
        );
    }
    for (path, found) in [("db/no", Mismatch::Nothing), ("db/schema/003", Mismatch::NoDirectory)] {
        let folder = SnapshotFolder::new(&opened, &opened.snapshots.all[0].snapshot, path.as_bytes(), &run);
        let error = folder.files().unwrap_err();
        assert!(
            matches!(error.engine(), Some(EngineError::NotInSnapshot { found: is, .. }) if *is == found),
            "{error}"
        );
    }
}

/// Files of a file system have holes, and small ones share chunks.
#[test]
fn any_file_of_a_snapshot_is_read_as_it_was() {
    let desk = Desk::new();
    let source = desk.path("source");
    fs::create_dir_all(&source).unwrap();
    tree::write_sparse(source.join("holes"), 9 << 20, &[(4096, 100_000), (5 << 20, 1 << 20)]);
    tree::write_sparse(source.join("hole"), 1 << 20, &[]);
    for number in 0..50 {
        tree::write(source.join(format!("small {number}")), tree::noise(number, 700));
    }
    let shared = desk.shared();
    back_up(&shared, &source).unwrap();
    let (opened, run) = (opened(&shared), run());
    let snapshot = &opened.snapshots.all[0].snapshot;
    let folder = SnapshotFolder::new(&opened, snapshot, source.as_os_str().as_bytes(), &run);
    let files = folder.files().unwrap();
    assert_eq!(files.len(), 52);
    for FolderFile { path, .. } in files {
        let name = String::from_utf8(path.clone()).unwrap();
        let bytes = read_all(folder.open(&path).unwrap()).unwrap();
        assert!(bytes == fs::read(source.join(&name)).unwrap(), "{name} comes back different");
    }
}

fn largest_pack(below: &Path) -> PathBuf {
    let mut folders = vec![below.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let found = entry.metadata().unwrap();
            if found.is_dir() {
                folders.push(entry.path());
            } else {
                files.push((found.len(), entry.path()));
            }
        }
    }
    files.into_iter().max().unwrap().1
}

#[test]
fn damaged_content_is_an_error_and_never_other_bytes() {
    let desk = Desk::new();
    let shared = desk.shared();
    let bytes = tree::noise(5, 1 << 20);
    let written = bytes.clone();
    back_up_db(&shared, move |sink| put(sink, "rows", &written)).unwrap();
    let pack = fs::OpenOptions::new().read(true).write(true).open(largest_pack(&desk.path("repository")));
    let (pack, at) = (pack.unwrap(), 500_000);
    let mut byte = [0];
    pack.read_exact_at(&mut byte, at).unwrap();
    pack.write_all_at(&[byte[0] ^ 1], at).unwrap();

    let (opened, run) = (opened(&shared), run());
    let folder = SnapshotFolder::new(&opened, &opened.snapshots.all[0].snapshot, b"/db", &run);
    let (mut content, mut read) = (folder.open(b"rows").unwrap(), Vec::new());
    let error = content.read_to_end(&mut read).unwrap_err();
    assert!(bytes.starts_with(&read) && read.len() < bytes.len(), "{} bytes were given", read.len());
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<EngineError>());
    assert!(matches!(cause, Some(EngineError::Damaged { .. } | EngineError::Missing { .. })), "{error}");
}

#[test]
fn a_folder_that_fails_is_told_by_its_name() {
    let desk = Desk::new();
    let shared = desk.shared();
    let error = back_up_db(&shared, |sink| {
        put(sink, "rows", b"some")?;
        Err("the table users can't be read: permission denied".to_owned())
    });
    let error = error.unwrap_err();
    assert!(matches!(error, OperationsError::Stream(_)));
    let expected = "db: the table users can't be read: permission denied: no snapshot was made";
    assert_eq!(error.to_string(), expected);
    assert!(opened(&shared).snapshots.all.is_empty());
}
