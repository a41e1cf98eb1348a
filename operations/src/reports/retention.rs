//! What forgetting did: why each snapshot stays or goes, or which of the named ones have gone.

use keepfast_engine::retention::{Decision, Fit, Group, Miss, Reach, Reason, Verdict};
use keepfast_engine::run::Troubles;
use keepfast_format::node::Timestamp;
use serde::Serialize;

use super::snapshot::SnapshotDocument;
use crate::times::serialize_rfc3339;

/// What was forgotten.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ForgetReport {
    /// What a policy says about each snapshot.
    ByPolicy(DecisionsReport),
    /// Snapshots that were named.
    Named(StandingReport),
}

impl ForgetReport {
    /// How many snapshots were forgotten, or would be.
    #[must_use]
    pub fn forgotten(&self) -> usize {
        match self {
            Self::ByPolicy(report) => report.groups.iter().map(|group| group.forgotten).sum(),
            Self::Named(report) => report.ids.len(),
        }
    }

    /// What was found damaged.
    #[must_use]
    pub fn troubles(&self) -> Troubles {
        match self {
            Self::ByPolicy(report) => report.troubles,
            Self::Named(report) => report.troubles,
        }
    }
}

/// What a policy says about each snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionsReport {
    /// Nothing was forgotten.
    pub dry_run: bool,
    /// Snapshots that were judged together.
    pub groups: Vec<GroupDocument>,
    /// What came of a limit of size, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeDocument>,
    /// How many other machines have one snapshot of this kind and no more, if the policy was for those of one machine.
    #[serde(skip)]
    pub lone_elsewhere: usize,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// A limit of size, and what stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SizeDocument {
    /// What all snapshots that stay may need, in stored bytes.
    pub max_bytes: u64,
    /// What they need. It is more than the limit if those that have to stay need that much.
    pub bytes: u64,
}

impl From<Fit> for SizeDocument {
    fn from(Fit { max_bytes, bytes }: Fit) -> Self {
        Self { max_bytes, bytes }
    }
}

/// Snapshots that were named, and what they are now.
#[derive(Debug, Clone, Serialize)]
pub struct StandingReport {
    /// Nothing was changed.
    pub dry_run: bool,
    /// What they are now, or would be.
    pub what: NewStanding,
    /// The snapshots.
    pub ids: Vec<String>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

/// What was decided about snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum NewStanding {
    /// They don't count any more.
    #[serde(rename = "forgotten")]
    Forgotten,
    /// They can't be forgotten.
    #[serde(rename = "protected")]
    Protected,
    /// They can be forgotten again.
    #[serde(rename = "no longer protected")]
    Unprotected,
}

impl NewStanding {
    /// As a document has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forgotten => "forgotten",
            Self::Protected => "protected",
            Self::Unprotected => "no longer protected",
        }
    }
}

/// Snapshots that were judged together, and what they have in common; null where they needn't have anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupDocument {
    /// The writer that their history is counted under.
    pub writer: Option<String>,
    /// The machine.
    pub host: Option<String>,
    /// What was backed up, sorted.
    pub paths: Option<Vec<String>>,
    /// Labels, sorted.
    pub tags: Option<Vec<String>>,
    /// How many stay.
    pub kept: usize,
    /// How many go.
    pub forgotten: usize,
    /// Each of them, oldest first.
    pub snapshots: Vec<DecisionDocument>,
}

/// A snapshot, and why it stays or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionDocument {
    /// Its id.
    pub id: String,
    /// When its run began.
    #[serde(serialize_with = "serialize_rfc3339")]
    pub time: Timestamp,
    /// The writer that its history is counted under.
    pub writer: String,
    /// The machine.
    pub host: String,
    /// What was backed up.
    pub paths: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// It can't be forgotten.
    pub protected: bool,
    /// Whether it stays.
    pub verdict: VerdictDocument,
    /// Why it stays; or for each rule of the policy, why that doesn't keep it.
    pub reasons: Vec<ReasonDocument>,
}

/// Whether a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictDocument {
    /// It stays.
    Keep,
    /// It goes.
    Forget,
}

/// What a rule says about a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReasonDocument {
    /// The rule: `last`, `daily`, `within-daily`, `tag`, `protected`, …
    pub rule: String,
    /// The hour, day, week, month or year that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<String>,
    /// It is the oldest of its group, and the rule has room for it.
    #[serde(skip_serializing_if = "is_false")]
    pub oldest: bool,
    /// Which it is of those that the rule counts, from one on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// The snapshot that stands for the period instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_by: Option<String>,
    /// The labels that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// In words.
    pub text: String,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

/// A snapshot that was forgotten and is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UndeletedSnapshot {
    /// The one that was forgotten.
    pub forgotten: String,
    /// The one in its place.
    pub snapshot: SnapshotDocument,
}

/// Snapshots that are back.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct UndeleteReport {
    /// Each of them.
    pub snapshots: Vec<UndeletedSnapshot>,
    /// What was found damaged.
    #[serde(skip)]
    pub troubles: Troubles,
}

