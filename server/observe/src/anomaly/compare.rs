//! Figures of a run beside what is usual, whether they are anomalies or not.

use super::baseline::Baseline;
use super::figures::RunFigures;
use super::judge::Context;
use super::rules::Rules;

/// A figure that is compared with what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// How long the run took, in seconds.
    Duration,
    /// Bytes of the source.
    SourceBytes,
    /// Bytes that were new.
    NewBytes,
    /// Bytes that were stored for these.
    StoredBytes,
}

/// How a figure stands to what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Beyond the limit: the run has an anomaly.
    Beyond,
    /// Much more than usual, and within the limit.
    High,
    /// Much less than usual, and within the limit.
    Low,
    /// As usual.
    Usual,
    /// There are too few runs to know what is usual.
    Unknown,
}

/// A figure of a run beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Which one.
    pub figure: Figure,
    /// How much it is.
    pub value: f64,
    /// How much is usual.
    pub usual: Option<f64>,
    /// The greatest amount that is no anomaly; of a source, the smallest. None where there is no rule for it.
    pub limit: Option<f64>,
    /// How it stands.
    pub standing: Standing,
}

/// From this many times the usual on, a figure is high.
const HIGH: f64 = 1.5;
/// Below this many times the usual, a figure is low.
const LOW: f64 = 0.5;

/// Compares the figures of a run with those of the good runs before it, the newest last, by the rules that
/// [`super::judge`] goes by.
#[must_use]
pub fn compare(good_runs: &[RunFigures], run: &RunFigures, rules: &Rules) -> [Comparison; 4] {
    let context = Context::new(good_runs, run, rules);
    let is_known = context.is_enough();
    let of = |figure, value: fn(&RunFigures) -> f64, limit: Option<(Baseline, f64)>| {
        let usual = context.baseline(value).filter(|_| is_known).map(|usual| usual.median);
        let limit = limit.filter(|_| is_known).map(|(_, limit)| limit);
        let value = value(run);
        Comparison { figure, value, usual, limit, standing: standing(figure, value, usual, limit) }
    };
    [
        of(Figure::Duration, RunFigures::seconds, context.duration_limit()),
        of(Figure::SourceBytes, |run| run.source_bytes as f64, context.source_limit()),
        of(Figure::NewBytes, |run| run.new_bytes as f64, context.new_bytes_limit()),
        of(Figure::StoredBytes, |run| run.stored_bytes as f64, None),
    ]
}

fn standing(figure: Figure, value: f64, usual: Option<f64>, limit: Option<f64>) -> Standing {
    let Some(usual) = usual else { return Standing::Unknown };
    let is_beyond = |limit: f64| if figure == Figure::SourceBytes { value < limit } else { value > limit };
    match () {
        () if limit.is_some_and(is_beyond) => Standing::Beyond,
        () if value > HIGH * usual => Standing::High,
        () if value < LOW * usual => Standing::Low,
        () => Standing::Usual,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Figure, Rules, RunFigures, Standing, compare};
    use crate::anomaly::{AnomalyKind, Judgement, judge};

    fn run(seconds: u64, source_bytes: u64, new_bytes: u64) -> RunFigures {
        RunFigures {
            duration: Duration::from_secs(seconds),
            source_bytes,
            new_bytes,
            stored_bytes: new_bytes / 2,
            files_before: 0,
            files_deleted: 0,
            files_rewritten: 0,
            files_moved: 0,
        }
    }

    #[test]
    fn what_is_beyond_a_limit_is_what_is_judged_an_anomaly() {
        let (gib, rules) = (1 << 30, Rules::default());
        let good = [run(300, 100 * gib, gib); 9];
        let standings = |run: &RunFigures| compare(&good, run, &rules).map(|figure| figure.standing);
        let slow = run(3000, 100 * gib, gib);
        assert_eq!(standings(&slow), [Standing::Beyond, Standing::Usual, Standing::Usual, Standing::Usual]);
        let large = run(310, 20 * gib, 9 * gib);
        assert_eq!(standings(&large), [Standing::Usual, Standing::Beyond, Standing::Beyond, Standing::High]);
        let Judgement::Judged { anomalies, .. } = judge(&good, &large, &rules) else { panic!("enough runs") };
        let kinds: Vec<_> = anomalies.iter().map(|anomaly| anomaly.kind).collect();
        assert_eq!(kinds, [AnomalyKind::NewBytes, AnomalyKind::ShrunkSource]);
        let of_new = compare(&good, &large, &rules)[2];
        assert_eq!((of_new.figure, of_new.limit), (Figure::NewBytes, Some(anomalies[0].limit.number())));
        let little = run(100, 100 * gib, gib / 4);
        assert_eq!(standings(&little), [Standing::Low, Standing::Usual, Standing::Low, Standing::Low]);
    }

    #[test]
    fn with_few_runs_nothing_is_usual() {
        let few = [run(300, 1 << 30, 1 << 20); 3];
        let all = compare(&few, &run(9000, 1 << 30, 1 << 20), &Rules::default());
        assert!(all.iter().all(|figure| figure.standing == Standing::Unknown && figure.usual.is_none()));
        assert_eq!(all[0].value, 9000.0);
        let none = compare(&[run(300, 1 << 30, 1 << 20); 9], &run(9000, 1, 1), &Rules::none());
        assert_eq!(none.map(|figure| figure.limit), [None; 4]);
        assert_eq!(none[0].standing, Standing::High, "no rule says that it is too much");
    }
}
