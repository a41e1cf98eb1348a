//! A writer that poses as another host, names snapshots that never were, or whose snapshots are
//! hidden; and what an owner says of writers that continue one another.

use std::sync::Arc;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use keepfast_engine::archive::{ParentChoice, Source};
use keepfast_engine::forget::{UndeleteOptions, forget, undelete};
use keepfast_engine::repo::{Snapshots, list_catalogue};
use keepfast_engine::retention::{Calendar, Candidate, Civil, Count, Group, GroupBy, Policy, decide};
use keepfast_engine::run::Event;
use keepfast_format::content::{ChunkRef, Content};
use keepfast_format::ids::{HolderId, ObjectHash, SessionId};
use keepfast_format::keys::{ChunkKind, Identity, Role};
use keepfast_format::names;
use keepfast_format::node::{Extents, Node, NodeKind, Timestamp};
use keepfast_format::numbers::u32_of;
use keepfast_format::snapshot::Head;
use keepfast_format::state::{EntryState, StateTree};
use keepfast_testkit::{Crafted, Crafter, Ear, Lab, assert_same, craft};

const OWN: &[u8] = &[b'o'; 10_000];
const FOREIGN: &[u8] = &[b'f'; 10_000];

/// A laboratory with one file, backed up once.
fn victim() -> Lab {
    let lab = Lab::with(|source| fs::write(source.join("file"), OWN).expect("the file can be written"));
    lab.backup();
    lab
}

/// Commits a snapshot that says the laboratory's host and paths, and of its file all that the file
/// system says, but for its bytes.
fn forge(lab: &Lab, crafter: &Crafter, forger: &Identity) -> SessionId {
    let id = crafter.chunk_id(ChunkKind::Data, FOREIGN);
    let content = Content::Inline(vec![ChunkRef { id, len: u32_of(FOREIGN.len()) }]);
    let size = FOREIGN.len() as u64;
    let mut kind = NodeKind::File { size, content, extents: Extents::Dense };
    let mut children = None;
    let mut made = Crafted { data: vec![FOREIGN.to_vec()], metadata: Vec::new() };
    let mut below = lab.source().join("file");
    loop {
        let seen = fs::symlink_metadata(&below).expect("it is there");
        let time = |seconds, nanos: i64| Timestamp {
            seconds,
            nanos: u32::try_from(nanos).expect("a second has fewer"),
        };
        let node = Node {
            name: below.file_name().expect("a name").as_bytes().to_vec(),
            mode: (seen.mode() & 0o7777) as u16,
            uid: seen.uid(),
            gid: seen.gid(),
            mtime: time(seen.mtime(), seen.mtime_nsec()),
            xattrs: Vec::new(),
            kind,
            unknown: None,
        };
        let ctime = time(seen.ctime(), seen.ctime_nsec());
        let state = EntryState { ctime, inode: seen.ino(), device: seen.dev(), children };
        let pages = [craft::page(vec![node]), StateTree::Page(vec![state]).encode()];
        let [tree, states] = [0, 1].map(|n| crafter.chunk_id(ChunkKind::Metadata, &pages[n]));
        made.metadata.extend(pages);
        below.pop();
        if below == Path::new("/") {
            return crafter.commit(forger, &made, tree, |snapshot| {
                snapshot.body.state = Some(states);
                snapshot.body.host = "lab".to_owned();
                snapshot.body.paths = vec![lab.source().as_os_str().as_bytes().to_vec()];
            });
        }
        (kind, children) = (NodeKind::Directory { tree }, Some(states));
    }
}

fn newest_id(lab: &Lab) -> SessionId {
    lab.open().snapshots.all.last().expect("there is one").snapshot.head.id
}

/// A forged snapshot of the same host and paths isn't compared with: the next snapshot has what is
/// on the disk.
#[test]
fn a_writer_that_says_another_host_is_not_its_parent() {
    let lab = victim();
    let first = newest_id(&lab);
    let crafter = Crafter::of(&lab);
    let forger = crafter.enrol(Role::Writer, b"forger");
    let forged = forge(&lab, &crafter, &forger);

    let report = lab.backup();
    assert_eq!(report.parent, Some(first.short()));
    let made = report.snapshot.expect("a snapshot").head.id;
    assert_same(&lab.source(), &lab.restore(&made.to_string()));
    // It is a snapshot like any other where it is asked for.
    let restored = lab.restore(&forged.to_string());
    assert_eq!(fs::read(restored.join("file")).expect("the file is there"), FOREIGN);
}

