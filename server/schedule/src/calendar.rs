//! The slots of a cron expression in a zone.
//!
//! An expression matches times on the wall, and a zone's clock skips some times and shows others twice. What
//! a user wants then depends on whether the expression names hours:
//!
//! - *Certain hours* (`30 2 * * *`, `30 1-3 * * *`, `0 */2 * * *`): each time on the wall runs once. A time that
//!   the clock skips runs at the first instant after the gap; several of them, and a time that is due then
//!   anyway, are one slot. A time that the clock shows twice runs the first time.
//! - *Every hour* (`*/15 * * * *`): the expression means "all the time". It runs whenever the clock shows a match,
//!   both times if it shows it twice. Nothing stands in for a time that is skipped, because no hour has passed.
//!
//! This differs from `croner`'s search, which takes `30 1-3` for the second kind and thus loses 02:30 in a gap and runs it
//! twice otherwise. Therefore only its matching of days and fields is used, and the walk over time is here:
//! from one change of the clock to the next, day by day, so that work is bounded by the days that are looked at.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp};

use crate::cron::Cron;
use crate::slot::{Note, PlannedSlot, Slot, Walls};
use crate::span::{between, earlier, later};
use crate::zone::{Stretch, Zone};

const DAY: Duration = Duration::from_secs(86_400);

/// Days without a match after which an expression has none. A fifth Monday in February, which is the rarest
/// of all, comes after 40 years at the latest, around a year such as 2100, which has no leap day.
const DAYS_WITHOUT_MATCH: u32 = 41 * 366;

/// Days that are looked at to count slots: a hundred years, more than any clock is wrong in earnest.
const DAYS_COUNTED: u32 = 36_600;

/// How many slots there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotCount {
    /// As many were counted.
    pub slots: u64,
    /// Whether that is all. If not, the time was too long to count them.
    pub is_exact: bool,
}

/// A cron expression in a zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar<'a> {
    pub(crate) cron: &'a Cron,
    pub(crate) zone: &'a Zone,
}

impl<'a> Calendar<'a> {
    /// The slots after an instant, in order.
    pub(crate) fn after(self, after: Timestamp) -> Walk<'a> {
        Walk::new(self, after)
    }

    /// The first slot after an instant; `None` if none comes.
    pub(crate) fn next(self, after: Timestamp) -> Option<Slot> {
        self.after(after).next().map(|planned| planned.slot)
    }

    /// The newest slot that isn't later than an instant; `None` if there was none for decades.
    pub(crate) fn newest(self, until: Timestamp) -> Option<Slot> {
        // The windows grow, so that an expression with many slots is found at once, and each walk is short: a
        // window is only left when it is empty.
        let windows = [DAY / 24, DAY, DAY * 8, DAY * 64, DAY * 400, DAY * DAYS_WITHOUT_MATCH];
        windows.into_iter().find_map(|window| {
            let slots = self.after(earlier(until, window)).map(|planned| planned.slot);
            slots.take_while(|slot| slot.instant() <= until).last()
        })
    }

    /// How many slots are later than `after` and not later than `until`.
    pub(crate) fn count(self, after: Timestamp, until: Timestamp) -> SlotCount {
        let mut slots = 0;
        let mut days_left = DAYS_COUNTED;
        // Slots are whole seconds, and instants are not.
        let mut at = later(Slot::at(after).instant(), Duration::from_secs(1));
        while at <= until {
            let span = Span::of(self, self.zone.stretch(at));
            let last = span.stretch.end.map_or(until, |end| until.min(earlier(end, Duration::from_secs(1))));
            if span.moved.is_some() && span.stretch.start.is_some_and(|start| start > after) {
                slots += 1;
            }
            let from = span.floor.max(span.stretch.offset.to_datetime(at));
            let to = span.stretch.offset.to_datetime(last);
            let mut day = from.date();
            while from <= to && day <= to.date() {
                let Some(left) = days_left.checked_sub(1) else {
                    return SlotCount { slots, is_exact: false };
                };
                days_left = left;
                if self.cron.matches_day(day) {
                    let minutes = self.cron.minutes_of_day();
                    let begin = minutes.partition_point(|minute| wall(day, *minute) < from);
                    let end = minutes.partition_point(|minute| wall(day, *minute) <= to);
                    slots += u64::try_from(end.saturating_sub(begin)).unwrap_or(u64::MAX);
                }
                let Ok(next) = day.tomorrow() else { break };
                day = next;
            }
            match span.stretch.end {
                Some(end) => at = end,
                None => break,
            }
        }
        SlotCount { slots, is_exact: true }
    }
}

