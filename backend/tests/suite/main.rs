//! Tests of stores: what each of them promises, and what S3 needs in addition.

#![allow(clippy::print_stderr, reason = "tests say where they are, and what they can't test here")]

mod cancel;
mod conformance;
mod creates;
mod limited;
mod odd;
mod plain;
mod probe;
mod reads;
mod runs;
mod s3;
mod scripted;
mod uploads;
