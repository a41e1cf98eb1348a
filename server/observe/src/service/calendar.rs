//! When a timer of systemd starts a plan.

use std::time::Duration;

use crate::service::cron::calendar_lines;
use crate::service::error::UnitError;
use crate::service::escape::time;

/// Instants of the calendar, as systemd says them (systemd.time(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar(Vec<String>);

impl Calendar {
    /// Those of a schedule of five fields as cron has them, in this time zone (as `Europe/Paris`): with lists,
    /// ranges, steps, names, `L` for the last day of the month or the last such weekday, and `#` for a certain
    /// one. If both days are restricted, either is enough.
    ///
    /// systemd has its own ways on the two days a year on which clocks are changed: an instant that doesn't
    /// exist is left out, so that a daily plan has no run on that day, and one that comes twice is taken once.
    ///
    /// # Errors
    /// It isn't such a schedule, never comes, or has `W`, which systemd can't say.
    pub fn from_cron(cron: &str, zone: &str) -> Result<Self, UnitError> {
        let is_name = |sign: char| sign.is_ascii_alphanumeric() || "/_+-".contains(sign);
        if zone.is_empty() || !zone.chars().all(is_name) {
            return Err(UnitError::TimeZone(zone.to_owned()));
        }
        let lines = calendar_lines(cron).map_err(|why| UnitError::Cron { cron: cron.to_owned(), why })?;
        Ok(Self(lines.into_iter().map(|line| format!("{line} {zone}")).collect()))
    }

    /// Each instant is one of any of these.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

/// When a timer starts a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timer {
    /// At instants of the calendar.
    At {
        /// The instants.
        calendar: Calendar,
        /// Up to this much later, always the same on one machine, so that machines don't all come at once.
        jitter: Duration,
        /// Whether one run follows after start-up if instants passed while the machine was off.
        catch_up: bool,
    },
    /// This long after the last run ended, and soon after start-up.
    Every(Duration),
}

/// How soon after start-up: other services start first.
const AFTER_BOOT: &str = "OnBootSec=15min";

impl Timer {
    pub(super) fn lines(&self) -> Result<Vec<String>, UnitError> {
        match self {
            Self::At { calendar, jitter, catch_up } => {
                let mut lines: Vec<String> =
                    calendar.lines().iter().map(|line| format!("OnCalendar={line}")).collect();
                if !jitter.is_zero() {
                    lines.push(format!("RandomizedDelaySec={}", time(*jitter)));
                    lines.push("FixedRandomDelay=yes".to_owned());
                }
                lines.push("AccuracySec=1s".to_owned());
                lines.push(format!("Persistent={}", if *catch_up { "yes" } else { "no" }));
                Ok(lines)
            }
            Self::Every(pause) if pause.is_zero() => Err(UnitError::NoTime("the pause between runs")),
            Self::Every(pause) => {
                Ok(vec![AFTER_BOOT.to_owned(), format!("OnUnitInactiveSec={}", time(*pause))])
            }
        }
    }
}
