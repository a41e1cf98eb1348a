//! Links that are followed, and block devices and fifos whose content is wanted.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use keepfast_engine::archive::{ArchiveOptions, Source, estimate};
use keepfast_engine::run::Event;
use keepfast_testkit::lab::archive_options;
use keepfast_testkit::{Disk, Ear, Lab, assert_same, tree};
use rustix::fs::{CWD, FileType, Mode};

fn follow(options: &mut ArchiveOptions) {
    options.follow = true;
}

fn read_special(options: &mut ArchiveOptions) {
    options.read_special = true;
}

#[track_caller]
fn back_up(lab: &Lab, path: &Path, change: impl FnOnce(&mut ArchiveOptions)) -> Vec<Event> {
    let ear = Ear::default();
    lab.archive(Source::paths(&[path.to_owned()]), &ear, change).expect("the backup works");
    ear.heard()
}

fn estimated(path: &Path, change: impl FnOnce(&mut ArchiveOptions)) -> (u64, u64) {
    let mut options = archive_options();
    change(&mut options);
    let ear = Ear::default();
    estimate(&[path.to_owned()], &options, &AtomicBool::new(false), &ear);
    let progress = ear.counters().progress();
    (progress.files_expected, progress.bytes_expected)
}

/// What is restored is what `cp -L` makes of the same tree.
#[test]
fn what_links_point_to_is_backed_up_in_their_place() {
    let lab = Lab::new();
    let outside = lab.path("outside");
    for name in ["folder/deep/file", "folder/small", "single"] {
        tree::write(outside.join(name), name.repeat(50));
    }
    tree::write(outside.join("large"), tree::noise(3, 3 << 20));
    let link = |target: &Path, name: &str| {
        symlink(target, lab.source().join(name)).expect("it can be made");
    };
    tree::write(lab.source().join("own"), "own");
    link(&outside.join("folder"), "to folder");
    link(&outside.join("single"), "to single");
    link(&outside.join("large"), "to large");
    link(Path::new("to folder"), "to link");
    let copy = lab.path("copy");
    // No hard links: a file that is in the snapshot twice because of links isn't one file with two names.
    let preserve = "--preserve=mode,ownership,timestamps";
    let copied = Command::new("cp").args(["-rL", preserve]).arg(lab.source()).arg(&copy).status();
    assert!(copied.expect("cp runs").success());
    // Again, to compare with the parent; with other neighbours, to read bundled files again.
    for round in 0..3 {
        assert_eq!(back_up(&lab, &lab.source(), follow), [], "round {round}");
        let found = lab.restore("latest");
        assert_same(&copy, &found);
        let options = |options: &mut ArchiveOptions| {
            follow(options);
            options.ignore_ctime = true;
        };
        assert_eq!(back_up(&lab, &lab.source(), options), []);
        assert_same(&copy, &lab.restore("latest"));
        tree::write(outside.join("folder/another"), format!("{round}"));
        tree::write(copy.join("to folder/another"), format!("{round}"));
        tree::write(copy.join("to link/another"), format!("{round}"));
        for folder in ["folder", "folder/another"] {
            let (seconds, nanos) = tree::mtime(outside.join(folder));
            for beginning in ["to folder", "to link"] {
                let name = folder.replacen("folder", beginning, 1);
                tree::set_mtime(copy.join(name), seconds, nanos);
            }
        }
    }
    let counted = back_up_counted(&lab, follow);
    assert_eq!(estimated(&lab.source(), follow), counted);
    lab.assert_sound();
}

fn back_up_counted(lab: &Lab, change: impl FnOnce(&mut ArchiveOptions)) -> (u64, u64) {
    let paths = [lab.source()];
    let report = lab.archive(Source::paths(&paths), &Ear::default(), change).expect("the backup works");
    (report.statistics.files(), report.statistics.bytes_total)
}

