//! Sizes, shares, times and labels as people write them on the command line.

use std::time::Duration;

use keepfast_engine::prune::UnusedLimit;

/// A size, such as `500M`, `10GiB` or `unlimited`. Units are powers of 1024.
pub fn size(text: &str) -> Result<u64, String> {
    if text == "unlimited" {
        return Ok(u64::MAX);
    }
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("write a size such as 500M, 10GiB or unlimited".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "write a size such as 500M, 10GiB or unlimited".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than any store holds".to_owned())
}

/// A share of what is stored: `5%`, `2.5%`, a size, or `unlimited`.
pub fn share(text: &str) -> Result<UnusedLimit, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return size(text)
            .map(|bytes| if bytes == u64::MAX { UnusedLimit::Unlimited } else { UnusedLimit::Bytes(bytes) });
    };
    let (whole, tenth) = percent.split_once('.').unwrap_or((percent, "0"));
    let parsed = whole.parse::<u32>().ok().zip(tenth.parse::<u32>().ok().filter(|_| tenth.len() == 1));
    match parsed {
        Some((whole, tenth)) if whole < 100 => Ok(UnusedLimit::Thousandths(whole * 10 + tenth)),
        _ => Err("write a percentage below 100, such as 5% or 2.5%, a size, or unlimited".to_owned()),
    }
}

/// A time span, such as `90s`, `30m`, `2h` or `1d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 90s, 30m, 2h or 1d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// One label. Lists of them are cut at commas before, so none has a comma; spaces around it are no part of it.
pub fn tag(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a label can't be empty".to_owned()),
        label => Ok(label.to_owned()),
    }
}

/// Labels in one value, or none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags(pub Vec<String>);

/// Labels, separated by commas; nothing is no label.
pub fn tags(text: &str) -> Result<Tags, String> {
    if text.trim().is_empty() {
        return Ok(Tags(Vec::new()));
    }
    text.split(',').map(tag).collect::<Result<_, _>>().map(Tags)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Tags, UnusedLimit, duration, share, size, tag, tags};

    #[test]
    fn labels_have_no_spaces_around_them_and_arent_empty() {
        assert_eq!(tag(" before upgrade "), Ok("before upgrade".to_owned()));
        for wrong in ["", " "] {
            assert!(tag(wrong).is_err(), "{wrong:?} is no label");
        }
        assert_eq!(tags("a, b"), Ok(Tags(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(tags(""), Ok(Tags(Vec::new())));
        assert!(tags("a,,b").is_err() && tags(",").is_err());
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("17"), Ok(17));
        assert_eq!(size("2k"), Ok(2048));
        assert_eq!(size("10GiB"), Ok(10 << 30));
        assert_eq!(size("10 MB"), Ok(10 << 20));
        assert_eq!(size("unlimited"), Ok(u64::MAX));
        for wrong in ["", "k", "1x", "-1", "1.5G", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong:?} is no size");
        }
    }

    #[test]
    fn shares_are_percentages_or_sizes() {
        assert_eq!(share("5%"), Ok(UnusedLimit::Thousandths(50)));
        assert_eq!(share("0%"), Ok(UnusedLimit::Thousandths(0)));
        assert_eq!(share("2.5%"), Ok(UnusedLimit::Thousandths(25)));
        assert_eq!(share("3M"), Ok(UnusedLimit::Bytes(3 << 20)));
        assert_eq!(share("unlimited"), Ok(UnusedLimit::Unlimited));
        for wrong in ["%", "100%", "5.25%", "-5%", "five"] {
            assert!(share(wrong).is_err(), "{wrong:?} is no share");
        }
    }

    #[test]
    fn times_have_one_unit() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "h", "2", "2 h", "2w", "é"] {
            assert!(duration(wrong).is_err(), "{wrong:?} is no time");
        }
    }
}