/// A parent that is named must be in the writer's own history too.
#[test]
fn a_snapshot_of_another_writer_cannot_be_named_as_parent() {
    let lab = victim();
    let crafter = Crafter::of(&lab);
    let forger = crafter.enrol(Role::Writer, b"forger");
    let forged = forge(&lab, &crafter, &forger);
    let named = |text: &str| {
        lab.archive(Source::paths(&[lab.source()]), &Ear::default(), |options| {
            options.parent = ParentChoice::Named(text.to_owned());
        })
    };
    let error = named(&forged.short()).expect_err("it is another writer's").to_string();
    for words in [&forged.short()[..8], &forger.holder().to_string(), &crafter.owner.holder().to_string()] {
        assert!(error.contains(words), "{error}");
    }
    let report = named("latest").expect("the latest of the own ones");
    assert_eq!(report.statistics.files_unchanged, 1);
    assert_same(&lab.source(), &lab.restore(&newest_own(&lab, &crafter).to_string()));
}

fn newest_own(lab: &Lab, crafter: &Crafter) -> SessionId {
    let opened = lab.open();
    let own = |id: &SessionId| id.writer == crafter.owner.holder();
    let all = opened.snapshots.all.iter().map(|stored| stored.snapshot.head.id);
    let own: Vec<SessionId> = all.filter(own).collect();
    *own.last().expect("there is one")
}

/// An owner that brings a forged snapshot back doesn't make it part of its own history.
#[test]
fn a_snapshot_that_is_brought_back_stays_its_writers() {
    let lab = victim();
    let first = newest_id(&lab);
    let crafter = Crafter::of(&lab);
    let forger = crafter.enrol(Role::Writer, b"forger");
    let forged = forge(&lab, &crafter, &forger);
    // Once brought back, it is brought back again.
    for _ in 0..2 {
        let opened = lab.open();
        let foreign = |snapshots: &Snapshots| {
            let all = snapshots.all.iter();
            all.filter(|stored| stored.writer == forger.holder())
                .map(|stored| stored.snapshot.head.id)
                .collect::<Vec<_>>()
        };
        let ids = foreign(&opened.snapshots);
        forget(&opened.repository, &opened.snapshots, &ids, &Ear::default()).expect("it is forgotten");
        let opened = lab.open();
        let options = UndeleteOptions { program: "testkit".to_owned() };
        let forgotten = opened.snapshots.forgotten.iter().max_by_key(|stored| stored.snapshot.head.sequence);
        let forgotten = forgotten.expect("it is forgotten");
        let back = undelete(
            &opened.repository,
            &opened.index,
            &opened.snapshots,
            forgotten,
            &options,
            &Ear::default(),
        )
        .expect("nothing is gone");
        assert_eq!(back.head.id.writer, crafter.owner.holder());
        assert_eq!(back.body.origin, Some(forged));
        assert_eq!(foreign(&lab.open().snapshots), [back.head.id]);
    }
    let report = lab.backup();
    assert_eq!(report.parent, Some(first.short()));
    assert_same(&lab.source(), &lab.restore(&report.snapshot.expect("a snapshot").head.id.to_string()));
}

/// Only an owner can say that a snapshot is part of another's history.
#[test]
fn a_writer_cannot_say_that_its_snapshot_was_another_writers() {
    let lab = victim();
    let first = newest_id(&lab);
    let crafter = Crafter::of(&lab);
    let forger = crafter.enrol(Role::Writer, b"forger");
    let root = craft::page(Vec::new());
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: Vec::new(), metadata: vec![root] };
    crafter.commit(&forger, &made, tree, |snapshot| {
        snapshot.body.origin = Some(first);
        snapshot.body.host = "lab".to_owned();
        snapshot.body.paths = vec![lab.source().as_os_str().as_bytes().to_vec()];
    });
    assert_eq!(lab.backup().parent, Some(first.short()));
}

