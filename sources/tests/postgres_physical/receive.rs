//! Receivers of the log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keepfast_process::Cancel;
use keepfast_sources::address::Address;
use keepfast_sources::files::{Files, FolderFiles};
use keepfast_sources::postgres::physical::Target;
use keepfast_sources::postgres::replication::SlotName;
use keepfast_sources::postgres::wal::{
    Archive, Begin, ReceiveOptions, Received, Spool, SpoolLimit, Union, receive,
};
use keepfast_sources::{Result, SourceError};
use keepfast_testkit::servers::PostgresVersion;

use crate::lab::{Lab, address, refusal, wait_until};

/// What a process that receives, and is killed, is told.
const SPOOL: &str = "KEEPFAST_TEST_SPOOL";
const SOCKET: &str = "KEEPFAST_TEST_SOCKET";
const PORT: &str = "KEEPFAST_TEST_PORT";

fn options() -> ReceiveOptions {
    ReceiveOptions::new(SlotName::new("keepfast").expect("a name"))
}

/// Receives while something is done.
fn receiving(lab: &Lab, spool: &Spool, work: impl FnOnce(&dyn Fn() -> bool)) -> Result<Received> {
    receiving_from(lab, &lab.address(), spool, &options(), work)
}

/// The work is told whether the receiver has ended.
fn receiving_from(
    lab: &Lab,
    from: &Address,
    spool: &Spool,
    options: &ReceiveOptions,
    work: impl FnOnce(&dyn Fn() -> bool),
) -> Result<Received> {
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let context = lab.context_of(&cancel);
        let receiver = scope.spawn(move || receive(from, spool, options, &context));
        work(&|| receiver.is_finished());
        cancel.cancel();
        receiver.join().expect("it ends")
    })
}

/// Waits until the server has heard that all of its log is durable with the receiver.
fn wait_until_confirmed(lab: &Lab) {
    let position = lab.query("SELECT pg_current_wal_flush_lsn()");
    let confirmed = format!(
        "SELECT coalesce(max(flush_lsn) >= '{position}', false) FROM pg_stat_replication WHERE application_name = 'keepfast'"
    );
    wait_until("the receiver confirms", || lab.query(&confirmed) == "t");
}

fn fill(lab: &Lab, note: &str) {
    lab.note(note);
    lab.execute("INSERT INTO t (note, filler) SELECT i::text, repeat(md5(random()::text), 8) FROM generate_series(1, 20000) i");
}

/// The process that is killed: it receives until then. Without its variables this is no test.
#[test]
fn a_process_that_receives_until_it_is_killed() {
    let variables = [SPOOL, SOCKET, PORT].map(|name| std::env::var(name).ok());
    let [Some(spool), Some(socket), Some(port)] = variables else { return };
    let spool = Spool::open(spool, SpoolLimit(4 << 30)).expect("a spool");
    let from = address(Path::new(&socket), port.parse().expect("a port"));
    let context = keepfast_sources::context::Context {
        cancel: Cancel::new(),
        secrets: keepfast_process::redact::KnownSecrets::default(),
        programs: Vec::new(),
        scratch: std::env::temp_dir(),
        progress: &|_| {},
    };
    receive(&from, &spool, &options(), &context).expect("it doesn't come to its end");
}