#[test]
fn links_that_lead_nowhere_or_in_a_circle_stay_links() {
    let lab = Lab::with(|root| drop(tree::write(root.join("a/b/file"), "content")));
    let source = lab.source();
    for (target, name) in
        [("none", "dangling"), ("self", "self"), ("..", "a/up"), ("../../a", "a/b/round"), ("b", "a/fine")]
    {
        symlink(target, source.join(name)).expect("it can be made");
    }
    let heard = back_up(&lab, &source, follow);
    let told = |name: &str| {
        heard.iter().any(|heard| {
            matches!(heard, Event::Notice(line)
                if line.starts_with(&format!("{}: ", source.join(name).display())) && line.contains("leads back"))
        })
    };
    assert!(told("a/up") && told("a/b/round") && told("a/fine/round"), "{heard:?}");
    assert_eq!(heard.len(), 3, "{heard:?}");
    let found = lab.restore("latest");
    for name in ["dangling", "self", "a/up", "a/b/round", "a/fine/round"] {
        assert!(found.join(name).is_symlink(), "{name}");
    }
    assert_eq!(fs::read(found.join("a/fine/file")).expect("it is there"), b"content");
    assert_eq!(estimated(&source, follow), back_up_counted(&lab, follow));
}

#[test]
fn links_to_other_file_systems_are_kept_if_those_are_left_out() {
    let lab = Lab::new();
    let Some(disk) = Disk::mount(lab.path("disk"), "size=2m") else { return };
    tree::write(disk.path().join("folder/file"), "elsewhere");
    symlink(disk.path().join("folder"), lab.source().join("link")).expect("it can be made");
    let both = |options: &mut ArchiveOptions| {
        options.one_file_system = true;
        options.follow = true;
    };
    back_up(&lab, &lab.source(), both);
    assert!(lab.restore("latest").join("link").is_symlink());
    assert_eq!(estimated(&lab.source(), both), (0, 0));
    back_up(&lab, &lab.source(), follow);
    assert_eq!(fs::read(lab.restore("latest").join("link/file")).expect("it is there"), b"elsewhere");
}

/// A link that is named and leads to a file.
#[test]
fn a_source_that_is_a_link_to_a_file_is_followed() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let link = lab.source().join("link");
    symlink("file", &link).expect("it can be made");
    for change in [follow, |options: &mut ArchiveOptions| options.follow_sources = true] {
        for _ in 0..2 {
            assert_eq!(back_up(&lab, &link, change), []);
            let restored = lab.restore("latest").join("link");
            assert!(!restored.is_symlink());
            assert_eq!(fs::read(restored).expect("it is there"), b"content");
        }
    }
}

/// A file that the kernel shows as a block device, for as long as the value lives.
struct Loop(PathBuf);

impl Loop {
    fn over(file: &Path) -> Option<Self> {
        let made = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
        let path = String::from_utf8(made.stdout).ok()?;
        made.status.success().then(|| Self(PathBuf::from(path.trim())))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        drop(Command::new("losetup").arg("--detach").arg(&self.0).status());
    }
}

#[test]
fn the_content_of_a_block_device_is_backed_up_if_it_is_named() {
    let lab = Lab::new();
    let mut content = tree::noise(5, 5 << 20);
    content[1 << 20..3 << 20].fill(0);
    let image = lab.path("image");
    tree::write(&image, &content);
    let Some(device) = Loop::over(&image) else {
        eprintln!("not tested: no loop devices for this user");
        return;
    };
    // Volumes are named by links. A device that wasn't named is backed up as a device.
    let link = lab.source().join("volume");
    symlink(&device.0, &link).expect("it can be made");
    let restored = |path: &Path| {
        let target = lab.fresh_target();
        lab.try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
            .expect("the restore works");
        target.join(path.strip_prefix("/").expect("it is absolute"))
    };
    for path in [&device.0, &link] {
        for _ in 0..2 {
            assert_eq!(back_up(&lab, path, read_special), [], "{}", path.display());
            let found = restored(path);
            assert!(found.symlink_metadata().expect("it is there").is_file());
            assert!(fs::read(found).expect("it can be read") == content);
        }
        assert_eq!(estimated(path, read_special), (1, 5 << 20));
    }
    back_up(&lab, &lab.source(), read_special);
    assert!(restored(&lab.source()).join("volume").is_symlink());
    lab.assert_sound();
}

