//! Building trees of files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// Bytes that don't compress and don't repeat, the same for the same seed.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Writes a file, and the directories that lead to it.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = path.as_ref();
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).expect("the directory can be made");
    }
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_owned()
}

/// Sets the modification time of an entry; of a link, its own.
pub fn set_mtime(path: impl AsRef<Path>, seconds: i64, nanos: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path.as_ref(), &times, AtFlags::SYMLINK_NOFOLLOW).expect("times can be set");
}

/// The modification time of an entry.
#[must_use]
pub fn mtime(path: impl AsRef<Path>) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::symlink_metadata(path).expect("the entry is there");
    (metadata.mtime(), metadata.mtime_nsec())
}

/// Sets an extended attribute; `false` if the file system won't have it.
pub fn set_xattr(path: impl AsRef<Path>, name: &str, value: &[u8]) -> bool {
    rustix::fs::lsetxattr(path.as_ref(), name, value, XattrFlags::empty()).is_ok()
}

/// Writes a file that has data only in these extents, given as (offset, length).
pub fn write_sparse(path: impl AsRef<Path>, size: u64, extents: &[(u64, u64)]) {
    let file = File::create(path).expect("the file can be made");
    file.set_len(size).expect("the file can be stretched");
    for (number, (offset, length)) in (1..).zip(extents) {
        file.write_all_at(
            &noise(number, usize::try_from(*length).expect("the data fit into memory")),
            *offset,
        )
        .expect("the data can be written");
    }
}

/// Whether this process may make devices and give files away.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A few files in a few directories: enough for tests that aren't about trees.
pub fn small(root: &Path) {
    write(root.join("a.txt"), "one\n");
    write(root.join("empty"), "");
    write(root.join("dir/b.bin"), noise(1, 70_000));
    write(root.join("dir/below/c.bin"), noise(2, 20_000));
    fs::create_dir_all(root.join("dir/nothing in it")).expect("the directory can be made");
    symlink("a.txt", root.join("link")).expect("the link can be made");
    fs::hard_link(root.join("dir/b.bin"), root.join("second name of b")).expect("the link can be made");
    settle(root);
}

/// Gives every entry a modification time long past, its own, with nanoseconds.
pub fn settle(root: &Path) {
    let mut paths = Vec::new();
    collect(root, &mut paths);
    for (number, path) in (1..).zip(paths) {
        set_mtime(path, 1_500_000_000 + number, number * 1001);
    }
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if fs::symlink_metadata(path).expect("the entry is there").is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .expect("the directory can be listed")
            .map(|entry| entry.expect("the entry can be listed").path())
            .collect();
        entries.sort_unstable();
        for entry in entries {
            collect(&entry, found);
        }
    }
    found.push(path.to_owned());
}

/// Everything that file systems allow and programs stumble over. Returns what had to be left
/// out because this user or this file system can't have it.
pub fn nasty(root: &Path) -> Vec<&'static str> {
    let mut left_out = Vec::new();
    fs::create_dir_all(root).expect("the directory can be made");
    odd_names(&root.join("names"));
    sizes(&root.join("sizes"));
    modes_and_times(&root.join("modes"));
    links_and_specials(&root.join("kinds"), &mut left_out);
    attributes(&root.join("attributes"), &mut left_out);
    sparse(&root.join("sparse"));
    let many = root.join("many");
    fs::create_dir_all(&many).expect("the directory can be made");
    for number in 0..3000 {
        write(many.join(format!("entry {number}")), format!("{number}"));
    }
    let mut deep = root.join("deep");
    for _ in 0..300 {
        deep.push("d");
    }
    write(deep.join("bottom"), "the deepest file");
    left_out
}

