//! Spools.
