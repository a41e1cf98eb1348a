//! What is left out of a backup or selected for a restore, and what happens to files that already exist.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use keepfast_engine::archive::Source;
use keepfast_engine::fs::meta::FileId;
use keepfast_engine::fs::select::Patterns;
use keepfast_engine::restore::Overwrite;
use keepfast_testkit::{Ear, Lab, assert_same, describe, tree};

fn patterns(list: &[&str]) -> Patterns {
    Patterns::new(&list.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>()).expect("they compile")
}

/// The names of files below the restored source.
fn restored_files(lab: &Lab) -> BTreeSet<String> {
    files(&lab.restore("latest"))
}

fn files(root: &std::path::Path) -> BTreeSet<String> {
    describe(root)
        .into_iter()
        .filter(|(_, described)| described.mode & 0o170_000 == 0o100_000)
        .map(|(path, _)| String::from_utf8(path).expect("names are plain"))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn build(root: &std::path::Path) {
    for name in ["keep.txt", "drop.o", "a/keep.txt", "a/b/drop.o", "a/cache/x", "a/cachet", "b/cache/y"] {
        tree::write(root.join(name), name);
    }
}

#[test]
fn excluded_names_and_paths_are_left_out() {
    let lab = Lab::with(build);
    lab.backup_with(|options| options.exclude = patterns(&["*.o", "a/cache"]));
    assert_eq!(restored_files(&lab), set(&["keep.txt", "a/keep.txt", "a/cachet", "b/cache/y"]));
}

/// A snapshot of a path has what is at that path, whatever patterns match the directory that it is in.
#[test]
fn what_is_named_alongside_its_directory_is_never_left_out() {
    let lab = Lab::with(build);
    tree::write(lab.source().join("a/b/.keepfastignore"), "*\n");
    tree::write(lab.source().join("b/.nobackup"), "");
    let source = lab.source();
    let paths = [source.clone(), source.join("drop.o"), source.join("a/b/drop.o"), source.join("b/cache/y")];
    for _ in 0..2 {
        let report = lab.archive(Source::paths(&paths), &Ear::default(), |options| {
            options.exclude = patterns(&["*.o", "cache", "b"]);
            options.exclude_if_present = vec![b".nobackup".to_vec()];
        });
        report.expect("the backup works");
        // The directory that a pattern matches leads to what was named, and has nothing else.
        let expected = ["keep.txt", "drop.o", "a/keep.txt", "a/cachet", "a/b/drop.o", "b/cache/y"];
        assert_eq!(restored_files(&lab), set(&expected));
    }
}

#[test]
fn directories_marked_as_caches_are_left_out_except_the_mark() {
    let lab = Lab::with(build);
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a test";
    tree::write(lab.source().join("a/cache/CACHEDIR.TAG"), tag);
    tree::write(lab.source().join("b/cache/CACHEDIR.TAG"), "no signature");
    lab.backup_with(|options| options.exclude_caches = true);
    let found = restored_files(&lab);
    assert!(found.contains("a/cache/CACHEDIR.TAG") && !found.contains("a/cache/x"), "{found:?}");
    assert!(found.contains("b/cache/y"), "{found:?}");
    lab.backup();
    assert!(restored_files(&lab).contains("a/cache/x"));
}

#[test]
fn what_is_too_large_or_marked_is_left_out() {
    let lab = Lab::with(build);
    tree::write(lab.source().join("large"), tree::noise(1, 5_001));
    tree::write(lab.source().join("a/.nobackup"), "");
    tree::write(lab.source().join("b/exactly"), tree::noise(2, 5_000));
    let change = |options: &mut keepfast_engine::archive::ArchiveOptions| {
        options.exclude_larger_than = Some(5_000);
        options.exclude_if_present = vec![b".nobackup".to_vec(), b"none has it".to_vec()];
    };
    let expected = set(&["keep.txt", "drop.o", "a/.nobackup", "b/cache/y", "b/exactly"]);
    for _ in 0..2 {
        lab.backup_with(change);
        assert_eq!(restored_files(&lab), expected);
    }
    // That the parent has it doesn't matter.
    lab.backup();
    assert!(restored_files(&lab).contains("large"));
    lab.backup_with(change);
    assert_eq!(restored_files(&lab), expected);
}

/// Someone who names a file expects it in the snapshot. Of a directory that is named, that is said of none of its files.
#[test]
fn a_named_file_that_is_too_large_is_reported() {
    let lab = Lab::with(build);
    let (large, small) = (lab.source().join("large"), lab.source().join("keep.txt"));
    tree::write(&large, tree::noise(1, 5_001));
    let skipped = |paths: &[PathBuf], dry_run: bool| {
        let ear = Ear::default();
        let change = |options: &mut keepfast_engine::archive::ArchiveOptions| {
            options.exclude_larger_than = Some(5_000);
            options.dry_run = dry_run;
        };
        let report = lab.archive(Source::paths(paths), &ear, change).expect("the backup works");
        assert_eq!(report.statistics.skipped, ear.skipped().len() as u64);
        ear.skipped()
    };
    let why = "it has 5,001 bytes, and files that have more than 5,000 are left out";
    let expected = [format!("{}: {why}", large.display())];
    assert_eq!(skipped(&[large.clone(), small.clone()], true), expected);
    for _ in 0..2 {
        assert_eq!(skipped(&[large.clone(), small.clone()], false), expected);
        assert_eq!(restored_files(&lab), set(&["keep.txt"]));
    }
    assert!(skipped(&[lab.source().to_owned()], false).is_empty());
}

#[test]
fn the_repository_itself_is_never_entered() {
    let lab = Lab::with(build);
    let inner = fs::metadata(lab.source().join("a")).expect("it is there");
    lab.backup_with(|options| options.never_enter = vec![FileId { device: inner.dev(), inode: inner.ino() }]);
    assert_eq!(restored_files(&lab), set(&["keep.txt", "drop.o", "b/cache/y"]));
}

#[test]
fn several_paths_are_backed_up_with_the_way_to_each() {
    let lab = Lab::with(build);
    let paths = [lab.source().join("a/b"), lab.source().join("keep.txt"), lab.source().join("a/b/drop.o")];
    lab.archive(Source::paths(&paths), &Ear::default(), |_| {}).expect("the backup works");
    assert_eq!(restored_files(&lab), set(&["keep.txt", "a/b/drop.o"]));
}

#[test]
fn only_selected_paths_and_patterns_are_restored() {
    let lab = Lab::with(build);
    lab.backup();
    let restored = |paths: Vec<Vec<u8>>, include: &[&str], exclude: &[&str]| {
        let target = lab.fresh_target();
        let ear = Ear::default();
        lab.try_restore("latest", &ear, |options| {
            options.target.clone_from(&target);
            options.paths = paths;
            options.include = patterns(include);
            options.exclude = patterns(exclude);
        })
        .expect("the restore works");
        ear.assert_content();
        files(&lab.restored_source(&target))
    };
    assert_eq!(restored(vec![lab.in_snapshot("a/b")], &[], &[]), set(&["a/b/drop.o"]));
    assert_eq!(restored(vec![lab.in_snapshot("a/cache")], &[], &[]), set(&["a/cache/x"]), "not a/cachet");
    assert_eq!(restored(vec![], &["*.txt"], &[]), set(&["keep.txt", "a/keep.txt"]));
    assert_eq!(restored(vec![lab.in_snapshot("a")], &[], &["cache*", "*.o"]), set(&["a/keep.txt"]));
}

/// Patterns of paths mean the same at every depth, for a backup, a restore and what a restore removes.
#[test]
fn patterns_of_paths_mean_the_same_for_backups_restores_and_removals() {
    let names =
        ["top/a/b", "top/x/a/b/c", "top/x/a/bb", "x/top/y/z/end", "x/top/end", "x/top/y/other", "x/ab"];
    let lab = Lab::with(|root| names.iter().for_each(|name| drop(tree::write(root.join(name), *name))));
    lab.backup();
    let top = String::from_utf8(lab.in_snapshot("x/top")).expect("it is plain");
    for (list, left_out) in [
        (vec!["a/b"], &["top/a/b", "top/x/a/b/c"][..]),
        (vec!["top/**/end"], &["x/top/y/z/end", "x/top/end"]),
        (vec!["/**/a/*"], &["top/a/b", "top/x/a/b/c", "top/x/a/bb"]),
        (vec!["y/**"], &["x/top/y/z/end", "x/top/y/other"]),
        (vec![top.as_str(), "/top"], &["x/top/y/z/end", "x/top/end", "x/top/y/other"]),
        (vec!["top/[!xz]*", "!top/y"], &["top/a/b", "x/top/end"]),
    ] {
        let kept: Vec<&str> = names.iter().copied().filter(|name| !left_out.contains(name)).collect();
        lab.backup_with(|options| options.exclude = patterns(&list));
        assert_eq!(restored_files(&lab), set(&kept), "a backup without {list:?}");
        let restored = |overwrite, delete, include: &[&str], exclude: &[&str], target: &std::path::Path| {
            lab.try_restore("latest~1", &Ear::default(), |options| {
                options.target = target.to_owned();
                options.overwrite = overwrite;
                options.delete = delete;
                options.include = patterns(include);
                options.exclude = patterns(exclude);
            })
            .expect("the restore works");
            files(&lab.restored_source(target))
        };
        let target = lab.fresh_target();
        assert_eq!(restored(Overwrite::Refuse, false, &[], &list, &target), set(&kept), "without {list:?}");
        // What is left out stays, even if it isn't what the snapshot has.
        for name in names {
            tree::write(lab.restored_source(&target).join(format!("own/{name}")), "of the target's own");
        }
        let is_left_out = |name: &String| patterns(&list).matches(&lab.in_snapshot(name));
        let below_left_out = |name: &str| {
            let ends = name.char_indices().filter(|(_, letter)| *letter == '/').map(|(end, _)| end);
            ends.chain([name.len()]).any(|end| is_left_out(&name[..end].to_owned()))
        };
        let own = names.map(|name| format!("own/{name}"));
        let stays = own.iter().filter(|name| below_left_out(name)).map(String::as_str);
        let expected: Vec<&str> = kept.iter().copied().chain(stays).collect();
        assert_eq!(restored(Overwrite::IfChanged, true, &[], &list, &target), set(&expected), "{list:?}");
        if !list.iter().any(|pattern| pattern.starts_with('!')) {
            let picked = restored(Overwrite::Refuse, false, &list, &[], &lab.fresh_target());
            assert_eq!(picked, set(left_out), "only {list:?}");
        }
        lab.forget(&["latest"]);
    }
}

/// A lab with a snapshot, and a target in which one file is changed, one is missing and one is extra.
fn with_used_target() -> (Lab, std::path::PathBuf) {
    let lab = Lab::with(tree::small);
    lab.backup();
    let target = lab.fresh_target();
    lab.try_restore("latest", &Ear::default(), |options| options.target.clone_from(&target))
        .expect("it works");
    let here = lab.restored_source(&target);
    tree::write(here.join("a.txt"), "changed here");
    fs::remove_file(here.join("dir/below/c.bin")).expect("it can be removed");
    tree::write(here.join("dir/own"), "of the target's own");
    (lab, target)
}

fn restore_over(
    lab: &Lab,
    target: &std::path::Path,
    overwrite: Overwrite,
    delete: bool,
) -> keepfast_engine::restore::RestoreReport {
    let ear = Ear::default();
    let report = lab
        .try_restore("latest", &ear, |options| {
            options.target = target.to_owned();
            options.overwrite = overwrite;
            options.delete = delete;
            options.verify = overwrite != Overwrite::Never;
        })
        .expect("the restore works");
    ear.assert_content();
    report
}

#[test]
fn overwriting_always_or_if_changed_and_deleting_makes_the_target_identical() {
    for overwrite in [Overwrite::Always, Overwrite::IfChanged] {
        let (lab, target) = with_used_target();
        let report = restore_over(&lab, &target, overwrite, true);
        assert_eq!(report.deleted, 1);
        assert_same(&lab.source(), &lab.restored_source(&target));
    }
}

#[test]
fn without_deleting_extra_files_in_the_target_stay() {
    let (lab, target) = with_used_target();
    restore_over(&lab, &target, Overwrite::Always, false);
    let own = lab.restored_source(&target).join("dir/own");
    assert_eq!(fs::read(own).expect("it stays"), b"of the target's own");
}

#[test]
fn overwriting_never_brings_back_what_is_missing_and_leaves_the_rest() {
    let (lab, target) = with_used_target();
    let here = lab.restored_source(&target);
    let linked = fs::metadata(here.join("second name of b")).expect("it is there").ino();
    // A separate file in the place of another file's second name.
    fs::remove_file(here.join("second name of b")).expect("it can be removed");
    tree::write(here.join("second name of b"), "mine");
    restore_over(&lab, &target, Overwrite::Never, false);
    assert_eq!(fs::read(here.join("a.txt")).expect("it stays"), b"changed here");
    assert_eq!(fs::read(here.join("second name of b")).expect("it stays"), b"mine");
    assert_eq!(fs::metadata(here.join("dir/b.bin")).expect("it stays").ino(), linked);
    assert!(here.join("dir/below/c.bin").exists());
}

#[test]
fn a_dry_run_of_a_restore_makes_nothing() {
    let lab = Lab::with(tree::small);
    lab.backup();
    let target = lab.fresh_target();
    let report = lab
        .try_restore("latest", &Ear::default(), |options| {
            options.target.clone_from(&target);
            options.dry_run = true;
        })
        .expect("it works");
    assert!(report.files > 0 && !target.exists(), "{report:?}");
}
