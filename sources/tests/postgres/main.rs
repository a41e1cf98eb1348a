//! Dumps of real PostgreSQL servers, of each version that is installed, and the way back.

mod access;
mod drill;
mod failures;
mod lab;
mod parts;
mod rights;
mod round_trip;
mod writers;
