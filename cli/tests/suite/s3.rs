//! Repositories in S3, on real servers.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keepfast_testkit::proxy::{Fault, Plan, Proxy, Requests, When};
use keepfast_testkit::servers::Kind;
use keepfast_testkit::store::stored_bytes;
use keepfast_testkit::tree::noise;

use crate::program::{Run, peak_mib_of};
use crate::remote::Remote;

/// Everything that one does with a repository, on one server.
fn whole_life(remote: &Remote) {
    let source = remote.source();
    let doctor = remote.run(&["doctor"]).succeeds();
    assert!(doctor.out.contains("promises    all kept") && doctor.out.contains("none yet"), "{doctor:?}");
    remote.run(&["snapshots"]).fails(10, &["holds no repository"]);
    let init = remote.run(&["init", "--pack-size", "4"]).succeeds();
    assert!(init.out.contains(&format!("s3://{}/some/prefix", remote.bucket)), "{init:?}");
    remote.run(&["init"]).fails(1, &["holds a repository already"]);

    let first = remote.json(&["backup", &source]);
    let traffic = &first["traffic"];
    assert!(first["summary"]["bytes_stored"].as_u64().unwrap() > 3 << 20, "{first}");
    assert!(traffic["bytes_up"].as_u64() >= first["summary"]["bytes_stored"].as_u64(), "{first}");
    assert!(traffic["requests"].as_u64().unwrap() < 25 && traffic["retries"] == 0, "{first}");
    let second = remote.run(&["backup", &source]).succeeds();
    let line = second.out.lines().find(|line| line.starts_with("store ")).unwrap();
    assert!(line.contains(" put, ") && line.contains(" list") && line.contains(" down"), "{line}");

    assert!(remote.restores_identical() && remote.is_sound());
    let checked = remote.json(&["check", "--read-data"]);
    assert!(checked["traffic"]["bytes_down"].as_u64().unwrap() > 3 << 20, "{checked}");
    // Without its cache a machine finds everything again.
    fs::remove_dir_all(remote.desk.path("cache")).unwrap();
    assert!(remote.restores_identical());
    let doctor = remote.json(&["doctor"]);
    assert_eq!((&doctor["sound"], &doctor["repository"]["snapshots"]), (&true.into(), &2.into()));
    assert!(doctor["latency"]["create"]["median_ms"].as_f64().unwrap() > 0.0);
    // What the probes made is gone.
    assert_eq!(stored_bytes(&remote.store(), "probe/"), 0);
}

#[test]
fn a_repository_lives_in_seaweedfs() {
    whole_life(&Remote::on(Kind::SeaweedFs));
}

#[test]
fn a_repository_lives_in_moto() {
    whole_life(&Remote::on(Kind::Moto));
}

#[test]
fn a_store_that_overwrites_is_refused_or_declared_for_a_single_writer() {
    let remote = Remote::on(Kind::S3rver);
    let init = remote.run(&["init"]);
    let said =
        ["can't be trusted", "If-None-Match", "Two runs that write at the same time", "--unsafe-store"];
    init.fails(1, &said);
    remote.run(&["snapshots"]).fails(10, &["holds no repository"]);

    let init = remote.run(&["init", "--unsafe-store"]).succeeds();
    assert!(init.out.contains("never run two commands that write"), "{init:?}");
    let source = remote.source();
    for command in [&["backup", &source][..], &["snapshots"], &["check"], &["stats"], &["ls", "latest"]] {
        let run = remote.run(command).succeeds();
        assert!(run.err.contains("warning: this store lets writers overwrite"), "{command:?}: {run:?}");
    }
    assert!(remote.restores_identical() && remote.is_sound());
    let doctor = remote.run(&["doctor"]);
    assert_eq!(doctor.code, 3, "{doctor:?}");
    assert!(doctor.out.contains("promises    broken") && doctor.out.contains("single writer"), "{doctor:?}");
}

/// A sound store is no single writer's, even if that was asked for.
#[test]
fn unsafe_store_changes_nothing_where_the_store_is_sound() {
    let remote = Remote::on(Kind::Moto);
    remote.run(&["init", "--unsafe-store"]).succeeds();
    let run = remote.run(&["snapshots"]).succeeds();
    assert!(!run.err.contains("warning"), "{run:?}");
}

#[test]
fn an_interrupted_backup_run_again_uploads_only_the_rest() {
    const TOTAL: u64 = 90 << 20;
    const PACK: u64 = 4 << 20;
    let remote = Remote::on(Kind::SeaweedFs);
    for n in 0..15 {
        fs::write(remote.desk.src(&format!("noise{n}")), noise(100 + n, (TOTAL / 15) as usize)).unwrap();
    }
    remote.run(&["init", "--pack-size", "4"]).succeeds();
    let source = remote.source();
    let child = remote
        .command()
        .args(["backup", "--limit-upload", "32768", &source])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let store = remote.store();
    let begun = Instant::now();
    while stored_bytes(&store, "packs/") < TOTAL * 4 / 10 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the backup stands still");
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    Run::of(child.wait_with_output().unwrap()).fails(130, &["interrupted"]);

    let before = stored_bytes(&store, "packs/");
    let again = remote.json(&["backup", &source]);
    let sent = again["traffic"]["bytes_up"].as_u64().unwrap();
    let rest = (TOTAL + (3 << 20)).saturating_sub(before);
    // Packs that were under way when it was interrupted may go twice.
    assert!(sent < rest + 3 * PACK, "{sent} bytes were sent again, {before} had been stored");
    assert!(remote.restores_identical() && remote.is_sound());
}

