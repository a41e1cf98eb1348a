//! The judgement itself.

use std::fmt;
use std::time::Duration;

use crate::anomaly::baseline::Baseline;
use crate::anomaly::figures::{FileShare, RunFigures};
use crate::anomaly::rules::{NewBytes, Rules, Share};

/// What is unusual about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// Much new data.
    NewBytes,
    /// Many files are gone.
    DeletedFiles,
    /// Many files have another content.
    RewrittenFiles,
    /// Data that doesn't compress is in the place of data that did, as after encryption.
    Incompressible,
    /// The source has become small.
    ShrunkSource,
    /// The source is smaller than it may ever be.
    SmallSource,
    /// The run took long.
    Duration,
}

impl AnomalyKind {
    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewBytes => "new_bytes",
            Self::DeletedFiles => "deleted_files",
            Self::RewrittenFiles => "rewritten_files",
            Self::Incompressible => "incompressible",
            Self::ShrunkSource => "shrunk_source",
            Self::SmallSource => "small_source",
            Self::Duration => "duration",
        }
    }

    /// Whether the data may be damaged, so that older snapshots are needed. A slow run damages nothing.
    #[must_use]
    pub const fn is_about_data(self) -> bool {
        !matches!(self, Self::Duration)
    }
}

/// How much of something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Bytes.
    Bytes(f64),
    /// A share, from 0 to 1.
    Share(f64),
    /// A time.
    Time(Duration),
}

impl Amount {
    /// The number: bytes, a share, or seconds.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::Bytes(number) | Self::Share(number) => number,
            Self::Time(time) => time.as_secs_f64(),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bytes(bytes) => {
                let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
                let mut number = bytes;
                let mut unit = units[0];
                for larger in &units[1..] {
                    if number < 1024.0 {
                        break;
                    }
                    number /= 1024.0;
                    unit = larger;
                }
                write!(formatter, "{number:.precision$} {unit}", precision = usize::from(unit != units[0]))
            }
            Self::Share(share) => write!(formatter, "{:.0} %", share * 100.0),
            Self::Time(time) if time < Duration::from_secs(120) => write!(formatter, "{} s", time.as_secs()),
            Self::Time(time) => write!(formatter, "{} min", time.as_secs() / 60),
        }
    }
}

/// Something unusual about a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// What.
    pub kind: AnomalyKind,
    /// How much it is in this run.
    pub value: Amount,
    /// How much is usual: the median of the good runs before, or what the plan says that there is at least.
    pub baseline: Amount,
    /// The greatest amount that would have been no anomaly; the smallest of a source that has become small.
    pub limit: Amount,
}

impl Anomaly {
    /// How many times the usual it is; none if nothing is usual.
    #[must_use]
    pub fn factor(&self) -> Option<f64> {
        (self.baseline.number() > 0.0).then(|| self.value.number() / self.baseline.number())
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, baseline) = (self.value, self.baseline);
        match self.kind {
            AnomalyKind::NewBytes => write!(formatter, "{value} of data are new; {baseline} are usual"),
            AnomalyKind::DeletedFiles => {
                write!(formatter, "{value} of the files are gone; {baseline} are usual")
            }
            AnomalyKind::RewrittenFiles => {
                write!(formatter, "{value} of the files have another content; {baseline} are usual")
            }
            AnomalyKind::Incompressible => write!(
                formatter,
                "new data compresses to {value}, {baseline} is usual: it may be encrypted now"
            ),
            AnomalyKind::ShrunkSource => {
                write!(formatter, "the source has only {value}; {baseline} are usual")
            }
            AnomalyKind::SmallSource => {
                write!(formatter, "the source has only {value}; the plan expects at least {baseline}")
            }
            AnomalyKind::Duration => write!(formatter, "the run took {value}; {baseline} is usual"),
        }
    }
}

/// What a run looks like beside those before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// There are too few good runs to know what is usual.
    TooEarly {
        /// How many there are.
        good_runs: usize,
        /// How many are needed.
        least_runs: usize,
    },
    /// The run was compared.
    Judged {
        /// What is unusual; empty for a run like others.
        anomalies: Vec<Anomaly>,
        /// Whether retention must remove nothing until someone has looked.
        pauses_retention: bool,
    },
}

