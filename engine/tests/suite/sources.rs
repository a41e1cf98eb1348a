//! Sources as users have them: the root directory, mounts, links, files with wrong sizes, trees that are
//! deeper than a thread's stack, attributes.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use keepfast_engine::archive::{ArchiveOptions, Source, estimate};
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::restore::Overwrite;
use keepfast_engine::run::Event;
use keepfast_testkit::lab::archive_options;
use keepfast_testkit::servers::{Links, PlainDisk};
use keepfast_testkit::{Disk, Ear, Lab, assert_same, describe, tree};
use rustix::fs::{CWD, Mode, OFlags};

/// Backs up paths; nothing may be left out.
#[track_caller]
fn back_up(lab: &Lab, paths: &[PathBuf], change: impl FnOnce(&mut ArchiveOptions)) {
    let ear = Ear::default();
    lab.archive(Source::paths(paths), &ear, change).expect("the backup works");
    assert_eq!(ear.skipped(), Vec::<String>::new());
}

/// Restores the newest snapshot whole; returns where the directory or file at this path lies.
#[track_caller]
fn restored(lab: &Lab, path: &Path) -> PathBuf {
    let target = lab.fresh_target();
    lab.try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
        .expect("the restore works");
    target.join(path.strip_prefix("/").expect("it is absolute"))
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is a directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("names are plain"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn what_is_excluded_directly_below_the_root_is_left_out() {
    let lab = Lab::new();
    let options = |options: &mut ArchiveOptions| {
        options.exclude = Patterns::new(&["/*"]).expect("they compile");
        options.dry_run = true;
    };
    let root = [PathBuf::from("/")];
    let report = lab.archive(Source::paths(&root), &Ear::default(), options).expect("the backup works");
    assert_eq!((report.statistics.files(), report.statistics.dirs), (0, 0));
    assert_eq!(estimated(&root, options), (0, 0));
}

/// The progress that an estimate of the laboratory's source expects.
fn estimated(paths: &[PathBuf], change: impl FnOnce(&mut ArchiveOptions)) -> (u64, u64) {
    let mut options = archive_options();
    change(&mut options);
    let ear = Ear::default();
    estimate(paths, &options, &AtomicBool::new(false), &ear);
    let progress = ear.counters().progress();
    (progress.files_expected, progress.bytes_expected)
}

/// Some servers list names that they can't find: names that no client can write (SMB). An entry that was
/// removed meanwhile looks the same at first.
#[test]
fn an_entry_that_is_listed_and_cant_be_found_is_reported_and_a_removed_one_is_no_loss() {
    let lab = Lab::new();
    let (at, behind) = (lab.path("served"), lab.path("served.behind"));
    for top in [&at, &behind] {
        for name in ["a", "dir/b", "unfindable in the parent", "z"] {
            tree::write(top.join(name), "content");
        }
    }
    back_up(&lab, std::slice::from_ref(&at), |_| {});
    for name in ["dir/unfindable", "dir/vanishing", "unfindable", "unfindable folder/file", "vanishing"] {
        tree::write(behind.join(name), "content");
    }
    symlink("a", behind.join("unfindable link")).expect("it can be made");
    let disk = PlainDisk::mount(&at, Links::Refused);

    let ear = Ear::default();
    lab.archive(Source::paths(std::slice::from_ref(&at)), &ear, |_| {}).expect("the backup works");
    let mut skipped = ear.skipped();
    skipped.sort_unstable();
    let why = "it is listed in its directory, but can't be found by its name";
    let mut hidden =
        ["dir/unfindable", "unfindable", "unfindable folder", "unfindable in the parent", "unfindable link"]
            .map(|name| format!("{}: {why}", at.join(name).display()));
    hidden.sort_unstable();
    assert_eq!(skipped, hidden);
    let gone = ear.heard().into_iter().filter_map(|heard| match heard {
        Event::Gone { path } => Some(path),
        _ => None,
    });
    let mut gone: Vec<PathBuf> = gone.collect();
    gone.sort_unstable();
    assert_eq!(gone, ["dir/vanishing", "vanishing"].map(|name| at.join(name)));
    drop(disk);

    let found = restored(&lab, &at);
    assert_eq!(
        (names_in(&found), names_in(&found.join("dir"))),
        (vec!["a".into(), "dir".into(), "z".into()], vec!["b".into()])
    );
    for name in ["a", "dir/b", "z"] {
        assert_eq!(fs::read(found.join(name)).expect("it is there"), b"content");
    }
}

#[test]
fn what_is_estimated_is_what_is_backed_up() {
    let lab = Lab::with(tree::small);
    tree::write(lab.source().join("cache/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55");
    tree::write(lab.source().join("cache/much"), tree::noise(1, 100_000));
    tree::write(lab.source().join("left out/file"), "content");
    symlink(lab.source().join("cache"), lab.path("link")).expect("it can be made");
    let change = |options: &mut ArchiveOptions| {
        options.exclude_caches = true;
        options.exclude = Patterns::new(&["left out"]).expect("they compile");
    };
    // One path is within another, one ends with a slash.
    let paths = [lab.source(), lab.source().join("cache"), lab.path("link/")];
    let report = lab.archive(Source::paths(&paths), &Ear::default(), change).expect("the backup works");
    let statistics = report.statistics;
    assert_eq!(estimated(&paths, change), (statistics.files(), statistics.bytes_total));
}

#[test]
fn a_mount_is_entered_if_it_is_named_and_kept_as_an_empty_directory_if_not() {
    let lab = Lab::with(|root| drop(tree::write(root.join("file"), "here")));
    let at = lab.source().join("mounted");
    let Some(disk) = Disk::mount(&at, "size=2m,mode=751") else { return };
    for name in ["inside", "deep/below/file", "deep/beside"] {
        tree::write(disk.path().join(name), "elsewhere");
    }
    let one = |options: &mut ArchiveOptions| options.one_file_system = true;

    back_up(&lab, &[lab.source()], one);
    let found = restored(&lab, &lab.source());
    assert_eq!(names_in(&found), ["file", "mounted"]);
    assert_eq!(names_in(&found.join("mounted")), Vec::<String>::new());
    let mode = fs::metadata(found.join("mounted")).expect("it is there").mode();
    assert_eq!(mode & 0o7777, 0o751);

    back_up(&lab, &[lab.source(), at.clone()], one);
    assert_same(&lab.source(), &restored(&lab, &lab.source()));
    assert_eq!(estimated(&[lab.source(), at.clone()], one).0, 4);

    back_up(&lab, &[lab.source(), at.join("deep/below")], one);
    let found = restored(&lab, &lab.source());
    assert_eq!(names_in(&found.join("mounted")), ["deep"]);
    assert_eq!(names_in(&found.join("mounted/deep")), ["below"]);
    assert_eq!(names_in(&found.join("mounted/deep/below")), ["file"]);

    back_up(&lab, &[lab.source()], |_| {});
    assert_same(&lab.source(), &restored(&lab, &lab.source()));
}

#[test]
fn what_a_link_points_to_is_backed_up_where_a_slash_asks_for_it() {
    let lab = Lab::with(|root| drop(tree::write(root.join("real/file"), "content")));
    let (real, link) = (lab.source().join("real"), lab.source().join("link"));
    symlink("real", &link).expect("it can be made");
    let slash = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));

    back_up(&lab, std::slice::from_ref(&link), |_| {});
    assert_eq!(fs::read_link(restored(&lab, &link)).expect("it is a link"), Path::new("real"));
    for end in ["/", "/."] {
        back_up(&lab, &[slash(&link, end)], |_| {});
        assert_same(&real, &restored(&lab, &link));
    }
    back_up(&lab, std::slice::from_ref(&link), |options| options.follow_sources = true);
    assert_same(&real, &restored(&lab, &link));

    // With a slash or without, it is one path with one history.
    let mut parents = Vec::new();
    for end in ["", "/", "//", "/.", "/./"] {
        let paths = [slash(&real, end)];
        let done = lab.archive(Source::paths(&paths), &Ear::default(), |_| {}).expect("the backup works");
        let snapshot = done.snapshot.expect("one is made");
        assert_eq!(snapshot.body.paths, [real.to_str().expect("it is text").as_bytes().to_vec()], "{end:?}");
        parents.push(done.parent.is_some());
    }
    assert_eq!(parents, [false, true, true, true, true]);
}

#[test]
fn a_file_without_a_size_is_read_to_its_end() {
    let file = Path::new("/proc/kallsyms");
    let whole = fs::read(file).expect("it can be read");
    assert!(whole.len() > 4 << 20, "{} bytes: it shows nothing", whole.len());
    let lab = Lab::new();
    lab.archive(Source::paths(&[file.to_owned()]), &Ear::default(), |_| {}).expect("the backup works");
    assert!(fs::read(restored(&lab, file)).expect("it is there") == whole);
    lab.assert_sound();
}

/// Appends to a file while it is backed up, each time when the backup counts something.
#[test]
fn what_is_appended_meanwhile_is_read_or_left_out_as_a_whole() {
    for size in [10_000, 5 << 20] {
        let lab = Lab::new();
        let log = lab.source().join("log");
        tree::write(&log, tree::noise(1, size));
        let copy = log.clone();
        let ear = Ear::with_hook(move |_| {
            use std::io::Write;
            let mut file = fs::OpenOptions::new().append(true).open(&copy).expect("it opens");
            file.write_all(b"one more line\n").expect("it can be written");
        });
        lab.archive(Source::paths(&[lab.source()]), &ear, |_| {}).expect("the backup works");
        let found = fs::read(restored(&lab, &log)).expect("it is there");
        let now = fs::read(&log).expect("it is there");
        assert!(found.len() >= size && now.starts_with(&found), "{} of {} bytes", found.len(), now.len());
        lab.backup();
        assert_same(&lab.source(), &restored(&lab, &lab.source()));
    }
}

#[test]
fn attributes_are_compared_if_ctime_is_ignored() {
    let lab = Lab::with(|root| {
        for name in ["file", "small", "neighbour"] {
            tree::write(root.join(name), format!("content of {name}"));
        }
        tree::write(root.join("large"), tree::noise(1, 3_000_000));
    });
    let set = |name: &str, value: &[u8]| {
        assert!(tree::set_xattr(lab.source().join(name), "user.note", value), "attributes can be set");
    };
    set("file", b"first");
    tree::settle(&lab.source());
    lab.backup();
    set("file", b"second");
    set("large", b"new");
    let report = lab.backup_with(|options| options.ignore_ctime = true);
    assert_eq!(report.statistics.files_unchanged, 4);
    assert_same(&lab.source(), &restored(&lab, &lab.source()));
}

/// Nested directories, each with this name, and a file in the deepest one.
fn nest(root: &Path, name: &str, depth: usize) {
    let mut here: OwnedFd = rustix::fs::openat(CWD, root, OFlags::PATH, Mode::empty()).expect("it opens");
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, name, Mode::RWXU).expect("it can be made");
        here = rustix::fs::openat(&here, name, OFlags::PATH, Mode::empty()).expect("it opens");
    }
    let file = rustix::fs::openat(&here, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR);
    rustix::io::write(file.expect("it can be made"), b"at the bottom").expect("it can be written");
}

