//! Random trees, randomly edited: every snapshot of a row restores to what was there, and is what a
//! snapshot without that row would be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use keepfast_engine::archive::ParentChoice;
use keepfast_testkit::{Lab, compare, describe, tree};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

/// One change to a tree. Places are numbers, taken modulo what there is.
#[derive(Debug, Clone)]
enum Edit {
    Write { place: u8, seed: u64, length: usize },
    Append { place: u8, seed: u64, length: usize },
    Overwrite { place: u8, at: usize, byte: u8 },
    Truncate { place: u8, length: u64 },
    MakeFolder { place: u8 },
    Remove { place: u8 },
    Rename { place: u8, to: u8 },
    Link { place: u8, to: u8 },
    Symlink { place: u8, target: Vec<u8> },
    Mode { place: u8, mode: u32 },
    Time { place: u8, seconds: i64, nanos: i64 },
    Attribute { place: u8, length: usize },
    Hole { place: u8, start: u64, length: u64 },
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..300_usize, 3 => 0..70_000_usize, 1 => (2_usize << 20) - 2..(2 << 20) + 3, 1 => 0..(4_usize << 20)]
}

fn edits() -> impl Strategy<Value = Edit> {
    let place = any::<u8>;
    prop_oneof![
        6 => (place(), 0..6_u64, lengths()).prop_map(|(place, seed, length)| Edit::Write { place, seed, length }),
        2 => (place(), 0..6_u64, lengths()).prop_map(|(place, seed, length)| Edit::Append { place, seed, length }),
        2 => (place(), any::<usize>(), any::<u8>()).prop_map(|(place, at, byte)| Edit::Overwrite { place, at, byte }),
        1 => (place(), 0..3_000_000_u64).prop_map(|(place, length)| Edit::Truncate { place, length }),
        3 => place().prop_map(|place| Edit::MakeFolder { place }),
        2 => place().prop_map(|place| Edit::Remove { place }),
        2 => (place(), place()).prop_map(|(place, to)| Edit::Rename { place, to }),
        1 => (place(), place()).prop_map(|(place, to)| Edit::Link { place, to }),
        1 => (place(), vec(1..=255_u8, 1..300)).prop_map(|(place, target)| Edit::Symlink { place, target }),
        1 => (place(), 0..0o10000_u32).prop_map(|(place, mode)| Edit::Mode { place, mode }),
        1 => (place(), -3_000_000_000..4_000_000_000_i64, 0..1_000_000_000_i64)
            .prop_map(|(place, seconds, nanos)| Edit::Time { place, seconds, nanos }),
        1 => (place(), 0..1000_usize).prop_map(|(place, length)| Edit::Attribute { place, length }),
        1 => (place(), 0..3_000_000_u64, 1..3_000_000_u64)
            .prop_map(|(place, start, length)| Edit::Hole { place, start, length }),
    ]
}

fn entries(root: &Path, folders: bool) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let is_folder = |mode: u32| mode & 0o170_000 == 0o040_000;
    let is_file = |mode: u32| mode & 0o170_000 == 0o100_000;
    describe(root)
        .into_iter()
        .filter(|(_, described)| if folders { is_folder(described.mode) } else { is_file(described.mode) })
        .map(|(path, _)| root.join(std::ffi::OsStr::from_bytes(&path)))
        .collect()
}

fn pick(root: &Path, folders: bool, place: u8) -> Option<PathBuf> {
    let all = entries(root, folders);
    (!all.is_empty()).then(|| all[usize::from(place) % all.len()].clone())
}

fn new_name(root: &Path, place: u8) -> PathBuf {
    pick(root, true, place).unwrap_or_else(|| root.to_owned()).join(format!("entry {}", place % 40))
}

/// Changes the tree; what can't be done (a name that is taken) isn't.
fn edit(root: &Path, edit: &Edit) {
    let file = |place: &u8| pick(root, false, *place);
    let _ = match edit {
        Edit::Write { place, seed, length } => fs::write(new_name(root, *place), tree::noise(*seed, *length)),
        Edit::Append { place, seed, length } => file(place).map_or(Ok(()), |path| {
            let mut bytes = fs::read(&path)?;
            bytes.extend(tree::noise(*seed, *length));
            fs::write(path, bytes)
        }),
        Edit::Overwrite { place, at, byte } => file(place).map_or(Ok(()), |path| {
            let mut bytes = fs::read(&path)?;
            let length = bytes.len().max(1);
            if let Some(found) = bytes.get_mut(at % length) {
                *found = *byte;
            }
            fs::write(path, bytes)
        }),
        Edit::Truncate { place, length } => file(place).map_or(Ok(()), |path| {
            fs::File::options().write(true).open(path).and_then(|file| file.set_len(*length))
        }),
        Edit::MakeFolder { place } => fs::create_dir(new_name(root, *place)),
        Edit::Remove { place } => match file(place) {
            Some(path) if place % 4 > 0 => fs::remove_file(path),
            _ => pick(root, true, *place).filter(|path| path != root).map_or(Ok(()), fs::remove_dir_all),
        },
        Edit::Rename { place, to } => {
            file(place).map_or(Ok(()), |path| fs::rename(path, new_name(root, *to)))
        }
        Edit::Link { place, to } => {
            file(place).map_or(Ok(()), |path| fs::hard_link(path, new_name(root, *to)))
        }
        Edit::Symlink { place, target } => {
            use std::os::unix::ffi::OsStrExt;
            symlink(std::ffi::OsStr::from_bytes(target), new_name(root, *place))
        }
        Edit::Mode { place, mode } => {
            file(place).map_or(Ok(()), |path| fs::set_permissions(path, fs::Permissions::from_mode(*mode)))
        }
        Edit::Time { place, seconds, nanos } => {
            if let Some(path) = file(place) {
                tree::set_mtime(path, *seconds, *nanos);
            }
            Ok(())
        }
        Edit::Attribute { place, length } => {
            if let Some(path) = file(place) {
                tree::set_xattr(path, "user.random", &tree::noise(3, *length));
            }
            Ok(())
        }
        Edit::Hole { place, start, length } => {
            tree::write_sparse(
                new_name(root, *place).with_extension("sparse"),
                start + length,
                &[(*start, *length / 2)],
            );
            Ok(())
        }
    };
}

#[test]
fn every_snapshot_of_a_randomly_edited_tree_restores_to_what_was_there() {
    // No file of failures: a failing case is printed, and becomes a test of its own.
    let config = Config { cases: 24, failure_persistence: None, max_shrink_iters: 40, ..Config::default() };
    let rounds = vec(vec(edits(), 1..12), 1..5);
    TestRunner::new(config)
        .run(&rounds, |rounds| {
            let lab = Lab::new();
            let mut expected = Vec::new();
            for edits in &rounds {
                edits.iter().for_each(|one| edit(&lab.source(), one));
                lab.backup();
                expected.push(describe(&lab.source()));
            }
            for (back, expected) in expected.iter().rev().enumerate() {
                let restored = lab.restore(&format!("latest~{back}"));
                compare::assert_described(expected, &describe(&restored));
            }
            lab.assert_sound();
            let followed = lab.tree_of(&lab.source());
            lab.backup_with(|options| options.parent = ParentChoice::None);
            assert_eq!(lab.tree_of(&lab.source()), followed, "whatever came before is the same tree");
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