/// Compares a run with the good runs before it, the newest last.
///
/// A good run ended as `ok` or with findings, and had no anomaly or one that was accepted: only then does what
/// it did become usual.
#[must_use]
pub fn judge(good_runs: &[RunFigures], run: &RunFigures, rules: &Rules) -> Judgement {
    let context = Context::new(good_runs, run, rules);
    if !context.is_enough() {
        return match small_source(run, rules) {
            Some(small) => {
                Judgement::Judged { anomalies: vec![small], pauses_retention: rules.pause_retention }
            }
            None => Judgement::TooEarly { good_runs: context.window.len(), least_runs: context.least_runs() },
        };
    }
    let found = [
        context.new_bytes(),
        context.files(AnomalyKind::DeletedFiles, rules.deleted_files, RunFigures::deleted_share),
        context.files(AnomalyKind::RewrittenFiles, rules.rewritten_files, RunFigures::rewritten_share),
        context.incompressible(),
        context.shrunk_source(),
        small_source(run, rules),
        context.duration(),
    ];
    let anomalies: Vec<Anomaly> = found.into_iter().flatten().collect();
    let about_data = anomalies.iter().any(|anomaly| anomaly.kind.is_about_data());
    Judgement::Judged { pauses_retention: rules.pause_retention && about_data, anomalies }
}

/// New data counts as much only if it is at least this share of the source.
const LEAST_NEW_SHARE: f64 = 0.01;
/// Runs with fewer new bytes say nothing about how data compresses: what they store is mostly metadata.
const COMPRESSIBLE_BYTES: u64 = 1 << 20;
/// This many runs say how data compresses.
const COMPRESSING_RUNS: usize = 3;
/// By this much, data has to compress worse than usual.
const COMPRESSES_WORSE: f64 = 0.2;
/// This share of the files, or of a source that isn't files, has to be replaced by what doesn't compress. Else
/// a folder of photographs that someone adds would be an anomaly.
const REPLACED_FILES: f64 = 0.05;
const REPLACED_BYTES: f64 = 0.5;

/// A run, and what it is compared with.
pub struct Context<'c> {
    window: &'c [RunFigures],
    run: &'c RunFigures,
    rules: &'c Rules,
}

impl<'c> Context<'c> {
    /// Of the good runs, the newest count.
    pub fn new(good_runs: &'c [RunFigures], run: &'c RunFigures, rules: &'c Rules) -> Self {
        let window = &good_runs[good_runs.len().saturating_sub(rules.window)..];
        Self { window, run, rules }
    }

    /// A baseline needs two values in any case.
    fn least_runs(&self) -> usize {
        self.rules.least_runs.max(2)
    }

    /// Whether there are enough runs to know what is usual.
    pub fn is_enough(&self) -> bool {
        self.window.len() >= self.least_runs()
    }

    /// What is usual for a figure.
    pub fn baseline(&self, figure: impl Fn(&RunFigures) -> f64) -> Option<Baseline> {
        Baseline::of(self.window.iter().map(figure))
    }

    fn new_bytes(&self) -> Option<Anomaly> {
        let (usual, limit) = self.new_bytes_limit()?;
        above(AnomalyKind::NewBytes, self.run.new_bytes as f64, usual.median, limit, Amount::Bytes)
    }

    /// How much new data is usual, and the greatest amount that is no anomaly.
    pub fn new_bytes_limit(&self) -> Option<(Baseline, f64)> {
        let rule = self.rules.new_bytes?;
        let usual = self.baseline(|run| run.new_bytes as f64)?;
        let source = self.run.source_bytes as f64;
        let limit = match rule {
            NewBytes::Times(factor) => {
                let floor = (self.rules.floors.new_bytes as f64).max(LEAST_NEW_SHARE * source);
                (factor.get() * usual.median).max(floor)
            }
            NewBytes::Share(share) => share.get() * source,
            NewBytes::Bytes(bytes) => bytes as f64,
        };
        let limit = limit.max(usual.amount_at_most());
        Some((usual, limit))
    }