/// A time of a day.
fn wall(day: Date, minute: u16) -> DateTime {
    let [hour, minute] = [minute / 60, minute % 60].map(|part| i8::try_from(part).unwrap_or_default());
    day.to_datetime(Time::new(hour, minute, 0, 0).unwrap_or(Time::MIN))
}

/// A stretch of time with what an expression does in it.
#[derive(Debug, Clone, Copy)]
struct Span {
    stretch: Stretch,
    /// The first time on the wall that may be a slot of its own.
    floor: DateTime,
    /// The slot at the start that stands in for times in the gap before it.
    moved: Option<(Walls, bool)>,
    /// Times in the gap for which nothing stands in.
    dropped: Option<Walls>,
}

impl Span {
    fn of(calendar: Calendar<'_>, stretch: Stretch) -> Self {
        let (first, before) = (stretch.first_wall(), stretch.start_wall_before());
        let mut span = Self { stretch, floor: first, moved: None, dropped: None };
        if stretch.start.is_none() {
            return span;
        }
        let hours = !calendar.cron.is_every_hour();
        if hours && before > first {
            // The clock went back: these times have had their slots.
            span.floor = before;
        }
        if before < first {
            let walls = matches_in(calendar.cron, before, first);
            if hours && let Some(walls) = walls {
                let joins =
                    matches_in(calendar.cron, first, first.saturating_add(SignedDuration::from_secs(1)));
                span.moved = Some((walls, joins.is_some()));
                // The first time after the gap is in that slot.
                span.floor = first.saturating_add(SignedDuration::from_secs(1));
            } else {
                span.dropped = walls;
            }
        }
        span
    }
}

/// The times from `from` on and before `to` that match.
fn matches_in(cron: &Cron, from: DateTime, to: DateTime) -> Option<Walls> {
    let mut walls: Option<Walls> = None;
    let mut day = from.date();
    while day <= to.date() {
        if cron.matches_day(day) {
            for minute in cron.minutes_of_day() {
                let at = wall(day, *minute);
                if from <= at && at < to {
                    let (first, count) = walls.map_or((at, 0), |walls| (walls.first, walls.count));
                    walls = Some(Walls { first, last: at, count: count + 1 });
                }
            }
        }
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => break,
        }
    }
    walls
}

/// A walk from slot to slot.
#[derive(Debug, Clone)]
pub(crate) struct Walk<'a> {
    calendar: Calendar<'a>,
    span: Span,
    day: Date,
    /// Which of the day's minutes comes next; `None` if the day doesn't match.
    minute: Option<usize>,
    days_left: u32,
    moved: Option<(Walls, bool)>,
    dropped: Option<Walls>,
    previous: Option<(Slot, DateTime)>,
}

impl<'a> Walk<'a> {
    fn new(calendar: Calendar<'a>, after: Timestamp) -> Self {
        let from = later(Slot::at(after).instant(), Duration::from_secs(1));
        let mut span = Span::of(calendar, calendar.zone.stretch(from));
        let starts_here = span.stretch.start == Some(from);
        span.floor = span.floor.max(span.stretch.offset.to_datetime(from));
        let mut walk = Self {
            calendar,
            day: span.floor.date(),
            minute: None,
            days_left: DAYS_WITHOUT_MATCH,
            moved: span.moved.filter(|_| starts_here),
            dropped: span.dropped.filter(|_| starts_here),
            previous: None,
            span,
        };
        walk.begin_day();
        walk
    }

