//! The engine from outside: what a backup promises, tested through repositories in
//! directories and in memory. I1 to I8 are the invariants that SPEC names.

mod round_trip;