/// What a policy forgets.
fn forgotten_by(snapshots: &Snapshots, policy: &Policy) -> BTreeSet<SessionId> {
    let candidates: Vec<Candidate<'_>> = snapshots
        .all
        .iter()
        .map(|stored| Candidate::of(&stored.snapshot, snapshots.lineages.line(stored.writer), false))
        .collect();
    let civil = |_: Timestamp| Civil {
        year: 2100,
        month: 1,
        day: 1,
        hour: 0,
        offset_seconds: 0,
        iso_year: 2100,
        iso_week: 1,
    };
    let calendar = Calendar { civil: &civil, before: &|time, _| time };
    let now = Timestamp { seconds: i64::MAX, nanos: 0 };
    let groups = decide(&candidates, policy, GroupBy::default(), calendar, now).expect("a policy");
    groups.iter().flat_map(Group::forgotten).collect()
}

/// Three forged snapshots don't push the real ones out of the newest three.
#[test]
fn forged_snapshots_push_no_real_ones_out() {
    let lab = victim();
    lab.backup();
    lab.backup();
    let crafter = Crafter::of(&lab);
    let forger = crafter.enrol(Role::Writer, b"forger");
    let forged: BTreeSet<SessionId> = (0..4).map(|_| forge(&lab, &crafter, &forger)).collect();
    let last_three = Policy { last: Some(Count::Number(3)), ..Policy::default() };
    let going = forgotten_by(&lab.open().snapshots, &last_three);
    assert_eq!(going.len(), 1);
    assert!(going.is_subset(&forged));
}

/// A new key of the same host begins again from nothing, until an owner says that it continues the old one: then
/// the old key's last snapshot is its parent, and policies count both together. Not the other way
/// round: the old key sees nothing of the new one.
#[test]
fn a_writer_that_continues_another_has_its_history() {
    let mut lab = victim();
    let first = newest_id(&lab);
    let crafter = Crafter::of(&lab);
    let old = crafter.owner.holder();
    let new = crafter.enrol(Role::Owner, b"new key");
    let old_password = std::mem::replace(&mut lab.password, b"new key".to_vec());
    let parent_on_trial = |lab: &Lab| lab.backup_with(|options| options.dry_run = true).parent;
    assert_eq!(parent_on_trial(&lab), None, "no one has said so yet");

    crafter.continues(&new, &[old]);
    let report = lab.backup();
    assert_eq!(report.parent, Some(first.short()));
    assert_eq!(report.statistics.files_unchanged, 1);
    let second = newest_id(&lab);
    assert_eq!(second.writer, new.holder());
    let last = Policy { last: Some(Count::Number(1)), ..Policy::default() };
    assert_eq!(forgotten_by(&lab.open().snapshots, &last), [first].into());
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore(&second.to_string()));

    lab.password = old_password;
    assert_eq!(parent_on_trial(&lab), Some(first.short()));
}

/// Two keys may continue the same one. Each sees its history, neither the other's, and a policy counts
/// none of the three together.
#[test]
fn two_writers_that_continue_one_do_not_share_what_comes_after() {
    let mut lab = victim();
    let first = newest_id(&lab);
    let crafter = Crafter::of(&lab);
    let passwords = [&b"one"[..], b"other"];
    for password in passwords {
        let heir = crafter.enrol(Role::Owner, password);
        crafter.continues(&heir, &[crafter.owner.holder()]);
    }
    for password in passwords {
        lab.password = password.to_vec();
        assert_eq!(lab.backup().parent, Some(first.short()));
    }
    let last = Policy { last: Some(Count::Number(1)), ..Policy::default() };
    assert_eq!(forgotten_by(&lab.open().snapshots, &last), BTreeSet::new());
}

/// Hides a snapshot, as a store can.
fn hide(crafter: &Crafter, id: SessionId) -> Vec<u8> {
    let name = names::snapshot(id);
    let bytes = crafter.get(name);
    crafter.backend.remove(&name.to_string()).expect("it can be removed");
    bytes
}