    fn files(
        &self,
        kind: AnomalyKind,
        rule: Option<Share>,
        figure: fn(&RunFigures) -> FileShare,
    ) -> Option<Anomaly> {
        let usual = self.baseline(|run| figure(run).share)?;
        let FileShare { count, share } = figure(self.run);
        if count < self.rules.floors.files {
            return None;
        }
        let limit = rule?.get().max(usual.share_at_most());
        above(kind, share, usual.median, limit, Amount::Share)
    }

    fn incompressible(&self) -> Option<Anomaly> {
        let rule = self.rules.incompressible?.get();
        let run = self.run;
        let enough = self.rules.floors.new_bytes.min(run.source_bytes / 10).max(COMPRESSIBLE_BYTES);
        let files = run.deleted_share().share + run.rewritten_share().share;
        let is_files = run.files_before >= self.rules.floors.files;
        let replaced = if is_files { files >= REPLACED_FILES } else { run.new_share() >= REPLACED_BYTES };
        if run.new_bytes < enough || !replaced {
            return None;
        }
        let telling = self.window.iter().filter(|run| run.new_bytes >= COMPRESSIBLE_BYTES);
        let shares: Vec<f64> = telling.map(RunFigures::compressed_share).collect();
        if shares.len() < COMPRESSING_RUNS {
            return None;
        }
        let usual = Baseline::of(shares)?;
        if usual.high >= rule {
            // Data that doesn't compress has come more than once.
            return None;
        }
        let limit = rule.max(usual.median + COMPRESSES_WORSE);
        let value = run.compressed_share();
        (value >= limit).then_some(Anomaly {
            kind: AnomalyKind::Incompressible,
            value: Amount::Share(value),
            baseline: Amount::Share(usual.median),
            limit: Amount::Share(limit),
        })
    }

    fn shrunk_source(&self) -> Option<Anomaly> {
        let (usual, limit) = self.source_limit()?;
        let value = self.run.source_bytes as f64;
        (value < limit).then_some(Anomaly {
            kind: AnomalyKind::ShrunkSource,
            value: Amount::Bytes(value),
            baseline: Amount::Bytes(usual.median),
            limit: Amount::Bytes(limit),
        })
    }

    /// How large the source usually is, and the smallest size that is no anomaly.
    pub fn source_limit(&self) -> Option<(Baseline, f64)> {
        let rule = self.rules.shrunk_source?.get();
        let usual = self.baseline(|run| run.source_bytes as f64)?;
        let limit = ((1.0 - rule) * usual.median).min(usual.amount_at_least());
        Some((usual, limit))
    }

    fn duration(&self) -> Option<Anomaly> {
        let (usual, limit) = self.duration_limit()?;
        let time = |seconds| Amount::Time(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        above(AnomalyKind::Duration, self.run.seconds(), usual.median, limit, time)
    }

    /// How long a run usually takes, in seconds, and the longest time that is no anomaly.
    pub fn duration_limit(&self) -> Option<(Baseline, f64)> {
        let factor = self.rules.duration?.get();
        let usual = self.baseline(RunFigures::seconds)?;
        let floor = self.rules.floors.duration.as_secs_f64();
        let limit = (factor * usual.median).max(usual.amount_at_most()).max(floor);
        Some((usual, limit))
    }
}

/// A source below the least that a plan allows; that needs no runs to compare with.
fn small_source(run: &RunFigures, rules: &Rules) -> Option<Anomaly> {
    let least = rules.least_source_bytes?;
    let amount = |bytes: u64| Amount::Bytes(bytes as f64);
    (run.source_bytes < least).then_some(Anomaly {
        kind: AnomalyKind::SmallSource,
        value: amount(run.source_bytes),
        baseline: amount(least),
        limit: amount(least),
    })
}

fn above(
    kind: AnomalyKind,
    value: f64,
    median: f64,
    limit: f64,
    amount: impl Fn(f64) -> Amount,
) -> Option<Anomaly> {
    let anomaly = Anomaly { kind, value: amount(value), baseline: amount(median), limit: amount(limit) };
    (value > limit).then_some(anomaly)
}
