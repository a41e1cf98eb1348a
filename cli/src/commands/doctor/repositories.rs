//! The repositories of the configuration: whether they can be reached and opened, and whether their stores keep their
//! promises.

use anyhow::Result;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::repository::Repository;
use keepfast_operations::open::{Access, SharedRepository};
use keepfast_operations::reports::{DoctorReport, RepositoryDocument};
use keepfast_operations::requests::{Doctor, ListSnapshots, doctor, list_snapshots};
use keepfast_server::convert::place;

use super::checks::Checks;
use super::machine::check_space;
use crate::args::Common;
use crate::console::Console;
use crate::{advice, render, secrets, settings};

/// How far a snapshot may be in the future before a clock must be wrong: machines that ask for the time differ by less.
const AHEAD_S_MAX: i64 = 60;

/// Looks at each.
pub fn check(common: &Common, console: &Console, config: &Config, checks: &mut Checks) {
    for definition in config.repositories.values() {
        let subject = format!("repository {}", definition.name);
        match look(common, console, definition) {
            Ok((report, newest_s)) => {
                tell(&subject, &report, checks);
                tell_of_clock(&subject, newest_s, console, checks);
            }
            Err(error) => {
                let next =
                    advice::way_on(&error).unwrap_or("see to the cause, then run `keepfast doctor` again");
                checks.failed(&subject, render::with_causes(&error), next);
            }
        }
        if let keepfast_config::values::address::Place::Directory(path) = &definition.value.url.value {
            check_space(&format!("disk of {subject}"), path, checks);
        }
    }
}

/// What a probe and a look at it show, and when its newest snapshot was made.
fn look(
    common: &Common,
    console: &Console,
    definition: &Definition<Repository>,
) -> Result<(DoctorReport, Option<i64>)> {
    let access = Access { children: secrets::children(), ..Access::default() };
    let target = place::target(definition, &settings::cache_dir(common))?;
    let shared = SharedRepository::connect(target, access)?;
    let report = doctor(&Doctor {}, &shared, console.run())?;
    if report.repository.is_none() {
        return Ok((report, None));
    }
    let listed = list_snapshots(&ListSnapshots::default(), &shared, console.run())?;
    let newest = listed.snapshots.iter().map(|listed| listed.snapshot.time.seconds).max();
    Ok((report, newest))
}

fn tell(subject: &str, report: &DoctorReport, checks: &mut Checks) {
    let store = &report.store;
    if !store.sound {
        let flaws: Vec<&str> = store.flaws.iter().map(|flaw| flaw.flaw.as_str()).collect();
        checks.warning(
            subject,
            format!("its store breaks promises: {}", flaws.join("; ")),
            "docs/repositories.md says what a store must promise",
        );
    }
    match &report.repository {
        None => checks.failed(
            subject,
            format!("no repository is in {}", store.location),
            format!("`keepfast --repo {} init` makes one", store.location),
        ),
        Some(found) => tell_of_repository(subject, report, found, checks),
    }
}

fn tell_of_repository(subject: &str, report: &DoctorReport, found: &RepositoryDocument, checks: &mut Checks) {
    let check_it = format!("`keepfast --repo {} check` says what is damaged", report.store.location);
    if found.snapshots_damaged > 0 {
        let damaged = u64::try_from(found.snapshots_damaged).unwrap_or(u64::MAX);
        checks.failed(subject, format!("{} damaged", render::counted(damaged, "snapshot")), check_it.clone());
    }
    for strange in &found.strange {
        checks.warning(subject, format!("{}: {}", strange.object, strange.why), check_it.clone());
    }
    if found.snapshots_damaged == 0 && found.strange.is_empty() {
        let snapshots = u64::try_from(found.snapshots).unwrap_or(u64::MAX);
        let answers = report.store.latency.create.median_ms.max(report.store.latency.read.median_ms);
        checks.ok(
            subject,
            format!("opens, {}, answers within {answers:.1} ms", render::counted(snapshots, "snapshot")),
        );
    }
}

fn tell_of_clock(subject: &str, newest_s: Option<i64>, console: &Console, checks: &mut Checks) {
    let Some(ahead) = newest_s.map(|newest| newest.saturating_sub(console.run().now().seconds)) else {
        return;
    };
    if ahead > AHEAD_S_MAX {
        checks.warning(
            subject,
            format!("its newest snapshot says that it was made {ahead} s in the future"),
            "a clock is wrong, of this machine or of the one that made it: `timedatectl` shows this one's",
        );
    }
}
