//! Drills.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::drill::{
    BootEngine, Choose as DefinedChoose, Drill as Defined, Expectation as DefinedExpectation,
};
use keepfast_config::model::plan::Plan;
use keepfast_config::values::address::Place;
use keepfast_config::values::time::Age;
use keepfast_drills::choose::Choose;
use keepfast_drills::expect::{Expectation, Question};
use keepfast_operations::choose::Filter;
use keepfast_operations::requests::{Drill, LivePlace};
use keepfast_sources::address::Engine;
use keepfast_store::{DrillId, PlanId, RepositoryId, RunSubject};

use super::backup::label;
use super::unsupported;
use crate::definitions;
use crate::error::{Result, ServerError};

/// Where servers have their folders if root runs a drill that names no folder: that of the state is root's alone, and they
/// run as someone else.
const SERVERS: &str = "/var/tmp/keepfast-drills";
/// The version that says that a server is of the version of the dump.
const MATCHING: &str = "match";

/// What a drill is asked for by one of its runs.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The run.
    pub run: &'a str,
    /// The name of this machine, whose snapshots are tested.
    pub host: &'a str,
    /// The folder for drills that name none.
    pub folder: &'a Path,
    /// Now.
    pub now: Timestamp,
    /// What decides where something is left to chance.
    pub seed: u64,
}

/// What a drill's runs work on. They are of no host: a drill doesn't count among the runs that a host may have at once, or
/// a long one would hold up its backups.
pub fn subject(config: &Config, definition: &Definition<Defined>) -> Result<RunSubject> {
    let plan = definitions::plan(config, &definition.value.plan.name)?;
    let (repository, named) = (&plan.value.repository.name, ServerError::name);
    Ok(RunSubject {
        plan: Some(PlanId::new(&*plan.name).map_err(named(&plan.name))?),
        repository: Some(RepositoryId::new(&**repository).map_err(named(repository))?),
        host: None,
        drill: Some(DrillId::new(&*definition.name).map_err(named(&definition.name))?),
    })
}

/// A drill as a request.
pub fn request(config: &Config, definition: &Definition<Defined>, asked: Asked<'_>) -> Result<Drill> {
    let (name, drill) = (format!("drill {}", definition.name), &definition.value);
    if drill.server.is_some() {
        return Err(unsupported(&name, "restoring into a server that runs (`server`)"));
    }
    let plan = definitions::plan(config, &drill.plan.name)?;
    let boot = drill.boot.as_ref();
    let folder = drill.into.as_ref().map_or_else(|| asked.folder.to_owned(), |into| into.value.0.clone());
    Ok(Drill {
        name: definition.name.clone(),
        run: asked.run.to_owned(),
        machine: asked.host.to_owned(),
        plan: plan.name.clone(),
        repository: plan.value.repository.name.clone(),
        // As retention finds them.
        filter: Filter {
            tags: vec![label(&plan.name)],
            host: Some(asked.host.to_owned()),
            ..Filter::default()
        },
        choose: match drill.choose {
            DefinedChoose::Latest => Choose::Latest,
            DefinedChoose::Oldest => Choose::Oldest,
            DefinedChoose::RandomWithin(age) => Choose::RandomSince(before(asked.now, age)),
        },
        seed: asked.seed,
        sample_thousandths: u16::try_from(drill.sample.thousandths).unwrap_or(1000),
        live: live(config, drill.into.is_some()),
        servers: drill.into.as_ref().map_or_else(|| PathBuf::from(SERVERS), |into| into.value.0.clone()),
        folder,
        source: keeps_paths(&plan.value).then(|| PathBuf::from("/")),
        expect: drill.expect.iter().filter_map(expectation).collect(),
        engine: boot.map(|boot| engine(boot.engine)),
        version: boot.map(|boot| boot.version.clone()).filter(|version| version != MATCHING),
        memory: boot.and_then(|boot| boot.memory).map(|memory| memory.bytes),
        rto: drill.rto.or_else(|| boot.and_then(|boot| boot.rto)).map(|rto| rto.0),
        rpo: plan.value.rpo.as_ref().map(|rpo| rpo.value.0),
        corrupt: drill.corrupt.unwrap_or(false),
        keep: Some(drill.evidence.keep.0),
    })
}

/// The instant that is this much before another one, by the calendar; the earliest one if there is none.
fn before(now: Timestamp, age: Age) -> Timestamp {
    let days = i64::from(age.weeks) * 7 + i64::from(age.days);
    let span = Span::new()
        .try_years(age.years)
        .and_then(|span| span.try_months(age.months))
        .and_then(|span| span.try_days(days))
        .and_then(|span| span.try_hours(age.hours));
    let begin = span.and_then(|span| now.to_zoned(TimeZone::UTC).checked_sub(span));
    begin.map_or(Timestamp::MIN, |begin| begin.timestamp())
}

/// What a drill must not touch. The folder of the server's own may be in what a plan backs up: backups leave it out.
fn live(config: &Config, is_named: bool) -> Vec<LivePlace> {
    let repositories = config.repositories.values().filter_map(|repository| {
        let Place::Directory(path) = &repository.value.url.value else { return None };
        Some(LivePlace { what: format!("the repository {}", repository.name), path: path.clone() })
    });
    let sources = config.plans.values().filter(|_| is_named).flat_map(|plan| {
        let what = format!("a source of plan {}", plan.name);
        let paths = plan.value.source.0.iter().flat_map(|source| source.paths());
        paths.map(move |path| LivePlace { what: what.clone(), path: path.value.0.clone() })
    });
    repositories.chain(sources).collect()
}

/// Whether the snapshot has each file at the path that it has on this machine, and its own content.
fn keeps_paths(plan: &Plan) -> bool {
    let mut files = plan.source.0.iter().filter(|source| source.files.is_some());
    plan.hosts.is_none()
        && files.all(|source| !source.follow && !source.read_special && source.stored_as.is_none())
}

fn engine(defined: BootEngine) -> Engine {
    match defined {
        BootEngine::Postgres => Engine::Postgres,
        BootEngine::Mysql => Engine::Mysql,
        BootEngine::Mariadb => Engine::Mariadb,
        BootEngine::Mongodb => Engine::Mongodb,
        BootEngine::Redis => Engine::Redis,
        BootEngine::Sqlite => Engine::Sqlite,
    }
}

fn expectation(defined: &DefinedExpectation) -> Option<Expectation> {
    let ask = match (&defined.sql, &defined.path) {
        (Some(sql), _) => Question::Sql(sql.clone()),
        (None, Some(path)) => Question::Path(path.clone()),
        // One of the two is there, or it isn't decoded.
        (None, None) => return None,
    };
    Some(Expectation {
        ask,
        min: defined.min,
        max: defined.max,
        equals: defined.equals.clone(),
        newer_than_snapshot: defined.newer_than_snapshot.map(|length| length.0),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use keepfast_config::values::time::Age;

    use super::before;

    #[test]
    fn ages_are_counted_by_the_calendar() {
        let now: Timestamp = "2026-03-31T06:00:00Z".parse().expect("an instant");
        let age = Age { years: 0, months: 1, weeks: 1, days: 1, hours: 1 };
        assert_eq!(before(now, age).to_string(), "2026-02-20T05:00:00Z");
        let none = Age { years: 0, months: 0, weeks: 0, days: 0, hours: 0 };
        assert_eq!(before(now, none), now);
        assert_eq!(before(now, Age { years: u32::MAX, ..none }), Timestamp::MIN);
    }
}