impl From<&Group<'_>> for GroupDocument {
    fn from(group: &Group<'_>) -> Self {
        let key = &group.key;
        let forgotten = group.forgotten().count();
        Self {
            writer: key.writer.map(|writer| writer.to_string()),
            host: key.host.map(str::to_owned),
            paths: key.paths.as_deref().map(texts),
            tags: key.tags.as_ref().map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect()),
            kept: group.decisions.len() - forgotten,
            forgotten,
            snapshots: group.decisions.iter().map(DecisionDocument::from).collect(),
        }
    }
}

impl From<&Decision<'_>> for DecisionDocument {
    fn from(decision: &Decision<'_>) -> Self {
        let snapshot = &decision.snapshot;
        let (verdict, reasons) = match &decision.verdict {
            Verdict::Keep(reasons) => {
                (VerdictDocument::Keep, reasons.iter().map(ReasonDocument::from).collect())
            }
            Verdict::Forget(misses) => {
                (VerdictDocument::Forget, misses.iter().map(ReasonDocument::from).collect())
            }
        };
        Self {
            id: snapshot.id.short(),
            time: snapshot.time,
            writer: snapshot.writer.to_string(),
            host: snapshot.host.to_owned(),
            paths: texts(snapshot.paths),
            tags: snapshot.tags.to_vec(),
            protected: snapshot.protected,
            verdict,
            reasons,
        }
    }
}

impl From<&Reason> for ReasonDocument {
    fn from(reason: &Reason) -> Self {
        let of = |rule: &str| Self { rule: rule.to_owned(), text: reason.to_string(), ..Self::default() };
        match reason {
            Reason::Protected => of("protected"),
            Reason::Future => of("future"),
            Reason::Newest => of("newest"),
            Reason::Last { nth, of: _ } => Self { nth: Some(*nth), ..of("last") },
            Reason::Period { period, reach, bucket, nth } => Self {
                period: Some(bucket.to_string()),
                nth: Some(*nth),
                ..of(&rule(period.adverb(), *reach))
            },
            Reason::Oldest { period, reach, nth } => {
                Self { oldest: true, nth: Some(*nth), ..of(&rule(period.adverb(), *reach)) }
            }
            Reason::Within(_) => of("within"),
            Reason::Tags(tags) => Self { tags: Some(tags.clone()), ..of("tag") },
            Reason::Size { max_bytes: _ } => of("size"),
            Reason::Floor { nth, of: _ } => Self { nth: Some(*nth), ..of("at-least") },
        }
    }
}

impl From<&Miss> for ReasonDocument {
    fn from(miss: &Miss) -> Self {
        let of = |rule: &str| Self { rule: rule.to_owned(), text: miss.to_string(), ..Self::default() };
        match miss {
            Miss::Last { of: _ } => of("last"),
            Miss::Full { period, of: _ } => of(period.adverb()),
            Miss::Taken { period, reach, bucket, by } => Self {
                period: Some(bucket.to_string()),
                kept_by: Some(by.short()),
                ..of(&rule(period.adverb(), *reach))
            },
            Miss::Older { period: None, span: _ } => of("within"),
            Miss::Older { period: Some(period), span } => of(&rule(period.adverb(), Reach::Within(*span))),
            Miss::Tags => of("tag"),
            Miss::Size { max_bytes: _ } => of("size"),
        }
    }
}

/// A rule's name, as requests have it.
fn rule(adverb: &str, reach: Reach) -> String {
    match reach {
        Reach::Count(_) => adverb.to_owned(),
        Reach::Within(_) => format!("within-{adverb}"),
    }
}