    fn begin_day(&mut self) {
        let cron = self.calendar.cron;
        self.minute = cron.matches_day(self.day).then(|| {
            let minutes = cron.minutes_of_day();
            if self.day > self.span.floor.date() {
                0
            } else {
                minutes.partition_point(|minute| wall(self.day, *minute) < self.span.floor)
            }
        });
    }

    /// Goes to the next day, or over the next change of the clock. `None` at the end of all.
    fn advance(&mut self) -> Option<()> {
        self.days_left = self.days_left.checked_sub(1)?;
        let next = self.day.tomorrow().ok()?;
        if next.to_datetime(Time::MIN) < self.span.stretch.end_wall() {
            self.day = next;
        } else {
            let end = self.span.stretch.end?;
            self.span = Span::of(self.calendar, self.calendar.zone.stretch(end));
            self.day = self.span.floor.date();
            self.moved = self.span.moved;
            // What was dropped before the last slot was found is still news for the next.
            self.dropped = self.span.dropped.or(self.dropped);
        }
        self.begin_day();
        Some(())
    }

    fn found(&mut self, instant: Timestamp, wall: DateTime, mut notes: Vec<Note>) -> PlannedSlot {
        let slot = Slot::at(instant);
        if let Some(walls) = self.dropped.take() {
            notes.push(Note::Dropped { walls });
        }
        if let Some((since, shown)) = self.previous {
            let lasts = between(since.instant(), instant);
            let shown = Duration::try_from(wall.duration_since(shown)).unwrap_or(Duration::ZERO);
            // A day of 25 hours is no hole; three hours instead of two are one.
            if shown < lasts && shown.saturating_mul(5) <= lasts.saturating_mul(4) && !shown.is_zero() {
                notes.push(Note::Hole { since, lasts, shown });
            }
        }
        self.previous = Some((slot, wall));
        self.days_left = DAYS_WITHOUT_MATCH;
        PlannedSlot { slot, wall, offset: self.span.stretch.offset, notes }
    }

    /// What there is to say of a time that the clock shows twice.
    fn twice(&self, instant: Timestamp, wall: DateTime) -> Option<Note> {
        let stretch = &self.span.stretch;
        let again = stretch.after.filter(|_| wall >= stretch.next_first_wall());
        if let Some(again) = again.and_then(|offset| offset.to_timestamp(wall).ok()) {
            let every_hour = self.calendar.cron.is_every_hour();
            return Some(if every_hour {
                Note::BothOfTwo { other: again }
            } else {
                Note::OnceOfTwo { again }
            });
        }
        let earlier = stretch.before.filter(|_| wall < stretch.start_wall_before());
        let other = earlier.and_then(|offset| offset.to_timestamp(wall).ok())?;
        (other < instant).then_some(Note::BothOfTwo { other })
    }
}

impl Iterator for Walk<'_> {
    type Item = PlannedSlot;

    fn next(&mut self) -> Option<PlannedSlot> {
        loop {
            if let (Some((walls, joins)), Some(start)) = (self.moved.take(), self.span.stretch.start) {
                let wall = self.span.stretch.first_wall();
                return Some(self.found(start, wall, vec![Note::Moved { walls, joins }]));
            }
            let minutes = self.calendar.cron.minutes_of_day();
            let minute = self.minute.and_then(|at| minutes.get(at));
            let at =
                minute.map(|minute| wall(self.day, *minute)).filter(|at| *at < self.span.stretch.end_wall());
            let Some(at) = at else {
                self.advance()?;
                continue;
            };
            self.minute = self.minute.map(|minute| minute + 1);
            let instant = self.span.stretch.offset.to_timestamp(at).ok()?;
            let notes = self.twice(instant, at).into_iter().collect();
            return Some(self.found(instant, at, notes));
        }
    }
}
