//! The verdicts of retention: a table for each group for people, JSON for scripts.

use std::collections::HashSet;

use keepfast_engine::retention::{Candidate, Decision, Group, GroupKey, Miss, Reach, Reason, Verdict};
use keepfast_format::ids::HolderId;
use keepfast_format::node::Timestamp;
use serde_json::{Value, json};

use crate::lines::visible;
use crate::render::{rfc3339, short_writer};

/// The lines of a table for each group, oldest snapshots first, with why each stays or goes. `time` writes a
/// time for people. What a group has in common stands above its table, not in every line.
/// Writers are named where there are several.
pub fn table(groups: &[Group<'_>], time: &dyn Fn(Timestamp) -> String) -> Vec<String> {
    let snapshots = groups.iter().flat_map(|group| &group.decisions);
    let writers: HashSet<HolderId> = snapshots.map(|decision| decision.snapshot.id.writer).collect();
    let mut lines = Vec::new();
    for group in groups {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(group_table(group, time, writers.len() > 1));
    }
    lines
}

fn group_table(group: &Group<'_>, time: &dyn Fn(Timestamp) -> String, with_writers: bool) -> Vec<String> {
    let key = &group.key;
    let columns: Vec<(&str, Box<dyn Fn(&Candidate<'_>) -> String + '_>)> = vec![
        ("ID", Box::new(short_id)),
        ("TIME", Box::new(|snapshot| time(snapshot.time))),
        ("WRITER", Box::new(|snapshot| short_writer(snapshot.writer))),
        ("HOST", Box::new(|snapshot| snapshot.host.to_owned())),
        ("TAGS", Box::new(|snapshot| snapshot.tags.join(","))),
        ("PATHS", Box::new(|snapshot| texts(snapshot.paths).join(" "))),
    ];
    let above = |name: &str| match name {
        "WRITER" => key.writer.is_some() || !with_writers,
        "HOST" => key.host.is_some(),
        "TAGS" => key.tags.is_some(),
        "PATHS" => key.paths.is_some(),
        _ => false,
    };
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(name, _)| !above(name))
        .map(|(name, cell)| {
            let cells: Vec<String> = group
                .decisions
                .iter()
                .map(|decision| visible(&cell(&decision.snapshot)).into_owned())
                .collect();
            (name, cells)
        })
        // Most people never use labels.
        .filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty()))
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .map(|(name, cells)| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max(name.len()))
        .collect();
    let line = |cells: Vec<&str>, last: &str| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        format!("{}{last}", cells.collect::<String>())
    };
    let header = line(columns.iter().map(|(name, _)| *name).collect(), "VERDICT");
    let lines = group.decisions.iter().enumerate().map(|(row, decision)| {
        line(columns.iter().map(|(_, cells)| cells[row].as_str()).collect(), &verdict(&decision.verdict))
    });
    let (keep, forget) = counts(group);
    let counts = format!("{keep} kept, {forget} forgotten");
    heading(key, with_writers).into_iter().chain([header]).chain(lines).chain([counts]).collect()
}