/// Removes such a tree. The standard library would recurse as deep as the tree is.
struct Nested(PathBuf);

impl Drop for Nested {
    fn drop(&mut self) {
        let _ = Command::new("rm").arg("-rf").arg(&self.0).status();
    }
}

#[test]
fn nested_directories_are_backed_up_however_deep() {
    let lab = Lab::with(tree::small);
    let _nested = Nested(lab.source().join("nest"));
    fs::create_dir(lab.source().join("nest")).expect("it can be made");
    nest(&lab.source().join("nest"), "a", 15_000);
    let first = lab.backup();
    assert!(first.statistics.dirs > 15_000, "{:?}", first.statistics);
    let again = lab.backup();
    assert_eq!(again.statistics.files(), again.statistics.files_unchanged);
    lab.assert_sound();
    lab.forget(&["latest~1"]);
    lab.prune();
    lab.assert_sound();
}

/// They are restored, verified, corrected and removed too, each with patterns of paths.
#[test]
fn nested_directories_are_restored_and_verified_however_deep() {
    const LEVELS: usize = 4_000;
    let lab = Lab::with(tree::small);
    let (nest_in, folder) = (lab.source().join("nest"), lab.in_snapshot("nest"));
    let target = lab.fresh_target();
    let _nested = (Nested(nest_in.clone()), Nested(target.clone()));
    fs::create_dir(&nest_in).expect("it can be made");
    nest(&nest_in, "a", LEVELS);
    lab.backup_with(|options| options.exclude = Patterns::new(&["a/b", "/x/**/y"]).expect("they compile"));
    let restore = |overwrite, delete, dry_run, verify| {
        let ear = Ear::default();
        let report = lab
            .try_restore("latest", &ear, |options| {
                options.target.clone_from(&target);
                options.folder.clone_from(&folder);
                options.overwrite = overwrite;
                options.delete = delete;
                options.dry_run = dry_run;
                options.verify = verify;
                options.exclude = Patterns::new(&["b/a/c"]).expect("they compile");
            })
            .expect("it works");
        ear.assert_content();
        report
    };
    let report = restore(Overwrite::Refuse, false, false, true);
    assert_eq!(
        (report.dirs, report.files, report.verified, report.troubles.skipped),
        (LEVELS as u64, 1, 1, 0)
    );
    nest(&target, "other", LEVELS);
    let report = restore(Overwrite::IfChanged, true, false, true);
    assert_eq!(
        (report.unchanged, report.deleted, report.verified, report.troubles.skipped),
        (1, LEVELS as u64 + 1, 1, 0)
    );
    let report = restore(Overwrite::Always, true, true, false);
    assert_eq!(
        (report.dirs, report.files, report.deleted, report.troubles.skipped),
        (LEVELS as u64, 1, 0, 0)
    );
}

