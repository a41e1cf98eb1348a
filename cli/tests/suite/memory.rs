//! How much memory a command takes over what anyone may have put into the store: SPEC's table of
//! limits, measured.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::program::Desk;

/// Most resident memory of a command over objects that no signature fits: the index, the password's
/// cost, and a few times the largest snapshot object.
const MEMORY_KIB_MAX: u64 = 512 << 10;

/// An envelope of a snapshot as SPEC says it, of a holder who may write, whose payload is `bytes` bytes of
/// lists in lists and whose signature is nonsense.
fn unsigned_snapshot(signer: &[u8; 8], bytes: u32) -> Vec<u8> {
    let mut envelope = vec![0xa5, 0, 1, 1, 4, 2, 0x5a];
    envelope.extend_from_slice(&bytes.to_be_bytes());
    envelope.extend((0..bytes).map(|at| if at % 64 == 63 { 0x80 } else { 0x81 }));
    envelope.extend_from_slice(&[3, 0x48]);
    envelope.extend_from_slice(signer);
    envelope.extend_from_slice(&[4, 0x58, 64]);
    envelope.extend_from_slice(&[7; 64]);
    envelope
}

/// Runs a command and returns its exit code, what it printed and the most memory that it had, in KiB.
fn measured(desk: &Desk, arguments: &[&str]) -> (i32, String, u64) {
    let output = desk.path("output");
    let file = File::create(&output).unwrap();
    let mut command = desk.command();
    command.args(arguments).stdout(Stdio::null()).stderr(file);
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The kernel keeps the peak: it is there whenever one looks before the end.
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        thread::sleep(Duration::from_millis(2));
    };
    (ended.code().unwrap_or(-1), fs::read_to_string(output).unwrap(), peak)
}

fn sparse(path: &Path, bytes: u64) {
    File::create(path).unwrap().set_len(bytes).unwrap();
}

/// Two snapshots of 60 MB and eight index segments of a GiB that no one signed, and as large ones
/// elsewhere: every command still runs, names them, and takes no more memory than it may.
#[test]
fn objects_that_no_one_signed_cost_little_memory() {
    let desk = Desk::new();
    desk.backup();
    let repo = desk.repo();
    let real = fs::read_dir(repo.join("snapshots")).unwrap().next().unwrap().unwrap().file_name();
    let real = real.into_string().unwrap();
    let writer = u64::from_str_radix(&real[..16], 16).unwrap().to_be_bytes();
    let session = |n: u32| format!("{}-{n:032x}", &real[..16]);
    for n in 0..2 {
        fs::write(repo.join("snapshots").join(session(n)), unsigned_snapshot(&writer, 60_000_000)).unwrap();
    }
    sparse(&repo.join("snapshots").join(session(2)), 1 << 30);
    for n in 0..8 {
        sparse(&repo.join("index").join(format!("{}.{n:08x}", session(3))), 1 << 30);
    }
    sparse(&repo.join("sessions").join(session(4)), 1 << 30);

    let (code, said, peak) = measured(&desk, &["snapshots"]);
    assert_eq!(code, 3, "{said}");
    assert!(peak > 0 && peak < MEMORY_KIB_MAX, "{peak} KiB");
    let (code, said, peak) = measured(&desk, &["check"]);
    assert_eq!(code, 3, "{said}");
    assert!(peak > 0 && peak < MEMORY_KIB_MAX, "{peak} KiB");
    let (code, said, peak) = measured(
        &desk,
        &["restore", "--snapshot", "latest", "--target", desk.path("target").to_str().unwrap()],
    );
    assert!(matches!(code, 0 | 3) && peak < MEMORY_KIB_MAX, "{code}, {peak} KiB: {said}");
    let restored = desk.path("target").join(desk.src("a.txt").strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(restored).unwrap(), "one");
}