fn make_fifo(path: &Path) {
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0).expect("a fifo can be made");
}

#[test]
fn what_is_written_into_a_fifo_is_backed_up_if_it_is_named() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "content")));
    let fifo = lab.source().join("fifo");
    make_fifo(&fifo);
    let content = tree::noise(7, 3 << 20);
    let write = |parts: usize| {
        // Opening waits until the backup has opened it.
        let mut file = fs::OpenOptions::new().write(true).open(&fifo).expect("it opens");
        for part in content.chunks(content.len() / parts.max(1)).take(parts) {
            file.write_all(part).expect("it is read");
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(3));
        let paths = [lab.source(), fifo.clone()];
        let ear = Ear::default();
        lab.archive(Source::paths(&paths), &ear, read_special).expect("the backup works");
        assert_eq!(ear.heard(), []);
        writer.join().expect("it has written all");
    });
    assert!(fs::read(lab.restore("latest").join("fifo")).expect("it is a file") == content);
    // If nothing is written, the program that should have written has most likely failed.
    std::thread::scope(|scope| {
        scope.spawn(|| write(0));
        let heard = back_up(&lab, &fifo, read_special);
        assert!(matches!(&heard[..], [Event::Skipped { path, .. }] if *path == fifo), "{heard:?}");
    });
    back_up(&lab, &lab.source(), read_special);
    let mode = lab.restore("latest").join("fifo").symlink_metadata().expect("it is there").file_type();
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&mode), "one that no one has named is a fifo");
}

/// A program that writes into a fifo waits for a reader, and is killed if the reader closes the fifo: so only the
/// backup itself may open it.
#[test]
fn a_dry_run_and_an_estimate_leave_a_fifo_to_the_backup() {
    let lab = Lab::new();
    let fifo = lab.source().join("fifo");
    make_fifo(&fifo);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut file = fs::OpenOptions::new().write(true).open(&fifo)?;
            file.write_all(&[7; 100_000])
        });
        let dry = |options: &mut ArchiveOptions| {
            read_special(options);
            options.dry_run = true;
        };
        assert_eq!(back_up(&lab, &fifo, dry), []);
        assert_eq!(estimated(&fifo, read_special), (1, 0));
        assert!(!writer.is_finished(), "the dry run or the estimate has opened it to read");
        assert_eq!(back_up(&lab, &fifo, read_special), []);
        writer.join().expect("it ends").expect("all of it is read");
    });
    assert_eq!(fs::read(lab.restore("latest").join("fifo")).expect("it is a file").len(), 100_000);
}

/// Without a program that writes, a fifo never ends.
#[test]
fn a_backup_that_waits_for_a_fifo_can_be_stopped() {
    let lab = Lab::new();
    let fifo = lab.source().join("fifo");
    make_fifo(&fifo);
    let ear = Ear::default();
    std::thread::scope(|scope| {
        let backup =
            scope.spawn(|| lab.archive(Source::paths(std::slice::from_ref(&fifo)), &ear, read_special));
        // The backup has the fifo open as soon as an open to write without waiting works. Nothing is written.
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        let open = loop {
            match rustix::fs::open(&fifo, flags, Mode::empty()) {
                Ok(open) => break open,
                Err(_) => std::thread::yield_now(),
            }
        };
        let is_told =
            |heard: &Event| matches!(heard, Event::Notice(line) if line.contains("waiting for a program"));
        while !ear.heard().iter().any(is_told) {
            std::thread::yield_now();
        }
        ear.cancel().cancel();
        let ended = backup.join().expect("it ends");
        assert!(matches!(ended, Err(keepfast_engine::EngineError::Interrupted)), "{ended:?}");
        drop(open);
    });
}
