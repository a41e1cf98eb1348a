//! This machine: the state of plans, and the disks that the state and caches are on.

use std::fs;
use std::path::Path;

use keepfast_config::config::Config;
use keepfast_server::{existing, state};

use super::checks::Checks;
use crate::args::Common;
use crate::{render, secrets, settings};

/// With less space than this, or this share of it, a person should look.
const FREE_BYTES_MIN: u64 = 1 << 30;
const FREE_PERCENT_MIN: u64 = 5;

/// Looks at the state and at disks.
pub fn check(common: &Common, config: &Config, checks: &mut Checks) {
    check_state(config, checks);
    for folder in state::folders(config) {
        check_space("disk of the state", &folder, checks);
    }
    check_cache(common, checks);
}

fn check_state(config: &Config, checks: &mut Checks) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return checks.failed("state", error.to_string(), "see to the cause"),
    };
    let Some(file) = state::file(config) else {
        return match runtime.block_on(state::open(config, &secrets::children())) {
            Ok(_) => checks.ok("state", "PostgreSQL answers, and its tables are of this version"),
            Err(error) => checks.failed(
                "state",
                keepfast_operations::error::with_causes(&error),
                "check `state` in `[server]`, and whether the database runs",
            ),
        };
    };
    let shown = file.display();
    match runtime.block_on(existing::damage(config)) {
        Ok(None) => checks.ok("state", format!("{shown} isn't there yet: the first run makes it")),
        Ok(Some(damage)) if damage.is_empty() => {
            let bytes = fs::metadata(&file).map_or(0, |found| found.len());
            let text = format!("{shown} is sound and of this version, {}", render::bytes(bytes));
            checks.ok("state", text);
        }
        Ok(Some(damage)) => checks.failed(
            "state",
            format!("{shown} is damaged: {}", damage.join("; ")),
            "move it away, so that a new one is made; a snapshot with the label `state` may have an older one",
        ),
        Err(error) => checks.failed(
            "state",
            keepfast_operations::error::with_causes(&error),
            "`keepfast status` brings older tables to this version; newer ones need a newer program",
        ),
    }
}

fn check_cache(common: &Common, checks: &mut Checks) {
    if common.no_cache {
        return;
    }
    let cache = settings::cache_dir(common);
    match keepfast_engine::repo::check_cache(&cache) {
        Ok(()) => check_space("disk of the cache", &cache, checks),
        Err(error) => checks.failed(
            "cache",
            keepfast_operations::error::with_causes(&error),
            "--cache-dir or KEEPFAST_CACHE_DIR names another place for it",
        ),
    }
}

/// How much is free on the disk of a directory, or of the nearest one above it that is there.
pub fn check_space(subject: &str, path: &Path, checks: &mut Checks) {
    let Some(there) = path.ancestors().find(|path| path.exists()) else { return };
    let space = match rustix::fs::statvfs(there) {
        Ok(space) => space,
        Err(error) => return checks.warning(subject, format!("{}: {error}", there.display()), ""),
    };
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    let (free, all) = (bytes(space.f_bavail), bytes(space.f_blocks));
    let text = format!("{} free of {} in {}", render::bytes(free), render::bytes(all), there.display());
    // Some file systems don't say how large they are.
    if all == 0 {
        return;
    }
    if free == 0 {
        checks.failed(subject, text, "make room");
    } else if free < FREE_BYTES_MIN || free / (all / 100).max(1) < FREE_PERCENT_MIN {
        checks.warning(subject, text, "make room before a backup fails");
    } else {
        checks.ok(subject, text);
    }
}