/// Packs on their way, and frames on theirs back, take little memory, whatever the amount.
fn takes_little_memory(mib: u64) {
    let remote = Remote::on(Kind::SeaweedFs);
    for n in 0..mib / 32 {
        fs::write(remote.desk.src(&format!("noise{n}")), noise(n + 10, 32 << 20)).unwrap();
    }
    remote.run(&["init"]).succeeds();
    let target = remote.desk.path("restored");
    let peak = |arguments: &[&str]| peak_mib_of(&remote.command(), &remote.desk.path("peak"), arguments);
    let peaks = [
        peak(&["backup", &remote.source()]),
        peak(&["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]),
    ];
    eprintln!("{mib} MiB: {peaks:?} MiB at the peak");
    assert!(peaks.iter().all(|peak| (1..=256).contains(peak)), "{peaks:?}");
}

#[test]
fn a_backup_and_a_restore_take_little_memory() {
    takes_little_memory(256);
}

#[test]
#[ignore = "a long campaign, for make soak"]
fn a_backup_and_a_restore_of_a_gibibyte_take_little_memory() {
    takes_little_memory(1024);
}

/// Every pack with one request, and what tells where they are with as few as there are objects.
#[test]
fn a_restore_asks_for_nothing_twice() {
    let remote = Remote::on(Kind::Moto);
    fs::write(remote.desk.src("more.bin"), noise(2, 20 << 20)).unwrap();
    remote.run(&["init", "--pack-size", "4"]).succeeds();
    remote.run(&["backup", &remote.source()]).succeeds();
    let proxy = Proxy::start(remote.server.address(), Plan::new(1));
    let target = remote.desk.path("restored");
    let mut restore = remote.command_through(&proxy);
    restore.args(["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]);
    Run::of(restore.output().unwrap()).succeeds();
    let asked: Vec<String> = proxy.seen().into_iter().map(|seen| seen.target).collect();
    let packs = asked.iter().filter(|target| target.contains("/packs/")).count();
    let mut distinct = asked.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), asked.len(), "{asked:#?}");
    // Seven listings, and a key slot. Config, keyring and snapshot were read or written here before.
    assert!(packs > 5 && asked.len() == packs + 8, "{asked:#?}");
}

/// The first signal ends a run that waits for the store, and not only when it has waited enough.
#[test]
fn a_signal_ends_a_backup_and_a_restore_that_wait_for_the_store() {
    let remote = Remote::on(Kind::Moto);
    remote.run(&["init"]).succeeds();
    remote.run(&["backup", &remote.source()]).succeeds();
    fs::write(remote.desk.src("new.bin"), noise(3, 3 << 20)).unwrap();
    let long = Duration::from_secs(100);
    let (puts, gets) =
        (Requests { method: "PUT", path: "/packs/" }, Requests { method: "GET", path: "/packs/" });
    let source = remote.source();
    let target = remote.desk.path("restored");
    let backup = ["backup", &source];
    let restore = ["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()];
    for (arguments, requests, fault) in [
        (&backup[..], puts, Fault::StallRequest(long)),
        (&backup, puts, Fault::Delay(long)),
        (&backup, puts, Fault::CutBefore),
        (&restore, gets, Fault::StallAnswer(long)),
        (&restore, gets, Fault::CutBefore),
    ] {
        let proxy = Proxy::start(remote.server.address(), Plan::new(1).on(requests, When::Always, fault));
        let child = remote
            .command_through(&proxy)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while proxy.faults() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(30), "nothing is waited for: {:#?}", proxy.seen());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(300));
        let asked = Instant::now();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let run = Run::of(child.wait_with_output().unwrap());
        assert!(asked.elapsed() < Duration::from_secs(8), "{fault:?}: {:?}, {run:?}", asked.elapsed());
        assert!(!run.err.contains("damaged"), "{fault:?}: {run:?}");
        run.fails(130, &["interrupted"]);
        let _ = fs::remove_dir_all(&target);
    }
    assert!(remote.is_sound());
}

#[test]
fn what_is_wrong_with_a_place_or_its_keys_is_said() {
    let remote = Remote::on(Kind::SeaweedFs);
    let with = |change: &dyn Fn(&mut Command), arguments: &[&str]| {
        let mut command = remote.command();
        change(&mut command);
        Run::of(command.args(arguments).output().unwrap())
    };
    let wrong_key = |command: &mut Command| {
        command.env("AWS_SECRET_ACCESS_KEY", "wrong");
    };
    with(&wrong_key, &["init"]).fails(1, &["SignatureDoesNotMatch", "check AWS_SECRET_ACCESS_KEY"]);
    let no_key = |command: &mut Command| {
        command.env_remove("AWS_ACCESS_KEY_ID");
    };
    with(&no_key, &["init"]).fails(1, &["no credentials for S3 were found", "AWS_PROFILE"]);
    let no_bucket = |command: &mut Command| {
        command.env("KEEPFAST_REPOSITORY", "s3://there-is-none");
    };
    with(&no_bucket, &["init"]).fails(1, &["there is no such bucket"]);
    let same = |_: &mut Command| {};
    let https = remote.server.endpoint().replace("http:", "https:");
    with(&same, &["snapshots", "--s3-endpoint", &https]).fails(1, &["no secure connection", "http://"]);
    with(&same, &["snapshots", "--s3-ca-file", "/no/such"]).fails(1, &["/no/such can't be read"]);
    with(&same, &["snapshots", "--s3-storage-class", "GLACIER"]).fails(2, &["GLACIER_IR"]);
    with(&same, &["snapshots", "-r", "s3://"]).fails(2, &["names no bucket"]);
    with(&same, &["snapshots", "-r", "gs://bucket"]).fails(2, &["isn't supported"]);
}