/// Runs a prune that gives these up; says why it refuses.
fn prune_accepting(lab: &Lab, accepted: &[String]) -> Result<(), String> {
    let ear = Ear::default();
    let pruned = lab.prune_with_cache(&lab.cache, &ear, |options| options.accept_missing = accepted.to_vec());
    pruned.map(drop).map_err(|error| error.to_string())
}

fn findings(lab: &Lab) -> Vec<(String, String)> {
    let ear = Ear::default();
    lab.try_check(&ear).expect("the check runs");
    let heard = ear.heard().into_iter();
    heard
        .filter_map(|heard| match heard {
            Event::Damaged { object, what } => Some((object, what)),
            _ => None,
        })
        .collect()
}

/// Three snapshots of files that have nothing in common.
fn three_versions() -> (Lab, Crafter, [SessionId; 3]) {
    let lab = Lab::new();
    let ids = [1, 2, 3].map(|seed| {
        fs::write(lab.source().join("file"), keepfast_testkit::tree::noise(seed, 50_000)).expect("written");
        lab.backup().snapshot.expect("a snapshot").head.id
    });
    let crafter = Crafter::of(&lab);
    (lab, crafter, ids)
}

/// While a snapshot that another one names is hidden, prune removes nothing, and says which it is and
/// which snapshot names it. When it is there again, prune goes on.
#[test]
fn prune_refuses_while_a_snapshot_is_hidden() {
    let (lab, crafter, [first, second, third]) = three_versions();
    lab.forget(&[&first.to_string()]);
    let packs = crafter.names(names::PACKS);
    let hidden = hide(&crafter, second);

    let error = prune_accepting(&lab, &[]).expect_err("one is hidden");
    for words in [second.short(), second.writer.to_string(), third.short()[..8].to_owned()] {
        assert!(error.contains(&words), "{error}");
    }
    assert!(error.contains("number 1") && error.contains("give it up for good"), "{error}");
    assert_eq!(crafter.names(names::PACKS), packs);
    let named: Vec<String> = findings(&lab).into_iter().map(|(object, _)| object).collect();
    assert!(named.contains(&names::snapshot(second).to_string()), "{named:?}");

    crafter.put(names::snapshot(second), &hidden);
    prune_accepting(&lab, &[]).expect("nothing is missing");
    assert!(crafter.names(names::PACKS).len() < packs.len());
    lab.assert_sound();
}

/// A forgotten snapshot is a witness as well.
#[test]
fn a_forgotten_snapshot_witnesses_too() {
    let (lab, crafter, [_, second, third]) = three_versions();
    lab.forget(&[&third.to_string()]);
    hide(&crafter, second);
    let error = prune_accepting(&lab, &[]).expect_err("one is hidden");
    assert!(error.contains(&second.short()), "{error}");
}

/// An owner gives a missing snapshot up by its id, once and for good: it is in the catalogue, and what
/// it needs goes.
#[test]
fn a_missing_snapshot_can_be_given_up() {
    let (lab, crafter, [_, second, third]) = three_versions();
    let hidden = hide(&crafter, second);
    let packs = crafter.names(names::PACKS).len();
    let unknown =
        prune_accepting(&lab, &["ffffffffffff".to_owned()]).expect_err("no such snapshot is missing");
    assert!(unknown.contains("ffffffffffff"), "{unknown}");
    let there = prune_accepting(&lab, &[third.short()]).expect_err("it isn't missing");
    assert!(there.contains(&third.short()), "{there}");

    let accepted = [second.short()[..12].to_owned()];
    prune_accepting(&lab, &accepted).expect("it is given up");
    assert!(crafter.names(names::PACKS).len() < packs);
    prune_accepting(&lab, &accepted).expect("that it is given up is known");
    prune_accepting(&lab, &[]).expect("nothing is missing any more");
    lab.assert_sound();
    // Whatever had hidden it can't bring it back: what it needs is gone.
    crafter.put(names::snapshot(second), &hidden);
    lab.assert_sound();
    assert_eq!(lab.open().snapshots.all.len(), 2);
    lab.assert_round_trip();
}

