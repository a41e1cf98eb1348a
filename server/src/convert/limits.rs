//! What a run may take of the machine and the network.

use std::num::NonZeroU64;

use jiff::Timestamp;
use keepfast_config::config::{Config, Definition};
use keepfast_config::model::plan::{Limits, Plan, WindowLimits};
use keepfast_config::values::amount::Rate;
use keepfast_operations::resources::{RateLimits, Resources};
use keepfast_schedule::bandwidth::{Bandwidth, BytesPerSecond};
use keepfast_schedule::window::Window;
use keepfast_schedule::zone::Zone;

use super::schedule;
use crate::error::{Result, ScheduleError, ServerError};

const MIB: u64 = 1 << 20;

/// What a plan's runs may take, as operations take it. Rates of a plan whose limits follow the clock aren't in it: they
/// are those of [`by_time`].
#[must_use]
pub fn resources(limits: Option<&Limits>) -> Resources {
    let Some(limits) = limits else { return Resources::default() };
    Resources {
        threads: limits.threads,
        // Less than a mebibyte is one: there is no run that takes less.
        memory_mib: limits.memory.map(|size| u32::try_from(size.bytes.div_ceil(MIB)).unwrap_or(u32::MAX)),
        limits: if limits.windows.is_empty() { always(limits) } else { RateLimits::default() },
        nice: limits.nice.0,
    }
}

fn always(limits: &Limits) -> RateLimits {
    RateLimits {
        upload_bytes_per_s: limits.upload.map(|rate| rate.bytes_per_s),
        download_bytes_per_s: limits.download.map(|rate| rate.bytes_per_s),
    }
}

/// Limits that follow the clock in the plan's zone.
///
/// Of several windows that are open, the one with the lowest rate holds: in a file, the keys of a table have no order. A
/// window that says nothing about a direction leaves that as it is outside of all windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsByTime {
    upload: Bandwidth,
    download: Bandwidth,
}

/// Limits, and until when they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsNow {
    /// The limits.
    pub limits: RateLimits,
    /// When others hold. `None` if that isn't within a week.
    pub until: Option<Timestamp>,
}

impl LimitsByTime {
    /// What holds at an instant.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> LimitsNow {
        let [upload, download] = [&self.upload, &self.download].map(|bandwidth| bandwidth.at(now));
        let rate = |limit: Option<BytesPerSecond>| limit.map(|BytesPerSecond(rate)| rate.get());
        LimitsNow {
            limits: RateLimits {
                upload_bytes_per_s: rate(upload.limit),
                download_bytes_per_s: rate(download.limit),
            },
            until: [upload.until, download.until].into_iter().flatten().min(),
        }
    }
}

/// The limits of a plan that follow the clock; nothing if they are always the same.
pub fn by_time(config: &Config, definition: &Definition<Plan>) -> Result<Option<LimitsByTime>> {
    let plan = &definition.value;
    let Some(limits) = plan.limits.as_ref().filter(|limits| !limits.windows.is_empty()) else {
        return Ok(None);
    };
    let made = || -> Result<LimitsByTime, ScheduleError> {
        let zone = Zone::named(&config.zone(plan).0, jiff::tz::db())?;
        let windows = limits.windows.iter();
        let windows: Vec<(Window, WindowLimits)> = windows
            .map(|(window, limits)| Ok((schedule::window(window)?, *limits)))
            .collect::<Result<_, ScheduleError>>()?;
        let of = |otherwise, of: fn(&WindowLimits) -> Option<Rate>| Bandwidth {
            zone: zone.clone(),
            otherwise: rate(otherwise),
            windows: slowest_first(&windows, of),
        };
        Ok(LimitsByTime {
            upload: of(limits.upload, |limits| limits.upload),
            download: of(limits.download, |limits| limits.download),
        })
    };
    let made = made();
    made.map(Some)
        .map_err(|source| ServerError::Schedule { definition: format!("plan {}", definition.name), source })
}