fn odd_names(root: &Path) {
    let long = "n".repeat(255);
    let names: [&[u8]; 14] = [
        b"not utf-8 \xff\xfe\xc3",
        b"new\nline",
        b"-rf",
        b"--",
        b" ",
        b"a b",
        b"\\",
        b"*?[x]",
        b"\"'`$(x)",
        b"\x01\x7f\x1b[31m",
        b"...",
        b".hidden",
        "ünïcödé \u{202e}".as_bytes(),
        long.as_bytes(),
    ];
    for name in names {
        write(root.join(OsStr::from_bytes(name)), name);
        let folder = root.join("folders").join(OsStr::from_bytes(name));
        write(folder.join(OsStr::from_bytes(name)), "below an odd name");
    }
    // A name that is the start of another, in an order that slashes could change.
    for name in ["x", "x-y", "x.y", "x/z", "xy"] {
        write(root.join("order").join(name).with_extension("t"), name);
    }
    fs::create_dir_all(root.join("empty")).expect("the directory can be made");
}

fn sizes(root: &Path) {
    const MIB: usize = 1 << 20;
    let sizes = [
        0,
        1,
        2,
        511,
        4095,
        4096,
        4097,
        16_384,
        65_535,
        65_536,
        65_537,
        MIB,
        2 * MIB - 1,
        2 * MIB,
        2 * MIB + 1,
        5 * MIB,
        20 * MIB,
    ];
    for (seed, size) in (100..).zip(sizes) {
        write(root.join(format!("noise {size}")), noise(seed, size));
    }
    write(root.join("zeros"), vec![0; 3 * MIB]);
    write(root.join("text"), "all work and no play\n".repeat(200_000));
    let mut twice = noise(7, 3 * MIB);
    twice.extend_from_within(..);
    write(root.join("the same twice"), twice);
}

fn modes_and_times(root: &Path) {
    for mode in [0, 0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o7777, 0o6000] {
        let file = write(root.join(format!("file {mode:o}")), format!("{mode:o}"));
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("the mode can be set");
        let folder = root.join(format!("folder {mode:o}"));
        write(folder.join("inside"), "something");
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode | 0o700)).expect("the mode can be set");
    }
    let times = [
        (-1, 999_999_999),
        (-86_400 * 365 * 60, 1),
        (0, 0),
        (0, 1),
        (1_234_567_890, 123_456_789),
        (4_000_000_000, 7),
    ];
    for (seconds, nanos) in times {
        set_mtime(write(root.join(format!("at {seconds}.{nanos}")), "old"), seconds, nanos);
        let folder = root.join(format!("folder at {seconds}.{nanos}"));
        write(folder.join("inside"), "old");
        set_mtime(folder, seconds, nanos);
    }
}

fn links_and_specials(root: &Path, left_out: &mut Vec<&'static str>) {
    write(root.join("target"), "a file with five names");
    for name in ["second", "third"] {
        fs::hard_link(root.join("target"), root.join(name)).expect("the link can be made");
    }
    for folder in ["before", "zz after"] {
        fs::create_dir_all(root.join(folder)).expect("the directory can be made");
        fs::hard_link(root.join("target"), root.join(folder).join("further")).expect("the link can be made");
    }
    write(root.join("empty with two names"), "");
    fs::hard_link(root.join("empty with two names"), root.join("empty's other"))
        .expect("the link can be made");
    write(root.join("big with two names"), noise(9, 3 << 20));
    fs::hard_link(root.join("big with two names"), root.join("big's other")).expect("the link can be made");
    symlink("target", root.join("to a file")).expect("the link can be made");
    symlink("before", root.join("to a folder")).expect("the link can be made");
    symlink("nowhere/at all", root.join("dangling")).expect("the link can be made");
    symlink("l".repeat(4000), root.join("long")).expect("the link can be made");
    symlink(OsStr::from_bytes(b"\xff\n\xfe"), root.join("odd")).expect("the link can be made");
    set_mtime(root.join("dangling"), 987_654_321, 42);
    fs::hard_link(root.join("dangling"), root.join("dangling's other")).expect("the link can be made");
    let special = |name: &str, kind, mode: u32, device| {
        let path = root.join(name);
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::mknodat(CWD, &path, kind, mode, device).map(|()| set_mtime(&path, 1_000_000_001, 5))
    };
    special("fifo", FileType::Fifo, 0o640, 0).expect("the fifo can be made");
    special("socket", FileType::Socket, 0o600, 0).expect("the socket can be made");
    fs::hard_link(root.join("fifo"), root.join("fifo's other")).expect("the link can be made");
    let devices = special("char", FileType::CharacterDevice, 0o666, rustix::fs::makedev(1, 3))
        .and_then(|()| special("block", FileType::BlockDevice, 0o660, rustix::fs::makedev(259, 300_000)));
    if !is_root() || devices.is_err() {
        left_out.push("devices");
    }
    if is_root() {
        for (name, uid, gid) in [
            ("owned", 1234, 5678),
            ("owned by an unnamed user", 65_534, 65_534),
            ("owned high", 4_000_000_000, 1),
        ] {
            let path = write(root.join(name), name);
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).expect("root gives files away");
            // Giving a file away clears these bits, so a restore must set them afterwards.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).expect("the mode can be set");
        }
        std::os::unix::fs::lchown(root.join("odd"), Some(77), Some(88)).expect("root gives links away");
    } else {
        left_out.push("owners");
    }
}

