//! Which limit of bandwidth holds at an instant, and when it changes next.

use std::num::NonZeroU64;

use jiff::Timestamp;

use crate::window::{Window, next_edge};
use crate::zone::Zone;

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BytesPerSecond(pub NonZeroU64);

/// Limits by time of day. Of the windows that are open, the first in the list decides; outside of all
/// windows, `otherwise` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bandwidth {
    /// Whose clock the windows mean.
    pub zone: Zone,
    /// The limit outside of all windows; `None` is no limit.
    pub otherwise: Option<BytesPerSecond>,
    /// Windows with their limits; `None` is no limit.
    pub windows: Vec<(Window, Option<BytesPerSecond>)>,
}

/// A limit and until when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitNow {
    /// The limit; `None` is no limit.
    pub limit: Option<BytesPerSecond>,
    /// When another one holds. `None` if that isn't within a week, or never.
    pub until: Option<Timestamp>,
}

impl Bandwidth {
    /// The limit that holds at an instant, and until when.
    pub fn at(&self, now: Timestamp) -> LimitNow {
        let limit = self.limit(now);
        let windows: Vec<Window> = self.windows.iter().map(|(window, _)| *window).collect();
        LimitNow { limit, until: next_edge(&windows, &self.zone, now, |at| self.limit(at) != limit) }
    }

    fn limit(&self, at: Timestamp) -> Option<BytesPerSecond> {
        let wall = self.zone.wall(at);
        let open = self.windows.iter().find(|(window, _)| window.contains(wall));
        open.map_or(self.otherwise, |(_, limit)| *limit)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bandwidth, BytesPerSecond};
    use crate::zone::Zone;
    use jiff::Timestamp;
    use jiff::tz::TimeZoneDatabase;
    use std::num::NonZeroU64;

    fn rate(bytes: u64) -> Option<BytesPerSecond> {
        NonZeroU64::new(bytes).map(BytesPerSecond)
    }

    fn bandwidth(windows: &[(&str, u64)]) -> Bandwidth {
        Bandwidth {
            zone: Zone::named("Europe/Paris", &TimeZoneDatabase::bundled()).expect("it is there"),
            otherwise: rate(20),
            windows: windows
                .iter()
                .map(|(window, limit)| (window.parse().expect("one"), rate(*limit)))
                .collect(),
        }
    }

    #[track_caller]
    fn assert_limit(of: &Bandwidth, at: &str, limit: u64, until: Option<&str>) {
        let now = of.at(at.parse().expect("an instant"));
        let until = until.map(|until| until.parse::<Timestamp>().expect("an instant"));
        assert_eq!((now.limit, now.until), (rate(limit), until), "{at}");
    }

    #[test]
    fn the_limit_follows_the_clock() {
        let office = bandwidth(&[("mon-fri 08:00-18:00", 2)]);
        // 2026-11-27 is a Friday.
        assert_limit(&office, "2026-11-27T06:59:59Z", 20, Some("2026-11-27T07:00:00Z"));
        assert_limit(&office, "2026-11-27T07:00:00Z", 2, Some("2026-11-27T17:00:00Z"));
        assert_limit(&office, "2026-11-27T17:00:00Z", 20, Some("2026-11-30T07:00:00Z"));
        assert_limit(&bandwidth(&[]), "2026-11-27T17:00:00Z", 20, None);
    }

    #[test]
    fn the_first_open_window_decides() {
        let both = bandwidth(&[("12:00-13:00", 10), ("08:00-18:00", 2)]);
        assert_limit(&both, "2026-11-27T10:30:00Z", 2, Some("2026-11-27T11:00:00Z"));
        assert_limit(&both, "2026-11-27T11:00:00Z", 10, Some("2026-11-27T12:00:00Z"));
        assert_limit(&both, "2026-11-27T12:00:00Z", 2, Some("2026-11-27T17:00:00Z"));
    }

    #[test]
    fn a_window_may_have_no_limit_and_pass_midnight() {
        let night = bandwidth(&[("22:00-06:00", 0)]);
        assert_limit(&night, "2026-11-27T20:00:00Z", 20, Some("2026-11-27T21:00:00Z"));
        assert_limit(&night, "2026-11-27T23:30:00Z", 0, Some("2026-11-28T05:00:00Z"));
    }

    /// A window that begins in the gap begins after it; one that ends in a fold opens again.
    #[test]
    fn changes_of_the_clock_are_followed() {
        let gap = bandwidth(&[("02:30-04:00", 2)]);
        assert_limit(&gap, "2026-03-29T00:59:59Z", 20, Some("2026-03-29T01:00:00Z"));
        assert_limit(&gap, "2026-03-29T01:00:00Z", 2, Some("2026-03-29T02:00:00Z"));
        let fold = bandwidth(&[("01:00-02:30", 2)]);
        assert_limit(&fold, "2026-10-25T00:00:00Z", 2, Some("2026-10-25T00:30:00Z"));
        assert_limit(&fold, "2026-10-25T00:30:00Z", 20, Some("2026-10-25T01:00:00Z"));
        assert_limit(&fold, "2026-10-25T01:00:00Z", 2, Some("2026-10-25T01:30:00Z"));
        assert_limit(&fold, "2026-10-25T01:30:00Z", 20, Some("2026-10-26T00:00:00Z"));
    }
}
