//! The crate as its users meet it: files in, a configuration or diagnostics out.

mod cases;
mod desk;
mod documents;
mod properties;
mod reading;
mod sample;
mod traps;
