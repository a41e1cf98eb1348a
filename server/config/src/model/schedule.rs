//! When something runs, as data. The crate that knows calendars turns this into a schedule: `cron` is the text that it
//! parses, everything else is typed here.

use crate::decode::{Flaw, FromText, OneOrMore};
use crate::files::Facts;
use crate::schema::TextShape;
use crate::values::time::{Day, Length};
use crate::values::window::Window;

/// Five fields: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronText(pub String);

const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

impl FromText for CronText {
    const TEXT: TextShape = TextShape {
        what: "a cron expression",
        examples: &["30 1 * * *", "0 4 * * 6", "0 5 L * *", "0 5 * * mon#1"],
    };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            let flaw = Flaw::new(format!("it needs 5 fields and has {}", fields.len()));
            return Err(flaw.help(format!("the fields are {}", FIELDS.join(", "))));
        }
        let is_part = |sign: char| sign.is_ascii_alphanumeric() || "*,-/#?".contains(sign);
        if let Some((name, _)) = FIELDS.iter().zip(&fields).find(|(_, field)| !field.chars().all(is_part)) {
            return Err(Flaw::new(format!("its {name} has a sign that no field has")));
        }
        Ok(Self(fields.join(" ")))
    }
}

from_text!(CronText);

choice! {
    /// When a schedule by elapsed time may run.
    pub enum When {
        /// Whenever it is due.
        Always = "always",
        /// When it is due and the host is there: for laptops.
        Online = "online",
    }
}

choice! {
    /// What happens with slots that passed while nothing could run.
    pub enum CatchUp {
        /// The newest one runs; those before it are recorded as missed.
        Once = "once",
        /// None runs; all are recorded as missed.
        Never = "never",
    }
}

choice! {
    /// From when elapsed time is counted.
    pub enum CountedFrom {
        /// From the start of the last good run.
        Start = "start",
        /// From its end.
        End = "end",
    }
}

choice! {
    /// What a slot does when the run before it isn't over.
    pub enum Overlap {
        /// It is skipped, which is recorded.
        Skip = "skip",
        /// It waits; one that comes while another waits is skipped.
        QueueOne = "queue-one",
    }
}

choice! {
    /// What a machine must run on.
    pub enum Power {
        /// The mains or a battery.
        Any = "any",
        /// The mains alone.
        Mains = "mains",
    }
}

table! {
    /// When a plan runs: by the calendar, in the plan's time zone (`timezone` of the plan, else of the server), or by
    /// elapsed time.
    pub struct Schedule {
        /// By the calendar: five fields (minute, hour, day of the month, month, day of the week), with `L`, `W` and `#`.
        cron: Option<CronText>,
        /// By elapsed time: this long after the last good run.
        every: Option<Length>,
        /// With `every`: whether the host must be there.
        when: When = "'always'",
        /// With `every`: from when time is counted.
        from: CountedFrom = "'end'",
        /// A run begins up to this much later, always the same for one slot, so that not all begin at once.
        jitter: Option<Length>,
        /// What happens with slots that passed while nothing could run.
        catch_up: CatchUp = "'once'",
        /// A run that couldn't begin this long after its slot is missed.
        deadline: Option<Length>,
        /// With `when = "online"`: a host that was away for this long is told of.
        alert_after: Option<Length>,
        /// Conditions; a slot that they forbid is skipped, which is recorded.
        only: Option<Conditions>,
    }
    one_of("cron", "every");
    only_with("when", "from", "alert_after" => "every");
}

table! {
    /// Conditions of a schedule. All of them must hold.
    pub struct Conditions {
        /// Windows of time, of which one must be open.
        windows: Vec<Window>,
        /// From Monday to Friday only.
        workdays: bool = "false",
        /// Days on which nothing runs.
        not_on: Vec<Day>,
        /// What the machine must run on.
        power: Power = "'any'",
        /// A program and its arguments that says yes by its exit status 0. It is for the host's own file.
        command: Option<OneOrMore<String>>,
    }
}

table! {
    /// When something small runs: by the calendar alone.
    pub struct Calendar {
        /// Five fields: minute, hour, day of the month, month, day of the week.
        cron: CronText,
        /// A run begins up to this much later.
        jitter: Option<Length>,
    }
}

#[cfg(test)]
mod tests {
    use super::{CronText, FromText};
    use crate::testing::NoFacts;

    #[test]
    fn a_cron_expression_has_five_fields_and_no_seconds() {
        let read = |text| CronText::read(text, &NoFacts);
        assert_eq!(read("30  1 * * mon#1").expect("cron").0, "30 1 * * mon#1");
        assert!(read("0 30 1 * * *").expect_err("seconds").why.contains("has 6"));
        assert!(read("30 1 * *").is_err() && read("").is_err() && read("@daily").is_err());
        assert!(read("30 1 * * $").expect_err("a sign").why.contains("day of the week"));
    }
}
