//! Backups into a real S3 server over a way on which things go wrong. Whatever does, a backup
//! either finishes right or says why not, and what it leaves is sound and is used by the next.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepfast_backend::{Backend, RunLink, S3Credentials, S3Options, S3Store};
use keepfast_engine::EngineError;
use keepfast_engine::run::Event;
use keepfast_testkit::proxy::{Fault, Plan, Proxy, Requests, Seen, Status, When};
use keepfast_testkit::servers::{Kind, Server};
use keepfast_testkit::{Ear, Lab, assert_same, tree};

/// Long enough for every fault that passes.
const PATIENT: Duration = Duration::from_secs(180);
/// No fault that stays is waited for longer.
const IMPATIENT: Duration = Duration::from_secs(2);
const STALL: Duration = Duration::from_secs(1);
const SEEDS_SHORT: u64 = 1;
const SEEDS_LONG: u64 = 12;

const PACKS: Requests = Requests { method: "PUT", path: "/packs/" };
const OBJECT_READS: Requests = Requests { method: "GET", path: "x-id=GetObject" };
const LISTINGS: Requests = Requests { method: "GET", path: "?list-type=2" };

/// An error names an object or a listing in one of these.
const FOLDERS: &[&str] = &[
    "config/",
    "keys/",
    "keyring/",
    "packs/",
    "index/",
    "sessions/",
    "snapshots/",
    "states/",
    "catalogue/",
    "epochs/",
];

/// What a backup must come to.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Finishes,
    Fails,
    /// Either, as long as it is right or clear.
    Any,
}

/// A repository in a bucket of its own.
struct Place {
    server: Arc<Server>,
    bucket: String,
}

impl Place {
    fn new(server: &Arc<Server>) -> Self {
        Self { server: Arc::clone(server), bucket: server.bucket() }
    }

    fn at(&self, endpoint: String, retry_for: Duration) -> Arc<dyn Backend> {
        let options = S3Options {
            endpoint: Some(endpoint),
            region: Some(self.server.region().to_owned()),
            credentials: Some(S3Credentials {
                access_key: self.server.access_key().to_owned(),
                secret_key: self.server.secret_key().to_owned(),
                session_token: None,
            }),
            stall_timeout: STALL,
            retry_for,
            uncontested_prefixes: ["packs/", "sessions/", "index/"].map(str::to_owned).to_vec(),
            ..S3Options::new(&self.bucket, "some/prefix", Instant::now)
        };
        Arc::new(S3Store::connect(options).expect("the client can be made").for_run(RunLink::default()))
    }

    fn direct(&self) -> Arc<dyn Backend> {
        self.at(self.server.endpoint(), PATIENT)
    }
}