/// What the snapshots of a group have in common; nothing if they needn't.
fn heading(key: &GroupKey<'_>, with_writers: bool) -> Option<String> {
    let none_or = |texts: Vec<String>, between| {
        if texts.is_empty() { "none".to_owned() } else { texts.join(between) }
    };
    let writer = key.writer.filter(|_| with_writers);
    let writer = writer.map(|writer| format!("writer {}", short_writer(writer)));
    let host = key.host.map(|host| format!("host {host}"));
    let paths = key.paths.as_ref().map(|paths| format!("paths {}", none_or(texts(paths), " ")));
    let tags = key
        .tags
        .as_ref()
        .map(|tags| format!("tags {}", none_or(tags.iter().map(|tag| (*tag).to_owned()).collect(), ",")));
    let parts: Vec<String> = [writer, host, paths, tags].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn verdict(verdict: &Verdict) -> String {
    let (word, whys) = match verdict {
        Verdict::Keep(reasons) => ("keep", reasons.iter().map(ToString::to_string).collect::<Vec<_>>()),
        Verdict::Forget(misses) => ("forget", misses.iter().map(ToString::to_string).collect()),
    };
    format!("{word}: {}", whys.join("; "))
}

/// The groups as scripts see them: an array, with all snapshots and why they stay or go.
pub fn to_json(groups: &[Group<'_>]) -> Value {
    Value::Array(groups.iter().map(group_json).collect())
}

fn group_json(group: &Group<'_>) -> Value {
    let key = &group.key;
    let (keep, forget) = counts(group);
    json!({
        "writer": key.writer.map(|writer| writer.to_string()),
        "host": key.host,
        "paths": key.paths.as_ref().map(|paths| texts(paths)),
        "tags": key.tags,
        "kept": keep,
        "forgotten": forget,
        "snapshots": group.decisions.iter().map(decision_json).collect::<Vec<_>>(),
    })
}

fn decision_json(decision: &Decision<'_>) -> Value {
    let snapshot = &decision.snapshot;
    let (verdict, reasons) = match &decision.verdict {
        Verdict::Keep(reasons) => ("keep", reasons.iter().map(reason_json).collect::<Vec<_>>()),
        Verdict::Forget(misses) => ("forget", misses.iter().map(miss_json).collect()),
    };
    json!({
        "id": snapshot.id.short(),
        "time": rfc3339(snapshot.time),
        "writer": snapshot.writer.to_string(),
        "host": snapshot.host,
        "paths": texts(snapshot.paths),
        "tags": snapshot.tags,
        "protected": snapshot.protected,
        "verdict": verdict,
        "reasons": reasons,
    })
}

fn reason_json(reason: &Reason) -> Value {
    let text = reason.to_string();
    match reason {
        Reason::Protected => json!({ "rule": "protected", "text": text }),
        Reason::Future => json!({ "rule": "future", "text": text }),
        Reason::Newest => json!({ "rule": "newest", "text": text }),
        Reason::Last { nth, of: _ } => json!({ "rule": "last", "nth": nth, "text": text }),
        Reason::Period { period, reach, bucket, nth } => {
            let rule = rule(period.adverb(), *reach);
            json!({ "rule": rule, "period": bucket.to_string(), "nth": nth, "text": text })
        }
        Reason::Oldest { period, reach, nth } => {
            json!({ "rule": rule(period.adverb(), *reach), "oldest": true, "nth": nth, "text": text })
        }
        Reason::Within(_) => json!({ "rule": "within", "text": text }),
        Reason::Tags(tags) => json!({ "rule": "tag", "tags": tags, "text": text }),
    }
}

fn miss_json(miss: &Miss) -> Value {
    let text = miss.to_string();
    match miss {
        Miss::Last { of: _ } => json!({ "rule": "last", "text": text }),
        Miss::Full { period, of: _ } => json!({ "rule": period.adverb(), "text": text }),
        Miss::Taken { period, reach, bucket, by } => {
            let rule = rule(period.adverb(), *reach);
            json!({ "rule": rule, "period": bucket.to_string(), "kept_by": by.short(), "text": text })
        }
        Miss::Older { period: None, span: _ } => json!({ "rule": "within", "text": text }),
        Miss::Older { period: Some(period), span } => {
            json!({ "rule": rule(period.adverb(), Reach::Within(*span)), "text": text })
        }
        Miss::Tags => json!({ "rule": "tag", "text": text }),
    }
}

/// A rule's name as in its flag.
fn rule(adverb: &str, reach: Reach) -> String {
    match reach {
        Reach::Count(_) => adverb.to_owned(),
        Reach::Within(_) => format!("within-{adverb}"),
    }
}

fn counts(group: &Group<'_>) -> (usize, usize) {
    let forgotten = group.forgotten().count();
    (group.decisions.len() - forgotten, forgotten)
}

fn short_id(snapshot: &Candidate<'_>) -> String {
    snapshot.id.short().chars().take(8).collect()
}

fn texts<P: AsRef<[u8]>>(paths: &[P]) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path.as_ref()).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use keepfast_engine::retention::{Candidate, Count, Group, GroupBy, Span};
    use keepfast_format::ids::{HolderId, SessionId};
    use keepfast_format::node::Timestamp;
    use keepfast_operations::calendar::decide_in;
    use serde_json::json;

    use super::{table, to_json};
    use crate::render::rfc3339;
    use crate::retention::Keep;

    struct Sample {
        paths: Vec<Vec<u8>>,
        tags: Vec<String>,
    }

    impl Sample {
        fn new() -> Self {
            Self { paths: vec![b"/home".to_vec(), b"/etc".to_vec()], tags: vec!["before-upgrade".to_owned()] }
        }

        fn at(&self, number: u8, time: &str, host: &'static str) -> Candidate<'_> {
            let seconds = time.parse::<jiff::Timestamp>().expect(time).as_second();
            Candidate {
                id: SessionId { writer: HolderId::new([9; 8]), random: [number; 16] },
                writer: HolderId::new([9; 8]),
                time: Timestamp { seconds, nanos: 0 },
                edition: 0,
                host,
                paths: &self.paths,
                tags: &[],
                protected: false,
            }
        }
    }

    fn text(groups: &[Group<'_>]) -> String {
        table(groups, &rfc3339).join("\n")
    }

    fn decided<'a>(candidates: &[Candidate<'a>], keep: &Keep) -> Vec<Group<'a>> {
        let now = Timestamp { seconds: 1_800_000_000, nanos: 0 };
        decide_in(&TimeZone::UTC, candidates, &keep.policy(), keep.group_by, now).expect("a policy")
    }

    #[test]
    fn a_table_says_what_groups_have_in_common_and_why_each_snapshot_stays_or_goes() {
        let sample = Sample::new();
        let upgrade = Candidate { tags: &sample.tags, ..sample.at(0xa2, "2026-11-20T08:00:00Z", "ann") };
        let candidates = [
            sample.at(0xa1, "2026-11-19T08:00:00Z", "ann"),
            upgrade,
            Candidate { protected: true, ..sample.at(0xa3, "2026-11-20T09:00:00Z", "ann") },
            sample.at(0xb1, "2026-11-20T10:00:00Z", "bob"),
        ];
        let keep = Keep { keep_daily: Some(Count::Number(1)), ..Keep::default() };
        assert_eq!(
            text(&decided(&candidates, &keep)),
            "\
host ann, paths /etc /home
ID        TIME                  TAGS            VERDICT
a1a1a1a1  2026-11-19T08:00:00Z                  forget: daily: 1 newer days are kept
a2a2a2a2  2026-11-20T08:00:00Z  before-upgrade  forget: daily: a3a3a3a3 stands for 2026-11-20
a3a3a3a3  2026-11-20T09:00:00Z                  keep: protected; daily 2026-11-20
1 kept, 2 forgotten

host bob, paths /etc /home
ID        TIME                  VERDICT
b1b1b1b1  2026-11-20T10:00:00Z  keep: daily 2026-11-20
1 kept, 0 forgotten"
        );
    }

    #[test]
    fn what_a_group_has_not_in_common_stands_in_its_lines() {
        let sample = Sample::new();
        let candidates = [
            sample.at(0xa1, "2026-11-20T08:00:00Z", "ännchen"),
            sample.at(0xb1, "2026-11-20T10:00:00Z", "bob"),
        ];
        let by = GroupBy { writer: false, host: false, paths: false, tags: false };
        let keep = Keep { keep_last: Some(Count::Number(1)), group_by: by, ..Keep::default() };
        assert_eq!(
            text(&decided(&candidates, &keep)),
            "\
ID        TIME                  HOST     PATHS       VERDICT
a1a1a1a1  2026-11-20T08:00:00Z  ännchen  /home /etc  forget: last: 1 are newer
b1b1b1b1  2026-11-20T10:00:00Z  bob      /home /etc  keep: last 1 of 1
1 kept, 1 forgotten"
        );
        let by_tags = Keep { group_by: GroupBy { tags: true, ..by }, ..keep };
        let text = text(&decided(&candidates, &by_tags));
        assert!(text.starts_with("tags none\nID "), "{text}");
        assert!(table(&[], &rfc3339).is_empty());
    }

    #[test]
    fn writers_are_named_where_there_are_several() {
        let sample = Sample::new();
        let mut other = sample.at(0xb1, "2026-11-20T10:00:00Z", "ann");
        other.writer = HolderId::new([0xf0; 8]);
        other.id.writer = other.writer;
        let candidates = [sample.at(0xa1, "2026-11-20T08:00:00Z", "ann"), other];
        let keep = Keep { keep_last: Some(Count::Number(1)), ..Keep::default() };
        assert_eq!(
            text(&decided(&candidates, &keep)),
            "\
writer 09090909, host ann, paths /etc /home
ID        TIME                  VERDICT
a1a1a1a1  2026-11-20T08:00:00Z  keep: last 1 of 1
1 kept, 0 forgotten

writer f0f0f0f0, host ann, paths /etc /home
ID        TIME                  VERDICT
b1b1b1b1  2026-11-20T10:00:00Z  keep: last 1 of 1
1 kept, 0 forgotten"
        );
        let by = GroupBy { writer: false, ..GroupBy::default() };
        let together = text(&decided(&candidates, &Keep { group_by: by, ..keep }));
        assert!(together.contains("ID        TIME                  WRITER    VERDICT"), "{together}");
    }

    #[test]
    fn scripts_get_rules_by_name_and_the_words_for_people() {
        let sample = Sample::new();
        let candidates = [
            sample.at(0xa1, "2026-11-10T08:00:00Z", "ann"),
            sample.at(0xa2, "2026-11-19T20:00:00Z", "ann"),
            sample.at(0xa3, "2026-11-20T08:00:00Z", "ann"),
            sample.at(0xa4, "2026-11-20T09:00:00Z", "ann"),
        ];
        let days = |days| Some(Span { days, ..Span::default() });
        let keep = Keep {
            keep_daily: Some(Count::Number(1)),
            keep_within_daily: days(2),
            keep_last: Some(Count::Number(1)),
            ..Keep::default()
        };
        let value = to_json(&decided(&candidates, &keep));
        assert_eq!(value.as_array().map(Vec::len), Some(1));
        let group = &value[0];
        assert_eq!(
            (&group["host"], &group["paths"], &group["tags"]),
            (&json!("ann"), &json!(["/etc", "/home"]), &json!(null))
        );
        assert_eq!((&group["kept"], &group["forgotten"]), (&json!(2), &json!(2)));
        let id = "a3".repeat(16);
        let by = "a4".repeat(16);
        assert_eq!(
            group["snapshots"][2],
            json!({
                "id": id,
                "time": "2026-11-20T08:00:00Z",
                "writer": "09".repeat(8),
                "host": "ann",
                "paths": ["/home", "/etc"],
                "tags": [],
                "protected": false,
                "verdict": "forget",
                "reasons": [
                    { "rule": "last", "text": "last: 1 are newer" },
                    {
                        "rule": "daily", "period": "2026-11-20", "kept_by": by,
                        "text": "daily: a4a4a4a4 stands for 2026-11-20",
                    },
                    {
                        "rule": "within-daily", "period": "2026-11-20", "kept_by": by,
                        "text": "within-daily 2d: a4a4a4a4 stands for 2026-11-20",
                    },
                ],
            })
        );
        assert_eq!(
            group["snapshots"][3]["reasons"],
            json!([
                { "rule": "last", "nth": 1, "text": "last 1 of 1" },
                { "rule": "daily", "period": "2026-11-20", "nth": 1, "text": "daily 2026-11-20" },
                { "rule": "within-daily", "period": "2026-11-20", "nth": 1, "text": "within-daily 2d 2026-11-20" },
            ])
        );
        assert_eq!(group["snapshots"][1]["verdict"], "keep");
        assert_eq!(
            group["snapshots"][0]["reasons"][2],
            json!({ "rule": "within-daily", "text": "within-daily 2d: older" })
        );
    }

    #[test]
    fn other_reasons_have_names_too() {
        let sample = Sample::new();
        let tagged = Candidate { tags: &sample.tags, ..sample.at(0xa1, "2026-11-20T08:00:00Z", "ann") };
        let rules = |candidates: &[Candidate<'_>], keep: &Keep| -> Vec<String> {
            let value = to_json(&decided(candidates, keep));
            let snapshots = value[0]["snapshots"].as_array().expect("snapshots").clone();
            let reasons = snapshots
                .iter()
                .flat_map(|snapshot| snapshot["reasons"].as_array().expect("reasons").clone());
            reasons.map(|reason| reason["rule"].as_str().expect("a rule").to_owned()).collect()
        };
        let month = Some(Span { months: 1, ..Span::default() });
        let within = Keep { keep_within: month, keep_yearly: Some(Count::All), ..Keep::default() };
        let protected = Candidate { protected: true, ..tagged };
        assert_eq!(rules(&[protected], &within), ["protected", "yearly", "within"]);
        let last = sample.at(0xa2, "2026-11-21T08:00:00Z", "ann");
        let future = sample.at(0xa3, "2099-01-01T00:00:00Z", "ann");
        let oldest = sample.at(0xa0, "2026-11-19T00:00:00Z", "ann");
        let mut keep = Keep {
            keep_tags: crate::retention::arguments::tag_lists(&["before-upgrade"]),
            ..Keep::default()
        };
        assert_eq!(rules(&[tagged, last, future], &keep), ["tag", "newest", "future"]);
        assert_eq!(rules(&[oldest, last], &keep), ["tag", "newest"], "the one misses it");
        keep.keep_monthly = Some(Count::Number(2));
        let value = to_json(&decided(&[oldest, last], &keep));
        assert_eq!(value[0]["snapshots"][0]["reasons"][0]["oldest"], true);
    }
}
