//! The flags that say what to keep.

use clap::Args;
use keepfast_engine::retention::{Count, GroupBy, Policy, Span};
use keepfast_operations::brake::Brake;
use keepfast_operations::{OperationsError, policy, span, units};

/// What `forget` keeps. A snapshot stays if any of these keeps it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What to keep")]
pub struct Keep {
    /// The newest N snapshots, or `all`
    #[arg(long, value_name = "N", value_parser = policy::count)]
    pub keep_last: Option<Count>,
    /// The newest of each of the last N hours that have one, or `all`
    #[arg(long, value_name = "N", value_parser = policy::count)]
    pub keep_hourly: Option<Count>,
    /// The same for days
    #[arg(long, value_name = "N", value_parser = policy::count)]
    pub keep_daily: Option<Count>,
    /// The same for weeks, from Monday on
    #[arg(long, value_name = "N", value_parser = policy::count)]
    pub keep_weekly: Option<Count>,
    /// The same for months
    #[arg(long, value_name = "N", value_parser = policy::count)]
    pub keep_monthly: Option<Count>,
    /// The same for years
    #[arg(long, value_name = "N", value_parser = policy::count)]
    pub keep_yearly: Option<Count>,
    /// All that are at most this much older than their group's newest: 12h, 30d, 2w, 1y6m
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub keep_within: Option<Span>,
    /// The newest of each hour within this span
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub keep_within_hourly: Option<Span>,
    /// The newest of each day within this span
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub keep_within_daily: Option<Span>,
    /// The newest of each week within this span
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub keep_within_weekly: Option<Span>,
    /// The newest of each month within this span
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub keep_within_monthly: Option<Span>,
    /// The newest of each year within this span
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    pub keep_within_yearly: Option<Span>,
    /// All with this label; with several, such as a,b, all that have each of them; a second --keep-tag
    /// keeps more
    #[arg(long = "keep-tag", value_name = "TAG[,TAG]…", value_parser = tags)]
    pub keep_tags: Vec<Tags>,
    /// The N newest complete snapshots of each group, whatever else is said: those from which nothing was skipped
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_at_least: u32,
    /// No more than fits into this much of the repository: of what the other rules keep, the oldest go until the rest
    /// fits. What several of these snapshots share counts once, and what others need as well counts in full
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub keep_size: Option<u64>,
    /// Forget nothing if more than this would go at once: a number of snapshots, or a share of those that are judged,
    /// such as 50%
    #[arg(long, value_name = "N|P%", value_parser = policy::brake)]
    pub max_removed: Option<Brake>,
    /// Judge snapshots apart by these: writer, host, paths, tags, or nothing. Without `writer`, a
    /// writer that says another's host and paths can make a policy forget that one's snapshots
    #[arg(long, value_name = "WHAT", value_parser = policy::group_by, default_value = "writer,host,paths")]
    pub group_by: GroupBy,
}

/// Labels that a snapshot must all have. (A list as such would be several values to clap.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags(Vec<String>);

impl Keep {
    /// The policy that they are.
    pub fn policy(&self) -> Policy {
        Policy {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within,
            within_hourly: self.keep_within_hourly,
            within_daily: self.keep_within_daily,
            within_weekly: self.keep_within_weekly,
            within_monthly: self.keep_within_monthly,
            within_yearly: self.keep_within_yearly,
            tags: self.keep_tags.iter().map(|Tags(tags)| tags.clone()).collect(),
            at_least: self.keep_at_least,
            max_bytes: self.keep_size,
        }
    }

    /// Whether any of them was given; `--group-by` alone keeps nothing.
    pub fn any(&self) -> bool {
        self.policy() != Policy::default()
    }
}

fn tags(text: &str) -> Result<Tags, OperationsError> {
    policy::tags(text).map(Tags)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use keepfast_engine::retention::{Count, GroupBy, Policy, Span};

    use super::Keep;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        keep: Keep,
    }

    fn read(line: &str) -> Result<Keep, String> {
        let words = ["forget"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.keep).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_become_a_policy() {
        let keep = read(
            "--keep-size 3M --keep-last 3 --keep-daily 7 --keep-yearly all --keep-monthly unlimited --keep-within 1y6m \
             --keep-within-weekly 8w --keep-tag a,b --keep-tag c --group-by host,tags",
        )
        .expect("a policy");
        let span = Span::default();
        assert_eq!(
            keep.policy(),
            Policy {
                last: Some(Count::Number(3)),
                daily: Some(Count::Number(7)),
                yearly: Some(Count::All),
                monthly: Some(Count::All),
                within: Some(Span { years: 1, months: 6, ..span }),
                within_weekly: Some(Span { weeks: 8, ..span }),
                tags: vec![vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]],
                max_bytes: Some(3 << 20),
                ..Policy::default()
            }
        );
        assert_eq!(keep.group_by, GroupBy { writer: false, host: true, paths: false, tags: true });
    }

    /// Each flag fills its own rule: a number that is its place tells a mix-up.
    #[test]
    fn no_two_flags_are_mixed_up() {
        let line = "--keep-last 1 --keep-hourly 2 --keep-daily 3 --keep-weekly 4 --keep-monthly 5 --keep-yearly 6 \
            --keep-within 1d --keep-within-hourly 2d --keep-within-daily 3d --keep-within-weekly 4d \
            --keep-within-monthly 5d --keep-within-yearly 6d";
        let policy = read(line).expect("a policy").policy();
        let counts = [policy.last, policy.hourly, policy.daily, policy.weekly, policy.monthly, policy.yearly];
        let spans = [
            policy.within,
            policy.within_hourly,
            policy.within_daily,
            policy.within_weekly,
            policy.within_monthly,
            policy.within_yearly,
        ];
        assert_eq!(counts, [1, 2, 3, 4, 5, 6].map(|number| Some(Count::Number(number))));
        assert_eq!(spans, [1, 2, 3, 4, 5, 6].map(|days| Some(Span { days, ..Span::default() })));
    }

    #[test]
    fn without_flags_there_is_no_policy_and_groups_are_of_writer_host_and_paths() {
        let keep = read("").expect("no flag is needed");
        assert!(!keep.any());
        assert_eq!(keep.group_by, GroupBy { writer: true, host: true, paths: true, tags: false });
        assert!(!read("--group-by host").expect("a grouping").any());
        assert!(read("--keep-tag a").expect("a label").any());
        let none = read("--group-by=").expect("no grouping");
        assert_eq!(none.group_by, GroupBy { writer: false, host: false, paths: false, tags: false });
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, why) in [
            ("--keep-last -1", "-1"),
            ("--keep-last=-1", "give a number, or `all`"),
            ("--keep-daily many", "give a number, or `all`"),
            ("--keep-within 30", "lacks a unit"),
            ("--keep-tag=", "can't be empty"),
            ("--keep-tag a,,b", "can't be empty"),
            ("--group-by user", "\"user\" is none of"),
            ("--group-by host,", "\"\" is none of"),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
