//! Sizes, shares, times and labels as people write and read them.

use std::time::Duration;

use keepfast_engine::prune::UnusedLimit;

use crate::error::{Result, TextError};

/// A size, such as `500M`, `10GiB` or `unlimited`. Units are powers of 1024.
pub fn size(text: &str) -> Result<u64> {
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
        _ => return Err(TextError::Size.into()),
    };
    let number: u64 = number.parse().map_err(|_| TextError::Size)?;
    Ok(number.checked_mul(1 << shift).ok_or(TextError::SizeTooLarge)?)
}

/// Bytes for people, in units of 1024.
#[must_use]
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (1_u32..).zip(units).take_while(|(power, _)| count >> (10 * power) > 0).last();
    let Some((power, name)) = unit else { return format!("{count} B") };
    let whole = count >> (10 * power);
    let tenths = (count >> (10 * (power - 1)) & 1023) * 10 / 1024;
    format!("{whole}.{tenths} {name}")
}

/// A share of what is stored: `5%`, `2.5%`, a size, or `unlimited`.
pub fn share(text: &str) -> Result<UnusedLimit> {
    let Some(percent) = text.strip_suffix('%') else {
        return size(text)
            .map(|bytes| if bytes == u64::MAX { UnusedLimit::Unlimited } else { UnusedLimit::Bytes(bytes) });
    };
    let (whole, tenth) = percent.split_once('.').unwrap_or((percent, "0"));
    let parsed = whole.parse::<u32>().ok().zip(tenth.parse::<u32>().ok().filter(|_| tenth.len() == 1));
    match parsed {
        Some((whole, tenth)) if whole < 100 => Ok(UnusedLimit::Thousandths(whole * 10 + tenth)),
        _ => Err(TextError::Share.into()),
    }
}

/// A time span, such as `90s`, `30m`, `2h` or `1d`.
pub fn duration(text: &str) -> Result<Duration> {
    let unit = text.chars().last().ok_or(TextError::Duration)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return Err(TextError::Duration.into()),
    };
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| TextError::Duration)?;
    Ok(number.checked_mul(seconds).map(Duration::from_secs).ok_or(TextError::Duration)?)
}

/// One label. Lists of them are cut at commas before, so none has a comma; spaces around it are no part of it.
pub fn tag(text: &str) -> Result<String> {
    match text.trim() {
        "" => Err(TextError::EmptyLabel.into()),
        label => Ok(label.to_owned()),
    }
}

/// Labels in one value, or none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags(pub Vec<String>);

/// Labels, separated by commas; nothing is no label.
pub fn tags(text: &str) -> Result<Tags> {
    if text.trim().is_empty() {
        return Ok(Tags(Vec::new()));
    }
    text.split(',').map(tag).collect::<Result<_>>().map(Tags)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Tags, UnusedLimit, duration, share, size, tag, tags};

    #[test]
    fn labels_have_no_spaces_around_them_and_arent_empty() {
        assert_eq!(tag(" before upgrade ").expect(" before upgrade "), "before upgrade".to_owned());
        for wrong in ["", " "] {
            assert!(tag(wrong).is_err(), "{wrong:?} is no label");
        }
        assert_eq!(tags("a, b").expect("a, b"), Tags(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(tags("").expect(""), Tags(Vec::new()));
        assert!(tags("a,,b").is_err() && tags(",").is_err());
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("17").expect("17"), 17);
        assert_eq!(size("2k").expect("2k"), 2048);
        assert_eq!(size("10GiB").expect("10GiB"), 10 << 30);
        assert_eq!(size("10 MB").expect("10 MB"), 10 << 20);
        assert_eq!(size("unlimited").expect("unlimited"), u64::MAX);
        for wrong in ["", "k", "1x", "-1", "1.5G", "99999999999T"] {
            assert!(size(wrong).is_err(), "{wrong:?} is no size");
        }
    }

    #[test]
    fn shares_are_percentages_or_sizes() {
        assert_eq!(share("5%").expect("5%"), UnusedLimit::Thousandths(50));
        assert_eq!(share("0%").expect("0%"), UnusedLimit::Thousandths(0));
        assert_eq!(share("2.5%").expect("2.5%"), UnusedLimit::Thousandths(25));
        assert_eq!(share("3M").expect("3M"), UnusedLimit::Bytes(3 << 20));
        assert_eq!(share("unlimited").expect("unlimited"), UnusedLimit::Unlimited);
        for wrong in ["%", "100%", "5.25%", "-5%", "five"] {
            assert!(share(wrong).is_err(), "{wrong:?} is no share");
        }
    }

    #[test]
    fn times_have_one_unit() {
        assert_eq!(duration("2h").expect("2h"), Duration::from_secs(7200));
        assert_eq!(duration("0s").expect("0s"), Duration::ZERO);
        for wrong in ["", "h", "2", "2 h", "2w", "é"] {
            assert!(duration(wrong).is_err(), "{wrong:?} is no time");
        }
    }
}
