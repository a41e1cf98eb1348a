//! Odds and ends in the store: junk under names that someone is about to use, things that nothing
//! explains, and things that aren't objects at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use keepfast_backend::{Backend, MemoryBackend, Operation};
use keepfast_engine::EngineError;
use keepfast_engine::archive::Source;
use keepfast_engine::check::CheckReport;
use keepfast_engine::forget::{UndeleteOptions, forget, protect, undelete};
use keepfast_engine::repo::Session;
use keepfast_engine::repo::{Repository, SessionOptions, Snapshots, open_index};
use keepfast_format::decision::{Decision, DecisionKind};
use keepfast_format::epoch::{Ack, Condemned};
use keepfast_format::ids::{PackId, SessionId, SlotId};
use keepfast_format::keys::ChunkKind;
use keepfast_format::names::{self, DecisionName, EpochPart, ObjectName, PackName};
use keepfast_testkit::lab::PASSWORD;
use keepfast_testkit::{Crafter, Ear, HookedBackend, Lab, RecordingBackend, assert_same, quiet, tree};

const JUNK: &[u8] = b"no one has signed this";

/// A repository with one small snapshot.
pub fn small_lab() -> Lab {
    let lab = Lab::with(|source| {
        tree::write(source.join("a.txt"), "one");
        tree::write(source.join("docs/b.bin"), tree::noise(1, 300_000));
    });
    lab.backup();
    lab
}

fn newest(lab: &Lab) -> SessionId {
    lab.open().snapshots.all.last().expect("there is a snapshot").snapshot.head.id
}

pub fn check(lab: &Lab) -> (CheckReport, Ear) {
    let ear = Ear::default();
    let report = lab.try_check(&ear).expect("the check runs");
    (report, ear)
}

/// The newest snapshot comes back whole, whatever is said of other objects.
#[track_caller]
fn assert_restores(lab: &Lab) {
    let (target, ear) = (lab.fresh_target(), Ear::default());
    let report = lab.try_restore("latest", &ear, |options| options.target.clone_from(&target));
    assert_eq!(report.expect("the restore runs").troubles.skipped, 0, "{:#?}", ear.skipped());
    assert_same(&lab.source(), &lab.restored_source(&target));
}

/// Each of these objects is named by exactly one finding, and there are no others.
#[track_caller]
fn assert_check_names_each_once(lab: &Lab, objects: &[String]) {
    let (report, ear) = check(lab);
    let findings = ear.findings();
    for object in objects {
        let about = findings.iter().filter(|finding| finding.starts_with(&format!("{object}: ")));
        assert_eq!(about.count(), 1, "{object}: {findings:#?}");
    }
    assert_eq!(findings.len(), objects.len(), "{findings:#?}");
    assert_eq!((report.findings, report.files_hit), (objects.len() as u64, 0));
}

/// Puts junk under each name that begins so, just before someone creates it; this many times.
fn squatted(lab: &Lab, prefix: &'static str, times: u32) -> Arc<dyn Backend> {
    let left = AtomicU32::new(times);
    HookedBackend::new(Arc::clone(&lab.backend), move |store, operation, name| {
        let due = operation == Operation::Create && name.starts_with(prefix);
        if due && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
        {
            store.create(name, &[JUNK]).expect("anyone can create objects");
        }
        None
    })
}

// Decisions.

