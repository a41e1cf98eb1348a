//! What holds for any history.

use std::time::Duration;

use keepfast_observe::anomaly::{Amount, Anomaly, Judgement, Rules, RunFigures, judge};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, proptest};

fn any_run() -> impl Strategy<Value = RunFigures> {
    (any::<u64>(), any::<[u64; 7]>()).prop_map(
        |(seconds, [source, new, stored, moved, before, deleted, rewritten])| RunFigures {
            duration: Duration::from_secs(seconds),
            source_bytes: source,
            new_bytes: new,
            stored_bytes: stored,
            files_moved: moved,
            files_before: before,
            files_deleted: deleted,
            files_rewritten: rewritten,
        },
    )
}

/// Runs as they can be.
fn plausible_run() -> impl Strategy<Value = RunFigures> {
    (1_u64..1 << 42, 1_u64..1_000_000, 0.0..1.0, 0.0..1.1, 0.0..1.0, 0.0..1.0, 1_u64..100_000).prop_map(
        |(source, before, new, stored, deleted, rewritten, seconds)| {
            let part = |share: f64, whole: u64| (share * whole as f64) as u64;
            let new_bytes = part(new, source);
            RunFigures {
                duration: Duration::from_secs(seconds),
                source_bytes: source,
                new_bytes,
                stored_bytes: part(stored, new_bytes),
                files_moved: part(deleted * new, before),
                files_before: before,
                files_deleted: part(deleted, before),
                files_rewritten: part(rewritten, before),
            }
        },
    )
}

fn anomalies(good: &[RunFigures], run: &RunFigures) -> Vec<Anomaly> {
    match judge(good, run, &Rules::default()) {
        Judgement::Judged { anomalies, .. } => anomalies,
        Judgement::TooEarly { .. } => Vec::new(),
    }
}

proptest! {
    #[test]
    fn any_figures_are_judged_with_real_numbers(good in vec(any_run(), 0..40), run in any_run()) {
        for anomaly in anomalies(&good, &run) {
            prop_assert!(anomaly.value.number().is_finite(), "{anomaly:?}");
            prop_assert!(anomaly.limit.number().is_finite() && anomaly.limit.number() >= 0.0, "{anomaly:?}");
            prop_assert!(anomaly.baseline.number().is_finite(), "{anomaly:?}");
            if let Amount::Share(share) = anomaly.value {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            prop_assert!(!anomaly.to_string().contains("NaN"));
        }
    }

    #[test]
    fn too_few_runs_raise_no_alarm(good in vec(any_run(), 0..7), run in any_run()) {
        let is_too_early = matches!(judge(&good, &run, &Rules::default()), Judgement::TooEarly { .. });
        prop_assert!(is_too_early);
    }

    /// A run that is as each one before it is usual, whatever it does.
    #[test]
    fn a_run_like_all_others_is_usual(run in plausible_run(), count in 7_usize..40) {
        prop_assert_eq!(anomalies(&vec![run; count], &run), Vec::new());
    }

    /// What happened twice in the window is a habit.
    #[test]
    fn what_happened_twice_is_usual(good in vec(plausible_run(), 7..28), run in plausible_run()) {
        let good = [good, vec![run, run]].concat();
        prop_assert_eq!(anomalies(&good, &run), Vec::new());
    }

    /// In the window, only the figures count and not their order.
    #[test]
    fn the_order_of_good_runs_is_of_no_account(
        (good, shuffled) in vec(plausible_run(), 7..30).prop_flat_map(|good| (Just(good.clone()), Just(good).prop_shuffle())),
        run in plausible_run(),
    ) {
        prop_assert_eq!(anomalies(&good, &run), anomalies(&shuffled, &run));
    }

    /// More of the same is no less of an anomaly.
    #[test]
    fn more_is_never_more_usual(
        good in vec(plausible_run(), 7..30), run in plausible_run(), more in 1_u64..1 << 40, slower in 0_u64..1 << 30,
    ) {
        let worse = RunFigures {
            new_bytes: run.new_bytes + more.min(run.source_bytes - run.new_bytes),
            files_rewritten: run.files_rewritten + more.min(run.files_before - run.files_rewritten),
            duration: run.duration + Duration::from_secs(slower),
            ..run
        };
        let kinds = |run| anomalies(&good, run).iter().map(|anomaly| anomaly.kind).collect::<Vec<_>>();
        let (before, after) = (kinds(&run), kinds(&worse));
        // How data compresses is a share of the new data, which has become another.
        for kind in before.iter().filter(|kind| kind.name() != "incompressible" && kind.name() != "deleted_files") {
            prop_assert!(after.contains(kind), "{kind:?}: {before:?} {after:?}");
        }
    }

    /// One odd run among many steady ones hides nothing.
    #[test]
    fn one_odd_run_hides_nothing(odd in plausible_run(), run in plausible_run(), at in 0_usize..20) {
        let steady = RunFigures {
            duration: Duration::from_secs(60), source_bytes: 1 << 36, new_bytes: 1 << 27, stored_bytes: 1 << 26,
            files_moved: 2, files_before: 10_000, files_deleted: 5, files_rewritten: 50,
        };
        let without = vec![steady; 20];
        let mut with = without.clone();
        with.insert(at, odd);
        let kinds = |good: &[RunFigures]| anomalies(good, &run).iter().map(|anomaly| anomaly.kind).collect::<Vec<_>>();
        let (hidden, seen) = (kinds(&with), kinds(&without));
        prop_assert_eq!(hidden, seen);
    }
}
