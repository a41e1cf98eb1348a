//! What a policy says about each snapshot, for people: a table for each group.

use std::collections::BTreeSet;

use keepfast_engine::nouns::grouped;
use keepfast_format::node::Timestamp;
use keepfast_operations::reports::{DecisionDocument, GroupDocument, VerdictDocument};

use crate::lines::visible;
use crate::render::{short, short_writer};

/// The lines of a table for each group, oldest snapshots first, with why each stays or goes. `time` writes a
/// time for people. What a group has in common stands above its table, not in every line.
/// Writers are named where there are several.
pub fn table(groups: &[GroupDocument], time: &dyn Fn(Timestamp) -> String) -> Vec<String> {
    let snapshots = groups.iter().flat_map(|group| &group.snapshots);
    let writers: BTreeSet<&str> = snapshots.map(|snapshot| snapshot.writer.as_str()).collect();
    let mut lines = Vec::new();
    for group in groups {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(group_table(group, time, writers.len() > 1));
    }
    lines
}

fn group_table(group: &GroupDocument, time: &dyn Fn(Timestamp) -> String, with_writers: bool) -> Vec<String> {
    let columns: Vec<(&str, Box<dyn Fn(&DecisionDocument) -> String + '_>)> = vec![
        ("ID", Box::new(|snapshot| short(&snapshot.id).to_owned())),
        ("TIME", Box::new(|snapshot| time(snapshot.time))),
        ("WRITER", Box::new(|snapshot| short_writer(&snapshot.writer).to_owned())),
        ("HOST", Box::new(|snapshot| snapshot.host.clone())),
        ("TAGS", Box::new(|snapshot| snapshot.tags.join(","))),
        ("PATHS", Box::new(|snapshot| snapshot.paths.join(" "))),
    ];
    let above = |name: &str| match name {
        "WRITER" => group.writer.is_some() || !with_writers,
        "HOST" => group.host.is_some(),
        "TAGS" => group.tags.is_some(),
        "PATHS" => group.paths.is_some(),
        _ => false,
    };
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(name, _)| !above(name))
        .map(|(name, cell)| {
            let cells: Vec<String> =
                group.snapshots.iter().map(|snapshot| visible(&cell(snapshot)).into_owned()).collect();
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
    let lines = group.snapshots.iter().enumerate().map(|(row, snapshot)| {
        line(columns.iter().map(|(_, cells)| cells[row].as_str()).collect(), &verdict(snapshot))
    });
    let (kept, forgotten) = (grouped(group.kept as u64), grouped(group.forgotten as u64));
    let counts = format!("{kept} kept, {forgotten} forgotten");
    heading(group, with_writers).into_iter().chain([header]).chain(lines).chain([counts]).collect()
}

/// What the snapshots of a group have in common; nothing if they needn't.
fn heading(group: &GroupDocument, with_writers: bool) -> Option<String> {
    let none_or = |texts: &[String], between| {
        if texts.is_empty() { "none".to_owned() } else { texts.join(between) }
    };
    let writer = group.writer.as_deref().filter(|_| with_writers);
    let writer = writer.map(|writer| format!("writer {}", short_writer(writer)));
    let host = group.host.as_ref().map(|host| format!("host {host}"));
    let paths = group.paths.as_ref().map(|paths| format!("paths {}", none_or(paths, " ")));
    let tags = group.tags.as_ref().map(|tags| format!("tags {}", none_or(tags, ",")));
    let parts: Vec<String> = [writer, host, paths, tags].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn verdict(snapshot: &DecisionDocument) -> String {
    let word = match snapshot.verdict {
        VerdictDocument::Keep => "keep",
        VerdictDocument::Forget => "forget",
    };
    let whys: Vec<&str> = snapshot.reasons.iter().map(|reason| reason.text.as_str()).collect();
    format!("{word}: {}", whys.join("; "))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use keepfast_engine::retention::{Candidate, Count, GroupBy};
    use keepfast_format::ids::{HolderId, SessionId};
    use keepfast_format::node::Timestamp;
    use keepfast_operations::calendar::decide_in;
    use keepfast_operations::times::rfc3339;

    use super::{GroupDocument, table};
    use crate::args::Keep;

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
                is_complete: true,
            }
        }
    }

    fn text(groups: &[GroupDocument]) -> String {
        table(groups, &rfc3339).join("\n")
    }

    fn decided(candidates: &[Candidate<'_>], keep: &Keep) -> Vec<GroupDocument> {
        let now = Timestamp { seconds: 1_800_000_000, nanos: 0 };
        let groups = decide_in(&TimeZone::UTC, candidates, &keep.policy(), keep.group_by, now);
        groups.expect("a policy").iter().map(Into::into).collect()
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
a1a1a1a1  2026-11-19T08:00:00Z                  forget: daily: 1 newer day is kept
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
a1a1a1a1  2026-11-20T08:00:00Z  ännchen  /home /etc  forget: last: 1 is newer
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
}