/// What compaction has removed isn't missing; what is hidden is still missed next to it, and next to a
/// register that can't be read.
#[test]
fn a_hidden_snapshot_is_missed_beside_compacted_and_damaged_ones() {
    let (lab, crafter, [first, second, third]) = three_versions();
    lab.forget(&[&first.to_string()]);
    lab.prune();
    let compact = |options: &mut keepfast_engine::prune::PruneOptions| options.compact_from = 1;
    lab.prune_with_cache(&lab.cache, &Ear::default(), compact).expect("the prune works");
    assert!(!list_catalogue(&lab.open().repository).expect("it can be listed").is_empty());
    assert!(!crafter.names(names::SNAPSHOTS).contains(&names::snapshot(first).to_string()));
    prune_accepting(&lab, &[]).expect("what was compacted isn't missing");
    lab.assert_sound();

    hide(&crafter, second);
    let junk = SessionId { writer: HolderId::new([7; 8]), random: [7; 16] };
    crafter.put(names::snapshot(junk), b"junk");
    let named: Vec<String> = findings(&lab).into_iter().map(|(object, _)| object).collect();
    assert!(named.contains(&names::snapshot(second).to_string()), "{named:?}");
    assert!(named.contains(&names::snapshot(junk).to_string()), "{named:?}");
    assert!(!named.contains(&names::snapshot(third).to_string()), "{named:?}");
    prune_accepting(&lab, &[]).expect_err("no one knows what these need");
}

/// A writer can name snapshots that never were. Prune says which writer does, and an owner goes on past that
/// without losing anything of others.
#[test]
fn a_writer_that_names_what_never_was_is_told_and_passed() {
    let lab = victim();
    let crafter = Crafter::of(&lab);
    let liar = crafter.enrol(Role::Writer, b"liar");
    let never = SessionId { writer: crafter.owner.holder(), random: [0xab; 16] };
    commit_naming(&crafter, crafter.begin(&liar), &liar, never);

    let error = prune_accepting(&lab, &[]).expect_err("one is missing");
    assert!(error.contains(&never.short()) && error.contains(&liar.holder().to_string()), "{error}");
    prune_accepting(&lab, &[never.short()]).expect("it is given up");
    prune_accepting(&lab, &[]).expect("nothing is missing");
    lab.assert_sound();
    lab.assert_round_trip();
}

/// Commits an empty snapshot that names a missing one.
fn commit_naming(crafter: &Crafter, session: SessionId, writer: &Identity, missing: SessionId) {
    let root = craft::page(Vec::new());
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let pack = crafter.pack(ChunkKind::Metadata, &[vec![root]]);
    crafter.put_pack(session, &pack);
    crafter.put_segment(writer, session, 0, &[pack.record()]);
    let mut snapshot = crafter.snapshot_of(session, tree);
    snapshot.head.pack_list = keepfast_format::snapshot::Snapshot::pack_list_hash(&[pack.id()]);
    snapshot.head.heads = vec![Head {
        writer: missing.writer,
        sequence: 9,
        hash: ObjectHash::of(b"never"),
        random: Some(missing.random),
    }];
    crafter.put_snapshot(writer, &snapshot);
}

/// A snapshot that comes while a prune waits, and that names one which the prune isn't shown: the
/// prune spares everything.
#[test]
fn a_prune_under_way_spares_all_if_a_newer_snapshot_names_a_hidden_one() {
    let (lab, crafter, [first, ..]) = three_versions();
    lab.forget(&[&first.to_string()]);
    let writer = crafter.enrol(Role::Writer, b"writer");
    let running = crafter.begin(&writer);
    let hidden = SessionId { writer: writer.holder(), random: [0xcd; 16] };
    let packs = crafter.names(names::PACKS);
    let done = std::sync::Once::new();
    let crafter = Arc::new(crafter);
    let committing = Arc::clone(&crafter);
    let wait = move |_| done.call_once(|| commit_naming(&committing, running, &writer, hidden));
    let patient = |options: &mut keepfast_engine::prune::PruneOptions| {
        options.session_timeout = std::time::Duration::from_secs(1 << 40);
        options.step_back = false;
    };
    let report = lab
        .prune_on(lab.host().waiting(wait), &lab.cache, &Ear::default(), patient)
        .expect("the prune works");
    assert_eq!((report.epochs.as_slice(), report.packs_removed), (&[1][..], 0));
    assert!(report.packs_spared > 0);
    assert!(packs.iter().all(|pack| crafter.names(names::PACKS).contains(pack)));
    assert!(prune_accepting(&lab, &[]).expect_err("it is missing").contains(&hidden.short()));
}

