//! What is kept of a drill: a document that says what was tested, how, and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::choose::Choose;
use crate::goal::Measured;
use crate::verdict::{Part, Verdict};

/// The version of documents that are written.
pub const VERSION: u32 = 1;
/// The label of snapshots that hold evidence.
pub const LABEL: &str = "evidence";
/// The folder of such a snapshot in which each drill has a folder of its own.
pub const FOLDER: &str = "/evidence";

/// A drill that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The version of this document.
    pub version: u32,
    /// The drill's name.
    pub drill: String,
    /// The run that carried it out.
    pub run: String,
    /// The machine that it ran on.
    pub machine: String,
    /// The plan whose snapshot was tested.
    pub plan: String,
    /// The name of the repository.
    pub repository: String,
    /// The snapshot that was tested; none if there was none.
    pub snapshot: Option<Tested>,
    /// What was asked for.
    pub inputs: Inputs,
    /// The versions of keepfast, of engines and of their programs.
    pub versions: BTreeMap<String, String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// From the beginning of the restore until everything was there, or the last database has answered.
    pub restore: Measured,
    /// The age of the tested data when the drill began, if the newest snapshot was tested.
    pub age: Measured,
    /// What was tested, and what came of each.
    pub parts: Vec<Part>,
    /// What came of all.
    pub verdict: Verdict,
    /// The BLAKE3 digest of the drill's log, which lies beside this document.
    pub log_blake3: String,
}

/// A snapshot that was tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Its whole id.
    pub id: String,
    /// When it was begun.
    pub time: Timestamp,
    /// Whose data it has.
    pub host: String,
}

/// What a drill was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Which snapshot is taken.
    pub choose: Choose,
    /// How much of the files is restored, in thousandths.
    pub sample_thousandths: u16,
    /// What decided where something was left to chance: the snapshot, the sample, the byte.
    pub seed: u64,
    /// Whether a byte of a copy was flipped.
    pub corrupt: bool,
}

impl Evidence {
    /// What a person should know: faults, what couldn't be tested, and goals that were missed.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.parts.iter().flat_map(Part::problems).collect();
        let seconds = |ms: Option<u64>| ms.unwrap_or(0).div_ceil(1000);
        for (what, measured) in [("the restore took", self.restore), ("the data was old by", self.age)] {
            if measured.is_missed() {
                let (found, goal) = (seconds(measured.measured_ms), seconds(measured.goal_ms));
                problems.push(format!("{what} {found} s, and the goal is {goal} s"));
            }
        }
        problems
    }

    /// The name of its file: the time, in an order that names sort by.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.json", self.stem())
    }

    /// The name of the file with the log.
    #[must_use]
    pub fn log_name(&self) -> String {
        format!("{}.log", self.stem())
    }

    fn stem(&self) -> String {
        self.began.strftime("%Y%m%dT%H%M%SZ").to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Choose, Evidence, Inputs, Measured, Part, Tested, Timestamp, VERSION, Verdict};

    fn evidence() -> Evidence {
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        Evidence {
            version: VERSION,
            drill: "www".to_owned(),
            run: "r1".to_owned(),
            machine: "web1".to_owned(),
            plan: "www".to_owned(),
            repository: "main".to_owned(),
            snapshot: Some(Tested {
                id: "ab".to_owned(),
                time: at("2026-11-28T02:00:00Z"),
                host: "web1".to_owned(),
            }),
            inputs: Inputs { choose: Choose::Latest, sample_thousandths: 1000, seed: 7, corrupt: false },
            versions: BTreeMap::from([("keepfast".to_owned(), "0.1.0".to_owned())]),
            began: at("2026-11-29T02:03:04.5Z"),
            ended: at("2026-11-29T02:04:00Z"),
            restore: Measured::new(Some(Duration::from_millis(61_500)), Some(Duration::from_secs(60))),
            age: Measured::new(Some(Duration::from_secs(86_584)), None),
            parts: vec![
                Part::of("files", Vec::new()),
                Part::not_tested("database /db", "it isn't installed"),
            ],
            verdict: Verdict::NotTested,
            log_blake3: "00".to_owned(),
        }
    }

    #[test]
    fn a_document_survives_being_written_and_names_its_files() {
        let evidence = evidence();
        let text = serde_json::to_string(&evidence).expect("a document");
        assert_eq!(serde_json::from_str::<Evidence>(&text).expect("the same"), evidence);
        assert!(
            text.contains(r#""verdict":"not_tested""#) && text.contains(r#""choose":"latest""#),
            "{text}"
        );
        assert_eq!(evidence.file_name(), "20261129T020304Z.json");
        assert_eq!(evidence.log_name(), "20261129T020304Z.log");
    }

    #[test]
    fn what_was_not_tested_and_goals_that_were_missed_are_problems() {
        assert_eq!(
            evidence().problems(),
            ["database /db: it isn't installed", "the restore took 62 s, and the goal is 60 s"]
        );
    }
}
