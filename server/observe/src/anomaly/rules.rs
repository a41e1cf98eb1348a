//! What a plan says about anomalies.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// A text or number that is no rule.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum RulesError {
    /// A factor that isn't above 1.
    #[error("{0} is no factor: it has to be above 1, as 5")]
    Factor(f64),
    /// A share that isn't from 0 to 1.
    #[error("{0} is no share: it has to be above 0 and at most 1, as 0.2 for 20 %")]
    Share(f64),
}

/// How many times the usual something may be; above 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Factor(f64);

impl Factor {
    /// A factor.
    ///
    /// # Errors
    /// It isn't a number above 1.
    pub fn new(factor: f64) -> Result<Self, RulesError> {
        if factor.is_finite() && factor > 1.0 { Ok(Self(factor)) } else { Err(RulesError::Factor(factor)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// A part of a whole; above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// A share.
    ///
    /// # Errors
    /// It isn't a number above 0 and at most 1.
    pub fn new(share: f64) -> Result<Self, RulesError> {
        if share > 0.0 && share <= 1.0 { Ok(Self(share)) } else { Err(RulesError::Share(share)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// How many new bytes are unusual, unless as many have come more than once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NewBytes {
    /// More than this many times the usual.
    Times(Factor),
    /// More than this share of the source.
    Share(Share),
    /// More than this.
    Bytes(u64),
}

/// What is too small to be an anomaly, whatever is usual: for a plan in which nothing changes, every change is
/// many times the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floors {
    /// New bytes.
    pub new_bytes: u64,
    /// Deleted or rewritten files.
    pub files: u64,
    /// Time that a run takes.
    pub duration: Duration,
}

impl Default for Floors {
    fn default() -> Self {
        Self { new_bytes: 64 * MIB, files: 10, duration: Duration::from_secs(600) }
    }
}

/// What a plan says about anomalies. A rule that is none is off.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// This many of the newest good runs are looked at.
    pub window: usize,
    /// With fewer good runs than this, no run is judged.
    pub least_runs: usize,
    /// More new bytes than this.
    pub new_bytes: Option<NewBytes>,
    /// More than this share of the files is gone.
    pub deleted_files: Option<Share>,
    /// More than this share of the files has another content.
    pub rewritten_files: Option<Share>,
    /// At least this share of the new data is left after compression, where data usually compresses.
    pub incompressible: Option<Share>,
    /// The source has become smaller by more than this share.
    pub shrunk_source: Option<Share>,
    /// A source with fewer bytes than this, whatever is usual.
    pub least_source_bytes: Option<u64>,
    /// A run that took more than this many times the usual.
    pub duration: Option<Factor>,
    /// What is too small to be an anomaly.
    pub floors: Floors,
    /// Whether retention removes nothing while an anomaly of the data is open.
    pub pause_retention: bool,
}

impl Rules {
    /// Nothing is unusual.
    #[must_use]
    pub fn none() -> Self {
        Self {
            new_bytes: None,
            deleted_files: None,
            rewritten_files: None,
            incompressible: None,
            shrunk_source: None,
            least_source_bytes: None,
            duration: None,
            pause_retention: false,
            ..Self::default()
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: 30,
            least_runs: 7,
            new_bytes: Some(NewBytes::Times(Factor(5.0))),
            deleted_files: Some(Share(0.2)),
            rewritten_files: Some(Share(0.3)),
            incompressible: Some(Share(0.95)),
            shrunk_source: Some(Share(0.5)),
            least_source_bytes: None,
            duration: Some(Factor(5.0)),
            floors: Floors::default(),
            pause_retention: true,
        }
    }
}
