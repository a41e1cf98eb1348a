//! What a policy of retention is made of, as people write it and as data.

use keepfast_engine::retention::{Count, GroupBy, Policy, Span};
use serde::{Deserialize, Serialize};

use crate::brake::Brake;
use crate::error::{Result, TextError};
use crate::units;

/// How many to keep: a number, or `all`.
pub fn count(text: &str) -> Result<Count> {
    match text {
        "all" | "unlimited" => Ok(Count::All),
        _ => Ok(text.parse().map(Count::Number).map_err(|_| TextError::Count)?),
    }
}

/// Labels that a snapshot must all have, separated by commas.
pub fn tags(text: &str) -> Result<Vec<String>> {
    text.split(',').map(units::tag).collect()
}

/// By what snapshots are judged apart, separated by commas: writer, host, paths, tags, or nothing.
pub fn group_by(text: &str) -> Result<GroupBy> {
    let mut by = GroupBy { writer: false, host: false, paths: false, tags: false };
    for name in text.split(',').filter(|_| !text.is_empty()) {
        match name {
            "writer" | "writers" => by.writer = true,
            "host" | "hosts" => by.host = true,
            "path" | "paths" => by.paths = true,
            "tag" | "tags" => by.tags = true,
            _ => return Err(TextError::GroupBy(name.to_owned()).into()),
        }
    }
    Ok(by)
}

/// A number of snapshots, or a percentage of them.
pub fn brake(text: &str) -> Result<Brake> {
    let brake = match text.strip_suffix('%') {
        Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Brake::Percent),
        None => text.parse().ok().map(Brake::Number),
    };
    Ok(brake.ok_or_else(|| TextError::Brake(text.to_owned()))?)
}

/// A [`Policy`] as data, for `with`: `{"daily": 7, "yearly": "all", "within": "1y6m", "tags": [["kept"]]}`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Policy", default = "Policy::default", deny_unknown_fields)]
pub(crate) struct PolicyData {
    #[serde(with = "count_data")]
    last: Option<Count>,
    #[serde(with = "count_data")]
    hourly: Option<Count>,
    #[serde(with = "count_data")]
    daily: Option<Count>,
    #[serde(with = "count_data")]
    weekly: Option<Count>,
    #[serde(with = "count_data")]
    monthly: Option<Count>,
    #[serde(with = "count_data")]
    yearly: Option<Count>,
    #[serde(with = "span_data")]
    within: Option<Span>,
    #[serde(with = "span_data")]
    within_hourly: Option<Span>,
    #[serde(with = "span_data")]
    within_daily: Option<Span>,
    #[serde(with = "span_data")]
    within_weekly: Option<Span>,
    #[serde(with = "span_data")]
    within_monthly: Option<Span>,
    #[serde(with = "span_data")]
    within_yearly: Option<Span>,
    tags: Vec<Vec<String>>,
    at_least: u32,
    max_bytes: Option<u64>,
}

/// A number, or the word for as many as there are.
mod count_data {
    use keepfast_engine::retention::Count;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Data {
        Number(u32),
        Text(String),
    }

    pub fn serialize<S: Serializer>(count: &Option<Count>, serializer: S) -> Result<S::Ok, S::Error> {
        let data = count.map(|count| match count {
            Count::Number(number) => Data::Number(number),
            Count::All => Data::Text(count.to_string()),
        });
        data.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Count>, D::Error> {
        match Option::<Data>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Data::Number(number)) => Ok(Some(Count::Number(number))),
            Some(Data::Text(text)) => super::count(&text).map(Some).map_err(D::Error::custom),
        }
    }
}

/// A span as people write it.
mod span_data {
    use keepfast_engine::retention::Span;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::span;

    pub fn serialize<S: Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
        span.map(|span| span.to_string()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.as_deref().map(span::parse).transpose().map_err(D::Error::custom)
    }
}

/// A [`GroupBy`] as data, for `with`: a list of words.
pub(crate) mod group_by_data {
    use keepfast_engine::retention::GroupBy;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Property {
        Writer,
        Host,
        Paths,
        Tags,
    }

