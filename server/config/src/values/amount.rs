//! Sizes, rates, shares and counts.

use std::ops::RangeInclusive;

use crate::decode::{Context, Decode, Flaw, FromText, decode_integer, decode_text};
use crate::files::Facts;
use crate::schema::{Shape, TextShape};
use crate::tree::{Node, Value};
use crate::values::leading_number;

/// A size in bytes: `512`, `64KiB`, `20MiB`, `4TiB`. Units are powers of 1024, also without the `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// The bytes.
    pub bytes: u64,
}

fn read_size(text: &str) -> Result<u64, Flaw> {
    let (number, unit) = leading_number(text).ok_or_else(Flaw::default)?;
    let shift = match unit.trim().to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(Flaw::new("it has an unknown unit").help("units are KiB, MiB, GiB, TiB and PiB")),
    };
    number.checked_mul(1 << shift).ok_or_else(|| Flaw::new("it is too large"))
}

impl FromText for Size {
    const TEXT: TextShape = TextShape { what: "a size", examples: &["4TiB", "20MiB", "512"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        read_size(text).map(|bytes| Self { bytes })
    }
}

/// Where files are cut into chunks: `auto`, `content`, `pages:8KiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunking {
    /// At pages what begins as a file of a database does; everything else by content.
    Auto,
    /// By content.
    Content,
    /// At pages of this size.
    Pages {
        /// The size: a power of two.
        bytes: u32,
    },
}

/// The sizes that pages can have, in bytes.
const PAGE_BYTES: RangeInclusive<u32> = 512..=64 << 10;

impl FromText for Chunking {
    const TEXT: TextShape =
        TextShape { what: "a way to cut files", examples: &["auto", "content", "pages:8KiB"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        match text {
            "auto" => return Ok(Self::Auto),
            "content" => return Ok(Self::Content),
            _ => {}
        }
        let size = text.strip_prefix("pages:").ok_or_else(Flaw::default)?;
        let bytes = u32::try_from(read_size(size)?).ok();
        bytes
            .filter(|bytes| bytes.is_power_of_two() && PAGE_BYTES.contains(bytes))
            .map(|bytes| Self::Pages { bytes })
            .ok_or_else(|| Flaw::new("a page has a power of two of bytes, from 512 to 64KiB"))
    }
}

/// A size in each second: `20MiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// The bytes in a second; at least one.
    pub bytes_per_s: u64,
}

impl FromText for Rate {
    const TEXT: TextShape = TextShape { what: "a rate", examples: &["20MiB/s", "512KiB/s"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let size = text.strip_suffix("/s").ok_or_else(|| Flaw::new("it lacks `/s`"))?;
        match read_size(size)? {
            0 => {
                Err(Flaw::new("nothing would ever be sent")
                    .help("use `[[pause]]` or a window of the schedule"))
            }
            bytes_per_s => Ok(Self { bytes_per_s }),
        }
    }
}

/// A share of something: `5%`, `2.5%`, from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Thousandths, at most 1000.
    pub thousandths: u32,
}

impl FromText for Share {
    const TEXT: TextShape = TextShape { what: "a share", examples: &["5%", "2.5%"] };

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        let number = text.strip_suffix('%').ok_or_else(|| Flaw::new("it lacks `%`"))?;
        let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(tenth) || tenth.len() != 1 {
            return Err(Flaw::new("it has at most one digit behind the point"));
        }
        let thousandths: Option<u32> = format!("{whole}{tenth}").parse().ok();
        let thousandths = thousandths.filter(|number| *number <= 1000);
        thousandths.map(|thousandths| Self { thousandths }).ok_or_else(|| Flaw::new("it is more than 100%"))
    }
}

/// A share, or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareOrSize {
    /// A share of what there is.
    Share(Share),
    /// This many bytes.
    Size(Size),
}

impl FromText for ShareOrSize {
    const TEXT: TextShape = TextShape { what: "a share or a size", examples: &["5%", "10GiB"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        if text.contains('%') {
            return Share::read(text, facts).map(Self::Share);
        }
        Size::read(text, facts).map(Self::Size)
    }
}

/// How unusual something is: a number of times what is usual (`x5`), a share (`20%`), or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// This many tenths of what is usual.
    Times {
        /// Tenths.
        tenths: u32,
    },
    /// A share of what there is.
    Share(Share),
    /// This many bytes.
    Size(Size),
}

impl FromText for Threshold {
    const TEXT: TextShape = TextShape { what: "a threshold", examples: &["x5", "20%", "10GiB"] };