fn start_process(lab: &Lab, spool: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "receive::a_process_that_receives_until_it_is_killed"])
        .env(SPOOL, spool)
        .env(SOCKET, lab.server.socket())
        .env(PORT, lab.server.port().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

/// Killed at any moment, and with a server that is killed too, a receiver goes on where it was: its segments have the
/// bytes that the server archived, and the end of the log is there before the server archived it.
fn has_the_bytes_that_the_server_archives(version: PostgresVersion) {
    let lab = Lab::new(version);
    let (base, _) = lab.backup("base");
    let place = lab.path("received");
    let mut process = start_process(&lab, &place);
    fill(&lab, "first");
    wait_until_confirmed(&lab);
    for note in ["second", "third"] {
        fill(&lab, note);
        process.kill().expect("it runs");
        process.wait().expect("it ended");
        lab.note("between");
        process = start_process(&lab, &place);
        lab.archive();
        wait_until_confirmed(&lab);
    }
    process.kill().expect("it runs");
    process.wait().expect("it ended");
    lab.server.restart();
    let spool = Spool::open(&place, SpoolLimit(4 << 30)).expect("a spool");
    let ended = receiving(&lab, &spool, |_| {
        fill(&lab, "fourth");
        lab.archive();
        lab.note("last");
        wait_until_confirmed(&lab);
    });
    let received = ended.expect("it was asked to end");
    assert!(received.segments >= 1);
    // A server that goes away is an error, behind which it can be called again.
    let ended = receiving(&lab, &spool, |has_ended| {
        wait_until_confirmed(&lab);
        lab.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        wait_until("the receiver has ended", has_ended);
    });
    assert!(refusal(ended).contains("terminating connection"));

    let whole: Vec<String> = spool.list().expect("a spool").into_iter().map(|file| file.path).collect();
    let names: Vec<&str> = whole.iter().filter_map(|path| path.rsplit('/').next()).collect();
    let finished: Vec<&&str> = names.iter().filter(|name| !name.contains('.')).collect();
    assert!(finished.len() >= 3, "{names:?}");
    for name in finished {
        let archived = fs::read(lab.path("archive").join(name)).expect("the server archived it");
        assert!(fs::read(place.join("ready").join(name)).expect("a segment") == archived, "{name}");
    }
    assert_eq!(names.iter().filter(|name| name.ends_with(".partial")).count(), 1, "{names:?}");
    // What the server archives may come into the same spool.
    for file in lab.archived() {
        spool.push(&file).expect("the same bytes");
    }
    let restored = lab.restore(&base, &spool, "r", Target::End).expect("a server");
    assert_eq!(restored.notes(), "first second between third between fourth last");
    assert_eq!(restored.query("SELECT count(*) FROM t"), lab.query("SELECT count(*) FROM t"));
}

#[test]
fn a_receiver_has_the_bytes_that_the_server_archives_15() {
    has_the_bytes_that_the_server_archives(PostgresVersion::Debian);
}

#[test]
fn a_receiver_has_the_bytes_that_the_server_archives_18() {
    has_the_bytes_that_the_server_archives(PostgresVersion::V18);
}

#[test]
fn a_full_spool_and_a_lost_segment_are_told() {
    let lab = Lab::with(PostgresVersion::V18, &["max_wal_size=32MB"]);
    let small = Spool::open(lab.path("small"), SpoolLimit(20 << 20)).expect("a spool");
    let ended = receiving(&lab, &small, |has_ended| {
        fill(&lab, "one");
        lab.archive();
        fill(&lab, "two");
        lab.archive();
        wait_until("the receiver has ended", has_ended);
    });
    assert!(
        matches!(&ended, Err(SourceError::Full { why, .. }) if why.contains("the limit is 20971520")),
        "{ended:?}"
    );
    // The server doesn't keep more than it was told to.
    lab.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
    lab.execute("SELECT pg_reload_conf()");
    for _ in 0..4 {
        fill(&lab, "lost");
        lab.archive();
    }
    lab.execute("CHECKPOINT");
    let lost = "SELECT wal_status = 'lost' FROM pg_replication_slots";
    wait_until("the slot is lost", || lab.query(lost) == "t");
    let spool = Spool::open(lab.path("small"), SpoolLimit(4 << 30)).expect("a spool");
    let said = refusal(receive(&lab.address(), &spool, &options(), &lab.context()));
    assert!(said.contains("is lost: begin where the server is now, and make a new base backup"), "{said}");
    // Another program must not write into the same spool meanwhile.
    let begin = ReceiveOptions { begin: Begin::Now, ..options() };
    let ended = receiving_from(&lab, &lab.address(), &spool, &begin, |_| {
        wait_until_confirmed(&lab);
        assert!(
            refusal(receive(&lab.address(), &spool, &begin, &lab.context()))
                .contains("another program receives")
        );
    });
    ended.expect("it was asked to end");
    let gaps = Archive::read(&spool)
        .expect("a spool")
        .gaps(&[], keepfast_sources::postgres::lsn::SegmentBytes::default());
    assert_eq!(gaps.len(), 1, "what was lost between is a gap: {gaps:?}");
}

/// A copy that was promoted, as after the loss of a server.
struct Copy<'l> {
    lab: &'l Lab,
    data: PathBuf,
    socket: PathBuf,
}

