//! What goes wrong, and what users are told: a clear message, the right exit code, nothing lost.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use keepfast_testkit::Disk;
use keepfast_testkit::tree::is_root;

use crate::program::{Desk, Run, same};

fn noise(length: usize) -> Vec<u8> {
    (0..u32::try_from(length).unwrap()).map(|n| (n.wrapping_mul(2_654_435_761) >> 13 & 0xff) as u8).collect()
}

#[test]
fn a_wrong_password_is_told_from_damage() {
    let desk = Desk::new();
    let run = Run::of(desk.command().env("KEEPFAST_PASSWORD", "wrong").arg("snapshots").output().unwrap());
    run.fails(12, &["wrong password", "repo"]);
}

#[test]
fn where_there_is_no_repository_it_says_so() {
    let desk = Desk::bare();
    for command in [vec!["snapshots"], vec!["check"], vec!["backup", "/etc/hostname"]] {
        desk.run(command).fails(10, &["holds no repository", "keepfast init"]);
    }
    assert!(!desk.repo().exists(), "a failing command made a repository");
    let output = desk.command().env_remove("KEEPFAST_REPOSITORY").arg("snapshots").output().unwrap();
    Run::of(output).fails(2, &["no repository given", "--repo"]);
    desk.run(["-r", "gs://bucket/x", "snapshots"]).fails(2, &["gs:// isn't supported"]);
}

#[test]
fn init_never_touches_a_repository_that_is_there() {
    let desk = Desk::new();
    desk.backup();
    desk.run(["init"]).fails(1, &["holds a repository already"]);
    assert!(desk.restores_identical());
}

#[test]
fn init_refuses_sizes_that_cant_work() {
    let desk = Desk::bare();
    for arguments in
        [["init", "--chunk-size", "17"], ["init", "--pack-size", "1"], ["init", "--pack-size", "9999999"]]
    {
        assert_ne!(desk.run(arguments).code, 0, "{arguments:?}");
    }
    assert!(!desk.repo().join("config").exists());
}