#[test]
fn a_file_that_a_server_has_a_lease_on_is_waited_for() {
    let lab = Lab::with(|root| drop(tree::write(root.join("leased"), "content")));
    // Takes a write lease (F_SETLEASE), prints that, and gives it back some time after it is asked to.
    let holder = "use strict; open(my $file, '+<', $ARGV[0]) or die; my $asked = 0; \
                  $SIG{IO} = sub { $asked = 1 }; fcntl($file, 1024, 1) or die \"no lease: $!\"; \
                  $| = 1; print \"held\\n\"; select(undef, undef, undef, 0.05) until $asked; \
                  select(undef, undef, undef, 0.3); fcntl($file, 1024, 2);";
    let mut command = Command::new("perl");
    command.args(["-e", holder]).arg(lab.source().join("leased")).stdout(std::process::Stdio::piped());
    let mut holder = command.spawn().expect("perl runs");
    let mut line = [0; 5];
    let output = holder.stdout.as_mut().expect("it is piped");
    std::io::Read::read_exact(output, &mut line).expect("it says that it has the lease");
    lab.backup();
    assert!(holder.wait().expect("it ends").success());
    assert_same(&lab.source(), &restored(&lab, &lab.source()));
}

#[test]
fn the_counted_bytes_of_sparse_files_are_their_data() {
    let lab = Lab::new();
    for number in 0..3 {
        let file = fs::File::create(lab.source().join(format!("sparse {number}"))).expect("it can be made");
        file.set_len(1 << 43).expect("it can be as long");
    }
    tree::write(lab.source().join("data"), tree::noise(1, 10_000));
    tree::settle(&lab.source());
    assert_eq!(lab.backup().statistics.bytes_total, 10_000);
    let again = lab.backup();
    assert_eq!((again.statistics.files_unchanged, again.statistics.bytes_total), (4, 10_000));
}