/// Junk at the first and the last number of decisions doesn't keep an owner from deciding.
#[test]
fn decisions_step_over_junk() {
    let lab = small_lab();
    lab.backup();
    let (crafter, id) = (Crafter::of(&lab), newest(&lab));
    let junk = [0, 2, u32::MAX].map(|n| names::decision(id, n).to_string()).to_vec();
    junk.iter().for_each(|name| crafter.put(name, JUNK));
    let ear = Ear::default();
    let opened = lab.open();
    for protected in [true, false] {
        protect(&opened.repository, &[id], protected, &ear).expect("it can be decided");
        let now = Snapshots::load(&opened.repository, quiet()).expect("they are readable");
        assert_eq!(now.protected.contains(&id), protected);
    }
    // A decision that is there is no reason for another one.
    protect(&opened.repository, &[id], false, &ear).expect("it is so already");
    forget(&opened.repository, &opened.snapshots, &[id], &ear).expect("it can be forgotten");
    forget(&opened.repository, &opened.snapshots, &[id], &ear).expect("it is forgotten already");
    let decided = [1, 3, 4].map(|n| names::decision(id, n).to_string());
    let mut expected = [junk.clone(), decided.to_vec()].concat();
    expected.sort_unstable();
    assert_eq!(crafter.names(&names::decisions_about(id)), expected);
    assert_check_names_each_once(&lab, &junk);

    let opened = lab.open();
    assert!(opened.snapshots.all.iter().all(|stored| stored.snapshot.head.id != id));
    let options = UndeleteOptions { program: "testkit".to_owned() };
    let forgotten = &opened.snapshots.forgotten[0];
    undelete(&opened.repository, &opened.index, &opened.snapshots, forgotten, &options, &ear)
        .expect("it can be brought back");
    assert_same(&lab.source(), &lab.restore("latest"));
}

/// Where every number is taken just before it is used, deciding ends, and says what to remove.
#[test]
fn deciding_ends_where_someone_takes_every_number() {
    let mut lab = small_lab();
    let (honest, id) = (Arc::clone(&lab.backend), newest(&lab));
    lab.backend = squatted(&lab, names::DECISIONS, u32::MAX);
    let (opened, ear) = (lab.open(), Ear::default());
    let error = forget(&opened.repository, &opened.snapshots, &[id], &ear).expect_err("it can't be decided");
    assert!(error.to_string().contains(&names::decisions_about(id)), "{error}");
    lab.backend = honest;
    lab.forget(&["latest"]);
}

/// Deciding can be cancelled between two tries.
#[test]
fn deciding_stops_when_asked_to() {
    let mut lab = small_lab();
    let id = newest(&lab);
    lab.backend = squatted(&lab, names::DECISIONS, u32::MAX);
    let (opened, ear) = (lab.open(), Ear::default());
    ear.cancel().cancel();
    let decided = forget(&opened.repository, &opened.snapshots, &[id], &ear);
    assert!(matches!(decided, Err(EngineError::Interrupted)), "{decided:?}");
}

/// Many processes decide about one snapshot at once, among junk: all of them get through, and what
/// counts is what the highest number says.
#[test]
fn many_decide_at_once_among_junk() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::write(lab.source().join("a.txt"), "one");
    lab.backup();
    let (crafter, id) = (Crafter::of(&lab), newest(&lab));
    [0, 1, 5, 8, u32::MAX].into_iter().for_each(|n| crafter.put(names::decision(id, n), JUNK));
    let start = Barrier::new(6);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let repository = Repository::open(Arc::clone(&lab.backend), PASSWORD).expect("it opens");
                start.wait();
                for protected in [true, false, true] {
                    protect(&repository, &[id], protected, &Ear::default()).expect("it can be decided");
                }
            });
        }
    });
    // Whatever came last, one more decision follows all others.
    let opened = lab.open();
    for protected in [false, true] {
        protect(&opened.repository, &[id], protected, &Ear::default()).expect("it can be decided");
        assert_eq!(lab.open().snapshots.protected.contains(&id), protected);
    }
    let owners = crafter.owner.owners();
    let is_authentic = |name: &String| {
        let DecisionName { n, .. } = names::parse_decision(name).expect("it is a decision's name");
        Decision::open(&crafter.get(name), crafter.repository, id, n, owners).is_ok()
    };
    let all = crafter.names(&names::decisions_about(id));
    assert_eq!(all.iter().filter(|name| !is_authentic(name)).count(), 5, "{all:#?}");
}