fn attributes(root: &Path, left_out: &mut Vec<&'static str>) {
    let file = write(root.join("file"), "with attributes");
    fs::create_dir_all(root.join("folder")).expect("the directory can be made");
    let folder = root.join("folder");
    for path in [&file, &folder] {
        let set = set_xattr(path, "user.short", b"value")
            && set_xattr(path, "user.empty", b"")
            && set_xattr(path, "user.bytes", b"\0\xff\n\0")
            && set_xattr(path, "user.long", &noise(3, 1000));
        if !set {
            left_out.push("attributes");
        }
    }
    // A read-only file takes its attributes before its mode.
    let locked = write(root.join("read-only"), "locked");
    set_xattr(&locked, "user.on", b"a locked file");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o444)).expect("the mode can be set");
    let linked = root.join("link");
    symlink("file", &linked).expect("the link can be made");
    if !set_xattr(&linked, "trusted.on", b"a link") {
        left_out.push("attributes of links");
    }
    if !set_xattr(&file, "system.posix_acl_access", &acl(0o6)) {
        left_out.push("access lists");
    }
    set_xattr(&folder, "system.posix_acl_access", &acl(0o7));
    set_xattr(&folder, "system.posix_acl_default", &acl(0o5));
    write(folder.join("inherits"), "from the folder's default list");
    // Capabilities of an executable.
    let capable = write(root.join("capable"), "#!/bin/sh\n");
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if !set_xattr(&capable, "security.capability", &capability) {
        left_out.push("capabilities");
    }
}

/// A POSIX access list as the kernel keeps it, with `permissions` for one further user.
fn acl(permissions: u16) -> Vec<u8> {
    access_list(&[
        (0x01, 6, u32::MAX),
        (0x02, permissions, 1234),
        (0x04, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ])
}

/// A POSIX access list as the kernel keeps it, of entries' tags, permissions and ids.
#[must_use]
pub fn access_list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&permissions.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}

fn sparse(root: &Path) {
    const MIB: u64 = 1 << 20;
    fs::create_dir_all(root).expect("the directory can be made");
    write_sparse(root.join("only a hole"), 64 * MIB, &[]);
    write_sparse(root.join("leading"), 4 * MIB, &[(3 * MIB, MIB)]);
    write_sparse(root.join("middle"), 8 * MIB, &[(0, 65_536), (7 * MIB, 65_536)]);
    write_sparse(root.join("trailing"), 8 * MIB, &[(0, 100_000)]);
    write_sparse(root.join("small"), 300_000, &[(131_072, 10)]);
    write_sparse(root.join("big"), 100 * MIB, &[(MIB, 3 * MIB), (50 * MIB, 2 * MIB), (99 * MIB, MIB)]);
    let many: Vec<(u64, u64)> = (0..100).map(|number| (number * 65_536, 8192)).collect();
    write_sparse(root.join("a hundred extents"), 100 * 65_536 + 5, &many);
    let many: Vec<(u64, u64)> = (0..80).map(|number| (number * 262_144, 65_536)).collect();
    write_sparse(root.join("eighty extents of a large file"), 80 * 262_144, &many);
    write_sparse(root.join("ends in the middle of a block"), 5 * MIB + 123, &[(5 * MIB, 123)]);
}