/// A user who isn't root.
const ANOTHER_USER: u32 = 65_534;

/// Bytes that name in each line the file that they belong to.
fn content_of(number: u32, lines: usize) -> Vec<u8> {
    format!("file {number}\n").repeat(lines).into_bytes()
}

/// Changes a tree until it is killed: files are renamed, truncated, written to, and swapped with links. Each
/// step may fail, because another process was faster.
const DISTURBER: &str = r#"
import os, random, sys
root, secret, seed = sys.argv[1:]
chance = random.Random(seed)
folder = lambda: f"{root}/folder {chance.randrange(4)}"
def write(file, number, lines):
    with open(file, "w") as opened:
        opened.write(f"file {number}\n" * lines)
while True:
    number, aside, here = chance.randrange(40), f"{root}/aside", folder()
    file = f"{folder()}/{number}"
    try:
        match chance.randrange(8):
            case 0: os.rename(file, f"{here}/{number}")
            case 1: write(file, number, 1 + chance.randrange(2000))
            case 2: os.truncate(file, 0)
            case 3: os.remove(file); os.symlink(f"{secret}/file", file)
            case 4: os.remove(file); write(file, number, 300000)
            case 5: os.rename(here, aside); os.symlink(secret, here)
            case 6: os.remove(here); os.rename(aside, here)
            case 7: os.mkdir(here)
    except OSError:
        pass
