//! Drills: a snapshot is restored into a folder of its own, compared, asked, and removed again; what came of it is kept.

mod copy;
mod keep;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keepfast_drills::choose::{Choose, choose};
use keepfast_drills::database::{Engines, Installed, is_asked};
use keepfast_drills::evidence::{Evidence, Inputs, LABEL, Tested, VERSION};
use keepfast_drills::expect::{Expectation, Question};
use keepfast_drills::goal::Measured;
use keepfast_drills::log::{Log, digest};
use keepfast_drills::scratch::{Live, Reaped, Scratch, reap, refuse_live};
use keepfast_drills::verdict::{Part, of_all};
use keepfast_engine::EngineError;
use keepfast_engine::repo::StoredSnapshot;
use keepfast_engine::restore::Sample;
use keepfast_engine::run::RunContext;
use keepfast_format::node::Timestamp as Stamp;
use keepfast_sources::address::Engine;
use serde::{Deserialize, Serialize};

use super::{PROGRAM, share_of};
use crate::choose::Filter;
use crate::drill::Step;
use crate::drill::databases::{self, DatabasesDrill};
use crate::drill::files::FilesDrill;
use crate::error::{Result, with_causes};
use crate::host::SystemHost;
use crate::open::{Mode, Opened, SharedRepository};
use crate::resources::{Resources, Work};
use crate::times::is_ahead;

/// What a drill tests, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// Its name.
    pub name: String,
    /// The run that carries it out.
    pub run: String,
    /// The name of this machine.
    pub machine: String,
    /// The plan whose snapshots are tested.
    pub plan: String,
    /// The name of the repository.
    pub repository: String,
    /// The snapshots among which one is chosen.
    pub filter: Filter,
    /// Which of them.
    pub choose: Choose,
    /// What decides where something is left to chance.
    pub seed: u64,
    /// How much of the files is restored, in thousandths.
    pub sample_thousandths: u16,
    /// The folder in which the drill has one of its own.
    pub folder: PathBuf,
    /// The folder in which servers have theirs that run as another user: root's can't be entered by others.
    pub servers: PathBuf,
    /// What that must not overlap.
    pub live: Vec<LivePlace>,
    /// The folder in which the snapshot's files are where they were; none if they aren't on this machine.
    pub source: Option<PathBuf>,
    /// What must be true of what was restored.
    pub expect: Vec<Expectation>,
    /// The kind of database that queries are meant for; none if they are for all.
    pub engine: Option<Engine>,
    /// The version of the database's engine that is started; none for that of the dump.
    pub version: Option<String>,
    /// The memory that a server may take, in bytes.
    pub memory: Option<u64>,
    /// How long a restore may take.
    pub rto: Option<Duration>,
    /// How old the newest snapshot may be.
    pub rpo: Option<Duration>,
    /// Whether a byte of a copy is flipped, which a check has to find.
    pub corrupt: bool,
    /// For how long evidence is kept in the repository; none for not at all.
    pub keep: Option<Duration>,
}

/// Something that a drill must not touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivePlace {
    /// What it is.
    pub what: String,
    /// Where it is.
    pub path: PathBuf,
}

/// What came of a drill. As JSON it is the evidence, with the snapshot that keeps it.
#[derive(Debug, Clone, Serialize)]
pub struct DrillReport {
    /// The evidence.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// The snapshot that keeps it; null if it isn't kept.
    pub kept: Option<String>,
    /// What a person should look at: faults, what couldn't be tested, missed goals, and evidence that couldn't be kept.
    pub problems: Vec<String>,
    /// The log whose digest the evidence has.
    #[serde(skip)]
    pub log: String,
}