/// Paths as far as they are text.
fn texts<P: AsRef<[u8]>>(paths: &[P]) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path.as_ref()).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use keepfast_engine::retention::{Candidate, Count, GroupBy, Policy, Span};
    use keepfast_format::ids::{HolderId, SessionId};

    use super::{GroupDocument, NewStanding, Timestamp};
    use crate::calendar::decide_in;
    use crate::times::stamp;

    struct Sample {
        paths: Vec<Vec<u8>>,
        tags: Vec<String>,
    }

    impl Sample {
        fn new() -> Self {
            Self { paths: vec![b"/home".to_vec(), b"/etc".to_vec()], tags: vec!["kept".to_owned()] }
        }

        fn at(&self, number: u8, time: &str) -> Candidate<'_> {
            Candidate {
                id: SessionId { writer: HolderId::new([9; 8]), random: [number; 16] },
                writer: HolderId::new([9; 8]),
                time: stamp(time.parse().expect(time)),
                edition: 0,
                host: "ann",
                paths: &self.paths,
                tags: &[],
                protected: false,
                is_complete: true,
            }
        }
    }

    fn decided(candidates: &[Candidate<'_>], keep: &Policy) -> Vec<GroupDocument> {
        let now = Timestamp { seconds: 1_800_000_000, nanos: 0 };
        let groups = decide_in(&TimeZone::UTC, candidates, keep, GroupBy::default(), now);
        groups.expect("a policy").iter().map(Into::into).collect()
    }

    fn text(value: &impl serde::Serialize) -> String {
        serde_json::to_string(value).expect("a document")
    }

    #[test]
    fn fields_keep_their_names_and_order() {
        let sample = Sample::new();
        let candidates = [
            sample.at(0xa1, "2026-11-10T08:00:00Z"),
            sample.at(0xa2, "2026-11-19T20:00:00Z"),
            sample.at(0xa3, "2026-11-20T08:00:00Z"),
            sample.at(0xa4, "2026-11-20T09:00:00Z"),
        ];
        let keep = Policy {
            last: Some(Count::Number(1)),
            daily: Some(Count::Number(1)),
            within_daily: Some(Span { days: 2, ..Span::default() }),
            ..Policy::default()
        };
        let groups = decided(&candidates, &keep);
        let [group] = &groups[..] else { panic!("{groups:?}") };
        let (id, by, writer) = ("a3".repeat(16), "a4".repeat(16), "09".repeat(8));
        let one = GroupDocument { snapshots: vec![group.snapshots[2].clone()], ..group.clone() };
        assert_eq!(
            text(&one),
            format!(
                r#"{{"writer":"{writer}","host":"ann","paths":["/etc","/home"],"tags":null,"kept":2,"forgotten":2,"#
            ) + &format!(
                r#""snapshots":[{{"id":"{id}","time":"2026-11-20T08:00:00Z","writer":"{writer}","host":"ann","#
            ) + r#""paths":["/home","/etc"],"tags":[],"protected":false,"verdict":"forget","reasons":["#
                + r#"{"rule":"last","text":"last: 1 is newer"},"#
                + &format!(
                    r#"{{"rule":"daily","period":"2026-11-20","kept_by":"{by}","text":"daily: a4a4a4a4 stands for 2026-11-20"}},"#
                )
                + &format!(
                    r#"{{"rule":"within-daily","period":"2026-11-20","kept_by":"{by}","text":"within-daily 2d: a4a4a4a4 stands for 2026-11-20"}}]}}]}}"#
                )
        );
        assert_eq!(
            text(&group.snapshots[3].reasons),
            concat!(
                r#"[{"rule":"last","nth":1,"text":"last 1 of 1"},"#,
                r#"{"rule":"daily","period":"2026-11-20","nth":1,"text":"daily 2026-11-20"},"#,
                r#"{"rule":"within-daily","period":"2026-11-20","nth":1,"text":"within-daily 2d 2026-11-20"}]"#,
            )
        );
        assert_eq!(text(&group.snapshots[1].verdict), r#""keep""#);
        assert_eq!(
            text(&group.snapshots[0].reasons[2]),
            r#"{"rule":"within-daily","text":"within-daily 2d: older"}"#
        );
    }

    #[test]
    fn other_reasons_have_names_too() {
        let sample = Sample::new();
        let tagged = Candidate { tags: &sample.tags, ..sample.at(0xa1, "2026-11-20T08:00:00Z") };
        let rules = |candidates: &[Candidate<'_>], keep: &Policy| -> Vec<String> {
            let snapshots = decided(candidates, keep).remove(0).snapshots;
            snapshots.into_iter().flat_map(|one| one.reasons).map(|reason| reason.rule).collect()
        };
        let month = Some(Span { months: 1, ..Span::default() });
        let within = Policy { within: month, yearly: Some(Count::All), ..Policy::default() };
        let protected = Candidate { protected: true, ..tagged };
        assert_eq!(rules(&[protected], &within), ["protected", "yearly", "within"]);
        let last = sample.at(0xa2, "2026-11-21T08:00:00Z");
        let future = sample.at(0xa3, "2099-01-01T00:00:00Z");
        let oldest = sample.at(0xa0, "2026-11-19T00:00:00Z");
        let mut keep = Policy { tags: vec![sample.tags.clone()], ..Policy::default() };
        assert_eq!(rules(&[tagged, last, future], &keep), ["tag", "newest", "future"]);
        assert_eq!(rules(&[oldest, last], &keep), ["tag", "newest"], "the one misses it");
        let tag = &decided(&[tagged], &keep)[0].snapshots[0].reasons[0];
        assert_eq!(text(tag), r#"{"rule":"tag","tags":["kept"],"text":"tag kept"}"#);
        keep.monthly = Some(Count::Number(2));
        let oldest = &decided(&[oldest, last], &keep)[0].snapshots[0].reasons[0];
        assert_eq!(
            text(oldest),
            r#"{"rule":"monthly","oldest":true,"nth":2,"text":"oldest, monthly 2 of 2"}"#
        );
    }

    #[test]
    fn the_word_for_people_is_the_one_in_the_document() {
        for what in [NewStanding::Forgotten, NewStanding::Protected, NewStanding::Unprotected] {
            assert_eq!(text(&what), format!("{:?}", what.word()));
        }
    }
}
