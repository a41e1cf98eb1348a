//! Runs beside those before them: realistic histories with what is expected of each, and what holds for any.

mod histories;
mod properties;
mod runs;