#[test]
fn usage_errors_end_with_2() {
    let desk = Desk::new();
    for arguments in [
        vec!["backup"],
        vec!["no-such-command"],
        vec!["restore", "--snapshot", "latest"],
        vec!["check", "--read-data-subset", "0/3"],
    ] {
        assert_eq!(desk.run(&arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn unreadable_files_and_directories_are_skipped_and_named() {
    let desk = Desk::new();
    fs::write(desk.src("secret"), "x").unwrap();
    fs::create_dir(desk.src("closed")).unwrap();
    fs::set_permissions(desk.src("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(desk.src("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let mut command = desk.command();
    if is_root() {
        // Root can read everything, so another user backs up.
        command = desk.command_as_another_user();
    }
    let run = Run::of(command.arg("backup").arg(desk.path("src")).output().unwrap());
    let run = run.fails(3, &["src/secret: Permission denied", "src/closed: Permission denied"]);
    assert!(run.out.contains("2 skipped") && run.out.contains("saved"), "{run:?}");
    let found = desk.run(["ls", "-R", "latest"]).succeeds().out;
    assert!(found.contains("a.txt") && !found.contains("secret") && !found.contains("closed"));
    fs::set_permissions(desk.src("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_path_that_isnt_there_is_skipped_unless_it_is_the_only_one() {
    let desk = Desk::new();
    let source = desk.path("src");
    desk.run(["backup", "/no/such/path"]).fails(1, &["/no/such/path"]);
    desk.run(["backup", "/no/such/path", source.to_str().unwrap()]).fails(3, &["/no/such/path"]);
    assert!(desk.restores_identical());
}

#[test]
fn a_directory_argument_that_is_a_link_is_kept_as_a_link_with_a_note() {
    let desk = Desk::new();
    symlink(desk.src("docs"), desk.path("way")).unwrap();
    let run = desk.run(["backup", desk.path("way").to_str().unwrap()]).succeeds();
    assert!(run.err.contains("is a symbolic link"), "{run:?}");
}

#[test]
fn files_that_shrink_grow_or_vanish_meanwhile_do_no_harm() {
    let desk = Desk::new();
    let folder = desk.src("busy");
    fs::create_dir(&folder).unwrap();
    for n in 0..400 {
        fs::write(folder.join(format!("f{n}")), noise(50_000)).unwrap();
    }
    fs::write(folder.join("large"), noise(12 << 20)).unwrap();
    let mut backup = desk.command().arg("backup").arg(desk.path("src")).spawn().unwrap();
    for round in 0.. {
        if backup.try_wait().unwrap().is_some() {
            break;
        }
        let file = |n: usize| folder.join(format!("f{}", (round * 7 + n) % 400));
        let _ = fs::write(file(0), noise(round % 60_000));
        let _ = fs::remove_file(file(1));
        let _ = fs::write(file(2), noise(90_000));
        let large = fs::OpenOptions::new().write(true).open(folder.join("large")).unwrap();
        large.set_len(((round % 12) as u64 + 1) << 20).unwrap();
    }
    let code = backup.wait().unwrap().code();
    assert_eq!(code, Some(0));
    assert!(desk.is_sound());
    let target = desk.path("out");
    desk.run(["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]).succeeds();
    // At rest, all is as it is.
    desk.backup();
    assert!(desk.restores_identical());
}

#[test]
fn directories_that_become_links_meanwhile_arent_followed() {
    let desk = Desk::new();
    fs::create_dir(desk.path("outside")).unwrap();
    fs::write(desk.path("outside/private"), "private").unwrap();
    for n in 0..300 {
        fs::create_dir(desk.src(&format!("d{n}"))).unwrap();
        fs::write(desk.src(&format!("d{n}/f")), noise(20_000)).unwrap();
    }
    let mut backup = desk.command().arg("backup").arg(desk.path("src")).spawn().unwrap();
    let mut n = 299;
    while backup.try_wait().unwrap().is_none() {
        let folder = desk.src(&format!("d{n}"));
        let _ = fs::remove_dir_all(&folder);
        let _ = symlink(desk.path("outside"), &folder);
        n = if n == 0 { 299 } else { n - 1 };
    }
    let code = backup.wait().unwrap().code();
    assert!(matches!(code, Some(0 | 3)), "{code:?}");
    assert!(!desk.run(["ls", "-R", "latest"]).succeeds().out.contains("private"));
    assert!(desk.is_sound());
}

/// What lies in a folder, in bytes.
fn used_bytes(folder: &Path) -> u64 {
    let sum = |entry: fs::DirEntry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => used_bytes(&entry.path()),
        metadata => metadata.len(),
    };
    fs::read_dir(folder).unwrap().map(|entry| sum(entry.unwrap())).sum()
}

#[test]
fn a_full_disk_ends_a_backup_and_leaves_the_repository_sound() {
    if !is_root() {
        eprintln!("not tested: mounting a small file system needs root");
        return;
    }
    let desk = Desk::bare();
    let repo = desk.repo();
    let disk = Disk::mount(&repo, "size=12m").expect("root may mount");
    fs::write(desk.src("small"), "small").unwrap();
    desk.run(["init", "--pack-size", "4"]).succeeds();
    desk.backup();
    let mut noise_file = Vec::new();
    for n in 0..24_u8 {
        let changed = |byte: &u8| byte.rotate_left(u32::from(n % 8)).wrapping_mul(n | 1);
        noise_file.extend(noise(1 << 20).iter().map(changed));
    }
    let mut state = 9_u64;
    noise_file.iter_mut().for_each(|byte| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte ^= (state >> 56) as u8;
    });
    fs::write(desk.src("large"), &noise_file).unwrap();
    desk.run(["backup", desk.path("src").to_str().unwrap()])
        .fails(1, &["No space left", "free some space", "keepfast prune", "repo"]);
    assert!(desk.is_sound());
    // Another program takes what is left, to the last byte; what the run has left can be removed at once.
    let left = used_bytes(&repo);
    fs::write(repo.join("of another program"), vec![1; 12 << 20]).expect_err("it doesn't fit");
    let pruned = desk.run(["prune"]).succeeds();
    assert!(!pruned.err.contains("waiting"), "{pruned:?}");
    fs::remove_file(repo.join("of another program")).unwrap();
    assert!(used_bytes(&repo) + (4 << 20) < left, "{} of {left} bytes are still used", used_bytes(&repo));
    fs::write(desk.src("fits"), &noise_file[..5 << 20]).unwrap();
    desk.run(["backup", desk.src("fits").to_str().unwrap()]).succeeds();
    assert_eq!(desk.run(["dump", "latest~1", desk.src("small").to_str().unwrap()]).succeeds().out, "small");
    disk.remount("size=100m");
    desk.backup();
    assert!(desk.restores_identical() && desk.is_sound());
}

#[test]
fn a_read_only_disk_ends_a_backup_and_can_be_restored_from() {
    if !is_root() {
        eprintln!("not tested: mounting a small file system needs root");
        return;
    }
    let desk = Desk::bare();
    let repo = desk.repo();
    let disk = Disk::mount(&repo, "size=50m").expect("root may mount");
    fs::write(desk.src("small"), "small").unwrap();
    desk.run(["init"]).succeeds();
    desk.backup();
    disk.remount("ro");
    desk.run(["backup", desk.path("src").to_str().unwrap()])
        .fails(1, &["Read-only file system", "mount it for writing"]);
    assert!(desk.restores_identical() && desk.is_sound());
}

#[test]
fn a_full_disk_ends_a_restore_with_a_clear_message() {
    if !is_root() {
        eprintln!("not tested: mounting a small file system needs root");
        return;
    }
    let desk = Desk::new();
    fs::write(desk.src("large"), noise(8 << 20)).unwrap();
    desk.backup();
    let target = desk.path("out");
    let _disk = Disk::mount(&target, "size=2m").expect("root may mount");
    desk.run(["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()])
        .fails(1, &["No space left", "large"]);
}

#[test]
fn missing_truncated_and_garbled_objects_are_named() {
    let damages: [(&str, fn(&Path)); 3] = [
        ("missing", |path| fs::remove_file(path).unwrap()),
        ("truncated", |path| {
            let bytes = fs::read(path).unwrap();
            fs::remove_file(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("garbled", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
            fs::remove_file(path).unwrap();
            fs::write(path, bytes).unwrap();
        }),
    ];
    for folder in ["config", "keys", "keyring", "snapshots", "index", "packs"] {
        for (kind, damage) in damages {
            let desk = Desk::new();
            desk.backup();
            let object = desk.object(folder);
            damage(&object);
            // The cache knows what was there; another machine doesn't.
            fs::remove_dir_all(desk.path("cache")).unwrap();
            let check = desk.run(["check", "--read-data"]);
            let said = format!("{}{}", check.out, check.err);
            let unseen = folder == "snapshots" && kind == "missing";
            assert_eq!(check.code == 0, unseen, "{folder} {kind}: {check:?}");
            let name = object.strip_prefix(desk.repo()).unwrap().to_str().unwrap().to_owned();
            let is_named = said.contains(&name)
                || (kind == "missing"
                    && (said.contains("holds no repository")
                        || said.contains("every key slot")
                        || said.contains(folder)));
            assert!(unseen || is_named, "{folder} {kind}: {name} isn't named: {said}");
        }
    }
}

#[test]
fn a_repository_of_a_newer_format_is_refused_with_advice() {
    let desk = Desk::new();
    let config = desk.object("config");
    let mut bytes = fs::read(&config).unwrap();
    // A map of five fields, the first of which is the version.
    assert_eq!(bytes[..3], [0xa5, 0x00, 0x01]);
    bytes[2] = 2;
    fs::remove_file(&config).unwrap();
    fs::write(&config, bytes).unwrap();
    desk.run(["snapshots"]).fails(1, &["version 2", "use a newer keepfast"]);
}

#[test]
fn garbage_in_the_cache_is_no_problem() {
    let desk = Desk::new();
    desk.backup();
    for entry in
        fs::read_dir(desk.object("config").ancestors().nth(2).unwrap().parent().unwrap().join("cache"))
            .unwrap()
    {
        let folder = entry.unwrap().path();
        let folder = if folder.ends_with("seen") { folder } else { folder.join("index-0") };
        for file in fs::read_dir(folder).unwrap() {
            fs::write(file.unwrap().path(), b"garbage").unwrap();
        }
    }
    assert!(desk.restores_identical() && desk.is_sound());
}

#[test]
fn a_backup_stores_again_what_the_repository_has_lost() {
    let desk = Desk::new();
    fs::write(desk.src("large"), noise(3 << 20)).unwrap();
    let old = Command::new("touch")
        .args(["-d", "2020-01-01"])
        .args([desk.src("large"), desk.src("a.txt")])
        .status();
    assert!(old.unwrap().success());
    std::thread::sleep(std::time::Duration::from_millis(2100));
    desk.backup();
    let packs = desk.repo().join("packs");
    for entry in fs::read_dir(&packs).unwrap() {
        for pack in fs::read_dir(entry.unwrap().path()).unwrap() {
            fs::remove_file(pack.unwrap().path()).unwrap();
        }
    }
    let run = desk.run(["backup", desk.path("src").to_str().unwrap()]).succeeds();
    assert!(run.out.contains("0 unchanged"), "{run:?}");
    assert!(desk.restores_identical());
}

#[test]
fn a_damaged_directory_doesnt_keep_the_rest_from_being_restored() {
    let desk = Desk::new();
    desk.backup();
    // A second snapshot with one more directory, whose tree is in a metadata pack of its own.
    fs::create_dir(desk.src("later")).unwrap();
    fs::write(desk.src("later/file"), "later").unwrap();
    let before: Vec<_> = packs_of(&desk);
    desk.backup();
    let mut new: Vec<_> = packs_of(&desk).into_iter().filter(|pack| !before.contains(pack)).collect();
    // The smaller of the two new packs has one small chunk: the file.
    new.sort_by_key(|pack| fs::metadata(pack).unwrap().len());
    fs::remove_file(&new[0]).unwrap();
    let target = desk.path("out");
    let snapshot = format!("latest:{}", desk.path("src").display());
    desk.run(["restore", "--snapshot", &snapshot, "--target", target.to_str().unwrap()])
        .fails(3, &["later/file", "is missing"]);
    assert_eq!(fs::read_to_string(target.join("a.txt")).unwrap(), "one");
    assert!(same(&desk.src("docs"), &target.join("docs")) && !target.join("later/file").exists());
}

fn packs_of(desk: &Desk) -> Vec<std::path::PathBuf> {
    let folders = fs::read_dir(desk.repo().join("packs")).unwrap();
    folders
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|pack| pack.unwrap().path())
        .collect()
}

#[test]
fn a_repository_that_has_lost_its_config_isnt_called_none() {
    let desk = Desk::new();
    desk.backup();
    fs::remove_file(desk.object("config")).unwrap();
    desk.run(["snapshots"]).fails(1, &["config/00000000", "missing"]);
    desk.run(["init"]).fails(1, &["config/00000000", "missing"]);
}

#[test]
fn restore_says_when_a_path_isnt_in_the_snapshot_and_takes_one_with_a_slash() {
    let desk = Desk::new();
    desk.backup();
    let (target, docs) = (desk.path("out"), format!("{}/", desk.src("docs").display()));
    let restore = |path: &str| {
        desk.run(["restore", "--snapshot", "latest", "--path", path, "--target", target.to_str().unwrap()])
    };
    restore("/no/such/path").fails(1, &["/no/such/path isn't in snapshot", "keepfast ls"]);
    restore(&docs).succeeds();
    let inside = target.join(desk.path("src").strip_prefix("/").unwrap());
    assert!(same(&desk.src("docs"), &inside.join("docs")));
}

#[test]
fn a_link_is_never_made_to_a_file_that_was_left_alone() {
    let desk = Desk::new();
    fs::write(desk.src("first"), "ours").unwrap();
    fs::hard_link(desk.src("first"), desk.src("second")).unwrap();
    desk.backup();
    let target = desk.path("out");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("first"), "theirs").unwrap();
    let snapshot = format!("latest:{}", desk.path("src").display());
    desk.run([
        "restore",
        "--snapshot",
        &snapshot,
        "--overwrite",
        "never",
        "--target",
        target.to_str().unwrap(),
    ])
    .succeeds();
    assert_eq!(fs::read_to_string(target.join("first")).unwrap(), "theirs");
    assert_eq!(fs::read_to_string(target.join("second")).unwrap(), "ours");
}

#[test]
fn a_restore_that_fails_leaves_the_files_that_it_was_to_replace() {
    let desk = Desk::new();
    desk.backup();
    for pack in packs_of(&desk) {
        let mut bytes = fs::read(&pack).unwrap();
        bytes[112 + 40] ^= 1;
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, bytes).unwrap();
    }
    let target = desk.path("out");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("a.txt"), "mine").unwrap();
    let snapshot = format!("latest:{}", desk.path("src").display());
    let run = desk.run([
        "restore",
        "--snapshot",
        &snapshot,
        "--overwrite",
        "always",
        "--target",
        target.to_str().unwrap(),
    ]);
    assert_ne!(run.code, 0);
    assert_eq!(fs::read_to_string(target.join("a.txt")).unwrap(), "mine");
}
