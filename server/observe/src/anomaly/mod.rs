//! Whether a run is unlike the good runs before it, so that a person looks before retention removes what may
//! be the last good state.
//!
//! What ransomware, a lost mount or a wrong delete look like from here: much new data, many files deleted or
//! rewritten, new data that doesn't compress, a source that has become small. [`judge`] compares a run with
//! the plan's own past, by median and median absolute deviation, which one odd run doesn't move.
//!
//! The limits of that: an attack that changes few files in each run stays below them. Content that is
//! compressed or encrypted anyway, as photographs, shows nothing by its compression.

mod baseline;
mod compare;
mod figures;
mod judge;
mod rules;

pub(crate) use baseline::median;
pub use compare::{Comparison, Figure, Standing, compare};
pub use figures::RunFigures;
pub use judge::{Amount, Anomaly, AnomalyKind, Judgement, judge};
pub use rules::{Factor, Floors, NewBytes, Rules, RulesError, Share};