/// Compaction removes the junk with the decisions of a dead snapshot.
#[test]
fn compaction_takes_the_junk_along() {
    let lab = small_lab();
    let id = newest(&lab);
    tree::write(lab.source().join("a.txt"), "two");
    lab.backup();
    let crafter = Crafter::of(&lab);
    [0, u32::MAX].into_iter().for_each(|n| crafter.put(names::decision(id, n), JUNK));
    lab.forget(&["latest~1"]);
    assert_eq!(crafter.names(&names::decisions_about(id)).len(), 3);
    for _ in 0..2 {
        let report = lab.prune_with_cache(&lab.cache, &Ear::default(), |options| options.compact_from = 1);
        report.expect("what decides nothing keeps no collector from going on");
    }
    assert_eq!(crafter.names(&names::decisions_about(id)), [""; 0]);
    lab.assert_sound();
}

// Answers to epochs.

/// A session whose next answer's name is taken answers under another, with its objections; the
/// collector reads both and reports the junk once.
#[test]
fn junk_in_an_acks_place_neither_ends_a_backup_nor_hides_its_objections() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::write(lab.source().join("a.bin"), tree::noise(1, 200_000));
    lab.backup();
    let (crafter, ear) = (Crafter::of(&lab), Ear::default());
    let repository = Repository::open(Arc::clone(&lab.backend), PASSWORD).expect("it opens");
    let snapshots = Snapshots::load(&repository, quiet()).expect("they are readable");
    let index = open_index(&repository, &lab.cache, &snapshots, &ear).expect("it opens");
    let options =
        SessionOptions { program: "testkit", parent: Some(&snapshots.all[0].snapshot), ended: None };
    let session = Session::begin(&repository, &index, &options, &ear).expect("it begins");
    assert!(session.may_take_over());
    let id = session.id();
    // Before and after the session's own answer would be there, and next to it.
    crafter.put(names::ack(1, id), JUNK);
    crafter.put(names::ack_with_tail(1, id, 7), JUNK);
    let packs = crafter.names(names::PACKS);
    let mut packs: Vec<_> = packs.iter().filter_map(|name| names::parse_pack(name)).collect();
    packs.sort_unstable();
    let condemned = Condemned { epoch: 1, packs: packs.clone(), snapshots: vec![newest(&lab)] };
    crafter.put(names::epoch(1, EpochPart::Condemned), &condemned.seal(crafter.repository, &crafter.owner));
    session.poll().expect("it answers");

    let answers = crafter.names(&names::acks_to(1));
    assert_eq!(answers.len(), 3, "{answers:#?}");
    let authentic: Vec<Ack> = answers
        .iter()
        .filter_map(|name| {
            let writer = |holder| repository.writer_key(holder);
            Ack::open(&crafter.get(name), crafter.repository, 1, id, writer).ok()
        })
        .collect();
    assert_eq!(authentic.len(), 1);
    assert_eq!(authentic[0].objections.len(), packs.len(), "it objects to all that it took over");
    // Another look doesn't answer again.
    session.poll().expect("it has answered");
    assert_eq!(crafter.names(&names::acks_to(1)).len(), 3);

    let heard = Ear::default();
    let report = lab.prune_with_cache(&lab.path("pruner"), &heard, |_| {}).expect("the prune works");
    assert_eq!((report.sessions_fenced, report.packs_removed), (0, 0), "{report:?}");
    assert_eq!(heard.findings().len(), 2, "each piece of junk is reported once: {:#?}", heard.findings());
    // All answers to an epoch with a verdict go, of either form.
    assert_eq!(crafter.names(names::ACKS), [""; 0]);
    lab.assert_sound();
}

