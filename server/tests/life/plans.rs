//! The plans of a history, drawn from its seed: what the file says of them, and what follows from that.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::calendar::{Calendar, Days, promise};
use crate::clock::{DAY, HOUR, MINUTE, begin};
use crate::dice::Dice;
use crate::oracle::Span;

pub const PLANS: u64 = 30;

/// When a plan runs.
#[derive(Debug, Clone)]
pub enum Times {
    Calendar(Calendar),
    Every(Duration),
}

/// A plan.
#[derive(Debug, Clone)]
pub struct Plan {
    pub name: String,
    pub times: Times,
    pub jitter: Duration,
    pub deadline: Option<Duration>,
    catches_up: bool,
    pub queues: bool,
    /// No good snapshot may be older than this.
    rpo: Option<Duration>,
    pub within: Duration,
    /// A pause that the file says.
    pub pause: Option<Span>,
}

/// A plan runs several times a day, at night when clocks change, on workdays, once a week, a while after the last run, or
/// at any time of the day.
fn times(number: u64, dice: &mut Dice) -> Times {
    let zone = *dice.pick(&["Europe/Paris", "America/New_York", "UTC", "Australia/Lord_Howe"]);
    let calendar = |days, hours: Vec<i8>, minute: u64| {
        Times::Calendar(Calendar { zone, days, hours, minute: i8::try_from(minute).expect("a minute") })
    };
    let hour = i8::try_from(dice.below(24)).expect("an hour");
    let minute = dice.below(60);
    match number {
        0 => calendar(Days::Sundays, Vec::new(), minute),
        1 => calendar(Days::All, (0..8).map(|third| third * 3).collect(), minute),
        2 => calendar(Days::All, vec![1, 13], minute),
        3..=4 => Times::Every(HOUR * 20),
        5..=8 => calendar(Days::All, vec![2], *dice.pick(&[0, 15, 30, 59])),
        9..=10 => calendar(Days::Workdays, vec![hour], minute),
        11..=18 => calendar(*dice.pick(&[Days::Saturdays, Days::Sundays]), vec![hour], minute),
        _ => calendar(Days::All, vec![hour], minute),
    }
}

impl Plan {
    fn draw(number: u64, dice: &mut Dice) -> Self {
        let times = times(number, dice);
        let is_elapsed = matches!(times, Times::Every(_));
        let gap = match &times {
            Times::Calendar(calendar) => calendar.longest_gap(begin()),
            Times::Every(every) => *every,
        };
        let deadline = (!is_elapsed && number > 1 && dice.one_in(3)).then_some(HOUR * 3);
        let rpo = dice.one_in(6).then_some(gap + HOUR * 2);
        let begins = begin() + DAY * u32::try_from(dice.between(3, 34)).expect("days");
        let pause = dice.one_in(10).then(|| Span { from: begins, until: begins + HOUR * 60 });
        Self {
            name: format!("p{number}"),
            jitter: if number > 10 && dice.one_in(3) { MINUTE * 15 } else { Duration::ZERO },
            catches_up: !dice.one_in(5),
            queues: dice.one_in(3),
            within: rpo.unwrap_or_else(|| promise(gap, deadline)),
            times,
            deadline,
            rpo,
            pause,
        }
    }

    fn zone(&self) -> &'static str {
        match &self.times {
            Times::Calendar(calendar) => calendar.zone,
            Times::Every(_) => "UTC",
        }
    }

    /// As the file has it.
    fn text(&self) -> String {
        let seconds = |length: Duration| format!("\"{}s\"", length.as_secs());
        let mut schedule = match &self.times {
            Times::Calendar(calendar) => format!("cron = \"{}\"", calendar.cron()),
            Times::Every(every) => format!("every = {}", seconds(*every)),
        };
        if self.jitter > Duration::ZERO {
            schedule.push_str(&format!(", jitter = {}", seconds(self.jitter)));
        }
        if let Some(deadline) = self.deadline {
            schedule.push_str(&format!(", deadline = {}", seconds(deadline)));
        }
        if !self.catches_up {
            schedule.push_str(", catch_up = \"never\"");
        }
        let Self { name, .. } = self;
        let mut text = format!(
            "[plan.{name}]\nrepository = \"main\"\nsource = [{{ files = [\"/srv/{name}\"] }}]\n\
             timezone = \"{}\"\nschedule = {{ {schedule} }}\nretry = {{ attempts = 3, first = \"5m\" }}\n",
            self.zone()
        );
        if self.queues {
            text.push_str("overlap = \"queue-one\"\n");
        }
        if let Some(rpo) = self.rpo {
            text.push_str(&format!("rpo = {}\n", seconds(rpo)));
        }
        if let Some(Span { from, until }) = self.pause {
            let zone = TimeZone::get(self.zone()).expect("a zone");
            let moment = |at| zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string();
            let (from, until) = (moment(from), moment(until));
            text.push_str(&format!(
                "[[pause]]\nplan = [\"{name}\"]\nfrom = \"{from}\"\nuntil = \"{until}\"\n"
            ));
        }
        text
    }
}

/// The plans of a history.
pub fn draw(seed: u64) -> Vec<Plan> {
    let mut dice = Dice::of(seed, "plans");
    (0..PLANS).map(|number| Plan::draw(number, &mut dice)).collect()
}

/// The file that defines them.
pub fn file(plans: &[Plan], state: &Path) -> String {
    let texts: Vec<String> = plans.iter().map(Plan::text).collect();
    format!(
        "version = 1\n[server]\nstate = {{ sqlite = {state:?} }}\n\
         limits = {{ runs = 12, per_host = 12, per_repository = 12 }}\n\
         [repository.main]\nurl = \"/srv/backup\"\npassword = {{ file = \"/etc/password\" }}\n\
         [target.ops]\nwebhook = {{ url = \"http://127.0.0.1:9/\", preset = \"generic\" }}\n\
         [target.chat]\nwebhook = {{ url = \"http://127.0.0.1:9/chat\", preset = \"generic\" }}\n\
         [[route]]\nmatch = {{ event = [\"overdue\", \"server\"] }}\nto = [\"ops\"]\n\
         policy = {{ group = \"0s\", repeat = \"90d\" }}\n\
         [[route]]\nmatch = {{ event = [\"overdue\", \"failed\", \"lost\"] }}\nto = [\"chat\"]\n\
         policy = {{ group = \"2m\", repeat = \"90d\" }}\n{}",
        texts.concat()
    )
}