    fn read(text: &str, facts: &dyn Facts) -> Result<Self, Flaw> {
        let Some(factor) = text.strip_prefix('x') else {
            return Ok(match ShareOrSize::read(text, facts)? {
                ShareOrSize::Share(share) => Self::Share(share),
                ShareOrSize::Size(size) => Self::Size(size),
            });
        };
        let (whole, tenth) = factor.split_once('.').unwrap_or((factor, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_right = is_number(whole) && is_number(tenth) && tenth.len() == 1;
        let tenths = format!("{whole}{tenth}").parse().ok().filter(|tenths| is_right && *tenths > 10);
        tenths
            .map(|tenths| Self::Times { tenths })
            .ok_or_else(|| Flaw::new("a factor is more than 1, as `x5` or `x1.5`"))
    }
}

from_text!(Size, Chunking, Rate, Share, ShareOrSize, Threshold);

/// How many to keep: a number, or `"all"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// This many.
    Number(u32),
    /// As many as there are.
    All,
}

const ALL: TextShape = TextShape { what: "`\"all\"`", examples: &[] };

struct All;

impl FromText for All {
    const TEXT: TextShape = ALL;

    fn read(text: &str, _: &dyn Facts) -> Result<Self, Flaw> {
        match text {
            "all" => Ok(Self),
            _ => Err(Flaw::new("a count is a number, without quotation marks, or \"all\"")),
        }
    }
}

impl Decode for Count {
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Integer { least: 0, most: i64::from(u32::MAX) }, Shape::Text(&ALL)])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let number = || node.text().and_then(|text| text.parse::<u32>().ok());
        match &node.value {
            Value::Text(_) if number().is_none() || node.written == crate::tree::Written::AsIs => {
                decode_text::<All>(node, &ALL, context).map(|All| Self::All)
            }
            _ => {
                let number = decode_integer(node, 0, i64::from(u32::MAX), context)?;
                u32::try_from(number).ok().map(Self::Number)
            }
        }
    }
}

/// A share, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareOrNumber {
    /// A share of what there is.
    Share(Share),
    /// This many.
    Number(u32),
}

impl Decode for ShareOrNumber {
    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Text(&Share::TEXT), Shape::Integer { least: 0, most: i64::from(u32::MAX) }])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.value {
            Value::Text(text) if text.contains('%') || node.written == crate::tree::Written::AsIs => {
                Share::decode(node, context).map(Self::Share)
            }
            _ => {
                let number = decode_integer(node, 0, i64::from(u32::MAX), context)?;
                u32::try_from(number).ok().map(Self::Number)
            }
        }
    }
}

/// How far a run stands back for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Niceness(pub u8);

impl Decode for Niceness {
    fn shape() -> Shape {
        Shape::Integer { least: 0, most: 19 }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let number = decode_integer(node, 0, 19, context)?;
        u8::try_from(number).ok().map(Self)
    }
}

/// A level of zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressionLevel(pub i32);

impl Decode for CompressionLevel {
    fn shape() -> Shape {
        Shape::Integer { least: -7, most: 22 }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let number = decode_integer(node, -7, 22, context)?;
        i32::try_from(number).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunking, FromText, Rate, Share, ShareOrSize, Size, Threshold};
    use crate::testing::NoFacts;

    #[test]
    fn sizes_are_powers_of_1024() {
        let bytes = |text| Size::read(text, &NoFacts).expect(text).bytes;
        assert_eq!(
            [bytes("512"), bytes("2k"), bytes("4TiB"), bytes("10 MB")],
            [512, 2048, 4 << 40, 10 << 20]
        );
        for wrong in ["", "k", "1x", "-1", "1.5G", "99999999999T"] {
            assert!(Size::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
        assert_eq!(Rate::read("2MiB/s", &NoFacts).expect("a rate").bytes_per_s, 2 << 20);
        assert!(Rate::read("2MiB", &NoFacts).is_err() && Rate::read("0/s", &NoFacts).is_err());
    }

    #[test]
    fn pages_have_a_power_of_two_of_bytes() {
        let read = |text| Chunking::read(text, &NoFacts);
        assert_eq!([read("auto"), read("content")], [Ok(Chunking::Auto), Ok(Chunking::Content)]);
        for (text, bytes) in [("pages:512", 512), ("pages:8KiB", 8192), ("pages:64k", 65_536)] {
            assert_eq!(read(text), Ok(Chunking::Pages { bytes }));
        }
        for wrong in ["", "pages", "pages:", "pages:0", "pages:256", "pages:5000", "pages:128KiB", "8KiB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_up_to_a_hundred() {
        let share = |text| Share::read(text, &NoFacts).map(|share| share.thousandths).ok();
        assert_eq!([share("5%"), share("2.5%"), share("100%")], [Some(50), Some(25), Some(1000)]);
        for wrong in ["5", "%", "100.1%", "2.55%", "-5%", "x%", "99999999999%"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
        assert!(matches!(ShareOrSize::read("3M", &NoFacts), Ok(ShareOrSize::Size(_))));
    }

    #[test]
    fn a_threshold_is_a_factor_a_share_or_a_size() {
        assert_eq!(Threshold::read("x5", &NoFacts), Ok(Threshold::Times { tenths: 50 }));
        assert_eq!(Threshold::read("x1.5", &NoFacts), Ok(Threshold::Times { tenths: 15 }));
        assert!(matches!(Threshold::read("20%", &NoFacts), Ok(Threshold::Share(_))));
        for wrong in ["x", "x1", "x0.5", "x-2", "5x"] {
            assert!(Threshold::read(wrong, &NoFacts).is_err(), "{wrong}");
        }
    }
}