fn with_causes(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

/// An object that came wrong each time it was read can't be told from one that is damaged in the store, so a run may
/// report it as that. Fails the test if the run reported anything else, or an object that came wrong only once.
#[track_caller]
fn assert_blames_what_came_wrong(ear: &Ear, seen: &[Seen]) {
    for event in ear.heard().iter().filter(|event| !matches!(event, Event::Notice(_))) {
        let Event::Damaged { object, .. } = event else { panic!("the run told {event:?}") };
        let is_of_it = |seen: &&Seen| seen.fault.is_some() && seen.target.contains(object.as_str());
        let times = seen.iter().filter(is_of_it).count();
        assert!(times >= 2, "{object} came wrong {times} times, and was blamed: {seen:#?}");
    }
}

/// A second backup, by a machine without a cache, goes through the plan; then all is looked at
/// without it. Says what happened.
#[track_caller]
fn survives(server: &Arc<Server>, plan: Plan, outcome: Outcome, retry_for: Duration) -> String {
    let place = Place::new(server);
    let direct = place.direct();
    let mut lab = Lab::on(Arc::clone(&direct));
    tree::small(&lab.source());
    tree::write(lab.source().join("old.bin"), tree::noise(1, 3 << 20));
    lab.backup();
    let first = lab.restore("latest");
    tree::write(lab.source().join("new.bin"), tree::noise(2, 9 << 20));
    tree::write(lab.source().join("a.txt"), "changed\n");

    let proxy = Proxy::start(server.address(), plan);
    lab.backend = place.at(proxy.endpoint(), retry_for);
    lab.cache = lab.path("the cache of the faulty run");
    let ear = Ear::default();
    let result = lab.try_backup(&ear);
    let seen = proxy.seen();
    let faults = proxy.faults();
    assert!(faults > 0, "no fault happened: {seen:#?}");
    drop(proxy);

    lab.backend = direct;
    lab.cache = lab.path("the cache of the machine that comes after");
    lab.assert_sound();
    let snapshots = lab.open().snapshots.all.len();
    match &result {
        Ok(_) => {
            assert!(outcome != Outcome::Fails, "the backup says that it worked");
            match outcome {
                Outcome::Any => assert_blames_what_came_wrong(&ear, &seen),
                Outcome::Finishes | Outcome::Fails => ear.assert_content(),
            }
            assert_eq!(snapshots, 2, "{seen:#?}");
            assert_same(&lab.source(), &lab.restore("latest"));
        }
        Err(error) => {
            let text = with_causes(error);
            assert!(outcome != Outcome::Finishes, "{text}: {seen:#?}");
            let named = FOLDERS.iter().any(|folder| text.contains(folder));
            assert!(named, "what failed isn't named: {text}");
            assert!((1..=2).contains(&snapshots), "{snapshots} snapshots");
        }
    }
    assert_same(&first, &lab.restore(&format!("latest~{}", snapshots - 1)));
    lab.backup();
    lab.assert_round_trip();
    lab.assert_sound();
    let ended = result.map_or_else(|error| with_causes(&error), |_| "finished".to_owned());
    format!("{faults} of {} requests were hit: {ended}", seen.len())
}

/// Every fault of a list, with as many seeds. All are tried, whatever becomes of one.
fn each_survives(seeds: u64, retry_for: Duration, faults: &[(Requests, When, Fault, Outcome)]) {
    each_survives_on(Kind::SeaweedFs, seeds, retry_for, faults);
}

fn each_survives_on(
    kind: Kind,
    seeds: u64,
    retry_for: Duration,
    faults: &[(Requests, When, Fault, Outcome)],
) {
    let server = Server::shared(kind);
    let mut failed = Vec::new();
    for seed in 1..=seeds {
        for (requests, when, fault, outcome) in faults {
            let begun = Instant::now();
            let plan = Plan::new(seed).on(*requests, *when, *fault);
            let survived = catch_unwind(AssertUnwindSafe(|| survives(&server, plan, *outcome, retry_for)));
            if survived.is_err() {
                failed.push((*requests, *when, *fault, seed));
            }
            let told = survived.unwrap_or_else(|_| "FAILED".to_owned());
            eprintln!("{:.1?} {fault:?} with seed {seed}: {told}", begun.elapsed());
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

const CUTS: &[(Requests, When, Fault, Outcome)] = &[
    (Requests::ALL, When::OneIn(4), Fault::CutBefore, Outcome::Finishes),
    (Requests::PUTS, When::OneIn(2), Fault::CutInRequest, Outcome::Finishes),
    (Requests::PUTS, When::OneIn(2), Fault::AnswerLost, Outcome::Finishes),
    (OBJECT_READS, When::OneIn(3), Fault::CutInAnswer, Outcome::Finishes),
    (LISTINGS, When::OneIn(3), Fault::CutInAnswer, Outcome::Finishes),
    (Requests::ALL, When::OneIn(2), Fault::Duplicate, Outcome::Finishes),
];

const STORMS: &[(Requests, When, Fault, Outcome)] = &[
    (Requests::ALL, When::First(4), Fault::Refuse(Status::SlowDown), Outcome::Finishes),
    (Requests::ALL, When::OneIn(4), Fault::Refuse(Status::InternalError), Outcome::Finishes),
    (Requests::PUTS, When::OneIn(2), Fault::DoneButRefused(Status::InternalError), Outcome::Finishes),
    (Requests::PUTS, When::OneIn(3), Fault::Refuse(Status::Conflict), Outcome::Finishes),
];

/// What comes wrong every time can't be told from damage in the store.
const DAMAGE: &[(Requests, When, Fault, Outcome)] = &[
    (OBJECT_READS, When::FirstOfEach, Fault::CorruptAnswer, Outcome::Finishes),
    (OBJECT_READS, When::OneIn(3), Fault::ShortAnswer, Outcome::Any),
    (OBJECT_READS, When::OneIn(3), Fault::CorruptAnswer, Outcome::Any),
    (Requests::GETS, When::OneIn(3), Fault::CorruptAnswer, Outcome::Any),
    (Requests::PUTS, When::OneIn(3), Fault::CorruptRequest, Outcome::Finishes),
];

/// Moto takes whatever arrives, so that only its ETags tell.
const DAMAGE_UNCHECKED: &[(Requests, When, Fault, Outcome)] = &[
    (PACKS, When::Nth(1), Fault::CorruptRequest, Outcome::Finishes),
    (PACKS, When::First(4), Fault::CorruptRequest, Outcome::Finishes),
    (PACKS, When::Always, Fault::CorruptRequest, Outcome::Fails),
];

const HELD: Duration = Duration::from_secs(30);
const SLOWNESS: &[(Requests, When, Fault, Outcome)] = &[
    (Requests::ALL, When::OneIn(3), Fault::Delay(Duration::from_millis(150)), Outcome::Finishes),
    (Requests::ALL, When::Always, Fault::Slow { bytes_per_s: 4 << 20 }, Outcome::Finishes),
    (PACKS, When::First(2), Fault::StallRequest(HELD), Outcome::Finishes),
    (Requests::GETS, When::Nth(4), Fault::StallAnswer(HELD), Outcome::Finishes),
];

/// What stays wrong however often it is tried again.
const HOPELESS: &[(Requests, When, Fault, Outcome)] = &[
    (Requests::ALL, When::After(8), Fault::CutBefore, Outcome::Fails),
    (PACKS, When::After(1), Fault::CutInRequest, Outcome::Fails),
    (PACKS, When::Always, Fault::Refuse(Status::SlowDown), Outcome::Fails),
    (PACKS, When::After(1), Fault::Refuse(Status::AccessDenied), Outcome::Fails),
    (PACKS, When::After(1), Fault::CorruptRequest, Outcome::Fails),
    (Requests { method: "PUT", path: "/snapshots/" }, When::Always, Fault::CutBefore, Outcome::Fails),
    (Requests { method: "PUT", path: "/snapshots/" }, When::Always, Fault::AnswerLost, Outcome::Finishes),
];

#[test]
fn i4_cut_connections_lost_answers_and_duplicates_harm_nothing() {
    each_survives(SEEDS_SHORT, PATIENT, CUTS);
}

#[test]
fn i4_storms_of_errors_are_waited_out() {
    each_survives(SEEDS_SHORT, PATIENT, STORMS);
}

#[test]
fn i4_damaged_bodies_never_get_into_the_repository() {
    each_survives(SEEDS_SHORT, PATIENT, DAMAGE);
}

/// Where the store doesn't notice, the run does: no snapshot ever refers to what arrived damaged.
#[test]
fn i4_bodies_damaged_on_their_way_into_a_store_that_checks_nothing_are_noticed() {
    each_survives_on(Kind::Moto, SEEDS_SHORT, PATIENT, DAMAGE_UNCHECKED);
}

#[test]
fn i4_slow_and_stalled_connections_harm_nothing() {
    each_survives(SEEDS_SHORT, PATIENT, SLOWNESS);
}

#[test]
fn i4_a_run_that_gives_up_says_why_and_leaves_a_sound_repository() {
    each_survives(SEEDS_SHORT, IMPATIENT, HOPELESS);
}

#[test]
#[ignore = "a long campaign, for make soak"]
fn i4_no_seed_of_any_fault_harms_anything() {
    each_survives(SEEDS_LONG, PATIENT, &[CUTS, STORMS, DAMAGE, SLOWNESS].concat());
    each_survives(SEEDS_LONG, IMPATIENT, HOPELESS);
    each_survives_on(Kind::Moto, SEEDS_LONG, PATIENT, DAMAGE_UNCHECKED);
}

#[test]
#[ignore = "a long campaign, for make soak"]
fn i4_all_kinds_of_faults_in_one_run_harm_nothing() {
    let server = Server::shared(Kind::SeaweedFs);
    for seed in 1..=SEEDS_LONG * 2 {
        let rare = |plan: Plan, (requests, _, fault, _): (Requests, When, Fault, Outcome)| {
            plan.on(requests, When::OneIn(30), fault)
        };
        let plan = [CUTS, STORMS, DAMAGE].concat().into_iter().fold(Plan::new(seed), rare);
        eprintln!("seed {seed}: {}", survives(&server, plan, Outcome::Any, PATIENT));
    }
}

/// A restore over a faulty way brings back what was there, or says that it didn't.
fn restores_or_says_so(seeds: u64) {
    let server = Server::shared(Kind::SeaweedFs);
    let place = Place::new(&server);
    let direct = place.direct();
    let mut lab = Lab::on(Arc::clone(&direct));
    tree::small(&lab.source());
    tree::write(lab.source().join("big.bin"), tree::noise(5, 12 << 20));
    lab.backup();
    for seed in 1..=seeds {
        for fault in [
            Fault::CutInAnswer,
            Fault::ShortAnswer,
            Fault::CorruptAnswer,
            Fault::Refuse(Status::InternalError),
            Fault::Slow { bytes_per_s: 8 << 20 },
        ] {
            let plan = Plan::new(seed).on(OBJECT_READS, When::OneIn(3), fault);
            let proxy = Proxy::start(server.address(), plan);
            lab.backend = place.at(proxy.endpoint(), PATIENT);
            lab.cache = lab.path(&format!("the cache of {fault:?} {seed}"));
            let ear = Ear::default();
            let target = lab.fresh_target();
            let result = lab.try_restore("latest", &ear, |options| options.target.clone_from(&target));
            assert!(proxy.faults() > 0, "no fault happened: {:#?}", proxy.seen());
            let said: Vec<_> = ear.findings().into_iter().chain(ear.skipped()).collect();
            let ended = result.map_or_else(|error| with_causes(&error), |_| "finished".to_owned());
            eprintln!("{fault:?} with seed {seed}: {ended}, {said:?}");
            if ended == "finished" && said.is_empty() {
                assert_same(&lab.source(), &lab.restored_source(&target));
            } else {
                // Only what comes whole and wrong can't be told from damage in the store.
                assert!(
                    matches!(fault, Fault::ShortAnswer | Fault::CorruptAnswer),
                    "{fault:?}: {ended}, {said:?}"
                );
            }
        }
    }
    lab.backend = direct;
    lab.assert_sound();
}

#[test]
fn a_restore_over_a_faulty_way_is_right_or_says_that_it_is_not() {
    restores_or_says_so(SEEDS_SHORT);
}

#[test]
#[ignore = "a long campaign, for make soak"]
fn a_restore_over_a_faulty_way_is_right_or_says_that_it_is_not_with_any_seed() {
    restores_or_says_so(SEEDS_LONG);
}

/// What comes wrong is asked for again: no one is told of damage that the store doesn't have.
#[test]
fn what_comes_wrong_once_is_no_damage() {
    // One sends checksums with whole objects, the other with nothing.
    for kind in [Kind::SeaweedFs, Kind::Moto] {
        comes_right_the_second_time(&Server::shared(kind));
    }
}

fn comes_right_the_second_time(server: &Arc<Server>) {
    let place = Place::new(server);
    let direct = place.direct();
    let mut lab = Lab::on(Arc::clone(&direct));
    tree::small(&lab.source());
    tree::write(lab.source().join("big.bin"), tree::noise(6, 12 << 20));
    lab.backup();
    for fault in [Fault::CorruptAnswer, Fault::ShortAnswer] {
        let plan = || Plan::new(9).on(OBJECT_READS, When::FirstOfEach, fault);
        let proxy = Proxy::start(server.address(), plan());
        lab.backend = place.at(proxy.endpoint(), PATIENT);
        lab.cache = lab.path(&format!("the cache of {fault:?}"));
        let ear = Ear::default();
        let target = lab.fresh_target();
        lab.try_restore("latest", &ear, |options| options.target.clone_from(&target)).expect("it restores");
        ear.assert_content();
        assert_same(&lab.source(), &lab.restored_source(&target));
        // Config, keys, snapshot, segments, data, metadata.
        let hit = proxy.faults();
        assert!(hit >= 8, "{hit} answers came wrong: {:#?}", proxy.seen());
        // All over again, as a check sees it.
        proxy.set_plan(plan());
        lab.assert_sound();
        assert!(proxy.faults() > 2 * hit, "{:#?}", proxy.seen());
    }
}

/// The server is killed in the middle of a backup and comes back: the run goes on by itself.
fn outlives_a_killed_server(packs_before: usize, away: Duration) {
    let server = Arc::new(Server::start(Kind::SeaweedFs));
    let place = Place::new(&server);
    let direct = place.direct();
    let mut lab = Lab::on(Arc::clone(&direct));
    tree::small(&lab.source());
    tree::write(lab.source().join("big.bin"), tree::noise(3, 32 << 20));
    // Slow enough that it is surely in the middle.
    let plan = Plan::new(0).on(PACKS, When::Always, Fault::Slow { bytes_per_s: 6 << 20 });
    let proxy = Proxy::start(server.address(), plan);
    lab.backend = place.at(proxy.endpoint(), PATIENT + away);
    let packs = || proxy.seen().iter().filter(|seen| seen.target.contains("/packs/")).count();
    std::thread::scope(|scope| {
        let backup = scope.spawn(|| lab.try_backup(&Ear::default()));
        while packs() < packs_before {
            assert!(!backup.is_finished(), "the backup has ended before the server was killed");
            std::thread::sleep(Duration::from_millis(10));
        }
        server.kill();
        std::thread::sleep(away);
        assert!(!backup.is_finished(), "the backup didn't wait for the server");
        server.restart();
        backup.join().expect("the backup doesn't panic").expect("the backup finishes");
    });
    lab.backend = direct;
    lab.assert_sound();
    assert_same(&lab.source(), &lab.restore("latest"));
    let again = lab.backup();
    assert!(again.statistics.bytes_stored < 1 << 20, "{again:?}");
}

#[test]
fn a_backup_outlives_a_killed_server() {
    outlives_a_killed_server(4, Duration::from_secs(1));
}

#[test]
#[ignore = "a long campaign, for make soak"]
fn a_backup_outlives_a_server_that_is_killed_at_any_pack() {
    (1..=9).for_each(|packs| outlives_a_killed_server(packs, Duration::from_secs(1)));
}

#[test]
#[ignore = "a long campaign, for make soak"]
fn a_backup_outlives_a_server_that_is_away_for_a_minute() {
    outlives_a_killed_server(3, Duration::from_secs(60));
}
