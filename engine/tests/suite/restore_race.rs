//! Root restores into a directory of another user, who swaps what is in it for links meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keepfast_engine::repo::SnapshotFilter;
use keepfast_engine::restore::Overwrite;
use keepfast_testkit::{Ear, Lab, compare, describe, tree};
use rustix::fs::{CWD, FileType, Mode};

/// The other user.
const ANN: u32 = 65_534;

/// Puts links to what has this name in the other directory in the place of each name, and directories
/// back, until the file `stop` is there. Says how often it could.
const SWAPPER: &str = r#"
my ($here, $there, $stop) = @ARGV;
my ($swaps, $number) = (0, 0);
while (!-e $stop) {
    for my $name ('fifo', 'dir', 'file', 'dir/fifo', 'fifo', 'extra', 'kept', 'dir') {
        my ($at, $to) = ("$here/$name", "$there/$name");
        for my $turn (1..60) {
            my $link = "$here/.link" . $number++;
            symlink($to, $link) or next;
            if (rename($link, $at)) {
                $swaps++;
            } elsif (rename($at, "$link.away")) {
                $swaps++ if rename($link, $at);
                select(undef, undef, undef, 0.00002);
                unlink($at);
                rename("$link.away", $at);
            }
            unlink($link);
        }
    }
}
print $swaps;
"#;

fn build(root: &Path) {
    for name in ["file", "dir/file", "kept"] {
        let file = tree::write(root.join(name), "from the snapshot");
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("it can be set");
    }
    for name in ["fifo", "dir/fifo"] {
        rustix::fs::mknodat(CWD, root.join(name), FileType::Fifo, Mode::RUSR, 0).expect("it can be made");
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o666)).expect("it can be set");
    }
    fs::set_permissions(root.join("dir"), fs::Permissions::from_mode(0o777)).expect("it can be set");
    tree::settle(root);
    for name in ["file", "dir/file", "kept", "fifo", "dir/fifo", "dir"] {
        std::os::unix::fs::lchown(root.join(name), Some(ANN), Some(ANN)).expect("root gives files away");
    }
}

/// The other user's process, ended with the test.
struct Swapper(Child);

impl Drop for Swapper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_swapping(here: &Path, there: &Path, stop: &Path) -> Swapper {
    let child = Command::new("perl")
        .args(["-e", SWAPPER])
        .args([here, there, stop])
        .current_dir("/")
        .uid(ANN)
        .gid(ANN)
        .stdout(Stdio::piped())
        .spawn()
        .expect("perl is on every system");
    Swapper(child)
}

/// Restores again and again while the other user swaps, and says how often that was.
fn race(time: Duration) {
    if !tree::is_root() {
        eprintln!("skipped: only root restores for others");
        return;
    }
    let lab = Lab::with(build);
    lab.backup();
    let (target, victim) = (lab.fresh_target(), lab.path("victim"));
    // The other user gets this far, and no further.
    fs::set_permissions(lab.path(""), fs::Permissions::from_mode(0o711)).expect("it can be set");
    for name in ["file", "dir/file", "dir/extra/precious", "extra/precious", "fifo", "dir/fifo", "kept"] {
        let file = tree::write(victim.join(name), "root's own");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it can be set");
    }
    tree::settle(&victim);
    let before = describe(&victim);
    fs::create_dir(&target).expect("it can be made");
    std::os::unix::fs::chown(&target, Some(ANN), Some(ANN)).expect("root gives files away");
    let stop = lab.path("stop");
    let folder = lab.in_snapshot("");
    let opened = lab.open();
    let latest = opened.snapshots.find("latest", &SnapshotFilter::default()).expect("there is one");
    let mut swapper = start_swapping(&target, &victim, &stop);
    let (begun, mut restores) = (Instant::now(), 0_usize);
    while begun.elapsed() < time {
        for name in ["extra", "dir/extra"] {
            // Something to remove, where the other user lets it be moved to. It can't land elsewhere: there
            // is something under this name.
            let made: PathBuf = lab.path("extra");
            if !made.exists() {
                tree::write(made.join("precious"), "in the target");
                std::os::unix::fs::chown(&made, Some(ANN), Some(ANN)).expect("root gives files away");
            }
            let _ = fs::rename(&made, target.join(name));
        }
        let overwrite = [Overwrite::Always, Overwrite::IfChanged][restores % 2];
        opened
            .restore(&latest.snapshot, &Ear::default().run().with_threads(1), |options| {
                options.target.clone_from(&target);
                options.folder.clone_from(&folder);
                options.overwrite = overwrite;
                options.delete = restores % 3 > 0;
                options.verify = false;
            })
            .expect("a restore goes on");
        restores += 1;
        if restores.is_multiple_of(20) {
            compare::assert_described(&before, &describe(&victim));
        }
        let metadata = fs::metadata(&target).expect("it is there");
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (ANN, 0o755), "the target is given back");
    }
    fs::write(&stop, "").expect("it can be written");
    let mut said = String::new();
    let out = swapper.0.stdout.as_mut().expect("it is piped");
    std::io::Read::read_to_string(out, &mut said).expect("it says something");
    let swaps: u64 = said.trim().parse().expect("it counts");
    eprintln!("{restores} restores, {swaps} swaps");
    assert!(swaps > 0 && restores > 0, "there was a race");
    compare::assert_described(&before, &describe(&victim));
}

#[test]
fn nothing_outside_changes_while_another_user_swaps_names_for_links() {
    race(Duration::from_secs(4));
}

#[test]
#[ignore = "a minute"]
fn nothing_outside_changes_for_a_minute_of_swaps() {
    race(Duration::from_secs(60));
}

/// An interrupted restore gives the directories back that it has taken over.
#[test]
fn an_interrupted_restore_gives_directories_back() {
    if !tree::is_root() {
        eprintln!("skipped: only root takes directories over");
        return;
    }
    let lab = Lab::with(|root| {
        for number in 0..4 {
            tree::write(root.join(format!("dir/{number}")), tree::noise(number, 2 << 20));
        }
    });
    lab.backup();
    let (target, folder) = (lab.fresh_target(), lab.in_snapshot(""));
    for (path, mode) in [(target.clone(), 0o770), (target.join("dir"), 0o2777)] {
        fs::create_dir(&path).expect("it can be made");
        std::os::unix::fs::chown(&path, Some(ANN), Some(ANN)).expect("root gives files away");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it can be set");
    }
    lab.try_restore("latest", &Ear::stopping_after(1 << 20), |options| {
        options.target.clone_from(&target);
        options.folder = folder;
        options.overwrite = Overwrite::Always;
    })
    .expect_err("it is stopped");
    let has = |path: &Path| {
        let metadata = fs::metadata(path).expect("it is there");
        (metadata.uid(), metadata.mode() & 0o7777)
    };
    assert_eq!((has(&target), has(&target.join("dir"))), ((ANN, 0o770), (ANN, 0o2777)));
}