/// Carries a drill out. `random` is the name of its folder. `told` hears of each part that begins.
///
/// # Errors
/// It can't begin, was cancelled, or the store can't be read: then it has no verdict.
pub fn drill(
    request: &Drill,
    random: [u8; 16],
    told: &dyn Fn(Step),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<DrillReport> {
    drill_with(request, random, &Installed, told, shared, run)
}

/// As [`drill`], with engines that the caller gives.
pub fn drill_with(
    request: &Drill,
    random: [u8; 16],
    engines: &dyn Engines,
    told: &dyn Fn(Step),
    shared: &SharedRepository,
    run: &RunContext,
) -> Result<DrillReport> {
    let live = request.live.iter().map(|live| Live { what: live.what.clone(), path: live.path.clone() });
    refuse_live(&request.folder, &live.collect::<Vec<_>>())?;
    let log = Arc::new(Log::default());
    tell_reaped(&reap(&request.folder)?, &log, run);
    // Only root's drills use it.
    if SystemHost.effective_user_id() == 0 && request.servers != request.folder {
        match reap(&request.servers) {
            Ok(reaped) => tell_reaped(&reaped, &log, run),
            Err(error) => run.notice(with_causes(&error)),
        }
    }
    let scratch = Scratch::make(&request.folder, random)?;
    let began = instant(run.now());
    told(Step::Choosing);
    let opened = shared.open(run, Mode::Usual)?;
    let share =
        share_of(&Resources::default(), Work::ReadFrames, opened.repository.config().pack_bytes, shared)?;
    let run = &run.clone().with_threads(share.threads);
    let doing = Doing { request, engines, told, shared, opened: &opened, scratch: &scratch, log: &log, run };
    let tested = doing.chosen()?;
    let mut done = match tested {
        Some(stored) => doing.test(stored)?,
        None => Done { parts: vec![nothing_to_test(request)], ..Done::default() },
    };
    done.versions.insert("keepfast".to_owned(), PROGRAM.to_owned());
    let age = tested.filter(|_| request.choose == Choose::Latest).map(|stored| {
        let age = began.duration_since(instant(stored.snapshot.body.start));
        Duration::try_from(age).unwrap_or(Duration::ZERO)
    });
    let verdict = of_all(&done.parts);
    log.line(&format!("verdict: {}", verdict.word()));
    let text = log.text();
    let evidence = Evidence {
        version: VERSION,
        drill: request.name.clone(),
        run: request.run.clone(),
        machine: request.machine.clone(),
        plan: request.plan.clone(),
        repository: request.repository.clone(),
        snapshot: tested.map(|stored| Tested {
            id: stored.snapshot.head.id.short(),
            time: instant(stored.snapshot.body.start),
            host: stored.snapshot.body.host.clone(),
        }),
        inputs: Inputs {
            choose: request.choose,
            sample_thousandths: request.sample_thousandths,
            seed: request.seed,
            corrupt: request.corrupt,
        },
        versions: done.versions,
        began,
        ended: instant(run.now()),
        restore: Measured::new(done.restore, request.rto),
        age: Measured::new(age, request.rpo),
        parts: done.parts,
        verdict,
        log_blake3: digest(&text),
    };
    let mut problems = evidence.problems();
    told(Step::Keeping);
    let kept = match request.keep.map(|keep| keep::keep(&evidence, &text, keep, &scratch, shared, run)) {
        None => None,
        Some(Ok(kept)) => kept,
        Some(Err(error)) if matches!(error.engine(), Some(EngineError::Interrupted)) => return Err(error),
        Some(Err(error)) => {
            problems.push(format!("the evidence isn't kept in the repository: {}", with_causes(&error)));
            None
        }
    };
    if let Err(error) = scratch.remove() {
        problems.push(with_causes(&error));
    }
    Ok(DrillReport { evidence, kept, problems, log: text })
}

fn nothing_to_test(request: &Drill) -> Part {
    let why = format!("plan {} has no snapshot in {} to choose from", request.plan, request.repository);
    Part::not_tested("snapshot", why)
}

/// Queries that no database of the snapshot could be asked: what they expect isn't there.
fn unasked(request: &Drill, engines: &[Engine]) -> Option<Part> {
    let has_queries = request.expect.iter().any(|expected| matches!(expected.ask, Question::Sql(_)));
    let is_there = engines.iter().any(|engine| is_asked(request.engine, *engine));
    let what = request.engine.map_or_else(String::new, |engine| format!(" of {engine}"));
    let wanted = has_queries || request.engine.is_some();
    (wanted && !is_there)
        .then(|| Part::failed("databases", format!("the snapshot has no dump{what} that could be asked")))
}

fn tell_reaped(reaped: &Reaped, log: &Log, run: &RunContext) {
    let tell = |line: String| {
        log.line(&line);
        run.notice(line);
    };
    for path in &reaped.removed {
        tell(format!("{} was left by a drill that was cut short, and was removed", path.display()));
    }
    for error in &reaped.left {
        tell(with_causes(error));
    }
}

/// An instant of a repository; those beyond the calendar are its edges.
fn instant(at: Stamp) -> Timestamp {
    let edge = if at.seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::new(at.seconds, at.nanos.cast_signed()).unwrap_or(edge)
}

/// A drill that goes on.
struct Doing<'d> {
    request: &'d Drill,
    engines: &'d dyn Engines,
    told: &'d dyn Fn(Step),
    shared: &'d SharedRepository,
    opened: &'d Opened,
    scratch: &'d Scratch,
    log: &'d Arc<Log>,
    run: &'d RunContext,
}

