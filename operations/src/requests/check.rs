//! Checking.

use keepfast_engine::check::{self as engine, CheckOptions, ReadData, Stretch};
use keepfast_engine::run::RunContext;
use keepfast_format::node::Timestamp;
use serde::{Deserialize, Serialize};

use super::{limited, share_of};
use crate::error::{Result, TextError};
use crate::host::monotonic;
use crate::open::{Mode, SharedRepository};
use crate::reports::CheckReport;
use crate::resources::{Resources, Work};

const DAY_S: u64 = 86_400;
/// Digits behind the point that a percentage may have.
const FRACTION_DIGITS_MAX: usize = 6;

/// What to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Check {
    /// Which packs are read in full.
    pub read: ReadPacks,
    /// What it may use.
    pub resources: Resources,
}

/// Which packs are read in full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadPacks {
    /// None.
    #[default]
    None,
    /// All of them.
    All,
    /// The `n`th of `m` parts, counted from 1.
    Part {
        /// Which part.
        n: u32,
        /// Of how many.
        m: u32,
    },
    /// One of this many parts, another one each day, so that repeated checks cover everything.
    Daily {
        /// How many parts there are.
        parts: u32,
    },
    /// Those on a stretch of the circle of all packs: what begins where the stretch before has ended covers everything in
    /// time, whatever comes and goes.
    Stretch {
        /// Where it begins.
        begin: u32,
        /// How long it is: at most [`CIRCLE`].
        length: u64,
    },
}

/// The length of the circle of all packs.
pub const CIRCLE: u64 = Stretch::CIRCLE;

impl ReadPacks {
    /// Reads `n/m` or `P%`. A percentage is one of as many parts as it goes into a hundred.
    pub fn parse(text: &str) -> Result<Self> {
        let read = if let Some((n, m)) = text.split_once('/') {
            n.parse().ok().zip(m.parse().ok()).map(|(n, m)| Self::Part { n, m })
        } else {
            text.strip_suffix('%').and_then(parts_of).map(|parts| Self::Daily { parts })
        };
        Ok(read.filter(|read| read.is_sensible()).ok_or_else(|| TextError::Part(text.to_owned()))?)
    }

    fn is_sensible(self) -> bool {
        match self {
            Self::None | Self::All => true,
            Self::Part { n, m } => n > 0 && n <= m,
            Self::Daily { parts } => parts > 0,
            Self::Stretch { begin: _, length } => length <= CIRCLE,
        }
    }

    /// What it is on a day.
    fn on(self, now: Timestamp) -> Result<ReadData> {
        if !self.is_sensible() {
            return Err(TextError::Part(format!("{self:?}")).into());
        }
        Ok(match self {
            Self::None => ReadData::No,
            Self::All => ReadData::All,
            Self::Part { n, m } => ReadData::Part { n, m },
            Self::Stretch { begin, length } => ReadData::Stretch(Stretch { begin, length }),
            Self::Daily { parts } => {
                let day = u64::try_from(now.seconds).unwrap_or(0) / DAY_S;
                let n = u32::try_from(day % u64::from(parts)).unwrap_or(0) + 1;
                ReadData::Part { n, m: parts }
            }
        })
    }
}

/// Into how many parts a percentage cuts everything, so that each is about that large. It is above 0 and at most 100.
fn parts_of(percent: &str) -> Option<u32> {
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    // In units of the last digit.
    let number: u64 = format!("{whole}{fraction}").parse().ok()?;
    let hundred = 100 * 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    if number == 0 || number > hundred {
        return None;
    }
    u32::try_from(hundred.div_ceil(number)).ok()
}

/// Checks. What it finds are events, and the report counts them.
pub fn check(request: &Check, shared: &SharedRepository, run: &RunContext) -> Result<CheckReport> {
    let begun = monotonic();
    let run = &limited(run, &request.resources);
    let options = CheckOptions { read: request.read.on(run.now())? };
    let opened = shared.open(run, Mode::Afresh)?;
    let share = share_of(&request.resources, Work::ReadPacks, opened.repository.config().pack_bytes, shared)?;
    let run = &run.clone().with_threads(share.threads);
    let report = engine::check(&opened.repository, &opened.index, &opened.snapshots, &options, run)?;
    Ok(CheckReport {
        snapshots: opened.snapshots.all.len(),
        objects: report.objects,
        packs: report.packs,
        packs_bytes: report.packs_bytes,
        packs_unreachable: report.packs_unreachable,
        packs_read: report.packs_read,
        bytes_read: report.bytes_read,
        trees: report.trees,
        files: report.files,
        findings: report.findings,
        files_hit: report.files_hit,
        unreachable: report.unreachable,
        files_unreachable: report.files_unreachable,
        traffic: opened.repository.backend().traffic().map(Into::into),
        seconds: begun.elapsed().as_secs_f64(),
        troubles: run.troubles(),
    })
}

#[cfg(test)]
mod tests {
    use super::{CIRCLE, ReadData, ReadPacks, Timestamp};

    #[test]
    fn parts_are_fractions_or_percentages() {
        let parse = |text: &str| ReadPacks::parse(text).expect(text);
        assert_eq!(parse("2/5"), ReadPacks::Part { n: 2, m: 5 });
        for (text, parts) in [("30%", 4), ("100%", 1), ("2.5%", 40), ("0.1%", 1000), ("33.4%", 3)] {
            assert_eq!(parse(text), ReadPacks::Daily { parts }, "{text}");
        }
        for wrong in ["0/5", "6/5", "x", "0%", "101%", "NaN%", "1/0", "%", "-1%", "1e1%", "0.0000001%"] {
            let error = ReadPacks::parse(wrong).expect_err(wrong);
            assert!(error.is_wrong_input() && error.to_string().contains("isn't a part"), "{error}");
        }
    }

    #[test]
    fn a_stretch_is_data_and_no_longer_than_the_circle() {
        let stretch = |length| ReadPacks::Stretch { begin: 7, length };
        let written = serde_json::to_string(&stretch(9)).expect("a text");
        assert_eq!(written, r#"{"stretch":{"begin":7,"length":9}}"#);
        assert_eq!(serde_json::from_str::<ReadPacks>(&written).expect("a request"), stretch(9));
        assert!(stretch(CIRCLE).on(Timestamp::default()).is_ok());
        assert!(stretch(CIRCLE + 1).on(Timestamp::default()).is_err());
    }

    #[test]
    fn each_day_has_another_part_until_all_have_been_read() {
        let on = |days: i64| {
            let now = Timestamp { seconds: days * 86_400 + 7, nanos: 0 };
            ReadPacks::Daily { parts: 3 }.on(now).expect("a part")
        };
        let parts = [1, 2, 3, 1].map(|n| ReadData::Part { n, m: 3 });
        assert_eq!([on(0), on(1), on(2), on(3)], parts);
        assert!(ReadPacks::Daily { parts: 0 }.on(Timestamp::default()).is_err(), "as JSON may have it");
    }
}