"#;

/// A program that disturbs a tree for as long as the value lives; as another user, if this one is root.
struct Disturber(std::process::Child);

impl Disturber {
    fn start(source: &Path, secret: &Path, seed: u32) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", DISTURBER]).args([source, secret]).arg(seed.to_string()).current_dir("/");
        if tree::is_root() {
            command.uid(ANOTHER_USER).gid(ANOTHER_USER);
        }
        Self(command.spawn().expect("python3 runs"))
    }
}

impl Drop for Disturber {
    fn drop(&mut self) {
        self.0.kill().expect("it runs until now");
        self.0.wait().expect("it ends");
    }
}

/// Lets another user change a tree, and reach where the secret is, which root alone may read.
fn give_away(lab: &Lab, secret: &Path) {
    if !tree::is_root() {
        return;
    }
    for folder in [lab.source().parent(), secret.parent(), Some(secret)].into_iter().flatten() {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    fs::set_permissions(secret.join("file"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let owner = format!("{ANOTHER_USER}:{ANOTHER_USER}");
    let given = Command::new("chown").args(["-R", &owner]).arg(lab.source()).status();
    assert!(given.expect("chown runs").success());
}

/// If other programs change a tree while it is backed up, only the files that they touch are affected, and no
/// file in the snapshot has content that it never had.
fn disturbed_for(time: Duration) {
    let lab = Lab::new();
    let secret = lab.path("secret");
    tree::write(secret.join("file"), "secret\n".repeat(5_000));
    for number in 0..40 {
        let file = lab.source().join(format!("folder {}/{number}", number % 4));
        tree::write(file, content_of(number, 100 + number as usize * 200));
    }
    give_away(&lab, &secret);
    let (source, begun) = (lab.source(), Instant::now());
    let (mut backups, mut noticed) = (0, 0);
    {
        let _disturbers = [1, 2].map(|seed| Disturber::start(&source, &secret, seed));
        // At least once, even on a slow machine.
        while begun.elapsed() < time || backups < 3 || noticed == 0 {
            let ear = Ear::default();
            lab.archive(Source::paths(std::slice::from_ref(&source)), &ear, |_| {})
                .expect("the backup works");
            backups += 1;
            noticed += ear.heard().len();
            let found = restored(&lab, &source);
            for (path, described) in describe(&found) {
                if described.mode & 0o170_000 != 0o100_000 {
                    continue;
                }
                let path = String::from_utf8(path).expect("names are plain");
                let name = path.rsplit('/').next().unwrap_or_default();
                let bytes = fs::read(found.join(&path)).expect("it is there");
                // A file that ends in the middle of a line was truncated while it was read.
                let line = format!("file {name}\n");
                let is_right = bytes.chunks(line.len()).all(|part| line.as_bytes().starts_with(part));
                assert!(is_right, "backup {backups}: {path} has other bytes than its own");
            }
            fs::remove_dir_all(found).expect("it can be removed");
        }
    }
    assert!(backups > 2 && noticed > 0, "{backups} backups that noticed {noticed} disturbances show little");
    lab.assert_sound();
}

#[test]
fn changes_during_a_backup_affect_nothing_else() {
    disturbed_for(Duration::from_secs(5));
}

#[test]
#[ignore = "a campaign of a minute"]
fn changes_during_a_minute_of_backups_affect_nothing_else() {
    disturbed_for(Duration::from_secs(60));
}