/// Only junk is no answer: a session that never answers is ended, as ever.
#[test]
fn junk_is_no_answer() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    tree::write(lab.source().join("a.bin"), tree::noise(1, 200_000));
    lab.backup();
    tree::write(lab.source().join("a.bin"), tree::noise(2, 200_000));
    lab.backup();
    let crafter = Crafter::of(&lab);
    let silent = crafter.begin(&crafter.owner);
    crafter.put(names::ack(1, silent), JUNK);
    crafter.put(names::ack_with_tail(1, silent, 1), JUNK);
    lab.forget(&["latest~1"]);
    let report = lab.prune();
    assert_eq!(report.sessions_fenced, 1, "{report:?}");
    assert!(report.packs_removed > 0, "{report:?}");
    lab.assert_sound();
}

// Names of a session's own that someone else takes.

/// Junk in the register or in a segment's place costs a backup of files a second attempt.
#[test]
fn a_backup_whose_name_is_taken_begins_again() {
    for prefix in [names::SNAPSHOTS, names::INDEX] {
        let mut lab = small_lab();
        tree::write(lab.source().join("new.bin"), tree::noise(3, 100_000));
        let honest = Arc::clone(&lab.backend);
        lab.backend = squatted(&lab, prefix, 1);
        let ear = Ear::default();
        lab.try_backup(&ear).expect("the second attempt works");
        let said = format!("{:?}", ear.heard());
        assert!(said.contains("is taken by something") && !said.contains("silent"), "{said}");
        lab.backend = honest;
        assert_restores(&lab);
        let (report, ear) = check(&lab);
        assert_eq!((report.findings, report.files_hit), (1, 0), "{:#?}", ear.findings());
    }
}

/// A stream can't be read twice: its backup fails, and says which object was in the way.
#[test]
fn a_stream_whose_name_is_taken_fails_by_that_name() {
    for prefix in [names::SNAPSHOTS, names::INDEX] {
        let mut lab = small_lab();
        lab.backend = squatted(&lab, prefix, 1);
        let stream = keepfast_engine::archive::Stream {
            name: b"dump".to_vec(),
            reader: Box::new(std::io::Cursor::new(tree::noise(9, 100_000))),
            cutting: Default::default(),
            ended: Box::new(|| Ok(())),
        };
        let error = lab.archive(Source::stream(stream), &Ear::default(), |_| {}).expect_err("it is lost");
        let EngineError::NameTaken { object } = &error else { panic!("{error:?}") };
        assert!(object.to_string().starts_with(prefix), "{object}");
        assert!(!error.to_string().contains("silent"), "{error}");
    }
}

// Names that nothing explains.

/// Every name that isn't the format's is reported, wherever it is, and nothing else suffers.
#[test]
fn every_name_that_nothing_explains_is_told_of() {
    let lab = small_lab();
    let (crafter, sid) = (Crafter::of(&lab), newest(&lab));
    let strange = [
        "README".to_owned(),
        "other/object".to_owned(),
        "config/0".to_owned(),
        "config/0000000A".to_owned(),
        "keys/short".to_owned(),
        "keyring/00000000.old".to_owned(),
        format!("index/{sid}"),
        format!("snapshots/{sid}.tmp"),
        "sessions/someone".to_owned(),
        format!("packs/00/{}.{sid}", "f".repeat(64)),
        format!("packs/{}", "f".repeat(64)),
        format!("states/{sid}/0"),
        "epochs/00000000/done".to_owned(),
        "epochs/00000001/undone".to_owned(),
        format!("acks/00000000/{sid}"),
        format!("acks/00000001/{sid}.7"),
        "catalogue/first".to_owned(),
        "a/b/c/d/e/f".to_owned(),
    ];
    strange.iter().for_each(|name| crafter.put(name, JUNK));
    assert_check_names_each_once(&lab, &strange);
    lab.assert_round_trip();
    lab.prune();
}

/// If there are very many of them, all are counted, and only some are named.
#[test]
fn of_very_many_strange_names_the_rest_is_counted() {
    let lab = Lab::on(Arc::new(MemoryBackend::default()));
    let crafter = Crafter::of(&lab);
    (0..1500).for_each(|n| crafter.put(format!("strange/{n:04}"), JUNK));
    let (report, ear) = check(&lab);
    assert_eq!(report.findings, 1001);
    assert!(ear.findings().iter().any(|finding| finding.starts_with("500 more objects: ")));
}