/// Two runs with one key at once take the same sequence number. Neither is missing, both are named by
/// the next, and either is missed when it is hidden.
#[test]
fn runs_with_one_key_at_once_are_both_named() {
    let lab = victim();
    let crafter = Crafter::of(&lab);
    let owner = crafter.owner.clone();
    let root = craft::page(Vec::new());
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: Vec::new(), metadata: vec![root] };
    let sibling = crafter.commit(&owner, &made, tree, |_| {});
    let opened = lab.open();
    let mut all = opened.snapshots.all.iter().map(|stored| stored.snapshot.head.id);
    let first = all.find(|id| *id != sibling).expect("the laboratory has backed up");
    drop(opened);
    prune_accepting(&lab, &[]).expect("nothing is missing");
    let next = lab.backup().snapshot.expect("a snapshot");
    assert_eq!(next.head.sequence, 1);
    let named: BTreeSet<SessionId> = next.head.heads.iter().filter_map(Head::session).collect();
    assert_eq!(named, [first, sibling].into());
    lab.assert_sound();
    for hidden in [first, sibling] {
        let bytes = hide(&crafter, hidden);
        assert!(prune_accepting(&lab, &[]).expect_err("it is hidden").contains(&hidden.short()));
        crafter.put(names::snapshot(hidden), &bytes);
    }
}

/// A key that may be stolen is taken the right to write. What it had committed restores, checks and is
/// pruned as before; what is signed with it later doesn't count, be it a snapshot or a segment.
#[test]
fn of_a_writer_that_may_not_write_any_more_counts_what_it_had_committed() {
    let mut lab = victim();
    let crafter = Crafter::of(&lab);
    let retired = crafter.enrol(Role::Owner, b"retired");
    let password = std::mem::replace(&mut lab.password, b"retired".to_vec());
    let kept = [1, 2].map(|seed| {
        fs::write(lab.source().join("file"), keepfast_testkit::tree::noise(seed, 50_000)).expect("written");
        lab.backup().snapshot.expect("a snapshot").head.id
    });
    let open = lab.open();
    let own: Vec<_> = open.snapshots.all.iter().filter(|stored| stored.writer == retired.holder()).collect();
    crafter.retire(&retired, &own);
    lab.try_backup(&Ear::default()).expect_err("its password opens nothing any more");

    lab.password = password;
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore(&kept[1].to_string()));
    lab.forget(&[&kept[0].to_string()]);
    assert!(lab.prune().packs_removed > 0);
    lab.assert_sound();

    // Under its old name too: a segment that the kept session hasn't written.
    let lie = crafter.pack(ChunkKind::Data, &[vec![OWN.to_vec()]]);
    crafter.put_segment(&retired, kept[1], 7, &[lie.record()]);
    let root = craft::page(Vec::new());
    let tree = crafter.chunk_id(ChunkKind::Metadata, &root);
    let made = Crafted { data: Vec::new(), metadata: vec![root] };
    let forged = crafter.commit(&retired, &made, tree, |_| {});
    let opened = lab.open();
    assert!(opened.snapshots.all.iter().all(|stored| stored.snapshot.head.id != forged));
    let named: BTreeSet<String> = findings(&lab).into_iter().map(|(object, _)| object).collect();
    let expected = [names::snapshot(forged), names::segment(forged, 0), names::segment(kept[1], 7)];
    assert_eq!(named, expected.map(|name| name.to_string()).into());
    let error = prune_accepting(&lab, &[]).expect_err("no one knows what it needs");
    assert!(error.contains(&names::snapshot(forged).to_string()), "{error}");
    fs::write(lab.source().join("file"), OWN).expect("written");
    lab.assert_round_trip();
}
