//! The program as its users see it: output, exit codes, and what is left on disk.

#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests")]

mod asked;
mod caches;
mod choosing;
mod colours;
mod commands;
mod completion;
mod configured;
mod doctor;
mod documents;
mod edits;
mod help;
mod keeping;
mod lists;
mod manners;
mod memory;
mod metrics;
mod notify;
mod odd;
mod output;
mod passwords;
mod patterns;
mod plain;
mod plan_secrets;
mod plans;
mod program;
mod prune;
mod remote;
mod restore;
mod s3;
mod s3_access;
mod s3_many;
mod serve;
mod service;
mod signals;
mod strangers;
mod streams;
mod surroundings;
mod told;
mod unhappy;
mod uninstall;
mod unusual;
mod wizard;
mod writers;