/// What belongs to nothing is reported. What crashes leave isn't.
#[test]
fn what_belongs_to_nothing_is_told_of_and_what_a_crash_leaves_is_not() {
    let lab = small_lab();
    let (crafter, committed) = (Crafter::of(&lab), newest(&lab));
    // A crash leaves these: a session without a snapshot, a pack that no segment lists.
    let crashed = crafter.begin(&crafter.owner);
    crafter.put_pack(crashed, &crafter.pack(ChunkKind::Data, &[vec![b"unlisted".to_vec()]]));
    lab.assert_sound();

    let no_one = SessionId { writer: crafter.owner.holder(), random: [7; 16] };
    let ack = Ack { epoch: 9, session: committed, objections: Vec::new() };
    crafter.put(names::ack(9, committed), &ack.seal(crafter.repository, &crafter.owner));
    let decision = Decision { snapshot: no_one, n: 0, kind: DecisionKind::Protected };
    crafter.put(names::decision(no_one, 0), &decision.seal(crafter.repository, &crafter.owner));
    crafter.put_segment(&crafter.owner, no_one, 0, &[]);
    let pack = crafter.names(names::PACKS).into_iter().find(|name| name.ends_with(&committed.to_string()));
    let pack = pack.expect("there is a pack");
    let PackName { id, .. } = names::parse_pack(&pack).expect("it is a pack's name");
    let copy = names::pack(id, crashed);
    crafter.put(copy, &crafter.get(&pack));
    let strays = [names::ack(9, committed), names::decision(no_one, 0), names::segment(no_one, 0), copy];
    let mut strays = strays.map(|name| name.to_string()).to_vec();
    assert_check_names_each_once(&lab, &strays);
    // Nor does a catalogue that can't be read keep a check from saying so.
    crafter.put(names::catalogue(0), b"junk");
    strays.push(names::catalogue(0).to_string());
    assert_check_names_each_once(&lab, &strays);
    assert_same(&lab.source(), &lab.restore("latest"));
}

/// A byte under a live pack's id and another session's name hits no file.
#[test]
fn a_byte_under_a_packs_id_is_told_of_and_hits_nothing() {
    let lab = small_lab();
    let crafter = Crafter::of(&lab);
    let other = crafter.begin(&crafter.owner);
    let mut strays = Vec::new();
    for pack in crafter.names(names::PACKS) {
        let PackName { id, .. } = names::parse_pack(&pack).expect("it is a pack's name");
        crafter.put(names::pack(id, other), &[0]);
        strays.push(names::pack(id, other).to_string());
    }
    let (report, ear) = check(&lab);
    let findings = ear.findings();
    assert!(strays.iter().all(|stray| findings.iter().any(|finding| finding.starts_with(stray))));
    assert!(findings.iter().all(|finding| strays.iter().any(|stray| finding.starts_with(stray))));
    assert_eq!(report.files_hit, 0, "{findings:#?}");
    assert_same(&lab.source(), &lab.restore("latest"));
}

/// The whole store is listed in place of the packs: that costs no request more.
#[test]
fn a_check_lists_everything_in_place_of_the_packs() {
    let mut lab = small_lab();
    let recording = RecordingBackend::new(Arc::clone(&lab.backend));
    lab.backend = recording.clone();
    recording.take();
    let opened = lab.open();
    recording.take();
    let options = keepfast_engine::check::CheckOptions { read: keepfast_engine::check::ReadData::No };
    let ear = Ear::default();
    keepfast_engine::check::check(&opened.repository, &opened.index, &opened.snapshots, &options, &ear)
        .expect("the check runs");
    ear.assert_content();
    let calls = recording.take();
    let lists: Vec<&str> = calls
        .iter()
        .filter(|call| call.operation == Operation::List)
        .map(|call| call.name.as_str())
        .collect();
    assert_eq!(lists.iter().filter(|prefix| prefix.is_empty()).count(), 1, "{lists:?}");
    assert!(!lists.contains(&names::PACKS), "{lists:?}");
    assert!(lists.len() <= 16, "{} listings: {lists:?}", lists.len());
}