/// The limits that hold for a plan at an instant, and until when. Without windows, that is always the same.
pub fn limits_now(config: &Config, definition: &Definition<Plan>, now: Timestamp) -> Result<LimitsNow> {
    Ok(match by_time(config, definition)? {
        Some(by_time) => by_time.at(now),
        None => LimitsNow {
            limits: definition.value.limits.as_ref().map(always).unwrap_or_default(),
            until: None,
        },
    })
}

fn rate(rate: Option<Rate>) -> Option<BytesPerSecond> {
    rate.and_then(|rate| NonZeroU64::new(rate.bytes_per_s)).map(BytesPerSecond)
}

fn slowest_first(
    windows: &[(Window, WindowLimits)],
    of: fn(&WindowLimits) -> Option<Rate>,
) -> Vec<(Window, Option<BytesPerSecond>)> {
    let limited = windows.iter().filter_map(|(window, limits)| Some((*window, Some(rate(of(limits))?))));
    let mut limited: Vec<(Window, Option<BytesPerSecond>)> = limited.collect();
    limited.sort_by_key(|(_, limit)| *limit);
    limited
}

#[cfg(test)]
mod tests {
    use keepfast_config::config::Config;
    use keepfast_operations::resources::RateLimits;

    use super::{by_time, limits_now, resources};
    use crate::testing::repository::config;

    fn plan(limits: &str) -> Config {
        config(&format!(
            "[repository.main]\nurl = \"/srv/r\"\npassword = {{ env = \"P\" }}\n[plan.www]\nrepository = \"main\"\n\
             source = [{{ files = [\"/srv/www\"] }}]\nlimits = {limits}\n"
        ))
    }

    #[track_caller]
    fn assert_rates(config: &Config, at: &str, mib: [Option<u64>; 2], until: Option<&str>) {
        let now = limits_now(config, &config.plans["www"], at.parse().expect("an instant")).expect("limits");
        let [upload_bytes_per_s, download_bytes_per_s] = mib.map(|mib| mib.map(|mib| mib << 20));
        assert_eq!(now.limits, RateLimits { upload_bytes_per_s, download_bytes_per_s }, "{at}");
        assert_eq!(now.until, until.map(|until| until.parse().expect("an instant")), "{at}");
    }

    #[test]
    fn limits_follow_the_clock_of_the_plan() {
        let config = plan(r#"{ upload = "20MiB/s", "mon-fri 08:00-18:00" = "2MiB/s", nice = 10 }"#);
        // A Friday in Paris.
        assert_rates(&config, "2026-11-27T06:59:00Z", [Some(20), None], Some("2026-11-27T07:00:00Z"));
        assert_rates(&config, "2026-11-27T07:00:00Z", [Some(2), None], Some("2026-11-27T17:00:00Z"));
        assert_rates(&config, "2026-11-27T17:00:00Z", [Some(20), None], Some("2026-11-30T07:00:00Z"));
        let taken = resources(config.plans["www"].value.limits.as_ref());
        assert_eq!((taken.nice, taken.limits), (10, RateLimits::default()), "rates are those of the hour");
    }

    #[test]
    fn the_slowest_of_several_windows_holds_and_a_direction_that_is_not_named_stays_as_it_is() {
        let config = plan(
            r#"{ upload = "8MiB/s", download = "9MiB/s", "00:00-24:00" = { upload = "5MiB/s" },
                "08:00-18:00" = { upload = "1MiB/s", download = "90MiB/s" } }"#
                .replace('\n', " ")
                .as_str(),
        );
        assert_rates(&config, "2026-11-27T03:00:00Z", [Some(5), Some(9)], Some("2026-11-27T07:00:00Z"));
        assert_rates(&config, "2026-11-27T12:00:00Z", [Some(1), Some(90)], Some("2026-11-27T17:00:00Z"));
    }

    #[test]
    fn without_windows_nothing_changes() {
        let config = plan(r#"{ upload = "3MiB/s" }"#);
        assert_rates(&config, "2026-11-27T03:00:00Z", [Some(3), None], None);
        assert_eq!(by_time(&config, &config.plans["www"]).expect("limits"), None);
        let rates = resources(config.plans["www"].value.limits.as_ref()).limits;
        assert_eq!(rates.upload_bytes_per_s, Some(3 << 20));
    }
}