    pub fn serialize<S: Serializer>(by: &GroupBy, serializer: S) -> Result<S::Ok, S::Error> {
        let all = [
            (by.writer, Property::Writer),
            (by.host, Property::Host),
            (by.paths, Property::Paths),
            (by.tags, Property::Tags),
        ];
        let chosen = all.into_iter().filter(|(is_chosen, _)| *is_chosen).map(|(_, property)| property);
        chosen.collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GroupBy, D::Error> {
        let chosen = Vec::<Property>::deserialize(deserializer)?;
        Ok(GroupBy {
            writer: chosen.contains(&Property::Writer),
            host: chosen.contains(&Property::Host),
            paths: chosen.contains(&Property::Paths),
            tags: chosen.contains(&Property::Tags),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::{Brake, brake};

    use super::{Count, GroupBy, Policy, PolicyData, Span, count, group_by, tags};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Held {
        #[serde(with = "PolicyData")]
        keep: Policy,
        #[serde(with = "super::group_by_data")]
        by: GroupBy,
    }

    #[test]
    fn a_policy_is_data_and_survives_being_written() {
        let text = r#"{"keep": {"last": 3, "yearly": "all", "within_weekly": "1y6m", "tags": [["a", "b"]],
            "max_bytes": 1099511627776}, "by": ["host", "tags"]}"#;
        let held: Held = serde_json::from_str(text).expect("a policy");
        let keep = Policy {
            last: Some(Count::Number(3)),
            yearly: Some(Count::All),
            within_weekly: Some(Span { years: 1, months: 6, ..Span::default() }),
            tags: vec![vec!["a".to_owned(), "b".to_owned()]],
            max_bytes: Some(1 << 40),
            ..Policy::default()
        };
        let by = GroupBy { writer: false, host: true, paths: false, tags: true };
        assert_eq!(held, Held { keep, by });
        let written = serde_json::to_string(&held).expect("a text");
        assert_eq!(serde_json::from_str::<Held>(&written).expect("a policy"), held);
    }

    #[test]
    fn a_brake_stops_what_is_over_its_limit_but_never_one_snapshot_alone() {
        assert_eq!(brake("50%").expect("a share"), Brake::Percent(50));
        assert_eq!(brake("3").expect("a number"), Brake::Number(3));
        for wrong in ["101%", "half", "", "%", "-1"] {
            assert!(brake(wrong).is_err(), "{wrong}");
        }
        let half = Brake::Percent(50);
        assert!(!half.stops(5, 10) && half.stops(6, 10));
        assert!(!half.stops(1, 1), "one may always go");
        assert!(Brake::Number(0).stops(2, 100) && !Brake::Number(0).stops(1, 100));
        assert!(Brake::Number(3).stops(4, 100) && !Brake::Number(3).stops(3, 100));
        assert!(half.stops(u64::MAX, u64::MAX), "no overflow");
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for keep in [
            r#"{"dayly": 3}"#,
            r#"{"daily": -1}"#,
            r#"{"daily": 1.5}"#,
            r#"{"daily": "many"}"#,
            r#"{"within": "30"}"#,
            r#"{"within": 30}"#,
            r#"{"tags": ["a"]}"#,
        ] {
            let text = format!(r#"{{"keep": {keep}, "by": []}}"#);
            assert!(serde_json::from_str::<Held>(&text).is_err(), "{keep}");
        }
        assert!(serde_json::from_str::<Held>(r#"{"keep": {}, "by": ["user"]}"#).is_err());
    }

    #[test]
    fn counts_are_numbers_or_all() {
        assert_eq!(count("7").expect("7"), Count::Number(7));
        assert_eq!(count("all").expect("all"), Count::All);
        for wrong in ["", "-1", "many", "1.5"] {
            assert_eq!(count(wrong).expect_err(wrong).to_string(), "give a number, or `all`");
        }
    }

    #[test]
    fn groups_are_named_in_any_order_and_may_be_one() {
        let none = GroupBy { writer: false, host: false, paths: false, tags: false };
        assert_eq!(group_by("tags,host").expect("two"), GroupBy { host: true, tags: true, ..none });
        assert_eq!(group_by("").expect("one group"), none);
        for wrong in ["user", "host,", " host"] {
            assert!(group_by(wrong).expect_err(wrong).is_wrong_input(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_label_is_refused() {
        assert_eq!(tags("a, b").expect("two"), ["a", "b"]);
        assert!(tags("").is_err() && tags("a,,b").is_err());
    }
}
