//! One value of a metric, with its labels.

use std::time::Duration;

use jiff::Timestamp;

/// A number as it is exposed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole one.
    Whole(i64),
    /// Another one.
    Real(f64),
}

impl From<u64> for Number {
    /// Text has no bound, but readers take 64-bit floats; what is beyond is the greatest that can be said.
    fn from(value: u64) -> Self {
        Self::Whole(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(i64::from(value))
    }
}

impl From<Duration> for Number {
    fn from(value: Duration) -> Self {
        Self::Real(value.as_secs_f64())
    }
}

/// A moment that may not have come yet; 0 stands for that. The metric exists all the same, because an alert on
/// a metric that is absent never fires.
impl From<Option<Timestamp>> for Number {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Whole(value.map_or(0, Timestamp::as_second))
    }
}

impl From<Timestamp> for Number {
    fn from(value: Timestamp) -> Self {
        Self::Whole(value.as_second())
    }
}

/// A value, with the label that it has beyond those of its subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The value of the further label, for metrics that have one.
    pub further: Option<String>,
    /// The value.
    pub number: Number,
}

/// The values of a metric for one subject; none if the metric doesn't apply to it.
pub type Samples = Vec<Sample>;

/// One value without a further label.
pub fn one(value: impl Into<Number>) -> Samples {
    vec![Sample { further: None, number: value.into() }]
}

/// A value for each of these values of the further label.
pub fn each<N: Into<Number>>(values: impl IntoIterator<Item = (impl Into<String>, N)>) -> Samples {
    let sample =
        |(further, value): (_, N)| Sample { further: Some(Into::into(further)), number: value.into() };
    values.into_iter().map(sample).collect()
}

/// One value, if there is one.
pub fn perhaps<N: Into<Number>>(value: Option<N>) -> Samples {
    value.map(one).unwrap_or_default()
}