/// What was tested.
#[derive(Default)]
struct Done {
    parts: Vec<Part>,
    versions: BTreeMap<String, String>,
    restore: Option<Duration>,
}

impl<'d> Doing<'d> {
    /// The snapshot that is tested. One that says it is from the future can't be the newest: its clock was wrong.
    fn chosen(&self) -> Result<Option<&'d StoredSnapshot>> {
        let snapshots = &self.opened.snapshots;
        let filter = self.request.filter.resolve(snapshots)?;
        let now = self.run.now();
        let is_fitting = |stored: &&StoredSnapshot| {
            let body = &stored.snapshot.body;
            filter.matches(stored) && !is_ahead(body.start, now) && !body.tags.iter().any(|tag| tag == LABEL)
        };
        let fitting: Vec<&StoredSnapshot> = snapshots.all.iter().filter(is_fitting).collect();
        let time = |stored: &&StoredSnapshot| instant(stored.snapshot.body.start);
        Ok(choose(&fitting, time, self.request.choose, self.request.seed).copied())
    }

    fn test(&self, stored: &StoredSnapshot) -> Result<Done> {
        let Self { request, opened, scratch, log, run, .. } = *self;
        let snapshot = &stored.snapshot;
        let moment = instant(snapshot.body.start);
        log.line(&format!("snapshot {} of {moment}", snapshot.head.id.short()));
        let mut done = Done::default();
        let dumps = databases::find(opened, snapshot, run)?;
        (self.told)(Step::Restoring);
        let target = scratch.folder("files")?;
        let without = dumps.iter().map(|dump| dump.clone().into_bytes()).collect();
        let sample = Sample { thousandths: request.sample_thousandths, seed: request.seed, without };
        let files = FilesDrill { opened, snapshot, target: &target, sample, log };
        match files.restore(run) {
            Ok(restored) => {
                done.restore = Some(restored.took);
                (self.told)(Step::Comparing);
                let is_here = snapshot.body.host == request.machine;
                let source = request.source.as_deref().filter(|_| is_here);
                let proven = files.prove(restored, source, &request.expect, run);
                done.parts.push(of_this_machine("files", proven)?);
            }
            Err(error) => done.parts.push(of_this_machine("files", Err(error))?),
        }
        let mut engines = Vec::new();
        if !dumps.is_empty() {
            (self.told)(Step::Databases);
            let drill = DatabasesDrill {
                opened,
                snapshot,
                moment,
                scratch,
                servers: &request.servers,
                engines: self.engines,
                asked: request.engine,
                version: request.version.as_deref(),
                memory: request.memory,
                expect: &request.expect,
                secrets: &self.shared.children().secrets,
                log,
            };
            let proven = drill.prove(&dumps, run)?;
            engines = proven.engines;
            done.parts.extend(proven.parts);
            done.versions.extend(proven.versions);
            done.restore =
                done.restore.into_iter().chain(proven.answered_after).reduce(|one, other| one + other);
        }
        done.parts.extend(unasked(request, &engines));
        if request.corrupt {
            (self.told)(Step::Corrupting);
            let corruption = copy::Corruption { opened, snapshot, shared: self.shared, scratch, log };
            done.parts.push(corruption.prove(request.seed, run)?);
        }
        Ok(done)
    }
}

/// A part that couldn't be tested because this machine has no room or no right: that says nothing about the snapshot.
fn of_this_machine(name: &str, part: Result<Part>) -> Result<Part> {
    match part {
        Err(error) if matches!(error.engine(), Some(EngineError::File { .. })) => {
            Ok(Part::not_tested(name, with_causes(&error)))
        }
        other => other,
    }
}
