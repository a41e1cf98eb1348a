//! What a policy of retention is made of, as people write it.

use keepfast_engine::retention::{Count, GroupBy};

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

#[cfg(test)]
mod tests {
    use super::{Count, GroupBy, count, group_by, tags};

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