impl<'l> Copy<'l> {
    fn start(lab: &'l Lab, data: PathBuf) -> Self {
        let socket = lab.folder("copy_s");
        let settings =
            format!("-c listen_addresses= -k {} -p 5433 -c fsync=off -c archive_mode=off", socket.display());
        let mut command = lab.server.command("pg_ctl");
        command
            .arg("-D")
            .arg(&data)
            .args(["-w", "-l"])
            .arg(socket.join("log"))
            .args(["-o", &settings, "start"]);
        let copy = Self { lab, data, socket };
        let status = command.stdout(Stdio::null()).status().expect("pg_ctl");
        assert!(status.success(), "{}", fs::read_to_string(copy.socket.join("log")).unwrap_or_default());
        wait_until("it has recovered", || copy.query("SELECT pg_is_in_recovery()") == "f");
        copy
    }

    fn query(&self, sql: &str) -> String {
        let mut command = self.lab.server.command("psql");
        command
            .args(["-X", "-A", "-t", "-U", "postgres", "-p", "5433", "-h"])
            .arg(&self.socket)
            .args(["-c", sql, "postgres"]);
        String::from_utf8_lossy(&command.output().expect("psql").stdout).trim().to_owned()
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        let mut command = self.lab.server.command("pg_ctl");
        command.arg("-D").arg(&self.data).args(["-m", "immediate", "stop"]).stdout(Stdio::null());
        let _ = command.status();
    }
}

/// A receiver follows a promotion into the new timeline, with its history and what there is of the old one's last segment.
#[test]
fn a_receiver_follows_a_promotion() {
    let lab = Lab::new(PostgresVersion::Debian);
    let (base, _) = lab.backup("base");
    let spool = lab.spool("received");
    let ended = receiving(&lab, &spool, |_| {
        fill(&lab, "shared");
        wait_until_confirmed(&lab);
    });
    ended.expect("it was asked to end");
    let laid_out = lab.lay_out(&base, &spool, "copy", Target::End, None).expect("a folder");
    lab.note("lost with the old server");
    let copy = Copy::start(&lab, laid_out.data);
    let ended = receiving_from(&lab, &address(&copy.socket, 5433), &spool, &options(), |_| {
        copy.query("INSERT INTO t (note) VALUES ('new')");
        copy.query("SELECT pg_switch_wal()");
        copy.query("INSERT INTO t (note) VALUES ('newer')");
        let position = copy.query("SELECT pg_current_wal_flush_lsn()");
        let confirmed =
            format!("SELECT coalesce(max(flush_lsn) >= '{position}', false) FROM pg_stat_replication");
        wait_until("the receiver confirms", || copy.query(&confirmed) == "t");
    });
    assert_eq!(ended.expect("it was asked to end").timeline.number(), 2);
    drop(copy);
    let names: Vec<String> = spool.list().expect("a spool").into_iter().map(|file| file.path).collect();
    assert!(names.iter().any(|path| path == "wal/00000002/00000002.history"), "{names:?}");
    assert!(
        names.iter().any(|path| path.starts_with("wal/00000001/") && path.ends_with(".partial")),
        "{names:?}"
    );
    let archive = Archive::read(&spool).expect("an archive");
    assert_eq!(archive.gaps(&[], keepfast_sources::postgres::lsn::SegmentBytes::default()), []);
    // Along the new timeline there is what happened after the promotion.
    let empty = FolderFiles::new(lab.folder("none"));
    let wal = Union::new(vec![&spool, &empty]).expect("both");
    let along =
        |name: &str, timeline| lab.restore_along(&base, &wal, name, Target::End, timeline).expect("a server");
    assert_eq!(along("two", Some(2)).notes(), "shared new newer");
    let old = along("one", None);
    assert_eq!(old.notes(), "shared", "the old one ends where it was received");
    let said = &old.laid_out.warnings;
    assert!(said.iter().any(|text| text.contains("timeline 2 left timeline 1 at")), "{said:?}");
    let said = refusal(lab.restore_along(&base, &wal, "three", Target::End, Some(3)));
    assert!(said.contains("00000003.history"), "{said}");
}