// What isn't an object.

/// Named pipes, sockets, links and directories under objects' names: each is named with what it is,
/// no one waits for it, and everything else works.
#[test]
fn what_isnt_an_object_is_named_and_everything_else_works() {
    let lab = small_lab();
    let sid = newest(&lab);
    let repository = lab.path("repository");
    let at = |name: ObjectName| {
        let path = repository.join(name.to_string());
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
        path
    };
    let id = PackId::new([0xab; 32]);
    let fifos = [
        names::decision(sid, 0),
        names::segment(sid, 9),
        names::session(SessionId { random: [1; 16], ..sid }),
        names::slot(SlotId::new([0; 16])),
        names::pack(id, sid),
    ];
    for name in fifos {
        rustix::fs::mknodat(rustix::fs::CWD, at(name), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .expect("a named pipe can be made");
    }
    let (link, directory) = (names::decision(sid, 1), names::decision(sid, 2));
    symlink("/etc/passwd", at(link)).expect("a link can be made");
    fs::create_dir_all(at(directory)).expect("a directory can be made");
    let socket = names::session(SessionId { random: [2; 16], ..sid });
    // Too long a path for a socket's address: it is made elsewhere.
    let made: PathBuf = lab.path("s");
    let _listener = UnixListener::bind(&made).expect("a socket can be made");
    fs::rename(&made, at(socket)).expect("it can be moved");

    let (report, ear) = check(&lab);
    let findings = ear.findings();
    let named = |name: ObjectName, what: &str| {
        findings.iter().any(|finding| finding.starts_with(&format!("{name}: ")) && finding.contains(what))
    };
    assert!(fifos.iter().all(|name| named(*name, "named pipe")), "{findings:#?}");
    assert!(named(link, "symbolic link") && named(directory, "directory"), "{findings:#?}");
    assert!(named(socket, "socket"), "{findings:#?}");
    assert_eq!((report.files_hit, report.unreachable), (0, 0), "{findings:#?}");
    assert_restores(&lab);
    lab.forget(&["latest"]);
    assert!(lab.open().snapshots.all.is_empty());
    lab.try_backup(&Ear::default()).expect("the backup works");
    assert_restores(&lab);
}

/// A file in the place of a folder that no one has made yet stops no one.
#[test]
fn a_file_in_a_folders_place_stops_no_one() {
    let lab = small_lab();
    let folders = ["states", "epochs", "acks", "catalogue"];
    for folder in folders {
        fs::write(lab.path("repository").join(folder), JUNK).expect("it can be written");
    }
    assert_check_names_each_once(&lab, &folders.map(str::to_owned));
    lab.assert_round_trip();
}

/// A directory in a pack's place is damage, and is named as what it is.
#[test]
fn a_directory_in_a_packs_place_is_damage() {
    let lab = small_lab();
    let pack = Crafter::of(&lab)
        .names(names::PACKS)
        .into_iter()
        .max_by_key(|name| lab.backend.read(name, u64::MAX).map_or(0, |bytes| bytes.len()))
        .expect("there is a pack");
    let path = lab.path("repository").join(&pack);
    fs::remove_file(&path).expect("it can be removed");
    fs::create_dir(&path).expect("it can be made");
    let (report, ear) = check(&lab);
    let findings = ear.findings();
    let about = findings.iter().filter(|finding| finding.starts_with(&pack)).collect::<Vec<_>>();
    assert!(about.len() == 1 && about[0].contains("it is a directory"), "{findings:#?}");
    assert!(report.files_hit > 0 && report.unreachable == 0, "{report:?}");
}
