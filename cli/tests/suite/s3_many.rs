//! Many programs at once, as twenty machines and users have them, on one bucket.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use keepfast_backend::{RunLink, S3Credentials, S3Options, S3Store};
use keepfast_testkit::servers::{Kind, Server};
use keepfast_testkit::store::stored_bytes;
use keepfast_testkit::tree::noise;
use tempfile::TempDir;

use crate::program::{Run, same};

const PROGRAMS: u64 = 20;
const SHARED_BYTES: u64 = 6 << 20;
const OWN_BYTES: u64 = 256 << 10;

/// A bucket, and a folder with a directory for each program.
struct Site {
    server: Server,
    bucket: String,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let server = Server::start(Kind::SeaweedFs);
        let bucket = server.bucket();
        Self { server, bucket, folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The directory of a program: what all have, and what it alone has.
    fn make_source(&self, number: u64) {
        let source = self.source(number);
        fs::create_dir_all(source.join("shared")).unwrap();
        for file in 0..6 {
            let bytes = noise(900 + file, (SHARED_BYTES / 6) as usize);
            fs::write(source.join(format!("shared/{file}.bin")), bytes).unwrap();
        }
        fs::write(source.join("own.bin"), noise(number, usize::try_from(OWN_BYTES).unwrap())).unwrap();
    }

    fn source(&self, number: u64) -> PathBuf {
        self.path(&format!("source-{number}"))
    }

    /// The program as the `number`th user starts it; half of them share a machine and its cache.
    fn command(&self, number: u64) -> Command {
        let cache = if number.is_multiple_of(2) { "cache".to_owned() } else { format!("cache-{number}") };
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepfast"));
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.server.environment(&self.server.endpoint()))
            .env("KEEPFAST_REPOSITORY", format!("s3://{}/all/of/us", self.bucket))
            .env("KEEPFAST_CACHE_DIR", self.path(&cache))
            .env("KEEPFAST_PASSWORD", "correct horse")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, number: u64, arguments: &[&str]) -> Run {
        Run::of(self.command(number).args(arguments).output().unwrap())
    }

    /// Runs one program for each number, all at the same time.
    fn at_once(&self, arguments: impl Fn(u64) -> Vec<OsString>) -> Vec<Run> {
        let start = |number| self.command(number).args(arguments(number)).spawn().unwrap();
        let children: Vec<_> = (1..=PROGRAMS).map(start).collect();
        children.into_iter().map(|child| Run::of(child.wait_with_output().unwrap())).collect()
    }

    fn back_up_all_at_once(&self) {
        let begun = Instant::now();
        for run in self.at_once(|number| vec!["backup".into(), self.source(number).into()]) {
            run.succeeds();
        }
        eprintln!("{PROGRAMS} backups: {:?}", begun.elapsed());
    }

    fn assert_all_restorable(&self) {
        let listed = self.run(1, &["snapshots", "--json"]).succeeds();
        let snapshots: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
        let snapshots = snapshots.as_array().unwrap();
        let begun = Instant::now();
        let id_of = |number: u64| {
            let source = self.source(number).display().to_string();
            let of_source = |snapshot: &&serde_json::Value| snapshot["paths"][0] == source.as_str();
            let found: Vec<_> = snapshots.iter().filter(of_source).collect();
            assert_eq!(found.len(), 1, "{source} has one snapshot of its own: {}", listed.out);
            found[0]["id"].as_str().unwrap().to_owned()
        };
        let target = |number: u64| self.path(&format!("restored-{number}"));
        let runs = self.at_once(|number| {
            let what = format!("{}:{}", id_of(number), self.source(number).display());
            vec!["restore".into(), "--snapshot".into(), what.into(), "--target".into(), target(number).into()]
        });
        for (number, run) in (1..).zip(runs) {
            run.succeeds();
            assert!(same(&self.source(number), &target(number)), "the snapshot of {number} differs");
        }
        eprintln!("{PROGRAMS} restores: {:?}", begun.elapsed());
    }

    fn assert_sound(&self) {
        let check = self.run(1, &["check", "--read-data"]).succeeds();
        assert!(check.out.contains("no damage found"), "{check:?}");
    }

    fn bytes_in_packs(&self) -> u64 {
        let options = S3Options {
            endpoint: Some(self.server.endpoint()),
            region: Some(self.server.region().to_owned()),
            credentials: Some(S3Credentials {
                access_key: self.server.access_key().to_owned(),
                secret_key: self.server.secret_key().to_owned(),
                session_token: None,
            }),
            ..S3Options::new(&self.bucket, "all/of/us", Instant::now)
        };
        let store = S3Store::connect(options).unwrap().for_run(RunLink::default());
        stored_bytes(&store, "packs/")
    }
}

/// Twenty backups at once of directories that share most of what they have, after one machine has
/// backed that up: twenty snapshots, all restorable, and what is shared is stored once.
#[test]
fn twenty_backups_at_once_into_one_bucket() {
    let site = Site::new();
    site.run(0, &["init"]).succeeds();
    (0..=PROGRAMS).for_each(|number| site.make_source(number));
    site.run(0, &["backup", site.source(0).to_str().unwrap()]).succeeds();
    site.back_up_all_at_once();
    let (stored, unique) = (site.bytes_in_packs(), SHARED_BYTES + (PROGRAMS + 1) * OWN_BYTES);
    assert!(stored < unique + unique / 5, "{stored} bytes are stored, {unique} are unique");
    site.assert_all_restorable();
    site.assert_sound();
}

/// The same into an empty repository: the run that comes first with something, all others are about
/// to store it too. A prune leaves one of each.
#[test]
fn what_twenty_stored_at_once_a_prune_leaves_once() {
    let site = Site::new();
    site.run(0, &["init"]).succeeds();
    (1..=PROGRAMS).for_each(|number| site.make_source(number));
    site.back_up_all_at_once();
    let at_first = site.bytes_in_packs();
    site.run(0, &["prune", "--max-unused", "0%"]).succeeds();
    let (stored, unique) = (site.bytes_in_packs(), SHARED_BYTES + PROGRAMS * OWN_BYTES);
    eprintln!("{at_first} bytes at first, {stored} after a prune, {unique} are unique");
    assert!(stored < unique + unique / 5, "{stored} bytes are stored, {unique} are unique");
    site.assert_all_restorable();
    site.assert_sound();
}
